//! The discovery stream: subscriptions out, updates in.

use tokio::sync::{mpsc, watch};

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::log::log;
use crate::metrics::Metrics;
use crate::proto::discovery_watch_request::Request;
use crate::proto::discovery_watch_response::Response;
use crate::proto::{DiscoveryWatchRequest, DiscoveryWatchResponse, Hello, Rejection, Subscribe, Unsubscribe};
use crate::services::{Services, Wish};

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
    for (subscription, revision) in services.resume() {
        requests
            .send(&message(Request::Subscribe(Subscribe { subscription, revision })))
            .await?;
    }
    loop {
        tokio::select! {
            Some(wish) = wishes.recv() => requests.send(&message(request(wish))).await?,
            response = responses.message() => match response?.map(|message| message.response).inspect(|_| services.heard()) {
                None => return Ok(()),
                Some(Some(Response::Hello(_))) => up.send_modify(|up| *up |= super::DISCOVERY_UP),
                Some(Some(Response::Service(update))) => {
                    let name = update.subscription.clone();
                    if let Err(reason) = services.update(update) {
                        metrics.updates_rejected.set(metrics.updates_rejected.get() + 1);
                        log!("an update of {name} was refused: {reason}; what was known stays");
                    }
                }
                Some(Some(Response::Digest(digest))) => {
                    if !services.verify(&digest) {
                        metrics.digest_mismatches.set(metrics.digest_mismatches.get() + 1);
                        log!("an update of {} was lost; asking for it anew", digest.subscription);
                    }
                }
                // A kind of message that this version does not know harms nobody.
                Some(None) => metrics.updates_rejected.set(metrics.updates_rejected.get() + 1),
            },
        }
    }
}

fn message(request: Request) -> DiscoveryWatchRequest {
    DiscoveryWatchRequest { request: Some(request) }
}

fn request(wish: Wish) -> Request {
    match wish {
        Wish::Subscribe(subscription, revision) => Request::Subscribe(Subscribe { subscription, revision }),
        Wish::Unsubscribe(subscription) => Request::Unsubscribe(Unsubscribe { subscription }),
        Wish::Reject(subscription, revision, reason) => Request::Rejection(Rejection {
            subscription,
            revision,
            reason,
        }),
    }
}
