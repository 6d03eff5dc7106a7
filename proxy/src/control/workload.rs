//! The workload's stream: where it is reached and on which ports it listens out; its own ports and the trust bundle in.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::watch;

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::identity::Identity;
use crate::log::log;
use crate::metrics::Metrics;
use crate::policy::InboundPolicy;
use crate::proto::workload_update::Update;
use crate::proto::workload_watch_request::Request;
use crate::proto::workload_watch_response::Response;
use crate::proto::{
    self, Hello, ListeningPorts, TrustBundle, WorkloadHello, WorkloadRejection, WorkloadUpdate, WorkloadWatchRequest, WorkloadWatchResponse,
};

/// Ports that the controller is told of. A message with more would end the stream, again and again.
pub const MAX_PORTS: usize = 4_096;

/// What the stream tells, and what it writes.
pub struct Workload<'a> {
    /// Where peers reach the sidecar.
    pub inbound: SocketAddr,
    /// Where its metrics are.
    pub admin: SocketAddr,
    /// The ports that the program listens on.
    pub listening: &'a mut watch::Receiver<Vec<u16>>,
    /// The workload's own ports.
    pub policy: &'a watch::Sender<Rc<InboundPolicy>>,
    /// Whom to trust.
    pub identity: &'a Identity,
    /// Counts what was refused.
    pub metrics: &'a Metrics,
    /// Set when the ports are known.
    pub up: &'a watch::Sender<u8>,
}

impl Workload<'_> {
    /// Runs until the stream ends.
    pub async fn watch(&mut self, channel: &Channel, bearer: &str, hello: &Hello) -> Result<(), Status> {
        let hello = WorkloadHello {
            hello: Some(hello.clone()),
            inbound_address: self.inbound.ip().to_string(),
            inbound_port: self.inbound.port().into(),
            admin_address: self.admin.to_string(),
        };
        let (mut requests, mut responses): (Sender<WorkloadWatchRequest>, Receiver<WorkloadWatchResponse>) = channel
            .stream("/weft.v1.Workload/Watch", Some(bearer), &message(Request::Hello(hello)))
            .await?;
        self.listening.mark_changed();
        loop {
            tokio::select! {
                // When nobody watches the ports any more, the last ones hold.
                Ok(()) = self.listening.changed() => {
                    let ports = told(&self.listening.borrow_and_update(), &self.policy.borrow());
                    requests.send(&message(Request::Listening(ListeningPorts { ports }))).await?;
                }
                response = responses.message() => {
                    let taken = match response?.map(|message| message.response) {
                        None => return Ok(()),
                        Some(Some(Response::Inbound(inbound))) => self.take_ports(&inbound),
                        Some(Some(Response::TrustBundle(bundle))) => self.take_trust(&bundle),
                        Some(Some(Response::Hello(_)) | None) => continue,
                    };
                    requests.send(&message(taken)).await?;
                }
            }
        }
    }

    fn take_ports(&self, inbound: &proto::InboundPolicy) -> Request {
        let taken = InboundPolicy::from_proto(inbound).map(|fresh| drop(self.policy.send_replace(Rc::new(fresh))));
        // Not before: a sidecar that does not know its own ports turns away every call.
        self.up.send_modify(|up| *up |= super::WORKLOAD_UP);
        self.answer("inbound policy", Update::Inbound(inbound.version.clone()), taken)
    }

    fn take_trust(&self, bundle: &TrustBundle) -> Request {
        match self.identity.trust(bundle) {
            Ok(held) => self.answer("trust bundle", Update::TrustBundle(held), Ok(())),
            Err(reason) => self.answer("trust bundle", Update::TrustBundle(bundle.revision), Err(reason)),
        }
    }

    fn answer(&self, what: &str, update: Update, taken: Result<(), String>) -> Request {
        let update = WorkloadUpdate { update: Some(update) };
        match taken {
            Ok(()) => Request::Acknowledgement(update),
            Err(reason) => {
                log!("the {what} was refused: {reason}; the old one stays");
                self.metrics.updates_rejected.set(self.metrics.updates_rejected.get() + 1);
                Request::Rejection(WorkloadRejection {
                    rejected: Some(update),
                    reason,
                })
            }
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

fn message(request: Request) -> WorkloadWatchRequest {
    WorkloadWatchRequest { request: Some(request) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::InboundPort;

    #[test]
    fn no_more_ports_are_told_than_the_controller_takes_and_declared_ones_are_among_them() {
        let declared = InboundPort {
            service_port: 80,
            target_port: 60_000,
            protocol: 0,
        };
        let policy = InboundPolicy::from_proto(&proto::InboundPolicy {
            version: "1".into(),
            ports: vec![declared],
        });
        let all: Vec<u16> = (1..=60_001).collect();
        let told = told(&all, &policy.unwrap());
        assert_eq!(told.len(), MAX_PORTS);
        assert_eq!((told[0], told[MAX_PORTS - 2], told[MAX_PORTS - 1]), (1, 4_095, 60_000));
    }
}
