//! What happens when one side breaks off or breaks the rules.

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use weft_proxy::http1::Finished;

use crate::harness::{Harness, expect, rest, run, write};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A relay that has one kept connection, which the endpoint still holds.
async fn with_kept_connection() -> (Harness, tokio::io::DuplexStream) {
    let mut h = Harness::start();
    h.send(GET).await;
    let mut endpoint = h.dialled().await;
    expect(&mut endpoint, GET).await;
    write(&mut endpoint, OK).await;
    expect(&mut h.client, OK).await;
    (h, endpoint)
}

#[test]
fn a_kept_connection_found_closed_is_replaced_whatever_the_method() {
    run(async {
        let (mut h, endpoint) = with_kept_connection().await;
        drop(endpoint);
        h.send(POST).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, POST).await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
        assert_eq!(h.finished().len(), 2);
    });
}

#[test]
fn a_farewell_on_a_kept_connection_is_no_answer_to_the_next_request() {
    run(async {
        let (mut h, mut endpoint) = with_kept_connection().await;
        write(
            &mut endpoint,
            "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )
        .await;
        h.send(POST).await;
        expect(&mut h.dialled().await, POST).await;
    });
}

#[test]
fn a_kept_connection_that_closes_under_a_request_is_replaced_when_the_request_may_be_repeated() {
    run(async {
        let (mut h, mut endpoint) = with_kept_connection().await;
        let put = POST.replace("POST", "PUT");
        h.send(&put).await;
        expect(&mut endpoint, &put).await;
        drop(endpoint);
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, &put).await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
        let counted = h.finished()[1];
        assert_eq!((counted.request_bytes, counted.status, counted.error), (2, 200, None));
    });
}

#[test]
fn a_request_that_may_not_be_repeated_is_answered_502() {
    run(async {
        let (mut h, mut endpoint) = with_kept_connection().await;
        h.send(POST).await;
        expect(&mut endpoint, POST).await;
        drop(endpoint);
        let body = "weft: the endpoint closed the connection before it answered (WEFT-P-UPSTREAM-CLOSED)\n";
        let head = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 85\r\n\
                    weft-error: WEFT-P-UPSTREAM-CLOSED\r\n\r\n";
        expect(&mut h.client, format!("{head}{body}")).await;
        assert_eq!(h.finished()[1].error, Some("WEFT-P-UPSTREAM-CLOSED"));
    });
}

#[test]
fn a_request_whose_body_went_on_is_repeated_with_what_was_kept_of_it() {
    run(async {
        let (mut h, mut endpoint) = with_kept_connection().await;
        h.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").await;
        expect(&mut endpoint, "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").await;
        h.send("ab").await;
        expect(&mut endpoint, "ab").await;
        drop(endpoint);
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        h.send("cd").await;
        expect(&mut endpoint, "cd").await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
    });
}

#[test]
fn a_new_connection_that_closes_without_an_answer_is_not_tried_twice() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        drop(h.dialled().await);
        expect(&mut h.client, "HTTP/1.1 502 ").await;
        assert_eq!(h.finished()[0].error, Some("WEFT-P-UPSTREAM-CLOSED"));
    });
}

#[test]
fn answers_that_break_the_rules_become_502_with_the_reason() {
    for (answer, reason) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "both present",
        ),
        ("HTTP/1.1 200 OK\nx: y\n\n", "line feed"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "status line"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "not exactly `chunked`"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "chunk's size"),
        ("HTTP/1.1 200 OK\r\nx: y", "middle of its answer's head"),
    ] {
        run(async move {
            let mut h = Harness::start();
            h.send(GET).await;
            let mut endpoint = h.dialled().await;
            expect(&mut endpoint, GET).await;
            write(&mut endpoint, answer).await;
            drop(endpoint);
            h.client.shutdown().await.expect("half closed");
            let got = rest(&mut h.client).await;
            assert!(got.starts_with("HTTP/1.1 502 ") && got.contains(reason), "{answer:?}: {got}");
            assert_eq!(h.outcome().await.status, 502);
        });
    }
}

#[test]
fn an_answer_that_breaks_off_does_not_look_ended_to_the_client() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        run(async move {
            let mut h = Harness::start();
            h.send(GET).await;
            let mut endpoint = h.dialled().await;
            write(&mut endpoint, answer).await;
            drop(endpoint);
            expect(&mut h.client, answer).await;
            assert!(matches!(h.relay.await.expect("no panic"), Finished::Broken(_)));
            let finished = h.endpoints.finished.borrow();
            assert_eq!(
                (finished[0].status, finished[0].response_bytes, finished[0].error),
                (200, 2, Some("WEFT-P-UPSTREAM-TRUNCATED"))
            );
        });
    }
}

