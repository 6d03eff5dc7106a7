//! One name or virtual address that the application uses, and what is known behind it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::watch;

use super::Service;

/// What is known behind one name or address.
#[derive(Debug, Clone)]
pub(super) enum Knowledge {
    /// The controller has not answered yet.
    Asked,
    /// There is no such service.
    Nothing,
    /// The service as it is now.
    Service(Rc<Service>),
}

/// One name or virtual address that the application used.
#[derive(Debug)]
pub struct Subscription {
    pub(super) name: String,
    pub(super) knowledge: watch::Sender<Knowledge>,
    pub(super) used: Cell<Instant>,
}

impl Subscription {
    /// The name or address that was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The service as it is now, if there is one.
    pub fn service(&self) -> Option<Rc<Service>> {
        self.used.set(Instant::now());
        match &*self.knowledge.borrow() {
            Knowledge::Service(service) => Some(service.clone()),
            Knowledge::Asked | Knowledge::Nothing => None,
        }
    }

    /// What the controller said; None when it has not said anything yet.
    pub(super) fn found(self: &Rc<Self>) -> Option<Found> {
        self.used.set(Instant::now());
        match &*self.knowledge.borrow() {
            Knowledge::Asked => None,
            Knowledge::Nothing => Some(Found::Nothing),
            Knowledge::Service(_) => Some(Found::Service(self.clone())),
        }
    }

    /// The service as it is now, if there is one. It does not count as use.
    pub fn service_unused(&self) -> Option<Rc<Service>> {
        let used = self.used.get();
        let service = self.service();
        self.used.set(used);
        service
    }

    pub(super) fn is_nothing(&self) -> bool {
        !matches!(&*self.knowledge.borrow(), Knowledge::Service(_))
    }

    pub(super) fn revision(&self) -> u64 {
        match &*self.knowledge.borrow() {
            Knowledge::Service(service) => service.revision,
            Knowledge::Asked | Knowledge::Nothing => 0,
        }
    }
}

/// What is known behind a name or virtual address that was looked up.
#[derive(Debug)]
pub enum Found {
    /// The subscription of an existing service.
    Service(Rc<Subscription>),
    /// There is no such service.
    Nothing,
    /// The controller does not answer.
    Unanswered {
        /// Whether nobody but the mesh may be asked: an answer from elsewhere would be somebody else's.
        ours: bool,
    },
}
