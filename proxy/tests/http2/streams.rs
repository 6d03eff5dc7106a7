//! What streams carry, how they end, and how little those that stand still cost.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::task::spawn_local;

use crate::harness::{Harness, request, response, rest, run, send, take};

#[test]
fn large_metadata_passes_both_ways_and_beyond_the_limit_it_is_refused() {
    run(async {
        let large = HeaderValue::from_maybe_shared(Bytes::from(vec![b'a'; 58 * 1024])).expect("valid");
        let (mut h, mut client) = Harness::start().await;
        let mut asked = request("POST");
        asked.headers_mut().insert("metadata-bin", large.clone());
        let (answer, _) = client.send_request(asked, true).expect("open");
        let (taken, mut respond) = take(h.dialled().await).await;
        assert_eq!(taken.headers()["metadata-bin"].len(), large.len());
        let mut out = respond.send_response(response(200), false).expect("open");
        out.send_trailers(HeaderMap::from_iter([(HeaderName::from_static("metadata-bin"), large.clone())]))
            .expect("open");
        let mut answer = answer.await.expect("an answer").into_body();
        let trailers = rest(&mut answer).await.expect("whole").1.expect("trailers");
        assert_eq!(trailers["metadata-bin"].len(), large.len());

        let mut asked = request("POST");
        asked.headers_mut().insert("metadata-bin", large.clone());
        asked.headers_mut().insert("more-bin", large);
        let (answer, _) = client.send_request(asked, true).expect("open");
        assert_eq!(answer.await.expect("an answer").status(), 431);
    });
}

#[test]
fn a_reset_is_passed_on_with_its_reason_both_ways() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut out) = client.send_request(request("POST"), false).expect("open");
        let mut server = h.dialled().await;
        let (mut taken, mut respond) = server.accept().await.expect("a request").expect("open");
        out.send_reset(Reason::INTERNAL_ERROR);
        let error = tokio::select! { read = taken.body_mut().data() => read.expect("an end").expect_err("reset"), _ = server.accept() => panic!("one request") };
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
        drop((answer, respond.send_response(response(200), true)));

        let (answer, _out) = client.send_request(request("POST"), false).expect("open");
        let (_, mut respond) = take(server).await;
        respond.send_reset(Reason::HTTP_1_1_REQUIRED);
        assert_eq!(answer.await.expect_err("reset").reason(), Some(Reason::HTTP_1_1_REQUIRED));
    });
}

#[test]
fn a_reset_by_the_program_says_whether_it_failed_or_was_asked_for_what_it_does_not_take() {
    run(async {
        let cases = [
            (Reason::PROTOCOL_ERROR, "WEFT-P-STREAM-RESET"),
            (Reason::CANCEL, "WEFT-P-STREAM-RESET"),
            (Reason::INTERNAL_ERROR, "WEFT-P-UPSTREAM-CLOSED"),
            (Reason::ENHANCE_YOUR_CALM, "WEFT-P-UPSTREAM-CLOSED"),
        ];
        for (reason, code) in cases {
            let (mut h, mut client) = Harness::start().await;
            let (answer, _) = client.send_request(request("POST"), true).expect("open");
            let (_, mut respond) = take(h.dialled().await).await;
            respond.send_reset(reason);
            assert_eq!(answer.await.expect_err("reset").reason(), Some(reason));
            assert_eq!(h.outcome().await.error, Some(code));
        }
    });
}

#[test]
fn an_address_in_host_or_authority_reaches_the_server_as_authority() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let asked = Request::builder().uri("http://users:8080/a?b=c").body(()).expect("valid");
        let (answer, _) = client.send_request(asked, true).expect("open");
        let (taken, mut respond) = take(h.dialled().await).await;
        assert_eq!(taken.uri(), "http://users:8080/a?b=c");
        respond.send_response(response(204), true).expect("open");
        assert_eq!(answer.await.expect("an answer").status(), 204);
    });
}

/// Starts a server on every connection that is dialled: an endless answer to `/endless`, an empty one to others.
fn serve_endless(mut h: Harness) -> tokio::task::JoinHandle<()> {
    spawn_local(async move {
        loop {
            let mut server = h.dialled().await;
            spawn_local(async move {
                while let Some(Ok((taken, mut respond))) = server.accept().await {
                    spawn_local(async move {
                        let endless = taken.uri().path() == "/endless";
                        let mut out = respond.send_response(response(200), !endless).expect("open");
                        if !endless {
                            return;
                        }
                        loop {
                            out.reserve_capacity(16_384);
                            let Some(Ok(room)) = std::future::poll_fn(|cx| out.poll_capacity(cx)).await else {
                                break;
                            };
                            drop(out.send_data(Bytes::from(vec![0; room]), false));
                        }
                    });
                }
            });
        }
    })
}

/// The head of an endless answer.
async fn endless(client: &mut SendRequest<Bytes>) -> Response<RecvStream> {
    let request = Request::builder().uri("http://users/endless").body(()).expect("valid");
    let (answer, _) = client.send_request(request, true).expect("open");
    answer.await.expect("a head")
}

#[test]
fn streams_that_nobody_reads_hold_up_no_others_however_many_they_are() {
    run(async {
        let (h, mut client) = Harness::with_window(0).await;
        let servers = h.servers.clone();
        let serving = serve_endless(h);
        let mut stalled = Vec::new();
        for _ in 0..250 {
            stalled.push(endless(&mut client).await);
        }
        let (answer, _) = client.send_request(request("GET"), true).expect("open");
        assert_eq!(answer.await.expect("an answer").status(), 200);
        assert_eq!(servers.finished.borrow().len(), 1);
        serving.abort();
    });
}

#[test]
fn more_than_any_window_passes_unchanged_both_ways_at_once() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut out) = client.send_request(request("POST"), false).expect("open");
        let bytes: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
        let expected = bytes.clone();
        spawn_local(async move { send(&mut out, &bytes, true).await });
        let (taken, mut respond) = take(h.dialled().await).await;
        spawn_local(async move {
            let mut body = taken.into_body();
            let mut out = respond.send_response(response(200), false).expect("open");
            while let Some(Ok(chunk)) = body.data().await {
                body.flow_control().release_capacity(chunk.len()).expect("received");
                send(&mut out, &chunk, false).await;
            }
            out.send_data(Bytes::new(), true).expect("open");
        });
        let mut answer = answer.await.expect("an answer").into_body();
        assert!(rest(&mut answer).await.expect("whole").0 == expected);
        let outcome = h.outcome().await;
        assert_eq!((outcome.request_bytes, outcome.response_bytes), (1_000_000, 1_000_000));
    });
}
