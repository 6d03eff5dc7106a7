//! What the application asks for, and what it leads to.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::watch;

use crate::proto::{self, port_number};

/// What is known of an alias.
#[derive(Debug, Clone)]
pub(super) enum Knowledge {
    /// The controller has not answered yet.
    Asked,
    /// It leads to no service.
    Nothing,
    /// It leads here.
    Leads(Rc<Leads>),
}

/// What an alias leads to.
#[derive(Debug, PartialEq, Eq)]
pub struct Leads {
    /// Canonical name of the service.
    pub service: String,
    /// Ports whose requests are routed, with the canonical names of their routes.
    pub routed: Vec<(u16, String)>,
}

impl Knowledge {
    /// As the controller said it; an error says what of it cannot be.
    pub fn from_proto(alias: &proto::Alias) -> Result<Knowledge, String> {
        if alias.service.is_empty() {
            return Ok(Knowledge::Nothing);
        }
        let routed = alias
            .routed_ports
            .iter()
            .map(|routed| Ok((port_number(routed.port)?, routed.routes.clone())));
        Ok(Knowledge::Leads(Rc::new(Leads {
            service: alias.service.clone(),
            routed: routed.collect::<Result<_, String>>()?,
        })))
    }
}

/// A name or address that the application used.
#[derive(Debug)]
pub struct Alias {
    pub(super) name: String,
    pub(super) knowledge: watch::Sender<Knowledge>,
    pub(super) used: Cell<Instant>,
}

impl Alias {
    pub(super) fn new(name: &str) -> Alias {
        Alias {
            name: name.to_owned(),
            knowledge: watch::Sender::new(Knowledge::Asked),
            used: Cell::new(Instant::now()),
        }
    }

    /// The name or address that was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it leads to now, if the controller said that it leads anywhere.
    pub fn leads(&self) -> Option<Rc<Leads>> {
        match &*self.knowledge.borrow() {
            Knowledge::Leads(leads) => Some(leads.clone()),
            Knowledge::Asked | Knowledge::Nothing => None,
        }
    }
}
