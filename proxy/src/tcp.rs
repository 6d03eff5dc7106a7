//! Bytes both ways between two connections, with half-close; buffers are held only while bytes are in them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;

/// One direction of a relay.
#[derive(Default)]
struct Direction {
    buffer: Buffer,
    read_all: bool,
    closed: bool,
    unflushed: bool,
}

impl Direction {
    /// Moves bytes until nothing more can be done now. Ready when the source's end was passed on.
    fn poll<R, W>(&mut self, context: &mut Context<'_>, source: &mut R, sink: &mut W, count: &mut dyn FnMut(u64)) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.closed {
            if !self.buffer.is_empty() {
                let length = self.buffer.len();
                ready!(self.buffer.poll_drain(context, sink, length))?;
                self.unflushed = true;
            }
            if self.read_all {
                ready!(Pin::new(&mut *sink).poll_shutdown(context))?;
                self.closed = true;
                break;
            }
            match self.buffer.poll_fill(context, source)? {
                Poll::Ready(0) => self.read_all = true,
                Poll::Ready(read) => count(read as u64),
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *sink).poll_flush(context))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Relays until both directions ended in order, or one failed. `count` is told of bytes as they come: from the first to the second, and back.
pub async fn relay<A, B>(caller: &mut A, called: &mut B, mut count: impl FnMut(u64, u64)) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut forth, mut back) = (Direction::default(), Direction::default());
    poll_fn(|context| {
        let forth = forth.poll(context, caller, called, &mut |bytes| count(bytes, 0))?;
        let back = back.poll(context, called, caller, &mut |bytes| count(0, bytes))?;
        if forth.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn each_direction_ends_on_its_own() {
        let (mut client, mut near) = duplex(64);
        let (mut far, mut server) = duplex(64);
        let mut counted = (0, 0);
        let relay = relay(&mut near, &mut far, |forth, back| counted = (counted.0 + forth, counted.1 + back));
        let talk = async {
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut question = String::new();
            server.read_to_string(&mut question).await.unwrap();
            server.write_all(b"answer after the end").await.unwrap();
            drop(server);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            (question, answer)
        };
        let (relayed, (question, answer)) = tokio::join!(relay, talk);
        relayed.unwrap();
        assert_eq!((question.as_str(), answer.as_str()), ("question", "answer after the end"));
        assert_eq!(counted, (8, 20));
    }

    #[tokio::test]
    async fn more_bytes_than_any_buffer_holds_pass_unchanged() {
        let (mut client, mut near) = duplex(1_000);
        let (mut far, mut server) = duplex(100);
        let sent: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        let mut got = Vec::new();
        let write = async {
            client.write_all(&sent).await.unwrap();
            drop(client);
        };
        let read = async {
            server.read_to_end(&mut got).await.unwrap();
            drop(server);
        };
        let (relayed, (), ()) = tokio::join!(relay(&mut near, &mut far, |_, _| {}), write, read);
        // The client closed both its directions at once.
        let _ = relayed;
        assert!(got == sent);
    }
}
