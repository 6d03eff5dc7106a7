//! The policy stream: the application's listening ports out, the workload's own ports in.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::watch;

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::log::log;
use crate::policy::InboundPolicy;
use crate::proto::policy_watch_request::Request;
use crate::proto::policy_watch_response::Response;
use crate::proto::{Hello, ListeningPorts, PolicyWatchRequest, PolicyWatchResponse, WorkloadHello};

/// Ports that the controller is told of. A message with more would end the stream, again and again.
pub const MAX_PORTS: usize = 4_096;

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
            // When nobody watches the ports any more, the last ones hold.
            Ok(()) = listening.changed() => {
                let ports = told(&listening.borrow_and_update(), &policy.borrow());
                requests.send(&message(Request::Listening(ListeningPorts { ports }))).await?;
            }
            response = responses.message() => match response?.map(|message| message.response) {
                None => return Ok(()),
                Some(Some(Response::Inbound(inbound))) => {
                    match InboundPolicy::from_proto(&inbound) {
                        Ok(fresh) => drop(policy.send_replace(Rc::new(fresh))),
                        Err(reason) => log!("the inbound policy of revision {} was refused: {reason}; the old one stays", inbound.revision),
                    }
                    // Not before: a sidecar that does not know its own ports turns away every call.
                    up.send_modify(|up| *up |= super::POLICY_UP);
                }
                Some(Some(Response::Hello(_)) | None) => {}
            },
        }
    }
}

/// The ports that the controller is told of: it takes so many, and those that are declared come first.
fn told(listening: &[u16], policy: &InboundPolicy) -> Vec<u32> {
    let (declared, others): (Vec<u16>, Vec<u16>) = listening.iter().partition(|port| policy.is_target(**port));
    let mut told: Vec<u32> = declared.into_iter().chain(others).take(MAX_PORTS).map(u32::from).collect();
    told.sort_unstable();
    told
}

fn message(request: Request) -> PolicyWatchRequest {
    PolicyWatchRequest { request: Some(request) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{self, InboundPort};

    #[test]
    fn no_more_ports_are_told_than_the_controller_takes_and_declared_ones_are_among_them() {
        let declared = InboundPort {
            service_port: 80,
            target_port: 60_000,
            protocol: 0,
        };
        let policy = InboundPolicy::from_proto(&proto::InboundPolicy {
            revision: 1,
            ports: vec![declared],
        });
        let all: Vec<u16> = (1..=60_001).collect();
        let told = told(&all, &policy.unwrap());
        assert_eq!(told.len(), MAX_PORTS);
        assert_eq!((told[0], told[MAX_PORTS - 2], told[MAX_PORTS - 1]), (1, 4_095, 60_000));
    }
}
