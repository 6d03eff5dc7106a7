//! Requests that a sidecar could not hand to its program go to another endpoint.

use http::HeaderValue;
use tokio::task::spawn_local;

use crate::harness::{Harness, request, response, rest, run, send, take};

fn not_there(code: &'static str) -> http::Response<()> {
    let mut answer = response(503);
    answer.headers_mut().insert("weft-error", HeaderValue::from_static(code));
    answer
}

/// Sends a request whose endpoints answer in turn with these codes, and then with 200, and gives the status and the code that the client sees, and the bodies
/// that the endpoints saw.
async fn tell(method: &str, sidecars: Option<usize>, codes: &'static [&'static str]) -> (u16, Option<String>, usize) {
    let (mut h, mut client) = Harness::start().await;
    h.servers.others.set(sidecars);
    let (answer, mut body) = client.send_request(request(method), false).expect("open");
    let mut server = h.dialled().await;
    let served = spawn_local(async move {
        for code in codes.iter().copied().map(Some).chain([None]) {
            let Some(Ok((taken, mut respond))) = server.accept().await else {
                break;
            };
            let mut body = taken.into_body();
            let reading = rest(&mut body);
            let (read, _) = tokio::select! { read = reading => read.expect("whole"), _ = server.accept() => break };
            assert_eq!(read, b"body");
            let answer = code.map_or_else(|| response(200), not_there);
            respond.send_response(answer, true).expect("open");
        }
        take(server).await
    });
    send(&mut body, b"body", true).await;
    let answer = answer.await.expect("an answer");
    served.abort();
    let code = answer
        .headers()
        .get("weft-error")
        .map(|code| code.to_str().expect("text").to_owned());
    (answer.status().as_u16(), code, h.servers.others.get().unwrap_or(0))
}

const NOT_THERE: &str = "WEFT-P-CONNECT-FAILED";
const BROKE: &str = "WEFT-P-UPSTREAM-CLOSED";

#[test]
fn whatever_the_method_a_request_that_reached_no_program_is_sent_to_another_endpoint() {
    run(async {
        assert_eq!(tell("POST", Some(3), &[NOT_THERE, NOT_THERE]).await, (200, None, 1));
    });
}

#[test]
fn when_no_other_endpoint_is_left_the_answer_is_passed_on_as_it_is() {
    run(async {
        assert_eq!(tell("POST", Some(0), &[NOT_THERE]).await, (503, Some(NOT_THERE.into()), 0));
    });
}

#[test]
fn a_request_that_a_program_may_have_seen_is_repeated_once_and_only_when_that_does_no_harm() {
    run(async {
        assert_eq!(tell("POST", Some(3), &[BROKE]).await, (503, Some(BROKE.into()), 3));
        assert_eq!(tell("PUT", Some(3), &[BROKE]).await, (200, None, 2));
        assert_eq!(tell("PUT", Some(3), &[BROKE, BROKE]).await, (503, Some(BROKE.into()), 2));
    });
}

#[test]
fn a_program_cannot_speak_as_a_sidecar() {
    run(async {
        assert_eq!(tell("POST", None, &[NOT_THERE]).await, (503, None, 0));
    });
}
