//! What the sidecar holds at this moment, for those who ask why.

use std::rc::Rc;
use std::time::Instant;

use prost::Message;
use tokio::sync::watch;

use crate::balance::{Balanced, Load, State};
use crate::control::workload::MAX_PORTS;
use crate::endpoint::Endpoint;
use crate::metrics::Protocol;
use crate::outbound::Outbound;
use crate::proto::{
    Describe, Description, EndpointState, HeldEndpoint, HeldError, HeldPort, HeldRoutes, HeldService, LearnedPort, Protocol as Declared,
    ResourceType, ServicePort,
};
use crate::recent::milliseconds;
use crate::services::{Alias, Leads, Service, Services};
use crate::sidecar::Sidecar;

/// Bytes of an answer's services: a message of 1 MiB is the most that the controller takes.
const MAX_BYTES: usize = 800 * 1024;
/// Endpoints of one service.
const MAX_ENDPOINTS: usize = 500;

/// Everything that can be asked for.
#[derive(Debug)]
pub struct Holdings {
    sidecar: Rc<Sidecar>,
    outbound: Rc<Outbound>,
    listening: watch::Receiver<Vec<u16>>,
}

impl Holdings {
    /// What a sidecar holds; `listening` are the program's ports.
    pub fn new(sidecar: Rc<Sidecar>, outbound: Rc<Outbound>, listening: watch::Receiver<Vec<u16>>) -> Holdings {
        Holdings {
            sidecar,
            outbound,
            listening,
        }
    }

    /// Answers a question.
    pub fn describe(&self, question: &Describe) -> Description {
        let certified = self.sidecar.identity.current();
        let mut description = Description {
            question_id: question.question_id,
            version: env!("CARGO_PKG_VERSION").into(),
            identity: certified.as_ref().map_or_else(String::new, |certified| certified.id.clone()),
            certificate_not_after: certified.map_or(0, |certified| certified.not_after),
            ports: self.ports(),
            errors: self.sidecar.recent.to_proto(),
            proxy: Some(self.sidecar.metrics.proxy_stats()),
            ..Description::default()
        };
        (description.services, description.services_left_out) = fitting(self.services(&question.service));
        description
    }

    fn services(&self, asked: &str) -> Vec<HeldService> {
        let (now, services) = (Instant::now(), &self.sidecar.services);
        let mut aliases = services.all();
        aliases.sort_by(|a, b| a.name().cmp(b.name()));
        let described = aliases.iter().filter_map(|alias| {
            let leads = alias.leads();
            let service = leads.as_ref().and_then(|leads| services.service(&leads.service));
            is_meant(asked, alias.name(), service.as_deref(), &self.sidecar.namespace).then(|| match (leads, service) {
                (Some(leads), Some(service)) => self.service(alias, &leads, &service, now),
                _ => HeldService {
                    alias: alias.name().into(),
                    ..HeldService::default()
                },
            })
        });
        described.collect()
    }

    fn service(&self, alias: &Alias, leads: &Leads, service: &Service, now: Instant) -> HeldService {
        let services = &self.sidecar.services;
        let ports = service.ports.iter().map(|(port, declared)| ServicePort {
            port: (*port).into(),
            protocol: declared.map_or(Declared::Unspecified, Protocol::to_proto).into(),
        });
        let learned = self.outbound.learned(alias.name()).into_iter();
        let name = &service.full_name;
        let held = services.endpoints(name).unwrap_or_default();
        let endpoints = held.iter().take(MAX_ENDPOINTS);
        HeldService {
            alias: alias.name().into(),
            name: name.clone(),
            version: services.version(ResourceType::Endpoints, name),
            service_version: services.version(ResourceType::Service, name),
            virtual_address: service.address().map_or_else(String::new, |address| address.to_string()),
            ports: ports.collect(),
            learned: learned
                .map(|(port, server_first)| LearnedPort {
                    port: port.into(),
                    server_first,
                })
                .collect(),
            endpoints: endpoints.map(|endpoint| held_endpoint(endpoint, name, now)).collect(),
            endpoints_left_out: held.len().saturating_sub(MAX_ENDPOINTS) as u32,
            routes: leads.routed.iter().map(|routed| held_routes(services, routed)).collect(),
        }
    }

    /// The program's ports: those that the service leads to, and the others that it listens on.
    fn ports(&self) -> Vec<HeldPort> {
        let mut targets = self.sidecar.policy.borrow().targets();
        let listening = self.listening.borrow();
        for port in listening.iter() {
            targets.entry(*port).or_default();
        }
        let held = targets
            .into_iter()
            .take(MAX_PORTS)
            .map(|(port, (service_ports, declared))| HeldPort {
                port: port.into(),
                service_ports: service_ports.into_iter().map(u32::from).collect(),
                protocol: declared.into(),
                listening: listening.contains(&port),
            });
        held.collect()
    }
}

