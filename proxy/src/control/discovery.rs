//! The discovery stream: aliases out, what they lead to in.

use std::future::ready;

use tokio::sync::{mpsc, watch};

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::log::log;
use crate::metrics::Metrics;
use crate::proto::discovery_watch_request::Request;
use crate::proto::discovery_watch_response::Response;
use crate::proto::{Acknowledgement, DiscoveryWatchRequest, DiscoveryWatchResponse, Held, Hello, Release, Resolve, ResourceVersion};
use crate::services::{Services, Wish};

/// Updates that one acknowledgement names at most: it is sent when so many are in force, or when no more come at once.
const MAX_ACKNOWLEDGED: usize = 256;

/// Runs until the stream ends.
pub async fn watch(
    channel: &Channel,
    bearer: &str,
    hello: &Hello,
    services: &Services,
    wishes: &mut mpsc::Receiver<Wish>,
    metrics: &Metrics,
    up: &watch::Sender<u8>,
) -> Result<(), Status> {
    let (mut requests, mut responses): (Sender<DiscoveryWatchRequest>, Receiver<DiscoveryWatchResponse>) = channel
        .stream("/weft.v1.Discovery/Watch", Some(bearer), &message(Request::Hello(hello.clone())))
        .await?;
    // What was wished for while there was no stream is part of what is resumed.
    while wishes.try_recv().is_ok() {}
    let resources = services.held();
    if !resources.is_empty() {
        requests.send(&message(Request::Held(Held { resources }))).await?;
    }
    for alias in services.resume() {
        requests.send(&message(Request::Resolve(Resolve { alias }))).await?;
    }
    let mut in_force: Vec<ResourceVersion> = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(wish) = wishes.recv() => requests.send(&message(request(wish))).await?,
            response = responses.message(), if in_force.len() < MAX_ACKNOWLEDGED => {
                match response?.map(|message| message.response).inspect(|_| services.heard()) {
                    None => return Ok(()),
                    Some(Some(Response::Hello(_))) => up.send_modify(|up| *up |= super::DISCOVERY_UP),
                    Some(Some(Response::Alias(alias))) => {
                        if let Err(reason) = services.lead(&alias) {
                            metrics.updates_rejected.set(metrics.updates_rejected.get() + 1);
                            log!("what {} leads to cannot be used: {reason}; what was known stays", alias.alias);
                        }
                    }
                    Some(Some(Response::Update(update))) => match services.update(&update) {
                        Ok(resource) => in_force.push(resource),
                        Err(rejection) => {
                            if !update.base.is_empty() && update.base != rejection.held {
                                metrics.base_mismatches.set(metrics.base_mismatches.get() + 1);
                            } else {
                                metrics.updates_rejected.set(metrics.updates_rejected.get() + 1);
                            }
                            let resource = update.resource.unwrap_or_default();
                            let (kind, name) = (resource.r#type().as_str_name(), &resource.name);
                            log!("an update of {name} ({kind}) was refused: {}; what was known stays", rejection.reason);
                            requests.send(&message(Request::Rejection(rejection))).await?;
                        }
                    },
                    Some(Some(Response::Removal(removal))) => services.remove(&removal),
                    // A kind of message that this version does not know harms nobody.
                    Some(None) => metrics.updates_rejected.set(metrics.updates_rejected.get() + 1),
                }
            }
            () = ready(()), if !in_force.is_empty() => {
                let resources = std::mem::take(&mut in_force);
                requests.send(&message(Request::Acknowledgement(Acknowledgement { resources }))).await?;
            }
        }
    }
}

fn message(request: Request) -> DiscoveryWatchRequest {
    DiscoveryWatchRequest { request: Some(request) }
}

fn request(wish: Wish) -> Request {
    match wish {
        Wish::Resolve(alias) => Request::Resolve(Resolve { alias }),
        Wish::Release(alias) => Request::Release(Release { alias }),
    }
}
