//! CONNECT, plain and extended, and bodies that outlive their answers.

use h2::ext::Protocol;
use http::{Method, Request};

use crate::harness::{Harness, request, response, rest, run, send, take};

fn websocket() -> Request<()> {
    let mut request = request("CONNECT");
    request.extensions_mut().insert(Protocol::from("websocket"));
    request
}

#[test]
fn extended_connect_is_announced_when_the_server_takes_it_and_carries_a_websocket() {
    run(async {
        let mut builder = h2::server::Builder::new();
        builder.enable_connect_protocol();
        let (mut client, server) = Harness::learning(builder).await;
        let serving = async {
            let (taken, mut respond) = take(server).await;
            assert_eq!(taken.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
            assert_eq!((taken.method(), taken.uri().path()), (&Method::CONNECT, "/"));
            let mut out = respond.send_response(response(200), false).expect("open");
            let (read, _) = rest(&mut taken.into_body()).await.expect("whole");
            send(&mut out, &read, true).await;
        };
        let asking = async {
            while !client.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
            let (answer, mut out) = client.send_request(websocket(), false).expect("announced");
            send(&mut out, b"frames", true).await;
            let mut answer = answer.await.expect("an answer").into_body();
            assert_eq!(rest(&mut answer).await.expect("whole").0, b"frames");
        };
        tokio::join!(serving, asking);
    });
}

#[test]
fn extended_connect_is_not_announced_when_the_server_does_not_take_it() {
    run(async {
        let (mut client, server) = Harness::learning(h2::server::Builder::new()).await;
        let (answer, _) = client.send_request(request("GET"), true).expect("open");
        let (_, mut respond) = take(server).await;
        respond.send_response(response(204), true).expect("open");
        assert_eq!(answer.await.expect("an answer").status(), 204);
        assert!(!client.is_extended_connect_protocol_enabled());
    });
}

#[test]
fn connect_makes_a_tunnel_of_which_either_side_may_end_first() {
    run(async {
        for server_first in [true, false] {
            let (mut h, mut client) = Harness::start().await;
            let connect = Request::builder().method("CONNECT").uri("db:5432").body(()).expect("valid");
            let (answer, mut out) = client.send_request(connect, false).expect("open");
            let (taken, mut respond) = take(h.dialled().await).await;
            assert_eq!(
                (taken.uri().authority().map(|a| a.as_str()), taken.uri().path_and_query()),
                (Some("db:5432"), None)
            );
            let mut theirs = respond.send_response(response(200), false).expect("open");
            let mut body = taken.into_body();
            let mut ours = answer.await.expect("an answer").into_body();
            if server_first {
                send(&mut theirs, b"bye", true).await;
                assert_eq!(rest(&mut ours).await.expect("whole").0, b"bye");
                send(&mut out, b"last words", true).await;
                assert_eq!(rest(&mut body).await.expect("whole").0, b"last words");
            } else {
                send(&mut out, b"bye", true).await;
                assert_eq!(rest(&mut body).await.expect("whole").0, b"bye");
                send(&mut theirs, b"last words", true).await;
                assert_eq!(rest(&mut ours).await.expect("whole").0, b"last words");
            }
            let outcome = h.outcome().await;
            assert_eq!(outcome.request_bytes + outcome.response_bytes, 13);
        }
    });
}

#[test]
fn a_server_that_answered_to_the_end_still_gets_the_rest_of_the_request() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut out) = client.send_request(request("POST"), false).expect("open");
        let (taken, mut respond) = take(h.dialled().await).await;
        respond.send_response(response(202), true).expect("open");
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 202);
        assert_eq!(h.outcome().await.status, 202);
        let mut body = taken.into_body();
        let (read, ()) = tokio::join!(rest(&mut body), send(&mut out, &[7; 200_000], true));
        assert_eq!(read.expect("whole").0.len(), 200_000);
    });
}
