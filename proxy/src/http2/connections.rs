//! HTTP/2 connections to one place, shared by all requests to it.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Mutex;

/// The connections. One carries all requests, unless more are under way than the other side takes on it: then another is opened, so that a stream never waits
/// for the end of others, which may be far away.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Vec<Connection>>);

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Bytes>,
    opened: Instant,
    /// Shared with each lease.
    leases: Rc<()>,
}

/// Room for one request on a connection, taken until it is dropped.
#[derive(Debug)]
pub struct Lease {
    /// Where the request is sent.
    pub sender: SendRequest<Bytes>,
    _taken: Rc<()>,
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
            leases: Rc::default(),
        };
        let lease = opened.lease();
        known.push(opened);
        Ok(lease)
    }

    /// Number of connections; 0 while one of them is being opened.
    pub fn count(&self) -> usize {
        self.0.try_lock().map_or(0, |known| known.len())
    }

    /// Closes connections that are idle, all but one.
    pub fn sweep(&self) {
        // Whoever holds the lock now is about to use a connection.
        if let Ok(mut known) = self.0.try_lock() {
            let mut kept = 0;
            known.retain_mut(|connection| {
                let keep = connection.is_open() && (kept == 0 || connection.streams() > 0);
                kept += usize::from(keep);
                keep
            });
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
        Rc::strong_count(&self.leases) - 1
    }

    fn has_room(&self) -> bool {
        self.streams() < self.sender.current_max_send_streams()
    }

    fn lease(&self) -> Lease {
        Lease {
            sender: self.sender.clone(),
            _taken: self.leases.clone(),
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

    #[tokio::test]
    async fn another_connection_is_opened_only_when_all_are_full() {
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
            connections.sweep();
            leases.push(connections.acquire(None, open).await.expect("a connection"));
            assert_eq!(opened.get(), 4, "idle ones were closed");
        };
        LocalSet::new().run_until(test).await;
    }
}
