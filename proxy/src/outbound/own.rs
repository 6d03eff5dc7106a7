//! Connections of the application within its own network, and from there to the host's loopback.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tokio::net::TcpStream;

use super::target::Target;
use super::{OUTSIDE_LIMIT, Outbound, both, connection, reset};
use crate::buffer::Buffer;
use crate::errors;
use crate::open::Connection;
use crate::own_ports::{self, LeadsHere, Purpose};
use crate::services::{Found, published_name};
use crate::stream;
use crate::tls::Lane;

impl Outbound {
    /// A connection within the application's own network. Where nobody listens there, the host's loopback is called: a port that a service of the mesh has
    /// published there as that service, so that the call is the application's own and not one of somebody unknown.
    pub(super) async fn own(self: Rc<Self>, tcp: TcpStream, address: SocketAddr, live: Rc<Connection>) {
        let called = match self.sidecar.app.connect_to(address, None).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && address.ip().is_loopback() => {
                if let Some(target) = self.published(address).await {
                    return connection::to_service(self, tcp, target, live).await;
                }
                stream::dial(address, OUTSIDE_LIMIT).await
            }
            inside => inside,
        };
        match called {
            Ok(called) => {
                stream::tune(&tcp);
                let (caller, called) = both(tcp.into(), called, &live);
                connection::relay(caller, called, Buffer::new(), |_, _| {}).await;
            }
            Err(error) => {
                self.note_loop(&error);
                reset(tcp);
            }
        }
    }

    /// The service that has published a port of the host's loopback.
    pub(super) async fn published(&self, address: SocketAddr) -> Option<Rc<Target>> {
        if own_ports::reached(address.ip()) != IpAddr::V4(Ipv4Addr::LOCALHOST) {
            return None;
        }
        let lane = Lane {
            port: address.port(),
            anonymous: false,
        };
        if own_ports::on_host(address) == Some(Purpose::Published) {
            return self.target(&self.sidecar.full_name(), lane).await.ok()?;
        }
        let name = published_name(lane.port);
        if let Some(known) = self.known(&name, lane).filter(|known| known.is_known()) {
            return Some(known);
        }
        match self.sidecar.services.find_published(lane.port).await {
            Found::Service(alias) => Some(self.keep(&name, lane, alias)),
            Found::Nothing | Found::Unanswered { .. } => None,
        }
    }

    /// Keeps in mind that a connection would have led here, if that is what went wrong.
    pub(super) fn note_loop(&self, error: &io::Error) {
        if LeadsHere::is(error) {
            self.sidecar.recent.log(
                errors::LOOP,
                "",
                format_args!("the application called what leads to itself: {error}"),
            );
        }
    }
}
