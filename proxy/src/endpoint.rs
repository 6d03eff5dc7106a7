//! One instance of a service as this sidecar sees it: where it is, how it performs, and the connections to it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;

use crate::balance::{Balanced, Load};
use crate::budget;
use crate::http2::{self, Connections, Lease};
use crate::identity::Certified;
use crate::metrics::{ConnectionGuard, Traffic};
use crate::open;
use crate::own_ports::LeadsHere;
use crate::path::Path;
use crate::standing::Side;
use crate::stream::{self, Stream};
use crate::tls::{Destination, Inside, Lane, PeerIdentity, Tls};

/// Limit for a TCP connection to a peer.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Limit for the TLS handshake that follows.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Limit for the peer's word that the program took the connection.
const PROGRAM_LIMIT: Duration = Duration::from_secs(5);
/// What a sidecar says first on a connection for opaque bytes: its program took the connection. Any other byte: it does not answer, and the connection ends.
pub const PROGRAM_ANSWERS: u8 = b'+';
/// The program does not answer.
pub const PROGRAM_DOES_NOT_ANSWER: u8 = b'-';
/// Idle HTTP/1.1 connections are kept this long and up to this number for each port.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
const MAX_IDLE: usize = 1_024;
/// Of those that were idle for a moment so many are kept: the others were for a rush that is over.
const SPARE_IDLE: usize = 4;
const RUSH_LIMIT: Duration = Duration::from_secs(10);

/// An endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Id in the mesh.
    pub id: String,
    load: Load,
    /// SPIFFE IDs of which it must prove one; none for an endpoint without a sidecar.
    identities: Vec<String>,
    address: IpAddr,
    inbound_port: u16,
    ports: Vec<(u16, u16)>,
    service: String,
    namespace: String,
    pools: RefCell<BTreeMap<Lane, Pool>>,
    last_error: RefCell<Option<LastError>>,
}

/// What went wrong with an endpoint last.
#[derive(Clone, Debug)]
pub struct LastError {
    /// Stable code, as in docs/errors.md.
    pub code: &'static str,
    /// What happened, for people.
    pub message: String,
    /// The last time.
    pub at: SystemTime,
    /// Times that it happened in a row, with this code.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Pool {
    http1: Vec<(PeerStream, Instant)>,
    /// HTTP/1.1 connections that are being opened; as many as requests wait for, or more.
    opening: usize,
    waiting: VecDeque<oneshot::Sender<Result<PeerStream, ConnectError>>>,
    http2: Rc<Connections<ConnectError>>,
}

impl Endpoint {
    /// An endpoint of `service` that nothing is known of yet. `ports` maps ports of the service to ports of the program.
    pub fn new(
        id: &str,
        address: IpAddr,
        inbound_port: u16,
        identities: Vec<String>,
        ports: Vec<(u16, u16)>,
        service: &str,
        namespace: &str,
    ) -> Endpoint {
        Endpoint {
            id: id.to_owned(),
            load: Load::default(),
            identities,
            address,
            inbound_port,
            ports,
            service: service.to_owned(),
            namespace: namespace.to_owned(),
            pools: RefCell::default(),
            last_error: RefCell::default(),
        }
    }

