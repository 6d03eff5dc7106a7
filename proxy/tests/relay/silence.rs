//! Streams on which nothing is said for long: no limit of the relay concerns them.

use std::time::Duration;

use weft_proxy::buffer::Buffer;
use weft_proxy::tcp;

use crate::harness::{Harness, expect, run, write};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
fn a_body_is_sent_a_byte_a_day() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n").await;
        for _ in 0..3 {
            tokio::time::sleep(DAY).await;
            h.send("x").await;
            expect(&mut endpoint, "x").await;
        }
        assert!(h.finished().is_empty());
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
