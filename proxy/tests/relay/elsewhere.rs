//! Requests that a sidecar could not hand to its program go to another endpoint, as long as they can.

use tokio::io::AsyncWriteExt;

use crate::harness::{Harness, expect, run, write};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const NOT_THERE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nweft-error: WEFT-P-CONNECT-FAILED\r\n\r\nsorry";
const BROKE: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\nweft-error: WEFT-P-UPSTREAM-CLOSED\r\n\r\nsorry";

fn request(method: &str, length: usize) -> String {
    format!(
        "{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{}",
        "x".repeat(length)
    )
}

fn between_sidecars(others: usize) -> Harness {
    let h = Harness::start();
    h.endpoints.sidecars.set(Some(others));
    h
}

#[test]
fn whatever_the_method_a_request_that_reached_no_program_is_sent_to_another_endpoint() {
    run(async {
        for length in [0, 2, 50_000] {
            let mut h = between_sidecars(2);
            let post = request("POST", length);
            let Harness { client, dialled, .. } = &mut h;
            let talk = async {
                let mut endpoints = Vec::new();
                for answer in [NOT_THERE, NOT_THERE, OK] {
                    let mut endpoint = dialled.recv().await.expect("an endpoint is dialled");
                    expect(&mut endpoint, &post).await;
                    write(&mut endpoint, answer).await;
                    endpoints.push(endpoint);
                }
                endpoints
            };
            let (sent, _endpoints) = tokio::join!(client.write_all(post.as_bytes()), talk);
            sent.expect("the request is taken");
            expect(&mut h.client, OK).await;
            let counted = h.finished()[0];
            assert_eq!((counted.status, counted.error, counted.request_bytes), (200, None, length as u64));
            assert_eq!(
                *h.endpoints.heard.borrow(),
                ["WEFT-P-CONNECT-FAILED", "WEFT-P-CONNECT-FAILED", "200"]
            );
        }
    });
}

#[test]
fn when_no_other_endpoint_is_left_the_answer_is_passed_on_as_it_is() {
    run(async {
        let mut h = between_sidecars(0);
        h.send(request("POST", 2)).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, request("POST", 2)).await;
        write(&mut endpoint, NOT_THERE).await;
        expect(&mut h.client, NOT_THERE).await;
        assert_eq!(*h.endpoints.heard.borrow(), ["WEFT-P-CONNECT-FAILED", "503"]);
    });
}

#[test]
fn a_body_that_is_too_long_to_be_kept_is_not_sent_again() {
    run(async {
        let mut h = between_sidecars(2);
        let post = request("POST", 100_000);
        let mut endpoint = {
            let Harness { client, dialled, .. } = &mut h;
            let talk = async {
                let mut endpoint = dialled.recv().await.expect("an endpoint is dialled");
                expect(&mut endpoint, &post).await;
                endpoint
            };
            let (sent, endpoint) = tokio::join!(client.write_all(post.as_bytes()), talk);
            sent.expect("the request is taken");
            endpoint
        };
        write(&mut endpoint, NOT_THERE).await;
        expect(&mut h.client, NOT_THERE).await;
    });
}

#[test]
fn a_request_that_broke_off_before_an_answer_is_repeated_once_when_that_does_no_harm() {
    run(async {
        let mut h = between_sidecars(5);
        h.send(request("PUT", 2)).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, request("PUT", 2)).await;
        drop(endpoint);
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, request("PUT", 2)).await;
        write(&mut endpoint, BROKE).await;
        expect(&mut h.client, BROKE).await;

        let mut h = between_sidecars(5);
        h.send(request("PUT", 2)).await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, BROKE).await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, NOT_THERE).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, request("PUT", 2)).await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
    });
}

#[test]
fn a_request_that_a_program_may_have_seen_is_not_repeated_when_that_could_do_harm() {
    run(async {
        let mut h = between_sidecars(5);
        h.send(request("POST", 2)).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, request("POST", 2)).await;
        write(&mut endpoint, BROKE).await;
        expect(&mut h.client, BROKE).await;
    });
}

#[test]
fn a_program_cannot_speak_as_a_sidecar() {
    run(async {
        let mut h = Harness::start();
        h.send(request("GET", 0)).await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, NOT_THERE.replace("weft-error", "Weft_error")).await;
        expect(&mut h.client, NOT_THERE.replace("weft-error: WEFT-P-CONNECT-FAILED\r\n", "")).await;
    });
}

#[test]
fn a_connection_that_always_breaks_does_not_keep_a_request_for_ever() {
    run(async {
        let mut h = between_sidecars(5);
        h.send(request("GET", 0)).await;
        drop(h.dialled().await);
        drop(h.dialled().await);
        expect(&mut h.client, "HTTP/1.1 502 Bad Gateway\r\n").await;
    });
}
