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
