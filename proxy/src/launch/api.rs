//! The launcher's few calls to the controller: HTTP over its unix socket.

use crate::bootstrap::Token;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: u64 = 64 * 1024;

/// The status that says that a person removed the workload.
const GONE: u16 = 410;

/// Why a call failed.
#[derive(Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No answer: the controller is away, or will be back.
    Away(String),
    /// The controller refused, with this status.
    Refused(u16, String),
}

impl ApiError {
    /// Whether a person removed the workload from the mesh, for good.
    pub fn is_removed(&self) -> bool {
        matches!(self, ApiError::Refused(GONE, _))
    }

    /// Whether the workload is not in the registry.
    pub fn is_unregistered(&self) -> bool {
        matches!(self, ApiError::Refused(404 | GONE, _))
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ApiError::Away(why) => write!(f, "the controller does not answer: {why}"),
            ApiError::Refused(status, why) => write!(f, "the controller refused ({status}): {why}"),
        }
    }
}

/// The controller, for one workload.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
    workload: String,
}

impl Api {
    /// `socket` is the controller's `api.sock`.
    pub fn new(socket: PathBuf, workload: &str) -> Api {
        Api {
            socket,
            workload: workload.to_owned(),
        }
    }

    /// A one-time token for a sidecar's first certificate.
    pub async fn token(&self) -> Result<Token, ApiError> {
        let text = self.call("POST", "/token", "").await?;
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(ApiError::Refused(200, "its answer is no token".to_owned()));
        }
        Ok(Token(token.to_owned()))
    }

    /// Registers the workload anew, under its id; `body` is JSON. Nothing changes if it is registered still.
    pub async fn register(&self, body: &str) -> Result<(), ApiError> {
        self.call("PUT", "", body).await.map(drop)
    }

    /// Tells how the program runs; `body` is JSON.
    pub async fn launched(&self, body: &str) -> Result<(), ApiError> {
        self.call("POST", "/launched", body).await.map(drop)
    }

    /// Takes the workload off the registry, since its program ended. (Without the query it would be a person's removal, after which certificates are refused.)
    pub async fn delete(&self) -> Result<(), ApiError> {
        self.call("DELETE", "?ended=true", "").await.map(drop)
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Result<String, ApiError> {
        let answer = timeout(TIMEOUT, self.exchange(method, path, body)).await;
        let answer = answer.map_err(|_| ApiError::Away(format!("no answer on {} within 5 s", self.socket.display())))?;
        let bytes = answer.map_err(|error| ApiError::Away(format!("{}: {error}", self.socket.display())))?;
        read_answer(&bytes)
    }

    async fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        // HTTP/1.0: the answer is not chunked and ends with the connection.
        let head = format!(
            "{method} /weft/v1/workloads/{}{path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.workload,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

/// The body of a success; anything else is an error.
fn read_answer(bytes: &[u8]) -> Result<String, ApiError> {
    let broken = |what: &str| ApiError::Away(format!("its answer is {what}"));
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(start)) = response.parse(bytes) else {
        return Err(broken("no complete HTTP"));
    };
    let status = response.code.unwrap_or(0);
    let mut body = bytes.get(start..).unwrap_or_default();
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    if let Some(length) = length
        .and_then(|header| std::str::from_utf8(header.value).ok())
        .and_then(|text| text.parse().ok())
    {
        body = body.get(..length).ok_or_else(|| broken("cut short"))?;
    }
    let text = String::from_utf8_lossy(body).into_owned();
    if (200..300).contains(&status) {
        Ok(text)
    } else {
        Err(ApiError::Refused(status, text.chars().take(300).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_success_gives_its_body_and_nothing_after_it() {
        assert_eq!(
            read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"),
            Ok("abc".to_owned())
        );
        assert_eq!(read_answer(b"HTTP/1.1 204 No Content\r\n\r\n"), Ok(String::new()));
    }

    #[test]
    fn a_refusal_keeps_its_status_and_text() {
        assert_eq!(
            read_answer(b"HTTP/1.1 404 Not Found\r\n\r\nno w-1"),
            Err(ApiError::Refused(404, "no w-1".to_owned()))
        );
    }

    #[test]
    fn an_answer_that_was_cut_short_counts_as_none() {
        assert!(matches!(
            read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            Err(ApiError::Away(_))
        ));
        assert!(matches!(read_answer(b"HTTP/1.1 200"), Err(ApiError::Away(_))));
        assert!(matches!(read_answer(b""), Err(ApiError::Away(_))));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read_answer(&bytes);
        }
    }
}
