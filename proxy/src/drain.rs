//! The orderly end: connections learn that it began, and the sidecar learns when the last of them is gone.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// How long connections under way may take to finish.
pub const LIMIT: Duration = Duration::from_secs(10);
/// The same when the program is gone without a word, and with it whom they were for.
pub const ORPHANED: Duration = Duration::from_secs(1);

/// Shared by everything that carries traffic.
#[derive(Debug, Default)]
pub struct Drain {
    started: watch::Sender<bool>,
    open: Cell<usize>,
    closed: Notify,
}

impl Drain {
    /// Whether the end began.
    pub fn is_started(&self) -> bool {
        *self.started.borrow()
    }

    /// Resolves when the end begins, at once when it did.
    pub async fn started(&self) {
        // The sender is part of self, so waiting cannot fail.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// Begins the end.
    pub fn start(&self) {
        self.started.send_replace(true);
    }

    /// Counts a connection under way until the guard is dropped.
    pub fn connection(self: &Rc<Self>) -> Connection {
        self.open.set(self.open.get() + 1);
        Connection(self.clone())
    }

    /// Waits until no connection is under way, at most so long.
    pub async fn finished(&self, limit: Duration) {
        let finished = async {
            while self.open.get() > 0 {
                self.closed.notified().await;
            }
        };
        // What is still open after the limit is cut with the process.
        let _ = tokio::time::timeout(limit, finished).await;
    }
}

/// A connection under way.
#[derive(Debug)]
pub struct Connection(Rc<Drain>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify_one();
    }
}
