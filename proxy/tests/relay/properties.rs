//! What holds for any client and any endpoint.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;
use weft_proxy::http1::Role;

use crate::harness::{Harness, run};

/// Requests, parts of requests and rubbish.
fn from_client() -> impl Strategy<Value = Vec<u8>> {
    piece(&[
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
        "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30000\r\n\r\n",
    ])
}

/// Responses, parts of responses and rubbish.
fn from_endpoint() -> impl Strategy<Value = Vec<u8>> {
    piece(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nto the end",
        "HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n",
    ])
}

fn piece(whole: &[&'static str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let whole = prop::sample::select(whole.to_vec());
    prop_oneof![
        6 => whole.clone().prop_map(|text| text.as_bytes().to_vec()),
        2 => (whole, any::<prop::sample::Index>()).prop_map(|(text, at)| text.as_bytes()[at.index(text.len())..].to_vec()),
        1 => vec(any::<u8>(), 0..30),
        1 => (1..20_000usize).prop_map(|length| vec![b'x'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_call_is_finished_once_and_the_relay_ends_when_its_client_does(
        requests in vec(from_client(), 0..6),
        answers in vec(vec(from_endpoint(), 0..4), 1..5),
        at_proxy in any::<bool>(),
        piece in 1..3000usize,
    ) {
        run(async move {
            let h = Harness::start();
            h.endpoints.role.set(if at_proxy { Role::Proxy } else { Role::Transparent });
            let Harness { endpoints, client, relay, mut dialled } = h;
            // Each endpoint reads what it can, says its lines and leaves.
            let playing = spawn_local(async move {
                let mut scripts = answers.into_iter().cycle();
                while let Some(endpoint) = dialled.recv().await {
                    let script = scripts.next().unwrap_or_default();
                    spawn_local(async move {
                        let (mut reader, mut writer) = tokio::io::split(endpoint);
                        let reading = spawn_local(async move { while reader.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} });
                        for line in script {
                            for bytes in line.chunks(piece) {
                                if writer.write_all(bytes).await.is_err() {
                                    break;
                                }
                                tokio::task::yield_now().await;
                            }
                        }
                        let _ = writer.shutdown().await;
                        let _ = reading.await;
                    });
                }
            });
            // A tunnel that is handed over is dropped.
            let relay = spawn_local(async move { drop(relay.await.expect("the relay does not panic")) });
            let (mut reader, mut writer) = tokio::io::split(client);
            let reading = spawn_local(async move { while reader.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} });
            for bytes in requests.concat().chunks(piece) {
                if writer.write_all(bytes).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let _ = writer.shutdown().await;
            let ended = tokio::time::timeout(Duration::from_secs(3600), relay).await;
            ended.expect("the relay ends").expect("the relay does not panic");
            reading.await.expect("the client sees the end");
            playing.abort();
            assert_eq!(endpoints.begun.borrow().len(), endpoints.finished.borrow().len());
        });
    }
}
