//! Bytes for a program. What looks like HTTP does not pass as bytes: it would come without the fields that are added and those that are removed, so
//! that a caller could say itself who it is.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::Buffer;
use crate::tcp;

mod start;
mod words;

pub use start::Start;

/// Why a relay of judged bytes ended early.
#[derive(Debug)]
pub enum Cut {
    /// One of the connections failed.
    Failed,
    /// The caller sent HTTP. Nothing passed of the piece that completes a request.
    Http,
}

/// Relays like [`tcp::relay`] as long as what the caller sends, which may begin in `forth`, is no HTTP. `start` has seen nothing yet.
pub async fn relay<A, B>(
    start: Start,
    caller: &mut A,
    program: &mut B,
    forth: Buffer,
    back: Buffer,
    count: impl FnMut(u64, u64),
) -> Result<(), Cut>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let start = RefCell::new(start);
    start.borrow_mut().answers(back.bytes());
    if !start.borrow_mut().passes(forth.bytes()) {
        return Err(Cut::Http);
    }
    let mut caller = Caller { io: caller, start: &start };
    let mut program = Program {
        io: program,
        start: &start,
    };
    let relayed = tcp::relay(&mut caller, &mut program, forth, back, count).await;
    relayed.map_err(|_| if start.borrow().is_http() { Cut::Http } else { Cut::Failed })
}

/// The caller's side, whose reads end with an error once they make a request.
struct Caller<'a, S> {
    io: &'a mut S,
    start: &'a RefCell<Start>,
}

/// The program's side, which is listened to: what it says may show that it does not speak HTTP.
struct Program<'a, S> {
    io: &'a mut S,
    start: &'a RefCell<Start>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Caller<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.io).poll_read(context, buffer))?;
        let mut start = self.start.borrow_mut();
        let read = &buffer.filled()[before..];
        let passes = if read.is_empty() { start.passes_end() } else { start.passes(read) };
        if !passes {
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP as bytes")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Program<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.io).poll_read(context, buffer))?;
        self.start.borrow_mut().answers(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

/// Passes writes on as they are.
macro_rules! writes_as_it_is {
    ($side:ident) => {
        impl<S: AsyncWrite + Unpin> AsyncWrite for $side<'_, S> {
            fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut *self.io).poll_write(context, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut *self.io).poll_flush(context)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut *self.io).poll_shutdown(context)
            }
        }
    };
}

writes_as_it_is!(Caller);
writes_as_it_is!(Program);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Sends pieces one after the other, each once the program has read the one before and said what it says to it. Gives what the program got.
    async fn sent(pieces: &[(&str, &str)]) -> (String, Option<Cut>) {
        let (mut client, mut near) = duplex(4096);
        let (mut far, mut program) = duplex(4096);
        let mut got = Vec::new();
        let relayed = {
            let relay = relay(Start::default(), &mut near, &mut far, Buffer::new(), Buffer::new(), |_, _| {});
            let talk = async {
                for (piece, answer) in pieces {
                    client.write_all(piece.as_bytes()).await.unwrap();
                    let before = got.len();
                    while got.len() < before + piece.len() {
                        if read(&mut program, &mut got).await == 0 {
                            return;
                        }
                    }
                    if !answer.is_empty() {
                        program.write_all(answer.as_bytes()).await.unwrap();
                        let mut heard = vec![0; answer.len()];
                        client.read_exact(&mut heard).await.unwrap();
                    }
                }
                drop((client, program));
            };
            tokio::pin!(relay, talk);
            tokio::select! {
                biased;
                ended = &mut relay => ended,
                () = &mut talk => relay.await,
            }
        };
        (String::from_utf8(got).unwrap(), relayed.err())
    }

    async fn read(program: &mut DuplexStream, got: &mut Vec<u8>) -> usize {
        program.read_buf(got).await.unwrap_or(0)
    }

    #[tokio::test]
    async fn nothing_is_passed_of_the_piece_that_completes_a_request() {
        let (got, cut) = sent(&[("get / HT", ""), ("TP/1.1\r\nweft-client-id: me\r\n\r\n", "")]).await;
        assert_eq!(got, "get / HT");
        assert!(matches!(cut, Some(Cut::Http)));
    }

    #[tokio::test]
    async fn a_program_that_speaks_another_protocol_may_be_told_of_requests() {
        let quoted = "250 DATA\r\nI saw GET / HTTP/1.1 yesterday\r\n";
        let (got, cut) = sent(&[("EHLO me\r\n", "250 hello\r\n"), (quoted, "250 taken\r\n")]).await;
        assert_eq!((got.as_str(), cut.is_none()), (&*format!("EHLO me\r\n{quoted}"), true));
        for answer in ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "<html>", "\0\0\0\x04\0\0\0\0\0"] {
            let (got, cut) = sent(&[("EHLO me\r\n", answer), (quoted, "")]).await;
            assert_eq!((got.as_str(), matches!(cut, Some(Cut::Http))), ("EHLO me\r\n", true), "{answer:?}");
        }
        // An echo in the middle of the first line says nothing of what will come of it.
        let (got, cut) = sent(&[("GET /", "GET /"), (" HTTP/1.1\r\n\r\n", "")]).await;
        assert_eq!((got.as_str(), matches!(cut, Some(Cut::Http))), ("GET /", true));
    }
}
