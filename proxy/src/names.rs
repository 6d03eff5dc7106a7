//! Mesh names for the DNS server.

use std::net::Ipv4Addr;
use std::rc::Rc;

use crate::dns::MeshNames;
use crate::services::Services;

/// The names of services that the controller knows.
#[derive(Debug)]
pub struct Names {
    services: Rc<Services>,
}

impl Names {
    /// Names found among `services`.
    pub fn new(services: Rc<Services>) -> Names {
        Names { services }
    }
}

impl MeshNames for Names {
    async fn resolve(&self, name: &str) -> Option<Ipv4Addr> {
        let service = self.services.find(name).await?.service()?;
        Some(service.virtual_address)
    }
}
