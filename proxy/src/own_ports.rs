//! The sidecar's own listeners. No connection that it opens may lead to one of them: it would call itself, again and again, until nothing is left.
//!
//! A sidecar is one process with one thread (docs/adr/0003), so what it listens on is kept for the thread.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a listener of the sidecar is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// In the program's network namespace: to take its connections and DNS questions.
    Inside,
    /// On the host, for peers.
    Inbound,
    /// On the host, for whoever calls a port of the service.
    Published,
    /// On the host, for anything else.
    Other,
}

thread_local! {
    static OWN: RefCell<Vec<(SocketAddr, Purpose)>> = const { RefCell::new(Vec::new()) };
}

/// Notes a listener.
pub fn add(address: SocketAddr, purpose: Purpose) {
    OWN.with_borrow_mut(|own| own.push((address, purpose)));
}

/// Whether the sidecar listens on a port within the program's network namespace. Everything there is one machine, whatever the address.
pub fn is_inside(port: u16) -> bool {
    OWN.with_borrow(|own| {
        own.iter()
            .any(|(address, purpose)| *purpose == Purpose::Inside && address.port() == port)
    })
}

/// What the sidecar itself listens for at an address of the host.
pub fn on_host(address: SocketAddr) -> Option<Purpose> {
    let meant = SocketAddr::new(reached(address.ip()), address.port());
    OWN.with_borrow(|own| {
        let listener = own.iter().find(|(own, purpose)| *purpose != Purpose::Inside && *own == meant);
        listener.map(|(_, purpose)| *purpose)
    })
}

/// The address that connect(2) reaches: the unspecified one is the loopback, and IPv4 within IPv6 is IPv4.
pub fn reached(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// Refuses an address of the host at which the sidecar itself listens.
pub fn refuse(address: SocketAddr) -> io::Result<()> {
    on_host(address).map_or(Ok(()), |_| Err(LeadsHere(address).into()))
}

/// Refuses an address of a peer at which the sidecar itself listens for others than peers. The sidecar may be its own peer: a service can call itself.
pub fn refuse_as_peer(address: SocketAddr) -> io::Result<()> {
    match on_host(address) {
        None | Some(Purpose::Inbound) => Ok(()),
        Some(_) => Err(LeadsHere(address).into()),
    }
}

/// A connection was not opened because it would have led to the sidecar itself.
#[derive(Clone, Copy, Debug)]
pub struct LeadsHere(pub SocketAddr);

impl LeadsHere {
    /// Whether an error is this one.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<LeadsHere>())
    }
}

impl fmt::Display for LeadsHere {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} is a port of this sidecar itself", self.0)
    }
}

impl Error for LeadsHere {}

impl From<LeadsHere> for io::Error {
    fn from(loops: LeadsHere) -> io::Error {
        io::Error::other(loops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_whatever_address_reaches_it() {
        add("127.0.0.1:4000".parse().unwrap(), Purpose::Other);
        add("127.0.0.1:4001".parse().unwrap(), Purpose::Inbound);
        add("127.0.0.1:65001".parse().unwrap(), Purpose::Inside);
        for own in ["127.0.0.1:4000", "0.0.0.0:4000", "[::ffff:127.0.0.1]:4000", "[::ffff:0.0.0.0]:4000"] {
            let refused = refuse(own.parse().unwrap()).unwrap_err();
            assert!(LeadsHere::is(&refused), "{own}");
        }
        for other in [
            "127.0.0.1:4002",
            "127.0.0.2:4000",
            "[::1]:4000",
            "192.0.2.1:4000",
            "127.0.0.1:65001",
        ] {
            assert!(refuse(other.parse().unwrap()).is_ok(), "{other}");
        }
        assert!(is_inside(65001) && !is_inside(4000));
    }

    #[test]
    fn the_sidecar_is_its_own_peer_by_its_inbound_port_only() {
        let [inbound, published] = ["127.0.0.1:4001", "127.0.0.1:4002"].map(|address| address.parse().unwrap());
        add(inbound, Purpose::Inbound);
        add(published, Purpose::Published);
        assert!(refuse_as_peer(inbound).is_ok() && refuse(inbound).is_err());
        assert!(refuse_as_peer(published).is_err());
    }

    #[tokio::test]
    async fn no_connection_is_opened_to_a_listener_of_its_own() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limit = std::time::Duration::from_secs(5);
        assert!(crate::stream::dial(address, limit).await.is_ok());
        add(address, Purpose::Published);
        for dialled in [
            crate::stream::dial(address, limit).await,
            crate::stream::dial_peer(address, limit).await,
        ] {
            assert!(LeadsHere::is(&dialled.unwrap_err()));
        }
    }
}
