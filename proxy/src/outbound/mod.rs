//! From the application to the network: every connection that it opens comes here, by redirection, or by a listener that stands for a service.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use std::{fmt, io};

use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};

use crate::accept::accept;
use crate::buffer::Buffer;
use crate::errors;
use crate::http::Reply;
use crate::identity::Certified;
use crate::log::log;
use crate::metrics::{Direction, Labels, Protocol, Traffic};
use crate::open::{self, Connection};
use crate::opener::Openers;
use crate::own_ports;
use crate::services::{Alias, Found};
use crate::sidecar::Sidecar;
use crate::stream::{self, Stream};
use crate::tls::Lane;

mod connection;
pub mod detect;
mod handler;
mod own;
mod proxy;
mod routing;
mod target;
mod tries;

pub use connection::relay;
use target::{Learned, Target};

/// Limit for connections to addresses outside the mesh.
const OUTSIDE_LIMIT: Duration = Duration::from_secs(10);
/// Targets that were not used for this long are forgotten.
const TARGET_IDLE: Duration = Duration::from_secs(600);
/// Targets that are remembered; what comes beyond is made anew for each connection.
const MAX_TARGETS: usize = 4_096;
/// Virtual addresses of services and workloads: 198.18.0.0/15 (RFC 2544), of which the second half are workloads.
const MESH_NETWORK: u8 = 198;

/// The outbound side.
#[derive(Debug)]
pub struct Outbound {
    /// What it shares with the rest.
    pub sidecar: Rc<Sidecar>,
    targets: RefCell<HashMap<(String, Lane), Rc<Target>>>,
    openers: Openers,
}

/// What a listener stands for.
#[derive(Debug, Clone)]
pub enum Listener {
    /// Redirected connections: the original destination tells.
    Redirected,
    /// A port of another service, for the application.
    Upstream(String, u16),
    /// A port of the application's own service, for whoever dials it on the host: nothing is known of them, so they call without an identity.
    Published(u16),
    /// The application's HTTP proxy.
    Proxy,
}

impl fmt::Display for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Redirected => write!(out, "the program"),
            Listener::Upstream(name, port) => write!(out, "{name}:{port}"),
            Listener::Published(port) => write!(out, "the published port {port}"),
            Listener::Proxy => write!(out, "the proxy"),
        }
    }
}

/// Where an application's connection was meant to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// The virtual address of a service.
    Service(Ipv4Addr, u16),
    /// The application's own network: loopback, or its own address.
    Own(SocketAddr),
    /// Another workload's own address, which cannot be called directly.
    Workload(SocketAddr),
    /// Outside the mesh.
    Outside(SocketAddr),
}

/// The controller does not say what stands behind a name that only the mesh can know.
#[derive(Debug)]
pub(super) struct Unanswered;

impl Outbound {
    /// The outbound side of a sidecar.
    pub fn new(sidecar: Rc<Sidecar>) -> Rc<Outbound> {
        Rc::new(Outbound {
            sidecar,
            targets: RefCell::default(),
            openers: Openers::default(),
        })
    }

    /// Accepts connections until draining starts.
    pub async fn serve(self: Rc<Self>, listener: TcpListener, stands_for: Listener) {
        let group = open::group(&stands_for.to_string());
        accept(&listener, &self.sidecar, &group, |tcp, _, live| {
            self.clone().connection(tcp, stands_for.clone(), live)
        })
        .await;
    }

