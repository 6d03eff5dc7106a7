//! One timer a connection, armed late and rarely: moving the deadline back, as each request does, costs nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is asked about a deadline instead of being set to it.
pub struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// A timer that is not armed.
    pub fn new() -> Self {
        Self { sleep: None }
    }

    /// Ready once `due` has passed; until then the task is woken for it.
    pub fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// What one connection waits for, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the whole head of a request, from its first byte. 10 s.
    pub head: Duration,
    /// For the next request. 5 min.
    pub idle: Duration,
    /// For the next byte of a request's body whose length is known, or of a chunk. 60 s.
    pub body: Duration,
    /// For the next chunk of a request's body. 10 min.
    pub chunk: Duration,
    /// For the client to take more of an answer. 10 min.
    pub reader: Duration,
    /// Time between two looks at a client that closed its half: it may wait for the answer or have left, which the kernel finds out. 30 s.
    pub half_closed: Duration,
    /// For the client to take an answer and stop sending, before the connection is closed under what it still sends. 2 s.
    pub linger: Duration,
}

/// The limits that every connection has.
pub const LIMITS: Limits = Limits {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(300),
    body: Duration::from_secs(60),
    chunk: Duration::from_secs(600),
    reader: Duration::from_secs(600),
    half_closed: Duration::from_secs(30),
    linger: Duration::from_secs(2),
};
