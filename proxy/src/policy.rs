//! What is known of the workload's own ports.

use std::collections::BTreeMap;

use crate::proto::{self, port_number};

#[derive(Debug, PartialEq, Eq)]
struct InboundPort {
    service: u16,
    target: u16,
    declared: proto::Protocol,
}

/// The workload's own ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InboundPolicy {
    ports: Vec<InboundPort>,
}

impl InboundPolicy {
    /// The program's port behind a port of the service.
    pub fn target(&self, service_port: u16) -> Option<u16> {
        self.port(service_port).map(|port| port.target)
    }

    /// Whether the program serves this port of its own.
    pub fn is_target(&self, port: u16) -> bool {
        self.ports.iter().any(|known| known.target == port)
    }

    /// What whoever started the program said that a port of the service speaks.
    pub fn declared(&self, service_port: u16) -> proto::Protocol {
        self.port(service_port).map_or(proto::Protocol::Unspecified, |port| port.declared)
    }

    /// Ports of the program, each with the ports of the service that lead to it and what is declared of it.
    pub fn targets(&self) -> BTreeMap<u16, (Vec<u16>, proto::Protocol)> {
        let mut targets = BTreeMap::<u16, (Vec<u16>, proto::Protocol)>::new();
        for port in &self.ports {
            let (service_ports, declared) = targets.entry(port.target).or_default();
            service_ports.push(port.service);
            if *declared == proto::Protocol::Unspecified {
                *declared = port.declared;
            }
        }
        targets
    }

    fn port(&self, service_port: u16) -> Option<&InboundPort> {
        self.ports.iter().find(|port| port.service == service_port)
    }

    /// As the controller said it; an error says what of it cannot be.
    pub fn from_proto(policy: &proto::InboundPolicy) -> Result<InboundPolicy, String> {
        let ports = policy.ports.iter().map(|inbound| {
            Ok(InboundPort {
                service: port_number(inbound.service_port)?,
                target: port_number(inbound.target_port)?,
                declared: proto::Protocol::try_from(inbound.protocol)
                    .map_err(|_| format!("protocol {} of port {} is not known here", inbound.protocol, inbound.service_port))?,
            })
        });
        Ok(InboundPolicy {
            ports: ports.collect::<Result<_, String>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(target_port: u32, protocol: i32) -> Result<InboundPolicy, String> {
        InboundPolicy::from_proto(&proto::InboundPolicy {
            version: "1".into(),
            ports: vec![proto::InboundPort {
                service_port: 80,
                target_port,
                protocol,
            }],
        })
    }

    #[test]
    fn what_a_sidecar_does_not_know_is_refused_and_never_guessed() {
        assert_eq!(policy(8080, 2).unwrap().declared(80), proto::Protocol::Http2);
        assert_eq!(policy(8080, 99), Err("protocol 99 of port 80 is not known here".into()));
        assert_eq!(policy(70_000, 0), Err("70000 is no port".into()));
    }
}