    /// Where it is dialled: its sidecar, or itself without one; port 0 stands for the program's ports then.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.inbound_port)
    }

    /// SPIFFE ID under which calls to it are counted, the first of those that it may prove; empty for an endpoint without a sidecar.
    pub fn identity(&self) -> &str {
        self.identities.first().map_or("", String::as_str)
    }

    /// Idle HTTP/1.1 connections.
    pub fn idle_connections(&self) -> usize {
        self.pools.borrow().values().map(|pool| pool.http1.len()).sum()
    }

    /// HTTP/2 connections.
    pub fn http2_connections(&self) -> usize {
        self.pools.borrow().values().map(|pool| pool.http2.count()).sum()
    }

    /// What went wrong with it last.
    pub fn last_error(&self) -> Option<LastError> {
        self.last_error.borrow().clone()
    }

    /// Notes that something went wrong.
    pub fn failed(&self, code: &'static str, message: String) {
        let mut last = self.last_error.borrow_mut();
        let before = last.as_ref().filter(|last| last.code == code).map_or(0, |last| last.count);
        *last = Some(LastError {
            code,
            message,
            at: SystemTime::now(),
            count: before + 1,
        });
    }

    /// True when both are reached in the same way, so that connections and measurements of one hold for the other.
    pub fn same_place(&self, other: &Endpoint) -> bool {
        let place = |endpoint: &Endpoint| (endpoint.address, endpoint.inbound_port);
        place(self) == place(other) && self.identities == other.identities && self.ports == other.ports
    }

    /// True when the endpoint serves this port of the service.
    pub fn serves(&self, port: u16) -> bool {
        self.ports.iter().any(|(service_port, _)| *service_port == port)
    }

    /// Whether it has a sidecar, which speaks for itself in fields whose names begin with `weft-`.
    pub fn has_sidecar(&self) -> bool {
        !self.identities.is_empty()
    }

    /// Opens a connection in a `lane`: mutual TLS when the endpoint has a sidecar, clear otherwise. For opaque bytes the program is there, too.
    pub async fn connect(&self, tls: &Tls, lane: Lane, inside: Inside, traffic: &Rc<Traffic>) -> Result<PeerStream, ConnectError> {
        let opened = async {
            let mut stream = self.open(tls, lane, inside).await?;
            if inside == Inside::Tcp && self.has_sidecar() {
                let answer = tokio::time::timeout(PROGRAM_LIMIT, stream.read_u8()).await;
                match answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten() {
                    Ok(PROGRAM_ANSWERS) => {}
                    Ok(_) => return Err(ConnectError::Program),
                    Err(error) => return Err(ConnectError::connect(error)),
                }
            }
            Ok(stream)
        };
        let stream = opened.await.inspect_err(|_| traffic.connection_failed())?;
        Ok(PeerStream::new(stream, traffic))
    }

    async fn open(&self, tls: &Tls, lane: Lane, inside: Inside) -> Result<Stream, ConnectError> {
        if !self.has_sidecar() {
            let target = self
                .ports
                .iter()
                .find(|(service_port, _)| *service_port == lane.port)
                .map_or(lane.port, |(_, target)| *target);
            return Ok(stream::dial(SocketAddr::new(self.address, target), CONNECT_LIMIT)
                .await
                .map_err(ConnectError::connect)?
                .into());
        }
        let tcp = stream::dial_peer(SocketAddr::new(self.address, self.inbound_port), CONNECT_LIMIT)
            .await
            .map_err(ConnectError::connect)?;
        // Thousands that begin at once would take more than there is, before any of them could be ended.
        poll_fn(budget::poll_room).await;
        let name = Destination::server_name(lane, &self.service, &self.namespace)
            .ok_or_else(|| ConnectError::handshake(io::Error::other("the service's name is no DNS name")))?;
        let handshake = TlsConnector::from(tls.client(inside)).connect(name, tcp);
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, handshake)
            .await
            .map_err(|_| ConnectError::handshake(io::ErrorKind::TimedOut.into()))?
            .map_err(ConnectError::handshake)?;
        let session = stream.get_ref().1;
        let proven = session.peer_certificates().and_then(|chain| PeerIdentity::of(chain.first()?));
        match proven {
            Some(peer) if self.identities.contains(&peer.id) => {}
            other => {
                let proven = other.map(|peer| peer.id);
                return Err(ConnectError::Identity {
                    expected: self.identities.join(" or "),
                    proven,
                });
            }
        }
        if Inside::from_alpn(session.alpn_protocol()) != Some(inside) {
            return Err(ConnectError::handshake(io::Error::other(
                "the peer does not speak the protocol that was offered",
            )));
        }
        let entered = tls.enter(stream.get_ref().0, session.peer_certificates(), Side::Caller, inside);
        let live = entered.and_then(Result::ok).ok_or_else(|| {
            let message = "the endpoint's certificate was revoked, as its workload was removed";
            ConnectError::handshake(io::Error::other(message))
        })?;
        Ok(Stream::authenticated(tokio_rustls::TlsStream::Client(stream), live))
    }

    /// An idle HTTP/1.1 connection in a `lane`, the last one used first. With `trouble`, the time when the endpoint's trouble began: none from before it; those
    /// are closed.
    pub fn take_idle(&self, lane: Lane, trouble: Option<Instant>) -> Option<PeerStream> {
        let mut pools = self.pools.borrow_mut();
        let idle = &mut pools.get_mut(&lane)?.http1;
        if let Some(trouble) = trouble {
            idle.retain(|(_, since)| *since > trouble);
        }
        while let Some((mut stream, _)) = idle.pop() {
            if !stream.stream.is_over() && stream.stream.is_quiet() {
                return Some(stream);
            }
        }
        None
    }

    /// Gives a connection back after a finished exchange.
    pub fn give_back(&self, lane: Lane, stream: PeerStream) {
        if stream.stream.is_over() {
            return;
        }
        let mut pools = self.pools.borrow_mut();
        let idle = &mut pools.entry(lane).or_default().http1;
        if idle.len() < MAX_IDLE {
            idle.push((stream, Instant::now()));
        }
    }

    /// A new HTTP/1.1 connection in a `lane`. It is opened in a task of its own: when the caller gives up before it is there, the next one gets it.
    pub async fn http1(self: &Rc<Self>, certified: &Rc<Certified>, lane: Lane, traffic: &Rc<Traffic>) -> Result<PeerStream, ConnectError> {
        let (waiting, opened) = oneshot::channel();
        let lacks = {
            let mut pools = self.pools.borrow_mut();
            let pool = pools.entry(lane).or_default();
            pool.waiting.retain(|waiting| !waiting.is_closed());
            pool.waiting.push_back(waiting);
            let lacks = pool.waiting.len() > pool.opening;
            pool.opening += usize::from(lacks);
            lacks
        };
        if lacks {
            let (endpoint, certified, traffic) = (self.clone(), certified.clone(), traffic.clone());
            spawn_local(async move {
                let opened = endpoint.connect(&certified.tls, lane, Inside::Http1, &traffic).await;
                endpoint.opened(lane, opened);
            });
        }
        let ended = || ConnectError::connect(io::Error::other("the sidecar ends"));
        opened.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Hands a connection that was opened, or the reason why there is none, to whoever waits longest.
    fn opened(&self, lane: Lane, mut opened: Result<PeerStream, ConnectError>) {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(lane).or_default();
        pool.opening -= 1;
        while let Some(waiting) = pool.waiting.pop_front() {
            match waiting.send(opened) {
                Ok(()) => return,
                Err(unwanted) => opened = unwanted,
            }
        }
        drop(pools);
        if let Ok(stream) = opened {
            self.give_back(lane, stream);
        }
    }

    /// Room on an HTTP/2 connection in a `lane`. With `trouble`, the time when the endpoint's trouble began: on none from before it; those take no more requests.
    pub async fn http2(
        self: &Rc<Self>,
        certified: &Rc<Certified>,
        lane: Lane,
        traffic: &Rc<Traffic>,
        trouble: Option<Instant>,
    ) -> Result<Lease, ConnectError> {
        let connections = self.pools.borrow_mut().entry(lane).or_default().http2.clone();
        let open = || {
            let (endpoint, certified, traffic) = (self.clone(), certified.clone(), traffic.clone());
            async move {
                let stream = endpoint.connect(&certified.tls, lane, Inside::Http2, &traffic).await?;
                let standing = stream.stream.standing().cloned();
                let mut opened = http2::client(stream).await.map_err(ConnectError::handshake)?;
                opened.standing = standing;
                Ok(opened)
            }
        };
        connections.acquire(trouble, open).await
    }

    /// Whether there is a connection in a `lane` that carries HTTP and is younger than the endpoint's trouble.
    pub fn has_connection_since(&self, lane: Lane, inside: Inside, trouble: Instant) -> bool {
        let pools = self.pools.borrow();
        pools.get(&lane).is_some_and(|pool| match inside {
            Inside::Http1 => pool.http1.iter().any(|(_, since)| *since > trouble),
            Inside::Http2 => pool.http2.has_since(trouble),
            Inside::Tcp => false,
        })
    }

    /// Closes connections that were idle for long, and those that only a rush needed.
    pub fn sweep(&self) {
        for pool in self.pools.borrow_mut().values_mut() {
            // The last one used is taken first, so those in front are idle for longest.
            let mut surplus = pool.http1.len().saturating_sub(SPARE_IDLE);
            pool.http1.retain_mut(|(stream, since)| {
                let limit = if surplus > 0 { RUSH_LIMIT } else { IDLE_LIMIT };
                surplus = surplus.saturating_sub(1);
                since.elapsed() < limit && !stream.stream.is_over() && stream.stream.is_quiet()
            });
            pool.http1.shrink_to_fit();
        }
    }
}

