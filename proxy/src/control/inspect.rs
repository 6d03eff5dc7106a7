//! The inspect stream: questions come in, what the sidecar holds goes out.

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::describe::Holdings;
use crate::proto::inspect_serve_request::Request;
use crate::proto::inspect_serve_response::Response;
use crate::proto::{Hello, InspectServeRequest, InspectServeResponse};

/// Runs until the stream ends. An answer that is not read keeps the next question waiting, so that one is held at most.
pub async fn serve(channel: &Channel, bearer: &str, hello: &Hello, holdings: &Holdings) -> Result<(), Status> {
    let (mut requests, mut responses): (Sender<InspectServeRequest>, Receiver<InspectServeResponse>) = channel
        .stream("/weft.v1.Inspect/Serve", Some(bearer), &message(Request::Hello(hello.clone())))
        .await?;
    while let Some(InspectServeResponse { response }) = responses.message().await? {
        if let Some(Response::Describe(question)) = response {
            requests.send(&message(Request::Description(holdings.describe(&question)))).await?;
        }
    }
    Ok(())
}

fn message(request: Request) -> InspectServeRequest {
    InspectServeRequest { request: Some(request) }
}
