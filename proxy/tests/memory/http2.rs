//! Streams that nobody reads or answers.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderValue, Request};
use tokio::task::{JoinHandle, spawn_local};

use super::{MEGABYTE, Memory};
use crate::http2_harness::{Harness, response, run};

/// Starts a server on every connection that is dialled: an endless answer to `/endless`, none to `/never`, an empty one to others.
fn serve(mut h: Harness) -> JoinHandle<()> {
    spawn_local(async move {
        let mut serving = tokio::task::JoinSet::new();
        loop {
            let mut server = h.dialled().await;
            serving.spawn_local(async move {
                let mut answering = tokio::task::JoinSet::new();
                while let Some(Ok((taken, mut respond))) = server.accept().await {
                    answering.spawn_local(async move {
                        let path = taken.uri().path().to_owned();
                        if path == "/never" {
                            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                            return;
                        }
                        let Ok(mut out) = respond.send_response(response(200), path != "/endless") else {
                            return;
                        };
                        if path != "/endless" {
                            return;
                        }
                        loop {
                            out.reserve_capacity(16_384);
                            let Some(Ok(room)) = std::future::poll_fn(|cx| out.poll_capacity(cx)).await else {
                                return;
                            };
                            if out
                                .send_data(Bytes::from_static(&[0; 16_384]).slice(..room.min(16_384)), false)
                                .is_err()
                            {
                                return;
                            }
                        }
                    });
                }
            });
        }
    })
}

fn get(path: &str) -> Request<()> {
    let uri = format!("http://users{path}");
    Request::builder().uri(uri).body(()).expect("valid")
}

async fn is_answered(client: &mut SendRequest<Bytes>) {
    let (answer, _) = client.send_request(get("/"), true).expect("open");
    assert_eq!(answer.await.expect("an answer").status(), 200);
}

#[test]
fn bodies_that_nobody_reads_are_kept_within_the_limit_and_others_are_served() {
    run(async {
        let memory = Memory::with_room(24 * MEGABYTE);
        let (h, mut hoarder) = Harness::with_window(0).await;
        let hoarded = h.servers.clone();
        let (polite_h, mut polite) = Harness::start().await;
        let serving = [serve(h), serve(polite_h)];
        let mut held = Vec::new();
        for number in 0..900 {
            hoarder = hoarder.ready().await.expect("open");
            held.push(hoarder.send_request(get("/endless"), true).expect("open").0);
            if number % 10 == 0 {
                is_answered(&mut polite).await;
            }
        }
        for _ in 0..100 {
            is_answered(&mut polite).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        memory.kept_its_limit();
        let ended = hoarded.finished.borrow().len();
        assert!(ended > 400, "only {ended} of 900 streams were ended");
        assert!(
            hoarded
                .finished
                .borrow()
                .iter()
                .all(|outcome| outcome.error == Some("WEFT-P-SLOW-READER"))
        );
        drop((held, hoarder, polite, hoarded));
        serving.iter().for_each(JoinHandle::abort);
        memory.is_given_back().await;
    });
}

#[test]
fn heads_that_nobody_answers_are_kept_within_the_limit_and_others_are_served() {
    run(async {
        let memory = Memory::with_room(24 * MEGABYTE);
        let (h, mut hoarder) = Harness::start().await;
        let (polite_h, mut polite) = Harness::start().await;
        let serving = [serve(h), serve(polite_h)];
        let mut held = Vec::new();
        for number in 0..500 {
            let mut asked = get("/never");
            let large = HeaderValue::from_maybe_shared(Bytes::from(vec![b'a'; 50_000])).expect("valid");
            asked.headers_mut().insert("large", large);
            hoarder = hoarder.ready().await.expect("open");
            held.push(hoarder.send_request(asked, true).expect("open").0);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if number % 10 == 0 {
                is_answered(&mut polite).await;
            }
        }
        memory.kept_its_limit();
        assert!(memory.ended.get() > 0);
        drop((held, hoarder, polite));
        serving.iter().for_each(JoinHandle::abort);
        memory.is_given_back().await;
    });
}
