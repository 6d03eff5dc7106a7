//! The policy stream: the application's listening ports out, the workload's own ports in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::watch;

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::log::log;
use crate::proto::policy_watch_request::Request;
use crate::proto::policy_watch_response::Response;
use crate::proto::{self, Hello, ListeningPorts, PolicyWatchRequest, PolicyWatchResponse, WorkloadHello, port_number};

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

    /// Whether whoever started the program said that a port of the service speaks another protocol than HTTP.
    pub fn declares_bytes(&self, service_port: u16) -> bool {
        self.port(service_port).is_some_and(|port| port.declared == proto::Protocol::Tcp)
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

    fn from_proto(policy: &proto::InboundPolicy) -> Result<InboundPolicy, String> {
        let ports = policy.ports.iter().map(|inbound| {
            Ok(InboundPort {
                service: port_number(inbound.service_port)?,
                target: port_number(inbound.target_port)?,
                declared: inbound.protocol(),
            })
        });
        Ok(InboundPolicy {
            ports: ports.collect::<Result<_, String>>()?,
        })
    }
}

/// Runs until the stream ends.
#[allow(clippy::too_many_arguments)]
pub async fn watch(
    channel: &Channel,
    bearer: &str,
    hello: &Hello,
    inbound: SocketAddr,
    admin: SocketAddr,
    listening: &mut watch::Receiver<Vec<u16>>,
    policy: &watch::Sender<Rc<InboundPolicy>>,
    up: &watch::Sender<u8>,
) -> Result<(), Status> {
    let hello = WorkloadHello {
        hello: Some(hello.clone()),
        inbound_address: inbound.ip().to_string(),
        inbound_port: inbound.port().into(),
        admin_address: admin.to_string(),
    };
    let (mut requests, mut responses): (Sender<PolicyWatchRequest>, Receiver<PolicyWatchResponse>) = channel
        .stream("/weft.v1.Policy/Watch", Some(bearer), &message(Request::Hello(hello)))
        .await?;
    listening.mark_changed();
    loop {
        tokio::select! {
            changed = listening.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let ports = listening.borrow_and_update().iter().map(|port| u32::from(*port)).collect();
                requests.send(&message(Request::Listening(ListeningPorts { ports }))).await?;
            }
            response = responses.message() => match response?.map(|message| message.response) {
                None => return Ok(()),
                Some(Some(Response::Hello(_))) => up.send_modify(|up| *up += 1),
                Some(Some(Response::Inbound(inbound))) => match InboundPolicy::from_proto(&inbound) {
                    Ok(fresh) => drop(policy.send_replace(Rc::new(fresh))),
                    Err(reason) => log!("the inbound policy of revision {} was refused: {reason}; the old one stays", inbound.revision),
                },
                Some(None) => {}
            },
        }
    }
}

fn message(request: Request) -> PolicyWatchRequest {
    PolicyWatchRequest { request: Some(request) }
}
