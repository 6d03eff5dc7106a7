//! The tap stream: what people want to see comes in, requests and what is held go out.

use std::convert::Infallible;
use std::time::Duration;

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::describe::Holdings;
use crate::log::log;
use crate::proto::tap_serve_request::Request;
use crate::proto::tap_serve_response::Response;
use crate::proto::{Hello, TapServeRequest, TapServeResponse};
use crate::tap::Taps;

/// Time between two counts of what was not sent.
const DROPPED_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before the stream is opened again, when it alone ended.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps the stream open as long as the connection is there. Its trouble is nobody else's.
pub async fn serve(channel: &Channel, bearer: &str, hello: &Hello, taps: &Taps, holdings: &Holdings) -> Infallible {
    let mut told = false;
    loop {
        let ended = run(channel, bearer, hello, taps, holdings).await;
        // When the connection ended, so does this.
        tokio::time::sleep(RETRY).await;
        if let (Err(status), false) = (ended, told) {
            log!("requests cannot be shown: {status}; trying again");
            told = true;
        }
    }
}

/// Taps end with their stream.
struct Clear<'a>(&'a Taps);

impl Drop for Clear<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

async fn run(channel: &Channel, bearer: &str, hello: &Hello, taps: &Taps, holdings: &Holdings) -> Result<(), Status> {
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
                Some(Some(Response::Describe(question))) => {
                    requests.send(&message(Request::Description(holdings.describe(&question)))).await?;
                }
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