impl Balanced for Endpoint {
    fn load(&self) -> &Load {
        &self.load
    }
}

/// Why no connection to an endpoint could be had.
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// TCP: refused, unreachable, timed out.
    Connect(Rc<io::Error>),
    /// TLS or the protocol inside could not be agreed.
    Handshake(Rc<io::Error>),
    /// The endpoint's sidecar says that its program does not answer.
    Program,
    /// The peer is somebody else.
    Identity {
        /// SPIFFE ID of the endpoint, or those that it may prove.
        expected: String,
        /// SPIFFE ID of whoever answered.
        proven: Option<String>,
    },
}

impl ConnectError {
    fn connect(error: io::Error) -> ConnectError {
        ConnectError::Connect(Rc::new(error))
    }

    fn handshake(error: io::Error) -> ConnectError {
        ConnectError::Handshake(Rc::new(error))
    }

    /// Whether the reason lies here: there is no socket to connect with.
    pub fn is_own(&self) -> bool {
        matches!(self, ConnectError::Connect(error) if open::is_shortage(error))
    }

    /// The stable code, as in docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            ConnectError::Connect(error) if LeadsHere::is(error) => crate::errors::LOOP,
            _ if self.is_own() => crate::errors::OUT_OF_DESCRIPTORS,
            ConnectError::Connect(_) | ConnectError::Program => crate::errors::CONNECT_FAILED,
            ConnectError::Handshake(_) => crate::errors::HANDSHAKE_FAILED,
            ConnectError::Identity { .. } => crate::errors::WRONG_IDENTITY,
        }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConnectError::Connect(error) => write!(out, "no connection: {error}"),
            ConnectError::Program => write!(out, "its program does not answer"),
            ConnectError::Handshake(error) => write!(out, "no TLS session: {error}"),
            ConnectError::Identity { expected, proven } => {
                write!(
                    out,
                    "expected {expected}, but {} answered",
                    proven.as_deref().unwrap_or("somebody without an identity")
                )
            }
        }
    }
}