    async fn connection(self: Rc<Self>, tcp: TcpStream, stands_for: Listener, live: Rc<Connection>) {
        if let Listener::Upstream(..) | Listener::Proxy = stands_for
            && let Err(reason) = self.openers.check(&tcp)
        {
            let message = format_args!("a connection to what is for the application's calls was refused: {reason}");
            self.sidecar.recent.log(errors::FOREIGN_CALLER, "", message);
            return reset(tcp);
        }
        match stands_for {
            Listener::Upstream(name, port) => self.to_service(tcp, &name, Lane { port, anonymous: false }, live).await,
            Listener::Published(port) => {
                let name = self.sidecar.full_name();
                self.to_service(tcp, &name, Lane { port, anonymous: true }, live).await;
            }
            Listener::Proxy => Box::pin(self.proxy(tcp, live)).await,
            Listener::Redirected => match original_destination(&tcp).map(|address| self.classify(address)) {
                Ok(Destination::Service(address, port)) => {
                    let name = address.to_string();
                    self.to_service(tcp, &name, Lane { port, anonymous: false }, live).await;
                }
                Ok(Destination::Own(address)) => self.own(tcp, address, live).await,
                Ok(Destination::Outside(address)) => self.outside(tcp, address, &live).await,
                Ok(Destination::Workload(address)) => {
                    log!("the application called {address}, which is a workload's own address; call its service by name instead");
                    reset(tcp);
                }
                Err(error) => {
                    log!("a connection's original destination is unknown: {error}");
                    reset(tcp);
                }
            },
        }
    }

    /// Carries a connection to a service under a name or virtual address.
    async fn to_service(self: Rc<Self>, tcp: TcpStream, name: &str, lane: Lane, live: Rc<Connection>) {
        match self.target(name, lane).await {
            Ok(Some(target)) => connection::to_service(self, tcp, target, live).await,
            Ok(None) | Err(Unanswered) => reset(tcp),
        }
    }

    fn classify(&self, address: SocketAddr) -> Destination {
        classify(address, self.sidecar.app.address())
    }

    /// The port of a service under a name or virtual address. None when there is no such service.
    pub(super) async fn target(&self, name: &str, lane: Lane) -> Result<Option<Rc<Target>>, Unanswered> {
        if let Some(known) = self.known(name, lane) {
            return Ok(Some(known));
        }
        match self.sidecar.services.find(name).await {
            Found::Service(alias) => Ok(Some(self.keep(name, lane, alias))),
            Found::Nothing | Found::Unanswered { ours: false } => Ok(None),
            Found::Unanswered { ours: true } => Err(Unanswered),
        }
    }

    fn known(&self, name: &str, lane: Lane) -> Option<Rc<Target>> {
        self.targets.borrow().get(&(name.to_owned(), lane)).cloned()
    }

    fn keep(&self, name: &str, lane: Lane, alias: Rc<Alias>) -> Rc<Target> {
        let sidecar = &self.sidecar;
        let fresh = Rc::new(Target::new(alias, lane, sidecar.services.clone(), sidecar.metrics.clone()));
        if self.targets.borrow().len() >= MAX_TARGETS {
            return fresh;
        }
        self.targets.borrow_mut().entry((name.to_owned(), lane)).or_insert(fresh).clone()
    }

    /// Ports of the service under a name or virtual address whose protocol was learned; true where the server speaks first.
    pub fn learned(&self, name: &str) -> Vec<(u16, bool)> {
        let targets = self.targets.borrow();
        let learned = targets.iter().filter(|((target, _), _)| target == name);
        learned
            .filter_map(|((_, lane), target)| match target.learned.get() {
                Learned::Nothing => None,
                Learned::Http => Some((lane.port, false)),
                Learned::ServerFirst => Some((lane.port, true)),
            })
            .collect()
    }

    /// Forgets targets that were not used for a while.
    pub fn sweep(&self) {
        self.targets
            .borrow_mut()
            .retain(|_, target| Rc::strong_count(target) > 1 || target.last_used().elapsed() < TARGET_IDLE);
    }

    /// The certificate, or why nothing can be called yet.
    fn certified(&self) -> Result<Rc<Certified>, Reply> {
        let missing = || {
            Reply::new(
                503,
                errors::NOT_CERTIFIED,
                "this sidecar has no certificate yet; see its log: `weft logs`",
            )
        };
        self.sidecar.identity.current().ok_or_else(missing)
    }

    /// The counters for everything outside the mesh.
    fn external(&self, protocol: Protocol) -> Rc<Traffic> {
        let labels = Labels {
            direction: Direction::Outbound,
            peer: "external".into(),
            identity: String::new(),
            port: 0,
            protocol,
            anonymous: false,
        };
        self.sidecar.metrics.traffic(labels)
    }

