//! Connections that carry many requests, and how they end.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use weft_proxy::http::{Outcome, Reply};
use weft_proxy::http1::Role;

use crate::harness::{Harness, expect, rest, run, write};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn both_connections_carry_request_after_request() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        for round in 1..=3 {
            expect(&mut endpoint, GET).await;
            write(&mut endpoint, OK).await;
            expect(&mut h.client, OK).await;
            if round < 3 {
                h.send(GET).await;
            }
        }
        let counted = Outcome {
            status: 200,
            response_bytes: 2,
            attempts: 1,
            ..Outcome::default()
        };
        assert_eq!(h.finished(), [counted; 3]);
        assert_eq!(h.endpoints.idle.borrow().len(), 1);
    });
}

#[test]
fn what_detection_read_already_is_part_of_the_first_request() {
    run(async {
        let mut h = Harness::start_with(&GET.as_bytes()[..7]);
        h.send(&GET[7..]).await;
        expect(&mut h.dialled().await, GET).await;
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_one_at_a_time() {
    run(async {
        let mut h = Harness::start();
        h.send("POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HT")
            .await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").await;
        assert_eq!(h.endpoints.begun.borrow().len(), 1);
        h.send("TP/1.1\r\nhost: a\r\n\r\n").await;
        for answer in ["/1", "/2", "/3"] {
            if answer != "/1" {
                expect(&mut endpoint, format!("GET {answer} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            }
            write(&mut endpoint, format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{answer}")).await;
        }
        for answer in ["/1", "/2", "/3"] {
            expect(&mut h.client, format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{answer}")).await;
        }
    });
}

#[test]
fn the_client_leaving_ends_the_relay_but_not_the_endpoints_connection() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, GET).await;
        write(&mut endpoint, OK).await;
        assert_eq!(
            rest(&mut h.client).await,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
        );
        assert_eq!(h.endpoints.idle.borrow().len(), 1);
        assert_eq!(h.outcome().await.status, 200);
    });
}

#[test]
fn the_endpoint_leaving_ends_its_connection_but_not_the_clients() {
    run(async {
        let mut h = Harness::start();
        for _ in 0..2 {
            h.send(GET).await;
            let mut endpoint = h.dialled().await;
            expect(&mut endpoint, GET).await;
            write(
                &mut endpoint,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=5\r\ncontent-length: 2\r\n\r\nok",
            )
            .await;
            expect(&mut h.client, OK).await;
        }
        assert!(h.endpoints.idle.borrow().is_empty());
    });
}

#[test]
fn a_client_of_http_1_0_is_told_whether_its_connection_stays() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        write(
            &mut endpoint,
            "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        expect(
            &mut h.client,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok",
        )
        .await;
        h.send("GET / HTTP/1.0\r\n\r\n").await;
        expect(&mut endpoint, "GET / HTTP/1.0\r\n\r\n").await;
        write(&mut endpoint, "HTTP/1.0 200 OK\r\n\r\nok").await;
        drop(endpoint);
        assert_eq!(rest(&mut h.client).await, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok");
    });
}

#[test]
fn a_chunked_answer_to_http_1_0_is_refused() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.0\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").await;
        assert!(rest(&mut h.client).await.starts_with("HTTP/1.1 502 "));
    });
}

#[test]
fn draining_closes_a_waiting_connection() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
        h.drain();
        assert_eq!(rest(&mut h.client).await, "");
    });
}

#[test]
fn draining_lets_a_request_under_way_finish_and_says_that_the_connection_ends() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, GET).await;
        h.drain();
        write(&mut endpoint, OK).await;
        assert_eq!(
            rest(&mut h.client).await,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
        );
    });
}

#[test]
fn a_head_that_does_not_come_is_answered_408_after_ten_seconds_from_its_first_byte() {
    run(async {
        let mut h = Harness::start();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begin = Instant::now();
        h.send("GET / HT").await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        h.send("TP/1.1\r\n").await;
        assert!(rest(&mut h.client).await.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        let waited = begin.elapsed();
        assert!(
            (Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&waited),
            "{waited:?}"
        );
        assert_eq!(*h.endpoints.refused.borrow(), ["WEFT-P-HEAD-TIMEOUT"]);
    });
}

#[test]
fn a_connection_without_requests_closes_after_five_minutes_from_the_last() {
    run(async {
        let mut h = Harness::start();
        tokio::time::sleep(Duration::from_secs(200)).await;
        h.send(GET).await;
        write(&mut h.dialled().await, OK).await;
        expect(&mut h.client, OK).await;
        let begin = Instant::now();
        assert_eq!(rest(&mut h.client).await, "");
        let waited = begin.elapsed();
        assert!(
            (Duration::from_secs(300)..Duration::from_millis(300_100)).contains(&waited),
            "{waited:?}"
        );
    });
}

#[test]
fn a_client_that_closed_its_half_still_gets_its_answer_however_late() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        h.client.shutdown().await.expect("half closed");
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, GET).await;
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        write(&mut endpoint, OK).await;
        assert_eq!(rest(&mut h.client).await, OK);
        assert_eq!(h.outcome().await.error, None);
    });
}

