//! The client's side of a connection, which outlives requests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::deadline::Deadline;
use crate::buffer::{BUFFER_SIZE, Buffer};

/// A client's connection, and what waits on either side of it.
pub struct Client<C> {
    pub io: C,
    /// Came from the client and is not yet taken.
    pub input: Buffer,
    /// Waits to be written to the client.
    pub output: Buffer,
    /// Something was written since the last flush.
    pub unflushed: bool,
    /// The client will not send any more.
    pub ended: bool,
    pub deadline: Deadline,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Client<C> {
    pub fn new(io: C, input: Buffer) -> Self {
        Self {
            io,
            input,
            output: Buffer::new(),
            unflushed: false,
            ended: false,
            deadline: Deadline::new(),
        }
    }

    /// Ready when the client failed. Meanwhile what it sends is kept, up to one buffer: the next requests.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && self.input.len() < BUFFER_SIZE {
            match ready!(self.input.poll_fill(cx, &mut self.io)) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Writes all output, and lets nothing linger below.
    pub fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.output.is_empty() {
            self.unflushed = true;
            let waiting = self.output.len();
            ready!(self.output.poll_drain(cx, &mut self.io, waiting))?;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
