//! Mesh names for the DNS server.

use std::rc::Rc;

use crate::dns::{Lookup, MeshNames};
use crate::services::{Found, Services};

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
    async fn resolve(&self, name: &str) -> Lookup {
        match self.services.find(name).await {
            Found::Service(alias) => {
                let service = alias.leads().and_then(|leads| self.services.service(&leads.service));
                service.map_or(Lookup::NoService, |service| {
                    service.address().map_or(Lookup::NoAddress, Lookup::Address)
                })
            }
            Found::Nothing => Lookup::NoService,
            Found::Unanswered { ours } => Lookup::Unanswered { ours },
        }
    }
}
