//! HTTP/2 connections to one place, shared by all requests to it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::found::Answers;
use crate::standing::Standing;

/// Streams of a connection that may stand still before others go elsewhere: a quarter of what fits into its window.
const STALLED_LIMIT: usize = 32;
/// Connections that are opened for one request while each turns out to take no more when it is there. The next one has to do, and says why it does not.
const IN_VAIN: u32 = 2;
/// How often connections that are idle are closed, all but one.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The connections. One carries all requests, unless more are under way than the other side takes on it, or many stand still: then another is opened, so that a
/// stream never waits for others, which may take for ever.
///
/// One is opened at a time, in a task of its own: it does not end with the request that asked for it, whose deadline may be shorter than a handshake. When it
/// fails, all who wait for it are told so.
#[derive(Debug)]
pub struct Connections<E>(Rc<RefCell<Pool<E>>>);

#[derive(Debug)]
struct Pool<E> {
    known: Vec<Connection>,
    /// Tells those who wait for the connection that is being opened what became of it.
    opening: Option<Outcome<E>>,
}

type Outcome<E> = watch::Receiver<Option<Result<Fresh, E>>>;

/// A connection that was just opened, as those know it who waited for it. It does not count as one of its requests.
#[derive(Clone, Debug)]
struct Fresh {
    sender: SendRequest<Bytes>,
    standing: Option<Rc<Standing>>,
    load: Weak<Load>,
}

impl<E> Default for Connections<E> {
    fn default() -> Self {
        Connections(Rc::new(RefCell::new(Pool {
            known: Vec::new(),
            opening: None,
        })))
    }
}

/// A connection that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Where its requests are sent.
    pub sender: SendRequest<Bytes>,
    /// What it stands on, when it leads to a sidecar: it takes no more requests when that is over.
    pub standing: Option<Rc<Standing>>,
    /// What comes on its streams.
    pub(super) answers: Rc<Answers>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Bytes>,
    standing: Option<Rc<Standing>>,
    opened: Instant,
    /// Shared with each lease.
    load: Rc<Load>,
}

/// What a connection carries.
#[derive(Debug, Default)]
pub(super) struct Load {
    used: Cell<bool>,
    stalled: Cell<usize>,
    pub(super) answers: Rc<Answers>,
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

impl<E: Clone + 'static> Connections<E> {
    /// Room on a connection that still takes requests, which `open` makes when there is none. With `after`, those opened earlier take no more requests.
    pub async fn acquire<Opening>(&self, after: Option<Instant>, open: impl Fn() -> Opening) -> Result<Lease, E>
    where
        Opening: Future<Output = Result<Opened, E>> + 'static,
    {
        let mut waits = 0;
        loop {
            let mut opening = {
                let mut pool = self.0.borrow_mut();
                pool.known
                    .retain_mut(|connection| connection.is_open() && Some(connection.opened) >= after);
                // A server that takes no streams is asked all the same: its answer is better than waiting for another connection like it.
                let free = |connection: &&Connection| connection.has_room() || waits > 0 && connection.streams() == 0;
                if let Some(free) = pool.known.iter().find(free) {
                    return Ok(free.lease());
                }
                pool.opening.get_or_insert_with(|| self.open(open())).clone()
            };
            let told = opening.wait_for(Option::is_some).await;
            match told.ok().and_then(|told| told.clone()) {
                Some(Err(error)) => return Err(error),
                Some(Ok(fresh)) if waits == IN_VAIN && !fresh.is_open() => return Ok(fresh.lease()),
                _ => waits = IN_VAIN.min(waits + 1),
            }
        }
    }

    /// Opens a connection, whoever still waits for it then.
    fn open(&self, opening: impl Future<Output = Result<Opened, E>> + 'static) -> Outcome<E> {
        let (told, opened) = watch::channel(None);
        let pool = Rc::downgrade(&self.0);
        spawn_local(async move {
            let opened = opening.await;
            let Some(shared) = pool.upgrade() else { return };
            let mut pool = shared.borrow_mut();
            pool.opening = None;
            let opened = opened.map(|opened| pool.add(opened, Rc::downgrade(&shared)));
            // Nobody may wait any more.
            let _ = told.send(Some(opened));
        });
        opened
    }

    /// Whether one was opened after `time`.
    pub fn has_since(&self, time: Instant) -> bool {
        self.0.borrow().known.iter().any(|connection| connection.opened > time)
    }

    /// Number of connections.
    pub fn count(&self) -> usize {
        self.0.borrow().known.len()
    }
}

impl<E: 'static> Pool<E> {
    fn add(&mut self, opened: Opened, shared: Weak<RefCell<Pool<E>>>) -> Fresh {
        let Opened { sender, standing, answers } = opened;
        let load = Rc::new(Load {
            answers,
            ..Load::default()
        });
        let fresh = Fresh {
            sender: sender.clone(),
            standing: standing.clone(),
            load: Rc::downgrade(&load),
        };
        self.known.push(Connection {
            sender,
            standing,
            opened: Instant::now(),
            load,
        });
        if self.known.len() == 2 {
            spawn_local(sweep(shared));
        }
        fresh
    }
}

/// Closes connections that are idle, all but one, from time to time while there are several.
async fn sweep<E>(shared: Weak<RefCell<Pool<E>>>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut kept = 0;
        shared.borrow_mut().known.retain_mut(|connection| {
            let keep = connection.is_open() && (kept == 0 || connection.streams() > 0);
            kept += usize::from(keep);
            keep
        });
        if kept < 2 {
            return;
        }
    }
}