/// A counted connection to a peer.
#[derive(Debug)]
pub struct PeerStream {
    /// The connection.
    pub stream: Stream,
    /// Counts it while it is open.
    pub counted: ConnectionGuard,
    path: Path,
}

impl PeerStream {
    /// A connection that is counted until it is dropped.
    pub fn new(stream: Stream, traffic: &Rc<Traffic>) -> PeerStream {
        PeerStream {
            stream,
            counted: traffic.connection(),
            path: Path::default(),
        }
    }

    /// The counters of the connection.
    pub fn traffic(&self) -> &Rc<Traffic> {
        self.counted.traffic()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let PeerStream { stream, path, .. } = &mut *self;
        match Pin::new(&mut *stream).poll_read(context, buffer) {
            Poll::Pending => path.poll_lost(context, stream.tcp()).map(Err),
            read => read,
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.path.wrote();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.path.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;
    use crate::metrics::{Direction, Labels, Metrics, Protocol};

    const LANE: Lane = Lane {
        port: 80,
        anonymous: false,
    };

    /// An endpoint behind `listener`, which proves `identity`, unless that is empty.
    fn endpoint(listener: &TcpListener, identity: &str) -> (Rc<Endpoint>, Rc<Traffic>) {
        let address = listener.local_addr().unwrap();
        let ports = vec![(80, address.port())];
        let identities = Vec::from_iter((!identity.is_empty()).then(|| identity.to_owned()));
        let endpoint = Endpoint::new("w-1", address.ip(), address.port(), identities, ports, "users", "default");
        let traffic = Rc::new(Metrics::default()).traffic(Labels {
            direction: Direction::Outbound,
            peer: "users.default".into(),
            identity: identity.into(),
            port: 80,
            protocol: Protocol::Http1,
            anonymous: false,
        });
        (Rc::new(endpoint), traffic)
    }

    fn is_pending(future: Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn a_connection_that_nobody_waits_for_any_more_is_for_the_next_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (endpoint, traffic) = endpoint(&listener, "");
        let certified = Certified::self_signed();
        let test = async {
            assert!(is_pending(Box::pin(endpoint.http1(&certified, LANE, &traffic)).as_mut()));
            let (_accepted, _) = listener.accept().await.unwrap();
            while endpoint.idle_connections() == 0 {
                tokio::task::yield_now().await;
            }
            assert!(endpoint.take_idle(LANE, None).is_some());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_connection_is_for_calls_of_its_own_lane_only() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (endpoint, traffic) = endpoint(&listener, "");
        let certified = Certified::self_signed();
        let anonymous = Lane { anonymous: true, ..LANE };
        let trouble = Instant::now();
        let test = async {
            let connected = endpoint.http1(&certified, LANE, &traffic).await.unwrap();
            endpoint.give_back(LANE, connected);
            let is_known = |lane| endpoint.has_connection_since(lane, Inside::Http1, trouble);
            assert_eq!((is_known(LANE), is_known(anonymous)), (true, false));
            assert!(endpoint.take_idle(anonymous, None).is_none());
            assert!(endpoint.take_idle(LANE, None).is_some());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn of_the_connections_of_a_rush_some_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (endpoint, traffic) = endpoint(&listener, "");
        let certified = Certified::self_signed();
        let test = async {
            let mut accepted = Vec::new();
            for _ in 0..SPARE_IDLE + 3 {
                let opened = endpoint.http1(&certified, LANE, &traffic).await.unwrap();
                accepted.push(listener.accept().await.unwrap());
                endpoint.give_back(LANE, opened);
            }
            endpoint.sweep();
            assert_eq!(endpoint.idle_connections(), SPARE_IDLE + 3, "it may not be over");
            let Some(earlier) = Instant::now().checked_sub(RUSH_LIMIT) else {
                return;
            };
            let mut pools = endpoint.pools.borrow_mut();
            pools
                .values_mut()
                .flat_map(|pool| &mut pool.http1)
                .for_each(|(_, since)| *since = earlier);
            drop(pools);
            endpoint.sweep();
            assert_eq!(endpoint.idle_connections(), SPARE_IDLE);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_request_takes_over_the_connection_that_one_before_it_gave_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (endpoint, traffic) = endpoint(&listener, "spiffe://weft.local/ns/default/sa/users");
        let certified = Certified::self_signed();
        let test = async {
            // Nobody answers the handshake, until the connection is closed.
            let mut impatient = Box::pin(endpoint.http1(&certified, LANE, &traffic));
            assert!(is_pending(impatient.as_mut()));
            let (accepted, _) = listener.accept().await.unwrap();
            drop(impatient);
            let mut patient = Box::pin(endpoint.http1(&certified, LANE, &traffic));
            assert!(is_pending(patient.as_mut()));
            drop(accepted);
            assert!(matches!(patient.await, Err(ConnectError::Handshake(_))));
            assert!(is_pending(Box::pin(listener.accept()).as_mut()), "one connection served both");
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_connection_whose_certificate_was_revoked_is_neither_used_again_nor_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let id = "spiffe://weft.local/ns/default/sa/users";
        let (endpoint, traffic) = endpoint(&listener, id);
        let live = Rc::default();
        let certified = Certified::self_signed_for(id, &live);
        let acceptor = tokio_rustls::TlsAcceptor::from(certified.tls.server.clone());
        let server = async {
            let mut accepted = Vec::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                accepted.push(acceptor.accept(tcp).await);
            }
        };
        let test = async {
            let connect = || endpoint.connect(&certified.tls, LANE, Inside::Http1, &traffic);
            let (idle, busy) = (connect().await.unwrap(), connect().await.unwrap());
            let standing = idle.stream.standing().unwrap().clone();
            endpoint.give_back(LANE, idle);
            live.replace(live.trust().with_revoked(standing.serial_prefixes()));
            let told = async {
                tokio::select! {
                    () = live.clone().watch() => {}
                    () = standing.news() => {}
                }
            };
            told.await;
            assert!(endpoint.take_idle(LANE, None).is_none());
            endpoint.give_back(LANE, busy);
            assert_eq!(endpoint.idle_connections(), 0);
            assert!(matches!(connect().await, Err(ConnectError::Handshake(error)) if error.to_string().contains("revoked")));
        };
        LocalSet::new()
            .run_until(async {
                tokio::select! {
                    () = server => {}
                    () = test => {}
                }
            })
            .await;
    }
}
