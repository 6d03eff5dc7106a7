//! The sidecar's own HTTP listener on the host's loopback: `GET /metrics`, and recorded raw latencies to check the histograms by.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::metrics::Metrics;

/// Limit for a whole exchange.
const LIMIT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 8 * 1024;
/// Exchanges at a time.
const MAX_CONNECTIONS: usize = 16;
const MAX_FIELDS: usize = 64;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, metrics: Rc<Metrics>) {
    let free = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Beyond the bound connections are closed at once: this listener serves a scraper and a person.
        let Ok(permit) = free.clone().try_acquire_owned() else { continue };
        let metrics = metrics.clone();
        tokio::task::spawn_local(async move {
            // Whoever is too slow or leaves needs no answer.
            let _ = tokio::time::timeout(LIMIT, exchange(tcp, &metrics)).await;
            drop(permit);
        });
    }
}

async fn exchange(mut tcp: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1_024);
    let answer = loop {
        if tcp.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => break answer(&request, metrics),
            Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => {}
            Ok(httparse::Status::Partial) | Err(_) => {
                break Answer::text("400 Bad Request", "this is no HTTP/1.1 request of a usual size\n");
            }
        }
    };
    let Answer {
        status,
        content_type,
        body,
    } = answer;
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).await?;
    tcp.write_all(body.as_bytes()).await?;
    tcp.shutdown().await
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: impl Into<String>) -> Answer {
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

fn answer(request: &httparse::Request<'_, '_>, metrics: &Metrics) -> Answer {
    if !request
        .headers
        .iter()
        .any(|field| field.name.eq_ignore_ascii_case("host") && is_loopback(field.value))
    {
        // A page in a browser can name its own host for this address (DNS rebinding); it must not read what is here.
        return Answer::text("403 Forbidden", "only requests to 127.0.0.1 or localhost are answered\n");
    }
    if request.headers.iter().any(|field| {
        field.name.eq_ignore_ascii_case("origin") || field.name.eq_ignore_ascii_case("sec-fetch-site") && field.value != b"none"
    }) {
        // Other sites' pages can send here too, though not read the answer.
        return Answer::text("403 Forbidden", "pages of a browser are not answered\n");
    }
    let (path, query) = request
        .path
        .unwrap_or_default()
        .split_once('?')
        .unwrap_or((request.path.unwrap_or_default(), ""));
    match (request.method.unwrap_or_default(), path) {
        ("GET", "/metrics") => Answer {
            status: "200 OK",
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics.prometheus(),
        },
        ("POST", "/samples") => match query.strip_prefix("max=").and_then(|max| max.parse().ok()) {
            Some(max) => {
                metrics.record_samples(max);
                Answer::text(
                    "200 OK",
                    format!("recording the next {} latencies\n", max.min(crate::metrics::MAX_SAMPLES)),
                )
            }
            None => Answer::text("400 Bad Request", "say how many: /samples?max=NUMBER\n"),
        },
        ("GET", "/samples") => {
            let lines = metrics
                .samples()
                .iter()
                .map(|(direction, latency)| format!("{} {latency}\n", direction.as_str()))
                .collect::<String>();
            Answer::text("200 OK", lines)
        }
        _ => Answer::text(
            "404 Not Found",
            "here are GET /metrics, POST /samples?max=NUMBER and GET /samples\n",
        ),
    }
}

fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_on_this_host_are_answered() {
        let status = |method: &str, fields: &str| {
            let head = format!("{method} /samples?max=1 HTTP/1.1\r\n{fields}\r\n");
            let mut list = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut request = httparse::Request::new(&mut list);
            assert!(request.parse(head.as_bytes()).unwrap().is_complete());
            answer(&request, &Metrics::default()).status
        };
        for (method, fields, expected) in [
            ("POST", "host: 127.0.0.1:1234\r\n", "200 OK"),
            ("GET", "host: localhost\r\nsec-fetch-site: none\r\n", "200 OK"),
            ("POST", "", "403 Forbidden"),
            ("POST", "host: rebound.example\r\n", "403 Forbidden"),
            ("POST", "host: 127.0.0.1\r\norigin: http://other.example\r\n", "403 Forbidden"),
            ("GET", "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "403 Forbidden"),
        ] {
            assert_eq!(status(method, fields), expected, "{method} {fields:?}");
        }
    }
}