/// Whether a connection takes requests: what it stands on holds, and a handle without a request of its own is ready.
fn is_open(sender: &mut SendRequest<Bytes>, standing: Option<&Rc<Standing>>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    !standing.is_some_and(|standing| standing.is_over()) && !matches!(sender.poll_ready(&mut context), Poll::Ready(Err(_)))
}

impl Fresh {
    fn is_open(&self) -> bool {
        is_open(&mut self.sender.clone(), self.standing.as_ref())
    }

    fn lease(self) -> Lease {
        Lease {
            sender: self.sender,
            is_reused: false,
            load: self.load.upgrade().unwrap_or_default(),
        }
    }
}

impl Connection {
    fn is_open(&mut self) -> bool {
        is_open(&mut self.sender, self.standing.as_ref())
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

    /// A connection to a server of its own.
    async fn connect<Serving: Future<Output = ()> + 'static>(serve: impl FnOnce(DuplexStream) -> Serving) -> Result<Opened, String> {
        let (near, far) = duplex(64 * 1024);
        spawn_local(serve(far));
        crate::http2::client(near).await.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn another_connection_is_opened_only_when_all_are_full_or_stand_still() {
        let opened = Rc::new(Cell::new(0));
        let open = || {
            opened.set(opened.get() + 1);
            connect(serve)
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

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_opened_though_whoever_asked_for_it_gave_up() {
        let opened = Rc::new(Cell::new(0));
        let slow = || {
            opened.set(opened.get() + 1);
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                connect(serve).await
            }
        };
        let connections = Connections::default();
        let test = async {
            for _ in 0..12 {
                let impatient = tokio::time::timeout(Duration::from_millis(100), connections.acquire(None, slow));
                if impatient.await.is_ok() {
                    break;
                }
            }
            assert_eq!((opened.get(), connections.count()), (1, 1));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_for_a_connection_learn_at_once_that_there_is_none() {
        let opened = Rc::new(Cell::new(0));
        let fails = || {
            opened.set(opened.get() + 1);
            async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Err::<Opened, _>("nobody there")
            }
        };
        let connections = Connections::default();
        let test = async {
            let asked = tokio::time::Instant::now();
            let (one, other) = tokio::join!(connections.acquire(None, fails), connections.acquire(None, fails));
            assert_eq!((one.err(), other.err()), (Some("nobody there"), Some("nobody there")));
            assert_eq!((opened.get(), asked.elapsed()), (1, Duration::from_secs(5)));
            assert_eq!(connections.acquire(None, fails).await.err(), Some("nobody there"));
            assert_eq!(opened.get(), 2, "the next request tries anew");
        };
        LocalSet::new().run_until(test).await;
    }

    /// A server that takes no streams at all.
    async fn serve_none(stream: DuplexStream) {
        let handshake = server::Builder::new().max_concurrent_streams(0).handshake::<_, Bytes>(stream);
        let mut connection = handshake.await.expect("a client");
        while connection.accept().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_no_streams_is_not_connected_to_for_ever() {
        let opened = Rc::new(Cell::new(0));
        let open = || {
            opened.set(opened.get() + 1);
            connect(serve_none)
        };
        let connections = Connections::default();
        let test = async {
            let leased = connections.acquire(None, open).await;
            assert!(leased.is_ok());
            assert_eq!(opened.get(), 1);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_server_that_ends_each_connection_at_once_is_not_connected_to_for_ever() {
        let opened = Rc::new(Cell::new(0));
        let open = || {
            opened.set(opened.get() + 1);
            assert!(opened.get() < 100);
            async {
                let (told, end) = tokio::sync::oneshot::channel::<()>();
                let serve = async |stream| {
                    tokio::select! {
                        () = serve(stream) => {}
                        _ = end => {}
                    }
                };
                let mut opened = connect(serve).await?;
                drop(told);
                while is_open(&mut opened.sender, None) {
                    tokio::task::yield_now().await;
                }
                Ok::<_, String>(opened)
            }
        };
        let connections = Connections::default();
        let test = async {
            assert!(connections.acquire(None, open).await.is_ok());
            assert_eq!(opened.get(), 1 + IN_VAIN);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_connection_that_is_over_takes_no_more_requests() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let live = Rc::new(crate::standing::LiveConnections::default());
        let entered = Rc::new(RefCell::new(Vec::new()));
        let open = || {
            let (live, entered) = (live.clone(), entered.clone());
            async move {
                let tcp = tokio::net::TcpStream::connect(address).await.expect("a connection");
                let place = live.enter_for_test(&tcp);
                let standing = Some(place.standing().clone());
                if entered.borrow().len() > 1 {
                    place.standing().end();
                }
                assert!(entered.borrow().len() < 100);
                entered.borrow_mut().push((place, tcp));
                Ok::<_, String>(Opened {
                    standing,
                    ..connect(serve).await?
                })
            }
        };
        let connections = Connections::default();
        let test = async {
            for _ in 0..2 {
                drop(connections.acquire(None, open).await);
            }
            assert_eq!(entered.borrow().len(), 1);
            entered.borrow()[0].0.standing().end();
            drop(connections.acquire(None, open).await);
            assert_eq!((entered.borrow().len(), connections.count()), (2, 1));
            // Certificates that are about to expire make each that follows over at once.
            entered.borrow()[1].0.standing().end();
            assert!(connections.acquire(None, open).await.is_ok());
            assert_eq!(entered.borrow().len(), 2 + 1 + IN_VAIN as usize);
        };
        LocalSet::new().run_until(test).await;
    }
}
