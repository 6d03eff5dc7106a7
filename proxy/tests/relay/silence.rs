//! Streams on which nothing is said for long: limits of the relay concern only what a client began and does not go on with.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weft_proxy::buffer::Buffer;
use weft_proxy::tcp;

use crate::harness::{Harness, expect, rest, run, write};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Just within the limits for a body, and for a chunk or a reader.
const SLOW: Duration = Duration::from_secs(59);
const VERY_SLOW: Duration = Duration::from_secs(599);

#[test]
fn server_sent_events_come_a_day_apart() {
    run(async {
        let mut h = Harness::start();
        h.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        // As long polling has it.
        tokio::time::sleep(DAY).await;
        write(&mut endpoint, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        expect(&mut h.client, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..7 {
            tokio::time::sleep(DAY).await;
            write(&mut endpoint, "9\r\ndata: 1\n\n\r\n").await;
            expect(&mut h.client, "9\r\ndata: 1\n\n\r\n").await;
        }
        assert!(h.finished().is_empty());
    });
}

#[test]
fn a_body_may_come_slowly_and_an_answer_take_its_time() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\n").await;
        for _ in 0..30 {
            tokio::time::sleep(SLOW).await;
            h.send("x").await;
            expect(&mut endpoint, "x").await;
        }
        tokio::time::sleep(DAY).await;
        write(&mut endpoint, "HTTP/1.1 204 No Content\r\n\r\n").await;
        expect(&mut h.client, "HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(h.finished()[0].error, None);
    });
}

#[test]
fn chunks_may_come_very_slowly() {
    run(async {
        let mut h = Harness::start();
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        h.send(head).await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, head).await;
        for _ in 0..10 {
            tokio::time::sleep(VERY_SLOW).await;
            h.send("1\r\nx\r\n").await;
            expect(&mut endpoint, "1\r\nx\r\n").await;
        }
        assert!(h.finished().is_empty());
    });
}

#[test]
fn a_body_that_stops_is_refused_with_the_reason_and_ends_the_endpoints_connection() {
    for (begun, limit) in [
        ("content-length: 9\r\n\r\nxxx", 60),
        ("content-length: 9\r\n\r\n", 60),
        ("transfer-encoding: chunked\r\n\r\n9\r\nx", 60),
        ("transfer-encoding: chunked\r\n\r\n9", 60),
        ("transfer-encoding: chunked\r\n\r\n1\r\nx\r\n", 600),
    ] {
        run(async {
            let mut h = Harness::start();
            h.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{begun}")).await;
            let mut endpoint = h.dialled().await;
            let start = tokio::time::Instant::now();
            let answer = rest(&mut h.client).await;
            assert!(
                answer.starts_with("HTTP/1.1 408 ") && answer.contains("WEFT-P-BODY-TIMEOUT"),
                "{answer}"
            );
            assert!(
                (limit..limit + 5).contains(&start.elapsed().as_secs()),
                "{begun:?}: {:?}",
                start.elapsed()
            );
            rest(&mut endpoint).await;
            assert_eq!(h.outcome().await.error, Some("WEFT-P-BODY-TIMEOUT"));
        });
    }
}

#[test]
fn a_body_that_stops_after_the_answer_began_breaks_the_connection() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nxxx").await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx").await;
        expect(&mut h.client, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx").await;
        assert_eq!(h.outcome().await.error, Some("WEFT-P-BODY-TIMEOUT"));
    });
}

#[test]
fn an_answer_may_be_read_very_slowly_but_not_left() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        let size = 1024 * 1024;
        write(&mut endpoint, format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")).await;
        let sends = tokio::task::spawn_local(async move {
            // Fails when the relay ends.
            let _ = endpoint.write_all(&vec![b'x'; size]).await;
        });
        let mut piece = vec![0; 8 * 1024];
        for _ in 0..20 {
            tokio::time::sleep(VERY_SLOW).await;
            h.client.read_exact(&mut piece).await.expect("more of the answer");
        }
        assert!(h.finished().is_empty());
        tokio::time::sleep(VERY_SLOW * 2).await;
        assert_eq!(h.finished()[0].error, Some("WEFT-P-SLOW-READER"));
        sends.await.expect("it does not panic");
    });
}

#[test]
fn a_websocket_says_a_word_a_day() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
        let switched = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
        expect(
            &mut endpoint,
            "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        )
        .await;
        write(&mut endpoint, switched).await;
        expect(&mut h.client, switched).await;
        for _ in 0..7 {
            tokio::time::sleep(DAY).await;
            h.send("ping").await;
            expect(&mut endpoint, "ping").await;
            tokio::time::sleep(DAY).await;
            write(&mut endpoint, "pong").await;
            expect(&mut h.client, "pong").await;
        }
        assert!(h.finished().is_empty());
    });
}

#[test]
fn bytes_pass_a_day_apart() {
    run(async {
        let (mut client, mut near) = tokio::io::duplex(64);
        let (mut far, mut server) = tokio::io::duplex(64);
        let relay = tokio::task::spawn_local(async move { tcp::relay(&mut near, &mut far, Buffer::new(), Buffer::new(), |_, _| {}).await });
        for _ in 0..7 {
            tokio::time::sleep(DAY).await;
            write(&mut client, "ping").await;
            expect(&mut server, "ping").await;
            write(&mut server, "pong").await;
            expect(&mut client, "pong").await;
        }
        assert!(!relay.is_finished());
    });
}
