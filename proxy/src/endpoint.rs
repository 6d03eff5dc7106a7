//! One instance of a service as this sidecar sees it: where it is, how it performs, and the connections to it.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use tokio::task::spawn_local;

use crate::balance::{Balanced, Load};
use crate::http2::{self, Lease};
use crate::identity::Certified;
use crate::metrics::Traffic;
use crate::tls::{Inside, Lane, Tls};

mod connect;
mod dials;
mod line;
mod pool;

pub use connect::{ConnectError, PROGRAM_ANSWERS, PROGRAM_DOES_NOT_ANSWER, PeerStream};
use dials::{Dials, Place};
use pool::Pool;

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
    dials: Rc<Dials>,
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
            dials: Rc::default(),
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
        self.pools.borrow().values().map(|pool| pool.idle.len()).sum()
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

    /// An idle HTTP/1.1 connection in a `lane`, the last one used first. With `trouble`, the time when the endpoint's trouble began: none from before it; those
    /// are closed.
    pub fn take_idle(&self, lane: Lane, trouble: Option<Instant>) -> Option<PeerStream> {
        self.pools.borrow_mut().get_mut(&lane)?.take_idle(trouble)
    }

    /// Gives a connection back after a finished exchange.
    pub fn give_back(&self, lane: Lane, stream: PeerStream) {
        self.pool(lane).take_back(stream);
    }

    /// Opens a connection in a `lane`: mutual TLS when the endpoint has a sidecar, clear otherwise. For opaque bytes the program is there, too.
    pub async fn connect(&self, tls: &Tls, lane: Lane, inside: Inside, traffic: &Rc<Traffic>) -> Result<PeerStream, ConnectError> {
        let place = self.place().await.inspect_err(|_| traffic.connection_failed())?;
        self.connect_in(place, tls, lane, inside, traffic).await
    }

    /// A place among the connections that are being opened. Without handshakes there is no need to wait for one.
    async fn place(&self) -> Result<Place, ConnectError> {
        if self.has_sidecar() {
            self.dials.place().await
        } else {
            Ok(Place::default())
        }
    }

    async fn connect_in(
        &self,
        place: Place,
        tls: &Tls,
        lane: Lane,
        inside: Inside,
        traffic: &Rc<Traffic>,
    ) -> Result<PeerStream, ConnectError> {
        let dialled = self.dials.dial(place, self.dial(tls, lane, inside)).await;
        let stream = dialled.inspect_err(|_| traffic.connection_failed())?;
        Ok(PeerStream::new(stream, traffic))
    }

    /// An HTTP/1.1 connection in a `lane`: a new one, or, for those who are `known` to have given back others, one that a request is done with. It is opened in a task of
    /// its own: when the caller gives up before it is there, the next one gets it.
    pub async fn http1(
        self: &Rc<Self>,
        certified: &Rc<Certified>,
        lane: Lane,
        traffic: &Rc<Traffic>,
        known: bool,
    ) -> Result<PeerStream, ConnectError> {
        let (given, lacks) = self.pool(lane).wait(known);
        if lacks {
            spawn_local(self.clone().open_http1(certified.clone(), lane, traffic.clone()));
        }
        given.await.unwrap_or_else(|_| Err(ConnectError::sidecar_ends()))
    }

    async fn open_http1(self: Rc<Self>, certified: Rc<Certified>, lane: Lane, traffic: Rc<Traffic>) {
        let opened = match self.place().await {
            Ok(place) if place.waited && self.pool(lane).open_fewer() => return,
            // Boxed, since many may wait for their place.
            Ok(place) => Box::pin(self.connect_in(place, &certified.tls, lane, Inside::Http1, &traffic)).await,
            Err(error) => {
                traffic.connection_failed();
                Err(error)
            }
        };
        self.pool(lane).opened(opened);
    }

    fn pool(&self, lane: Lane) -> RefMut<'_, Pool> {
        RefMut::map(self.pools.borrow_mut(), |pools| pools.entry(lane).or_default())
    }

    /// Room on an HTTP/2 connection in a `lane`. With `trouble`, the time when the endpoint's trouble began: on none from before it; those take no more requests.
    pub async fn http2(
        self: &Rc<Self>,
        certified: &Rc<Certified>,
        lane: Lane,
        traffic: &Rc<Traffic>,
        trouble: Option<Instant>,
    ) -> Result<Lease, ConnectError> {
        let connections = self.pool(lane).http2.clone();
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
            Inside::Http1 => pool.idle.iter().any(|(_, since)| *since > trouble),
            Inside::Http2 => pool.http2.has_since(trouble),
            Inside::Tcp => false,
        })
    }

    /// Closes connections that were idle for long, and those that only a rush needed.
    pub fn sweep(&self) {
        self.pools.borrow_mut().values_mut().for_each(Pool::sweep);
    }
}

impl Balanced for Endpoint {
    fn load(&self) -> &Load {
        &self.load
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Context;

    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::dials::AT_ONCE;
    use super::pool::{RUSH_LIMIT, SPARE_IDLE};
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
            assert!(is_pending(Box::pin(endpoint.http1(&certified, LANE, &traffic, false)).as_mut()));
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
            let connected = endpoint.http1(&certified, LANE, &traffic, false).await.unwrap();
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
                let opened = endpoint.http1(&certified, LANE, &traffic, false).await.unwrap();
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
                .flat_map(|pool| &mut pool.idle)
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
            let mut impatient = Box::pin(endpoint.http1(&certified, LANE, &traffic, false));
            assert!(is_pending(impatient.as_mut()));
            let (accepted, _) = listener.accept().await.unwrap();
            drop(impatient);
            let mut patient = Box::pin(endpoint.http1(&certified, LANE, &traffic, false));
            assert!(is_pending(patient.as_mut()));
            drop(accepted);
            assert!(matches!(patient.await, Err(ConnectError::Handshake(_))));
            assert!(is_pending(Box::pin(listener.accept()).as_mut()), "one connection served both");
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_request_of_a_client_that_had_others_takes_the_connection_that_another_is_done_with() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let id = "spiffe://weft.local/ns/default/sa/users";
        let (endpoint, traffic) = endpoint(&listener, id);
        let certified = Certified::self_signed_for(id, &Rc::default());
        let acceptor = tokio_rustls::TlsAcceptor::from(certified.tls.server.clone());
        let test = async {
            let opened = tokio::join!(endpoint.http1(&certified, LANE, &traffic, false), async {
                acceptor.accept(listener.accept().await.unwrap().0).await.unwrap()
            });
            let (done, _far) = (opened.0.unwrap(), opened.1);
            let mut places = Vec::new();
            for _ in 0..AT_ONCE {
                places.push(endpoint.place().await.unwrap());
            }
            let mut waiting = Box::pin(endpoint.http1(&certified, LANE, &traffic, true));
            assert!(is_pending(waiting.as_mut()));
            tokio::task::yield_now().await;
            endpoint.give_back(LANE, done);
            assert!(waiting.await.unwrap().is_reused);
            drop(places);
            while endpoint.pool(LANE).opening > 0 {
                tokio::task::yield_now().await;
            }
            assert!(is_pending(Box::pin(listener.accept()).as_mut()), "no other is opened any more");
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
