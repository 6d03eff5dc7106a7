//! Tells the controller how the program runs, as often as that changes and until it has been heard.

use crate::bootstrap::Redirection;
use crate::launch::api::{Api, ApiError};
use std::fmt::Write;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

const RETRY: Duration = Duration::from_secs(2);

/// What does not change while the program runs.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which way its calls go.
    pub redirection: Redirection,
    /// Why that way; empty for the usual one.
    pub reason: String,
    /// The program's process.
    pub pid: i32,
}

/// Reports now and whenever `published` changes.
pub async fn keep_reporting(api: Api, report: Report, mut published: watch::Receiver<Vec<u16>>) {
    loop {
        let body = json(&report, &published.borrow_and_update());
        match api.launched(&body).await {
            Err(ApiError::Away(_)) => sleep(RETRY).await,
            // What it refuses now it would refuse again.
            Ok(()) | Err(ApiError::Refused(..)) => {
                if published.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn json(report: &Report, published: &[u16]) -> String {
    let redirection = match report.redirection {
        Redirection::Namespace => "namespace",
        Redirection::Proxy => "proxy",
    };
    let reason = quoted(&report.reason);
    format!(
        r#"{{"redirection":"{redirection}","reason":{reason},"pid":{},"published":{published:?}}}"#,
        report.pid
    )
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_json() {
        let report = Report {
            redirection: Redirection::Proxy,
            reason: "it said \"no\"\n\\".into(),
            pid: 42,
        };
        let expected = r#"{"redirection":"proxy","reason":"it said \"no\"\u000a\\","pid":42,"published":[80, 8080]}"#;
        assert_eq!(json(&report, &[80, 8080]), expected);
    }
}