    /// A connection to an address outside the mesh.
    async fn outside(&self, tcp: TcpStream, address: SocketAddr, live: &Rc<Connection>) {
        let traffic = self.external(Protocol::Tcp);
        match stream::dial(address, OUTSIDE_LIMIT).await {
            Ok(called) => {
                let _counted = traffic.connection();
                stream::tune(&tcp);
                let observed = self.sidecar.taps.connection(&traffic, "");
                let (caller, called) = both(tcp.into(), called, live);
                connection::relay(caller, called, Buffer::new(), |forth, back| observed.count(forth, back)).await;
            }
            Err(_) => {
                traffic.connection_failed();
                self.sidecar.taps.unconnected(&traffic, errors::CONNECT_FAILED);
                reset(tcp);
            }
        }
    }
}

/// Both sides of a connection that carries bytes which nobody looks at. Either breaks when it is cut.
fn both(caller: Stream, called: TcpStream, live: &Rc<Connection>) -> (Stream, Stream) {
    live.carries(Protocol::Tcp);
    (caller.part_of(live), Stream::from(called).part_of(live))
}

/// Ends a connection so that the application sees a failure and not an orderly end.
fn reset(tcp: TcpStream) {
    Stream::from(tcp).reset_on_close();
}

fn original_destination(tcp: &TcpStream) -> io::Result<SocketAddr> {
    if tcp.local_addr()?.is_ipv4() {
        let address = getsockopt(&tcp.as_fd(), sockopt::OriginalDst)?;
        let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        return Ok(SocketAddr::new(ip.into(), u16::from_be(address.sin_port)));
    }
    let address = getsockopt(&tcp.as_fd(), sockopt::Ip6tOriginalDst)?;
    Ok(SocketAddr::new(
        IpAddr::from(address.sin6_addr.s6_addr),
        u16::from_be(address.sin6_port),
    ))
}

fn classify(address: SocketAddr, own: Ipv4Addr) -> Destination {
    let ip = own_ports::reached(address.ip());
    let address = SocketAddr::new(ip, address.port());
    match ip {
        ip if ip.is_loopback() || ip == IpAddr::V4(own) => Destination::Own(address),
        IpAddr::V4(v4) => match v4.octets() {
            [MESH_NETWORK, 18, _, _] => Destination::Service(v4, address.port()),
            [MESH_NETWORK, 19, _, _] => Destination::Workload(address),
            _ => Destination::Outside(address),
        },
        IpAddr::V6(_) => Destination::Outside(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_told_apart_by_address() {
        let own = Ipv4Addr::new(198, 19, 0, 5);
        let cases = [
            ("198.18.0.7:80", Destination::Service(Ipv4Addr::new(198, 18, 0, 7), 80)),
            ("[::ffff:198.18.0.7]:80", Destination::Service(Ipv4Addr::new(198, 18, 0, 7), 80)),
            ("198.19.0.5:80", Destination::Own("198.19.0.5:80".parse().unwrap())),
            ("198.19.0.6:80", Destination::Workload("198.19.0.6:80".parse().unwrap())),
            ("127.0.0.53:53", Destination::Own("127.0.0.53:53".parse().unwrap())),
            ("0.0.0.0:80", Destination::Own("127.0.0.1:80".parse().unwrap())),
            ("[::ffff:0.0.0.0]:80", Destination::Own("127.0.0.1:80".parse().unwrap())),
            ("[::]:80", Destination::Own("[::1]:80".parse().unwrap())),
            ("[::1]:80", Destination::Own("[::1]:80".parse().unwrap())),
            ("198.17.0.1:80", Destination::Outside("198.17.0.1:80".parse().unwrap())),
            ("[2001:db8::1]:80", Destination::Outside("[2001:db8::1]:80".parse().unwrap())),
        ];
        for (address, expected) in cases {
            assert_eq!(classify(address.parse().unwrap(), own), expected, "{address}");
        }
    }
}
