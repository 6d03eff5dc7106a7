//! What callers see of a service.

use std::net::{IpAddr, Ipv4Addr};

use crate::metrics::Protocol;
use crate::proto::{self, port_number};

/// A service in one version. Never changed: an update makes a new one.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Canonical name: `users.default`.
    pub full_name: String,
    /// Its virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// Ports with their declared protocol; None is detected.
    pub ports: Vec<(u16, Option<Protocol>)>,
}

impl Service {
    /// As the controller said it; an error says what of it cannot be.
    pub fn from_proto(full_name: &str, service: &proto::Service) -> Result<Service, String> {
        let address = |address: &String| address.parse().map_err(|_| format!("{address:?} is no IP address"));
        let port = |port: &proto::ServicePort| Ok((port_number(port.port)?, declared(port.protocol)?));
        Ok(Service {
            full_name: full_name.to_owned(),
            addresses: service.addresses.iter().map(address).collect::<Result<_, _>>()?,
            ports: service.ports.iter().map(port).collect::<Result<_, String>>()?,
        })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        split(&self.full_name).1
    }

    /// The address under which programs reach it.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// The declared protocol of a port; None when it has none or the port is unknown.
    pub fn protocol(&self, port: u16) -> Option<Protocol> {
        self.ports
            .iter()
            .find(|(known, _)| *known == port)
            .and_then(|(_, protocol)| *protocol)
    }
}

/// Name and namespace of a canonical name.
pub(super) fn split(full_name: &str) -> (&str, &str) {
    full_name.split_once('.').unwrap_or((full_name, ""))
}

fn declared(protocol: i32) -> Result<Option<Protocol>, String> {
    match proto::Protocol::try_from(protocol) {
        Ok(proto::Protocol::Unspecified) => Ok(None),
        Ok(proto::Protocol::Http1) => Ok(Some(Protocol::Http1)),
        Ok(proto::Protocol::Http2) => Ok(Some(Protocol::Http2)),
        Ok(proto::Protocol::Tcp) => Ok(Some(Protocol::Tcp)),
        Err(_) => Err(format!("{protocol} is no protocol that is known here")),
    }
}
