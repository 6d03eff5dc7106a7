//! The sidecar's own HTTP listener on the host's loopback: `GET /metrics`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;

/// Limit for a whole exchange.
const LIMIT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 8 * 1024;
/// Exchanges at a time.
const MAX_CONNECTIONS: usize = 16;
/// Answers at a time: one may have megabytes, which wait for whoever reads it.
const MAX_ANSWERS: usize = 4;
const MAX_FIELDS: usize = 64;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, metrics: Rc<Metrics>) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let answers = Rc::new(Semaphore::new(MAX_ANSWERS));
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Beyond the bound connections are closed at once: this listener serves a scraper and a person.
        let Ok(permit) = free.clone().try_acquire_owned() else { continue };
        let (metrics, answers) = (metrics.clone(), answers.clone());
        tokio::task::spawn_local(async move {
            // Whoever is too slow or leaves needs no answer.
            let _ = tokio::time::timeout(LIMIT, exchange(tcp, &metrics, &answers)).await;
            drop(permit);
        });
    }
}

async fn exchange(mut tcp: TcpStream, metrics: &Metrics, answers: &Semaphore) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1_024);
    let mut place = None;
    let answer = loop {
        if tcp.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                place = answers.acquire().await.ok();
                break answer(&request, metrics);
            }
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
    drop((body, place));
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
    let path = request.path.unwrap_or_default();
    match (
        request.method.unwrap_or_default(),
        path.split_once('?').map_or(path, |(path, _)| path),
    ) {
        ("GET", "/metrics") => Answer {
            status: "200 OK",
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics.prometheus(),
        },
        _ => Answer::text("404 Not Found", "here is GET /metrics\n"),
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
            let head = format!("{method} /metrics HTTP/1.1\r\n{fields}\r\n");
            let mut list = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut request = httparse::Request::new(&mut list);
            assert!(request.parse(head.as_bytes()).unwrap().is_complete());
            answer(&request, &Metrics::default()).status
        };
        for (method, fields, expected) in [
            ("GET", "host: 127.0.0.1:1234\r\n", "200 OK"),
            ("POST", "host: 127.0.0.1:1234\r\n", "404 Not Found"),
            ("GET", "host: localhost\r\nsec-fetch-site: none\r\n", "200 OK"),
            ("GET", "", "403 Forbidden"),
            ("GET", "host: rebound.example\r\n", "403 Forbidden"),
            ("GET", "host: 127.0.0.1\r\norigin: http://other.example\r\n", "403 Forbidden"),
            ("GET", "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "403 Forbidden"),
        ] {
            assert_eq!(status(method, fields), expected, "{method} {fields:?}");
        }
    }
}