#[test]
fn requests_that_break_the_rules_are_refused_with_the_reason_and_disconnected() {
    for (request, status, code, told) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "WEFT-P-MALFORMED-REQUEST", "GET /"),
        (
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03",
            400,
            "WEFT-P-MALFORMED-REQUEST",
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03 ",
        ),
        ("\u{1}\r\n", 400, "WEFT-P-MALFORMED-REQUEST", "\u{1} "),
        (" /a\r\n", 400, "WEFT-P-MALFORMED-REQUEST", "? /a"),
        ("GET /a HTTP/2.0\r\nhost: a\r\n\r\n", 505, "WEFT-P-UNSUPPORTED-VERSION", "GET /a"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            501,
            "WEFT-P-UNSUPPORTED-CODING",
            "POST /",
        ),
    ] {
        run(async move {
            let mut h = Harness::start();
            h.send(request).await;
            let answer = rest(&mut h.client).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
            assert!(
                answer.contains("connection: close\r\n") && answer.ends_with(&format!("({code})\n")),
                "{answer}"
            );
            assert_eq!(*h.endpoints.refused.borrow(), [code]);
            assert_eq!(*h.endpoints.refused_heads.borrow(), [told]);
        });
    }
}

#[test]
fn a_broken_chunk_is_refused_and_the_endpoint_sees_the_request_break_off() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
        h.send("2\nab").await;
        assert_eq!(rest(&mut endpoint).await, "");
        assert_eq!(h.endpoints.broken.get(), 1, "it does not look like the end of the body");
        let answer = rest(&mut h.client).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("(WEFT-P-MALFORMED-BODY)\n"),
            "{answer}"
        );
        assert_eq!(h.outcome().await.error, Some("WEFT-P-MALFORMED-BODY"));
    });
}

#[test]
fn a_client_that_breaks_off_its_upload_breaks_the_endpoints_connection() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        let mut endpoint = h.dialled().await;
        h.client.shutdown().await.expect("half closed");
        assert!(rest(&mut endpoint).await.ends_with("\r\n\r\nab"));
        assert_eq!(h.endpoints.broken.get(), 1, "it does not look like the end of the body");
        let counted = h.outcome().await;
        assert_eq!(
            (counted.status, counted.request_bytes, counted.error),
            (0, 2, Some("WEFT-P-CLIENT-GONE"))
        );
    });
}

#[test]
fn an_endpoint_learns_at_once_that_its_client_closed_and_the_call_ends_when_it_leaves_too() {
    run(async {
        let (mut h, mut endpoint) = with_kept_connection().await;
        h.send(GET).await;
        let begin = Instant::now();
        h.client.shutdown().await.expect("half closed");
        assert_eq!(rest(&mut endpoint).await, GET);
        drop(endpoint);
        assert_eq!(rest(&mut h.client).await, "");
        assert!(begin.elapsed().as_secs() < 1);
        // Nobody waits for an answer any more, so nobody else is asked.
        let errors: Vec<_> = h.finished().iter().map(|counted| counted.error).collect();
        assert_eq!(errors, [None, Some("WEFT-P-CLIENT-GONE")]);
    });
}

/// A connection through which a client can leave in the way of TCP.
async fn through_tcp() -> Harness<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("an address"))
        .await
        .expect("connected");
    let (server, _) = listener.accept().await.expect("accepted");
    Harness::between(client, server, b"")
}

#[test]
fn a_client_that_closed_its_half_and_left_is_given_up_within_thirty_seconds() {
    run(async {
        let mut h = through_tcp().await;
        write(&mut h.client, GET).await;
        let mut endpoint = h.dialled().await;
        h.client.shutdown().await.expect("half closed");
        assert_eq!(rest(&mut endpoint).await, GET, "the server is told, and may answer still");
        let begin = Instant::now();
        h.client.set_zero_linger().expect("a reset on close");
        let Harness {
            client, relay, endpoints, ..
        } = h;
        drop(client);
        drop(relay.await.expect("the relay does not panic"));
        assert!(begin.elapsed().as_secs() <= 30);
        let finished = endpoints.finished.borrow();
        assert_eq!((finished[0].status, finished[0].error), (0, Some("WEFT-P-CLIENT-GONE")));
    });
}

#[test]
fn a_client_that_resets_while_it_waits_ends_the_call_at_once() {
    run(async {
        let mut h = through_tcp().await;
        h.client.set_zero_linger().expect("a reset on close");
        write(&mut h.client, GET).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, GET).await;
        let Harness {
            client, relay, endpoints, ..
        } = h;
        drop(client);
        assert_eq!(rest(&mut endpoint).await, "");
        drop(relay.await.expect("the relay does not panic"));
        let counted = endpoints.finished.borrow()[0];
        assert_eq!((counted.status, counted.error), (0, Some("WEFT-P-CLIENT-GONE")));
    });
}

#[test]
fn a_relay_that_is_dropped_finishes_its_call() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        h.relay.abort();
        assert_eq!(rest(&mut endpoint).await, GET);
        assert_eq!(h.finished().len(), 1);
        assert_eq!(h.finished()[0].status, 0);
    });
}