/// The services that there is room for, and the number of the others.
fn fitting(services: Vec<HeldService>) -> (Vec<HeldService>, u32) {
    let (all, mut room) = (services.len(), MAX_BYTES);
    let fits = |service: &HeldService| {
        let left = room.checked_sub(service.encoded_len());
        room = left.unwrap_or(room);
        left.is_some()
    };
    let fitting: Vec<_> = services.into_iter().filter(fits).collect();
    let left_out = all - fitting.len();
    (fitting, left_out as u32)
}

fn held_routes(services: &Services, (port, name): &(u16, String)) -> HeldRoutes {
    let routes = services.routes(name);
    HeldRoutes {
        port: (*port).into(),
        name: name.clone(),
        version: services.version(ResourceType::Routes, name),
        routes: routes.map_or_else(Vec::new, |routes| routes.names().into_iter().map(str::to_owned).collect()),
    }
}

fn held_endpoint(endpoint: &Endpoint, service: &str, now: Instant) -> HeldEndpoint {
    let load = endpoint.load();
    HeldEndpoint {
        id: endpoint.id.clone(),
        address: endpoint.address().to_string(),
        identity: endpoint.identity().into(),
        state: state(load, now).into(),
        pending: load.pending(),
        latency_us: load.latency(now).map_or(0, |latency| latency.as_micros() as u64),
        failures: load.failures(now),
        idle_connections: endpoint.idle_connections() as u32,
        http2_connections: endpoint.http2_connections() as u32,
        last_error: endpoint.last_error().map(|error| HeldError {
            code: error.code.into(),
            message: error.message,
            peer: service.into(),
            count: error.count,
            last_ms: milliseconds(error.at),
        }),
        answered_ms_ago: load.answered_at().map(|at| now.saturating_duration_since(at).as_millis() as u64),
    }
}

/// How an endpoint does, in the words of the contract.
fn state(load: &Load, now: Instant) -> EndpointState {
    match load.state(now) {
        State::New => EndpointState::New,
        State::Answering => EndpointState::Answering,
        State::Silent => EndpointState::Silent,
        State::Unreachable => EndpointState::Unreachable,
    }
}

/// Whether a question for `asked`, a name as the application would use it, means what is behind an alias. An empty one means everything.
fn is_meant(asked: &str, alias: &str, service: Option<&Service>, namespace: &str) -> bool {
    let plain = |name: &str| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name.strip_suffix(".weft").map(str::to_owned).unwrap_or(name)
    };
    let asked = plain(asked);
    let is_service = |service: &Service| {
        service.full_name == asked
            || service.addresses.iter().any(|address| address.to_string() == asked)
            || service.full_name == format!("{asked}.{namespace}")
    };
    asked.is_empty() || plain(alias) == asked || service.is_some_and(is_service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_means_a_service_by_every_name_that_the_application_could_use() {
        let users = Service {
            full_name: "users.default".into(),
            addresses: vec![[198, 18, 0, 1].into()],
            ports: Vec::new(),
        };
        let meant = |asked: &str, alias: &str| is_meant(asked, alias, Some(&users), "default");
        for asked in [
            "",
            "users",
            "USERS.",
            "users.weft",
            "users.default",
            "users.default.weft",
            "198.18.0.1",
        ] {
            assert!(meant(asked, "198.18.0.1") && meant(asked, "users"), "{asked:?}");
        }
        for asked in ["web", "user", "users.other", "198.18.0.2"] {
            assert!(!meant(asked, "198.18.0.1"), "{asked:?}");
        }
        assert!(
            !is_meant("users", "198.18.0.1", Some(&users), "other"),
            "a bare name is one of the own namespace"
        );
        assert!(is_meant("gone", "gone.weft", None, "default") && !is_meant("users", "gone", None, "default"));
    }

    #[test]
    fn an_answer_has_as_many_services_as_a_message_holds() {
        let service = |bytes: usize| HeldService {
            name: "a".repeat(bytes),
            ..HeldService::default()
        };
        let (held, left_out) = fitting(vec![service(MAX_BYTES / 2), service(MAX_BYTES), service(MAX_BYTES / 4)]);
        assert_eq!((held.len(), left_out), (2, 1));
        assert!(held.iter().map(Message::encoded_len).sum::<usize>() <= MAX_BYTES);
    }
}
