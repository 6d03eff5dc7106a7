//! Bytes for the application. What looks like HTTP does not pass as bytes: it would come without the fields that are added and those that are removed, so
//! that a caller could say itself who it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of bytes from a caller that ends with an error before a request of HTTP is complete in it.
pub struct Opaque<S> {
    stream: S,
    start: Start,
}

impl<S> Opaque<S> {
    /// A stream that nothing was read from yet.
    pub fn new(stream: S) -> Opaque<S> {
        Opaque {
            stream,
            start: Start::default(),
        }
    }

    /// Whether reading ended because of HTTP.
    pub fn is_http(&self) -> bool {
        self.start.state == State::Http
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opaque<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if !self.start.passes(&buffer.filled()[before..]) {
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP as bytes")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opaque<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

const VERSION: &[u8] = b"http/";
const NAME: &[u8] = b"weft-client-id";
/// Bytes after which a request without a version has no more fields.
const HEAD_LIMIT: u32 = 64 * 1024;

/// The start of a stream, judged byte by byte, more generously than any server: a line whose third word begins with `HTTP/`, or one of two words as in
/// HTTP/0.9 with the field that only a sidecar may add below it.
#[derive(Debug, Default)]
struct Start {
    state: State,
    /// How much of the version or the name was matched.
    matched: usize,
    /// Bytes of the head so far.
    length: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first word.
    #[default]
    Blank,
    Method,
    BeforeTarget,
    Target,
    BeforeVersion,
    Version,
    /// At the start of a field below a line without a version.
    Name,
    /// Within a field of another name.
    Field,
    /// Anything but HTTP.
    Other,
    Http,
}

impl Start {
    /// Looks at the bytes that follow those of the last call. False when they make a request of HTTP.
    fn passes(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if matches!(self.state, State::Other | State::Http) {
                break;
            }
            self.length = self.length.saturating_add(1);
            self.state = if self.length > HEAD_LIMIT { State::Other } else { self.next(*byte) };
        }
        self.state != State::Http
    }

    fn next(&mut self, byte: u8) -> State {
        let blank = matches!(byte, b' ' | b'\t' | 0x0b | 0x0c);
        match (self.state, byte) {
            (State::Blank, b'\r' | b'\n') => State::Blank,
            (State::Blank, _) if blank => State::Blank,
            (State::Blank | State::Method, _) if crate::http1::is_token(byte) => State::Method,
            (State::Method | State::BeforeTarget, _) if blank => State::BeforeTarget,
            (State::BeforeTarget | State::Target, b'!'..=0x7e | 0x80..) => State::Target,
            (State::Target | State::BeforeVersion, _) if blank => State::BeforeVersion,
            (State::Target | State::BeforeVersion | State::Name, b'\r') => self.state,
            (State::Target | State::BeforeVersion | State::Field, b'\n') => {
                self.matched = 0;
                State::Name
            }
            (State::BeforeVersion, _) => {
                self.matched = 0;
                self.matching(byte, VERSION, State::Version, State::Other)
            }
            (State::Version, _) => self.matching(byte, VERSION, State::Version, State::Other),
            // An empty line ends the head.
            (State::Name, b'\n') => State::Other,
            (State::Name, b'_') => self.matching(b'-', NAME, State::Name, State::Field),
            (State::Name, _) => self.matching(byte, NAME, State::Name, State::Field),
            (State::Field, _) => State::Field,
            _ => State::Other,
        }
    }

    fn matching(&mut self, byte: u8, wanted: &[u8], on: State, off: State) -> State {
        if wanted.get(self.matched) != Some(&byte.to_ascii_lowercase()) {
            return off;
        }
        self.matched += 1;
        if self.matched == wanted.len() { State::Http } else { on }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn passes(bytes: &[u8]) -> bool {
        Start::default().passes(bytes)
    }

    #[test]
    fn requests_that_some_server_takes_do_not_pass_as_bytes() {
        for request in [
            "GET / HTTP/1.1\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n",
            " GET / HTTP/1.1\r\n",
            "GET  /  HTTP/1.1\r\n",
            "GET\t/\tHTTP/1.1\r\n",
            "get / http/1.1\r\n",
            "GET ?x HTTP/1.1\r\n",
            "AVERYLONGMETHODTHATNOBODYEVERHEARDOF / HTTP/1.0\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /\r\nHost: x\r\nWeft-Client-Id: me\r\n\r\n",
            "GET / \nweft_client_id: me\n\n",
        ] {
            assert!(!passes(request.as_bytes()), "{request:?}");
        }
    }

    #[test]
    fn other_protocols_pass() {
        for bytes in [
            "",
            "\x16\x03\x01\x02\x00 HTTP/1.1",
            "*1\r\n$4\r\nPING\r\n",
            "SET key value\r\n",
            "GET /key\r\nGET /other\r\n\r\nweft-client-id",
            "EHLO localhost\r\nMAIL FROM:<a@b>\r\n",
            "\r\n\r\n\0\r\nQUIT\n HTTP/1.1",
            "OPTIONS rtsp://host RTSP/1.0\r\n",
            "SSH-2.0-OpenSSH_10.0\r\n",
            "hello",
        ] {
            assert!(passes(bytes.as_bytes()), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_how_the_bytes_come(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..64),
                "[\r\n ]{0,3}[A-Za-z]{1,5}[ \t]{1,2}[/a-z]{1,4}[ ]{0,2}(HTTP/1.1|http/|HTT|x)?\r?\n([a-z-]{1,9}: x\r\n){0,2}(weft[-_]client-id: y)?".prop_map(String::into_bytes),
            ],
            cut in 0usize..64,
        ) {
            let cut = cut.min(bytes.len());
            let mut start = Start::default();
            prop_assert_eq!(start.passes(&bytes[..cut]) && start.passes(&bytes[cut..]), passes(&bytes));
        }
    }

    #[tokio::test]
    async fn nothing_is_read_of_the_piece_that_completes_a_request() {
        let (mut caller, near) = duplex(64);
        let mut opaque = Opaque::new(near);
        let mut got = Vec::new();
        caller.write_all(b"get / HT").await.unwrap();
        opaque.read_buf(&mut got).await.unwrap();
        caller.write_all(b"TP/1.1\r\nweft-client-id: me\r\n\r\n").await.unwrap();
        assert_eq!(opaque.read_buf(&mut got).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!((got.as_slice(), opaque.is_http()), (&b"get / HT"[..], true));
    }
}
