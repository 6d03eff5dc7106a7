//! Clients that began something and do not go on: a body that stops half-way, an answer that is not taken. Who waits for a server waits as long as it likes.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::deadline::{Deadline, LIMITS};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// More of a body whose length is known, or of a chunk.
    Body,
    /// The next chunk. Some programs send one when they have something to say.
    Chunk,
    /// That the client takes the answer.
    Reader,
}

/// Since when the client is waited for.
#[derive(Debug, Default)]
pub struct Stall(Option<(Awaited, u64, Instant)>);

impl Stall {
    /// Ready with what was waited for in vain. `moved` is another number after each byte that moved.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: &mut Deadline, awaited: Option<Awaited>, moved: u64) -> Poll<Awaited> {
        let Some(awaited) = awaited else {
            self.0 = None;
            return Poll::Pending;
        };
        let due = match self.0 {
            Some((before, mark, due)) if (before, mark) == (awaited, moved) => due,
            _ => {
                let limit = match awaited {
                    Awaited::Body => LIMITS.body,
                    Awaited::Chunk => LIMITS.chunk,
                    Awaited::Reader => LIMITS.reader,
                };
                let due = Instant::now() + limit;
                self.0 = Some((awaited, moved, due));
                due
            }
        };
        deadline.poll(cx, due).map(|()| awaited)
    }
}
