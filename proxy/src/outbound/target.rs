//! One port of one service as the application calls it, or as a route sends requests to it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use super::routing::Routing;
use crate::balance::{self, Call, Rng};
use crate::endpoint::Endpoint;
use crate::metrics::{Direction, Labels, Metrics, Protocol, Traffic};
use crate::route::Destination;
use crate::services::{Alias, Service, Services};
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
    asked: Asked,
    services: Rc<Services>,
    current: RefCell<Rc<Current>>,
    traffic: RefCell<Vec<Rc<Traffic>>>,
    metrics: Rc<Metrics>,
    used: Cell<Instant>,
}

/// How the service is named.
#[derive(Debug)]
enum Asked {
    /// As the application asked for it. Routes hold.
    Alias(Rc<Alias>),
    /// By its canonical name, as the backend of a route. Its own routes do not hold: requests come to its endpoints.
    Backend(String),
}

/// What is known of the port at one generation of what the controller sent.
#[derive(Debug, Default)]
struct Current {
    generation: u64,
    /// None for a backend.
    service: Option<Rc<Service>>,
    /// All endpoints of the service.
    all: Option<Rc<[Rc<Endpoint>]>>,
    /// Those that serve the port.
    serving: Rc<[Rc<Endpoint>]>,
    routing: Option<Rc<Routing>>,
}

impl Target {
    /// A port of a service that was found.
    pub fn new(alias: Rc<Alias>, lane: Lane, services: Rc<Services>, metrics: Rc<Metrics>) -> Target {
        Target::of(Asked::Alias(alias), lane, services, metrics)
    }

    /// The port that a route sends requests to.
    pub fn of_backend(&self, Destination { service, port }: &Destination) -> Target {
        let lane = Lane { port: *port, ..self.lane };
        Target::of(Asked::Backend(service.clone()), lane, self.services.clone(), self.metrics.clone())
    }

    fn of(asked: Asked, lane: Lane, services: Rc<Services>, metrics: Rc<Metrics>) -> Target {
        Target {
            lane,
            learned: Cell::new(Learned::Nothing),
            asked,
            services,
            current: RefCell::default(),
            traffic: RefCell::default(),
            metrics,
            used: Cell::new(Instant::now()),
        }
    }

    /// Whether there is a service behind it now.
    pub fn is_known(&self) -> bool {
        self.current().service.is_some()
    }

    /// The declared protocol of the port.
    pub fn declared(&self) -> Option<Protocol> {
        self.current().service.as_ref()?.protocol(self.lane.port)
    }

    /// Whether requests to the port are routed.
    pub fn is_routed(&self) -> bool {
        self.current().routing.is_some()
    }

    /// How requests to the port are routed, if they are.
    pub fn routing(&self) -> Option<Rc<Routing>> {
        self.current().routing.clone()
    }

    /// Chooses an endpoint and starts a call to it, which is `harmless` when it is lost. None when no endpoint is left that was not tried.
    pub fn pick(&self, tried: &[Rc<Endpoint>], harmless: bool, rng: &mut Rng) -> Option<Call<Endpoint>> {
        let now = Instant::now();
        self.used.set(now);
        let current = self.current();
        balance::pick(&current.serving, tried, harmless, now, rng).map(|endpoint| Call::start(endpoint.clone(), harmless, now))
    }

    fn current(&self) -> Rc<Current> {
        let current = self.current.borrow();
        if current.generation == self.services.generation() {
            return current.clone();
        }
        let fresh = Rc::new(self.read(&current));
        drop(current);
        self.current.replace(fresh.clone());
        fresh
    }

    /// What is known now. What did not change since `before` is taken from there.
    #[cold]
    fn read(&self, before: &Current) -> Current {
        let services = &self.services;
        let leads = match &self.asked {
            Asked::Alias(alias) => alias.leads(),
            Asked::Backend(_) => None,
        };
        let routes = leads.as_ref().and_then(|leads| {
            let (_, routes) = leads.routed.iter().find(|(port, _)| *port == self.lane.port)?;
            services.routes(routes)
        });
        let service = leads.and_then(|leads| services.service(&leads.service));
        let all = match &self.asked {
            Asked::Alias(_) => service.as_ref().and_then(|service| services.endpoints(&service.full_name)),
            // Of a backend the controller sends the endpoints alone.
            Asked::Backend(name) => services.endpoints(name),
        };
        let is_same = match (&all, &before.all) {
            (Some(all), Some(before)) => Rc::ptr_eq(all, before),
            _ => false,
        };
        let serves = |endpoint: &&Rc<Endpoint>| endpoint.serves(self.lane.port);
        let serving = match is_same {
            true => before.serving.clone(),
            false => all.iter().flat_map(|all| all.iter()).filter(serves).cloned().collect(),
        };
        let routing = routes.map(|routes| match &before.routing {
            Some(before) if before.is_of(&routes) => before.clone(),
            _ => Rc::new(Routing::new(routes, self, &self.metrics)),
        });
        Current {
            generation: services.generation(),
            service,
            all,
            serving,
            routing,
        }
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
        match (&self.current().service, &self.asked) {
            (Some(service), _) => service.full_name.clone(),
            (None, Asked::Alias(alias)) => alias.name().to_owned(),
            (None, Asked::Backend(name)) => name.clone(),
        }
    }

    /// Time of the last use.
    pub fn last_used(&self) -> Instant {
        self.used.get()
    }
}