#[test]
fn fields_are_dropped_and_added_on_the_way() {
    run(async {
        let mut h = Harness::start();
        h.edits(&["weft-*"], &[("weft-client", "spiffe://weft.local/ns/default/sa/web")]);
        let head = "GET /p HTTP/1.1\r\nConnection: x-hop, keep-alive, host\r\nWEFT-Client: spoofed\r\nHost: a\r\nX-Hop: 1\r\nTE: trailers, gzip\r\n\
                    Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: theirs\r\nX: 1\r\nX: 2\r\n\r\n";
        h.send(head).await;
        let expected = "GET /p HTTP/1.1\r\nHost: a\r\nProxy-Authorization: theirs\r\nX: 1\r\nX: 2\r\nte: trailers\r\nconnection: te\r\n\
                        weft-client: spiffe://weft.local/ns/default/sa/web\r\n\r\n";
        expect(&mut h.dialled().await, expected).await;
    });
}

#[test]
fn fields_of_answers_are_dropped_and_added_and_those_of_interim_ones_and_of_the_proxys_own_are_not() {
    run(async {
        let mut h = Harness::start();
        h.response_edits(&["server", "content-length"], &[("x-a", "1"), ("x-a", "2")]);
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, GET).await;
        write(
            &mut endpoint,
            "HTTP/1.1 103 Early\r\nserver: me\r\n\r\nHTTP/1.1 200 OK\r\nServer: me\r\nx-a: 0\r\ncontent-length: 2\r\n\r\nhi",
        )
        .await;
        let expected =
            "HTTP/1.1 103 Early\r\nserver: me\r\n\r\nHTTP/1.1 200 OK\r\nx-a: 0\r\ncontent-length: 2\r\nx-a: 1\r\nx-a: 2\r\n\r\nhi";
        expect(&mut h.client, expected).await;
        *h.endpoints.unreachable.borrow_mut() = Some(Reply::new(503, "WEFT-P-NO-ENDPOINT", "no"));
        h.send("HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(!rest(&mut h.client).await.contains("x-a"));
    });
}

#[test]
fn an_absolute_target_decides_the_authority_and_becomes_origin_form_at_a_proxy() {
    run(async {
        let mut h = Harness::start();
        h.endpoints.role.set(Role::Proxy);
        h.send("GET http://users:80/a?b HTTP/1.1\r\nHost: other\r\nProxy-Authorization: mine\r\nX: 1\r\n\r\n")
            .await;
        expect(&mut h.dialled().await, "GET /a?b HTTP/1.1\r\nX: 1\r\nhost: users:80\r\n\r\n").await;
        assert_eq!(*h.endpoints.begun.borrow(), ["GET users:80 /a?b"]);
    });
    run(async {
        let mut h = Harness::start();
        h.send("GET http://users HTTP/1.1\r\nHost: other\r\n\r\n").await;
        expect(&mut h.dialled().await, "GET http://users HTTP/1.1\r\nhost: users\r\n\r\n").await;
        assert_eq!(*h.endpoints.begun.borrow(), ["GET users /"]);
    });
}

#[test]
fn the_proxys_own_answer_keeps_the_connection_when_the_request_was_read() {
    run(async {
        let mut h = Harness::start();
        let reply = Reply::new(
            503,
            "WEFT-P-NO-ENDPOINT",
            "service users has no endpoint; start one with `weft run users`",
        );
        *h.endpoints.refuse.borrow_mut() = Some(reply.clone());
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab").await;
        let body = "weft: service users has no endpoint; start one with `weft run users` (WEFT-P-NO-ENDPOINT)\n";
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nweft-error: WEFT-P-NO-ENDPOINT\r\n",
            body.len()
        );
        expect(&mut h.client, format!("{head}\r\n{body}")).await;
        assert_eq!(h.finished(), []);

        *h.endpoints.unreachable.borrow_mut() = Some(reply);
        h.send("HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert_eq!(rest(&mut h.client).await, format!("{head}connection: close\r\n\r\n"));
        let counted = Outcome {
            status: 503,
            error: Some("WEFT-P-NO-ENDPOINT"),
            ..Outcome::default()
        };
        assert_eq!(h.outcome().await, counted);
    });
}
