//! One port of one service as the application calls it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::balance::{self, Call, Rng};
use crate::endpoint::Endpoint;
use crate::metrics::{Direction, Labels, Metrics, Protocol, Traffic};
use crate::services::Subscription;
use crate::tls::Lane;

/// What was seen to be spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// Nothing yet.
    Nothing,
    /// HTTP: programs that wait before they speak are waited for.
    Http,
    /// The server speaks first, so nothing is waited for.
    ServerFirst,
}

/// A port of a service.
#[derive(Debug)]
pub struct Target {
    /// Port of the service, and who calls it.
    pub lane: Lane,
    /// What was learned of the port.
    pub learned: Cell<Learned>,
    subscription: Rc<Subscription>,
    serving: RefCell<Serving>,
    traffic: RefCell<Vec<Rc<Traffic>>>,
    metrics: Rc<Metrics>,
    used: Cell<Instant>,
}

/// The endpoints that serve the port at one revision of the service.
#[derive(Debug, Default)]
struct Serving {
    revision: u64,
    endpoints: Rc<[Rc<Endpoint>]>,
}

impl Target {
    /// A port of a service that was found.
    pub fn new(subscription: Rc<Subscription>, lane: Lane, metrics: Rc<Metrics>) -> Target {
        Target {
            lane,
            learned: Cell::new(Learned::Nothing),
            subscription,
            serving: RefCell::default(),
            traffic: RefCell::default(),
            metrics,
            used: Cell::new(Instant::now()),
        }
    }

    /// Whether there is a service behind it now.
    pub fn is_known(&self) -> bool {
        self.subscription.service().is_some()
    }

    /// The declared protocol of the port.
    pub fn declared(&self) -> Option<Protocol> {
        self.subscription.service()?.protocol(self.lane.port)
    }

    /// Chooses an endpoint and starts a call to it, which is `harmless` when it is lost. None when no endpoint is left that was not tried.
    pub fn pick(&self, tried: &[Rc<Endpoint>], harmless: bool, rng: &mut Rng) -> Option<Call<Endpoint>> {
        let now = Instant::now();
        let endpoints = self.endpoints();
        balance::pick(&endpoints, tried, harmless, now, rng).map(|endpoint| Call::start(endpoint.clone(), harmless, now))
    }

    fn endpoints(&self) -> Rc<[Rc<Endpoint>]> {
        self.used.set(Instant::now());
        let Some(service) = self.subscription.service() else {
            return Rc::default();
        };
        let mut serving = self.serving.borrow_mut();
        if serving.revision != service.revision {
            let endpoints = service
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.serves(self.lane.port))
                .cloned()
                .collect();
            *serving = Serving {
                revision: service.revision,
                endpoints,
            };
        }
        serving.endpoints.clone()
    }

    /// The counters for this port and whoever answers on it; `identity` is empty without mutual TLS.
    pub fn traffic(&self, protocol: Protocol, identity: &str) -> Rc<Traffic> {
        let mut known = self.traffic.borrow_mut();
        let found = known
            .iter()
            .find(|traffic| traffic.labels().protocol == protocol && traffic.labels().identity == identity);
        if let Some(found) = found {
            return found.clone();
        }
        let traffic = self.metrics.traffic(Labels {
            direction: Direction::Outbound,
            peer: self.name(),
            identity: identity.to_owned(),
            port: self.lane.port,
            protocol,
            anonymous: self.lane.anonymous,
        });
        known.push(traffic.clone());
        traffic
    }

    /// `name.namespace` of the service.
    pub fn name(&self) -> String {
        self.subscription
            .service()
            .map_or_else(|| self.subscription.name().to_owned(), |service| service.full_name())
    }

    /// Time of the last use.
    pub fn last_used(&self) -> Instant {
        self.used.get()
    }
}
