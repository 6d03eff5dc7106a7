//! The application's HTTP proxy.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::handler::{Called, Handler, split_authority};
use super::target::Target;
use super::{OUTSIDE_LIMIT, Outbound, Unanswered, both, connection};
use crate::buffer::Buffer;
use crate::http1::{self, Finished};
use crate::metrics::Protocol;
use crate::open::Connection;
use crate::own_ports::LeadsHere;
use crate::stream::{self, Stream};
use crate::tls::Lane;

/// Where a host leads.
#[derive(Debug)]
pub enum Host {
    /// To a service of the mesh.
    Service(Rc<Target>),
    /// Outside, by this connection.
    Outside(TcpStream),
}

/// Why a host leads nowhere.
pub(super) enum NoHost {
    /// The controller does not say whether it is a service, and only the mesh can know.
    Unanswered,
    /// It has no address, or none that can be connected to.
    Unreachable(io::Error),
}

impl Outbound {
    /// Serves the application as its HTTP proxy.
    pub(super) async fn proxy(self: &Rc<Self>, tcp: TcpStream, live: Rc<Connection>) {
        stream::tune(&tcp);
        let handler = Handler::new(self.clone(), Called::Named(RefCell::default()), Protocol::Http1, live.clone());
        live.carries(Protocol::Http1);
        match http1::relay(Stream::from(tcp).part_of(&live), Buffer::new(), &handler).await {
            Finished::Connect {
                authority,
                client,
                leftover,
            } => self.tunnel(client, &authority, leftover, live).await,
            Finished::Broken(client) => client.reset_on_close(),
            Finished::Closed => {}
        }
    }

    /// Carries a CONNECT tunnel to a service of the mesh or to a host outside.
    async fn tunnel(self: &Rc<Self>, mut client: Stream, authority: &str, leftover: Buffer, live: Rc<Connection>) {
        let answer = |status: &str| format!("HTTP/1.1 {status}\r\n\r\n");
        let Some((host, port)) = split_authority(authority, 0) else {
            // The client may be gone; there is nothing more to do for it.
            let _ = client.write_all(answer("400 Bad Request").as_bytes()).await;
            return;
        };
        match self.find_host(&host, port).await {
            Ok(Host::Service(target)) => {
                if client.write_all(answer("200 Connection Established").as_bytes()).await.is_ok() {
                    connection::detected(self.clone(), client, leftover, target, live).await;
                }
            }
            Ok(Host::Outside(called)) => {
                if client.write_all(answer("200 Connection Established").as_bytes()).await.is_ok() {
                    let traffic = self.external(Protocol::Tcp);
                    let _counted = traffic.connection();
                    let observed = self.sidecar.taps.connection(&traffic, "");
                    let (client, called) = both(client, called, &live);
                    connection::relay(client, called, leftover, |forth, back| observed.count(forth, back)).await;
                }
            }
            Err(NoHost::Unanswered) => {
                let _ = client.write_all(answer("503 Service Unavailable").as_bytes()).await;
            }
            Err(NoHost::Unreachable(error)) if LeadsHere::is(&error) => {
                self.note_loop(&error);
                let _ = client.write_all(answer("508 Loop Detected").as_bytes()).await;
            }
            Err(NoHost::Unreachable(_)) => {
                let _ = client.write_all(answer("502 Bad Gateway").as_bytes()).await;
            }
        }
    }

    /// Where a host leads that the application named: to a service of the mesh, or outside by a connection that is opened.
    pub(super) async fn find_host(&self, host: &str, port: u16) -> Result<Host, NoHost> {
        match self.target(host, Lane { port, anonymous: false }).await {
            Ok(Some(target)) => return Ok(Host::Service(target)),
            Ok(None) => {}
            Err(Unanswered) => return Err(NoHost::Unanswered),
        }
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((host, port)).await.map_err(NoHost::Unreachable)?.collect(),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            if let Some(target) = self.published(address).await {
                return Ok(Host::Service(target));
            }
            match stream::dial(address, OUTSIDE_LIMIT).await {
                Ok(tcp) => return Ok(Host::Outside(tcp)),
                // That one address of a name leads here says more than that another leads nowhere.
                Err(_) if LeadsHere::is(&last) => {}
                Err(error) => last = error,
            }
        }
        Err(NoHost::Unreachable(last))
    }
}
