//! Tells the controller how the program runs, as often as that changes and until it has been heard.

use crate::bootstrap::Redirection;
use crate::launch::api::{Api, ApiError};
use crate::launch::json::quoted;
use crate::launch::sidecar::Life;
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

/// Reports now, whenever `published` changes, and whenever the sidecar was started again or the workload registered anew.
pub async fn keep_reporting(api: Api, report: Report, mut published: watch::Receiver<Vec<u16>>, mut life: watch::Receiver<Life>) {
    let mut more_ports = true;
    loop {
        let body = json(&report, &published.borrow_and_update(), &life.borrow_and_update());
        match api.launched(&body).await {
            // The controller may be away, or its disk full.
            Err(ApiError::Away(_) | ApiError::Refused(500.., _)) => sleep(RETRY).await,
            // What it refuses now it would refuse again.
            Ok(()) | Err(ApiError::Refused(..)) => {
                // Once every port is open nobody is left to tell of more.
                while more_ports {
                    tokio::select! {
                        changed = published.changed() => match changed {
                            Ok(()) => break,
                            Err(_) => more_ports = false,
                        },
                        changed = life.changed() => match changed {
                            Ok(()) => break,
                            Err(_) => return,
                        },
                    }
                }
                if !more_ports && life.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn json(report: &Report, published: &[u16], life: &Life) -> String {
    let redirection = match report.redirection {
        Redirection::Namespace => "namespace",
        Redirection::Proxy => "proxy",
    };
    let reason = quoted(&report.reason);
    let last_end = life.last_end.as_ref().map_or("null".to_owned(), |end| {
        format!(r#"{{"reason":{},"atMs":{}}}"#, quoted(&end.reason), end.at_ms)
    });
    format!(
        r#"{{"redirection":"{redirection}","reason":{reason},"pid":{},"published":{published:?},"restarts":{},"lastEnd":{last_end}}}"#,
        report.pid, life.restarts
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::sidecar::End;

    #[test]
    fn the_report_is_json() {
        let report = Report {
            redirection: Redirection::Proxy,
            reason: "it said \"no\"\n\\".into(),
            pid: 42,
        };
        let expected =
            r#"{"redirection":"proxy","reason":"it said \"no\"\u000a\\","pid":42,"published":[80, 8080],"restarts":0,"lastEnd":null}"#;
        assert_eq!(json(&report, &[80, 8080], &Life::default()), expected);
        let life = Life {
            restarts: 2,
            last_end: Some(End {
                reason: "signal 9".into(),
                at_ms: 1_000,
            }),
            ..Life::default()
        };
        assert!(json(&report, &[], &life).ends_with(r#""restarts":2,"lastEnd":{"reason":"signal 9","atMs":1000}}"#));
    }
}
