//! HTTP/2 connections to one place, shared by all requests to it.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Mutex;

/// Streams of a connection that may stand still before others go elsewhere: a quarter of what fits into its window.
const STALLED_LIMIT: usize = 32;
/// How often connections that are idle are closed, all but one.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The connections. One carries all requests, unless more are under way than the other side takes on it, or many stand still: then another is opened, so that a
/// stream never waits for others, which may take for ever.
#[derive(Debug, Default)]
pub struct Connections(Rc<Mutex<Vec<Connection>>>);

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Bytes>,
    opened: Instant,
    /// Shared with each lease.
    load: Rc<Load>,
}

/// What a connection carries.
#[derive(Debug, Default)]
pub(super) struct Load {
    used: Cell<bool>,
    stalled: Cell<usize>,
}

impl Load {
    /// Counts a stream of the connection that stands still, until the answer is dropped.
    pub(super) fn stall(&self) -> Stalled<'_> {
        self.stalled.set(self.stalled.get() + 1);
        Stalled(self)
    }
}

/// A stream that stands still.
pub(super) struct Stalled<'a>(&'a Load);

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.stalled.set(self.0.stalled.get() - 1);
    }
}

/// Room for one request on a connection, taken until it is dropped.
#[derive(Debug)]
pub struct Lease {
    /// Where the request is sent.
    pub sender: SendRequest<Bytes>,
    /// Whether the connection had carried others before.
    pub(super) is_reused: bool,
    pub(super) load: Rc<Load>,
}

impl Lease {
    /// Whether the other side takes extended CONNECT.
    pub fn takes_extended_connect(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }
}

impl Connections {
    /// Room on a connection that still takes requests, which `open` makes when there is none. With `after`, those opened earlier take no more requests.
    pub async fn acquire<E>(&self, after: Option<Instant>, open: impl AsyncFnOnce() -> Result<SendRequest<Bytes>, E>) -> Result<Lease, E> {
        let mut known = self.0.lock().await;
        known.retain_mut(|connection| connection.is_open() && Some(connection.opened) >= after);
        if let Some(free) = known.iter().find(|connection| connection.has_room()) {
            return Ok(free.lease());
        }
        let opened = Connection {
            sender: open().await?,
            opened: Instant::now(),
            load: Rc::default(),
        };
        let lease = opened.lease();
        known.push(opened);
        if known.len() == 2 {
            tokio::task::spawn_local(sweep(Rc::downgrade(&self.0)));
        }
        Ok(lease)
    }

    /// Whether one was opened after `time`; not while one is being opened.
    pub fn has_since(&self, time: Instant) -> bool {
        self.0
            .try_lock()
            .is_ok_and(|known| known.iter().any(|connection| connection.opened > time))
    }

    /// Number of connections; 0 while one of them is being opened.
    pub fn count(&self) -> usize {
        self.0.try_lock().map_or(0, |known| known.len())
    }
}

/// Closes connections that are idle, all but one, from time to time while there are several.
async fn sweep(known: Weak<Mutex<Vec<Connection>>>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(known) = known.upgrade() else { return };
        let mut known = known.lock().await;
        let mut kept = 0;
        known.retain_mut(|connection| {
            let keep = connection.is_open() && (kept == 0 || connection.streams() > 0);
            kept += usize::from(keep);
            keep
        });
        if kept < 2 {
            return;
        }
    }
}

impl Connection {
    fn is_open(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        // A handle without a request of its own is ready, or the connection takes no more.
        !matches!(self.sender.poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    fn streams(&self) -> usize {
        Rc::strong_count(&self.load) - 1
    }

    fn has_room(&self) -> bool {
        self.streams() < self.sender.current_max_send_streams() && self.load.stalled.get() < STALLED_LIMIT
    }

    fn lease(&self) -> Lease {
        Lease {
            sender: self.sender.clone(),
            is_reused: self.load.used.replace(true),
            load: self.load.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use h2::server;
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    /// A server that takes two streams at a time on a connection.
    async fn serve(stream: DuplexStream) {
        let mut connection = server::Builder::new()
            .max_concurrent_streams(2)
            .handshake::<_, Bytes>(stream)
            .await
            .expect("a client");
        while connection.accept().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn another_connection_is_opened_only_when_all_are_full_or_stand_still() {
        let opened = Cell::new(0);
        let open = async || {
            opened.set(opened.get() + 1);
            let (near, far) = duplex(64 * 1024);
            spawn_local(serve(far));
            crate::http2::client(near).await
        };
        let connections = Connections::default();
        let test = async {
            let mut leases = Vec::new();
            for expected in [1, 1, 2, 2, 3] {
                leases.push(connections.acquire(None, open).await.expect("a connection"));
                assert_eq!(opened.get(), expected);
            }
            leases.truncate(1);
            leases.push(connections.acquire(None, open).await.expect("a connection"));
            assert_eq!(opened.get(), 3);
            tokio::time::sleep(SWEEP_INTERVAL * 2).await;
            leases.push(connections.acquire(None, open).await.expect("a connection"));
            assert_eq!(opened.get(), 4, "idle ones were closed");
            let stalled: Vec<_> = (0..STALLED_LIMIT).map(|_| leases[2].load.stall()).collect();
            let other = connections.acquire(None, open).await.expect("a connection");
            assert_eq!(opened.get(), 5, "its streams stand still");
            drop((stalled, other));
        };
        LocalSet::new().run_until(test).await;
    }
}
