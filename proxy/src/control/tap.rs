//! The tap stream: what people want to see comes in, requests go out.

use std::time::Duration;

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::proto::tap_serve_request::Request;
use crate::proto::tap_serve_response::Response;
use crate::proto::{Hello, TapServeRequest, TapServeResponse};
use crate::tap::Taps;

/// Time between two counts of what was not sent.
const DROPPED_INTERVAL: Duration = Duration::from_secs(1);

/// Taps end with their stream.
struct Clear<'a>(&'a Taps);

impl Drop for Clear<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Runs until the stream ends.
pub async fn serve(channel: &Channel, bearer: &str, hello: &Hello, taps: &Taps) -> Result<(), Status> {
    let _clear = Clear(taps);
    let (mut requests, mut responses): (Sender<TapServeRequest>, Receiver<TapServeResponse>) = channel
        .stream("/weft.v1.Tap/Serve", Some(bearer), &message(Request::Hello(hello.clone())))
        .await?;
    let mut ticks = tokio::time::interval(DROPPED_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            response = responses.message() => match response?.map(|message| message.response) {
                None => return Ok(()),
                Some(Some(Response::Start(wanted))) => {
                    if let Err(refused) = taps.start(wanted) {
                        requests.send(&message(Request::Dropped(refused))).await?;
                    }
                }
                Some(Some(Response::Stop(stop))) => taps.stop(stop.tap_id),
                Some(Some(Response::Hello(_)) | None) => {}
            },
            event = taps.next() => requests.send(&message(Request::Event(event))).await?,
            _ = ticks.tick(), if taps.watched() => {
                for dropped in taps.take_dropped() {
                    requests.send(&message(Request::Dropped(dropped))).await?;
                }
            }
        }
    }
}

fn message(request: Request) -> TapServeRequest {
    TapServeRequest { request: Some(request) }
}
