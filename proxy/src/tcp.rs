//! Bytes both ways between two connections, with half-close; buffers are held only while bytes are in them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;

/// Relays until both directions ended in order, or one failed. What is in the buffers goes first: `forth` to the called, `back` to the caller. When one side
/// ends, the other is told and may go on. `count` is told of bytes as they are carried, to the called and to the caller.
pub async fn relay<A, B>(caller: &mut A, called: &mut B, forth: Buffer, back: Buffer, mut count: impl FnMut(u64, u64)) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut forth, mut back) = (Direction::new(forth), Direction::new(back));
    poll_fn(|context| {
        let forth = forth.poll(context, caller, called, &mut |bytes| count(bytes, 0))?;
        let back = back.poll(context, called, caller, &mut |bytes| count(0, bytes))?;
        if forth.is_ready() && back.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// One direction of a relay.
struct Direction {
    buffer: Buffer,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ending,
    Ended,
}

impl Direction {
    fn new(buffer: Buffer) -> Direction {
        Direction {
            buffer,
            state: State::Open,
        }
    }

    /// Moves bytes until nothing more can be done now. Ready when the source's end was passed on.
    fn poll<R, W>(&mut self, context: &mut Context<'_>, source: &mut R, sink: &mut W, count: &mut dyn FnMut(u64)) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let waiting = self.buffer.len();
            if waiting > 0 {
                let drained = self.buffer.poll_drain(context, sink, waiting);
                count((waiting - self.buffer.len()) as u64);
                ready!(drained)?;
            }
            match self.state {
                State::Open => match self.buffer.poll_fill(context, source)? {
                    Poll::Ready(0) => self.state = State::Ending,
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        ready!(Pin::new(&mut *sink).poll_flush(context))?;
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(context))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
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
        let relay = relay(&mut near, &mut far, Buffer::from(&b"the "[..]), Buffer::new(), |forth, back| {
            counted = (counted.0 + forth, counted.1 + back)
        });
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
        assert_eq!((question.as_str(), answer.as_str()), ("the question", "answer after the end"));
        assert_eq!(counted, (12, 20));
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
        let (relayed, (), ()) = tokio::join!(relay(&mut near, &mut far, Buffer::new(), Buffer::new(), |_, _| {}), write, read);
        // The client closed both its directions at once.
        let _ = relayed;
        assert!(got == sent);
    }
}
