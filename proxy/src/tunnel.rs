//! Bytes carried both ways between two connections, each end closed on its own.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;

/// Carries bytes until both sides have ended, or one fails. What is in the two buffers already goes first. When one side ends, the other is told
/// and may go on. `sent` (to the upstream) and `received` (from it) grow by the bytes carried, as they are.
pub async fn tunnel<C, U>(
    client: &mut C,
    upstream: &mut U,
    to_upstream: Buffer,
    to_client: Buffer,
    sent: &mut u64,
    received: &mut u64,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut sending = Direction::new(to_upstream);
    let mut receiving = Direction::new(to_client);
    poll_fn(|cx| {
        let there = sending.poll(cx, client, upstream, sent)?;
        let back = receiving.poll(cx, upstream, client, received)?;
        match (there, back) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await
}

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
    fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            state: State::Open,
        }
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W, count: &mut u64) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let waiting = self.buffer.len();
            let written = self.buffer.poll_drain(cx, writer, waiting);
            *count += (waiting - self.buffer.len()) as u64;
            ready!(written)?;
            match self.state {
                State::Open => match self.buffer.poll_fill(cx, reader)? {
                    Poll::Ready(0) => self.state = State::Ending,
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}
