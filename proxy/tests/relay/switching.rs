//! Connections that stop speaking HTTP/1.1.

use tokio::io::AsyncWriteExt;
use weft_proxy::http1::{Finished, Role};

use crate::harness::{Harness, expect, rest, run, write};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\n";

#[test]
fn after_101_bytes_pass_both_ways_and_each_side_ends_on_its_own() {
    run(async {
        let mut h = Harness::start();
        h.send("GET /chat HTTP/1.1\r\nhost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, UPGRADE).await;
        write(
            &mut endpoint,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi",
        )
        .await;
        expect(
            &mut h.client,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\nhi",
        )
        .await;
        h.send("\0\x01bytes").await;
        expect(&mut endpoint, "\0\x01bytes").await;
        h.client.shutdown().await.expect("half closed");
        assert_eq!(rest(&mut endpoint).await, "");
        write(&mut endpoint, "last words").await;
        drop(endpoint);
        assert_eq!(rest(&mut h.client).await, "last words");
        let counted = h.outcome().await;
        assert_eq!((counted.status, counted.request_bytes, counted.response_bytes), (101, 7, 12));
    });
}

#[test]
fn an_endpoint_may_decline_to_switch() {
    run(async {
        let mut h = Harness::start();
        h.send(UPGRADE).await;
        let mut endpoint = h.dialled().await;
        write(
            &mut endpoint,
            "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        expect(&mut h.client, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(h.endpoints.idle.borrow().len(), 1);
    });
}

#[test]
fn a_switch_that_nobody_asked_for_is_refused() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings, close\r\nhttp2-settings: x\r\nupgrade: h2c\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        write(&mut endpoint, "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n").await;
        let answer = rest(&mut h.client).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(answer.contains("did not ask for it (WEFT-P-MALFORMED-RESPONSE)"), "{answer}");
    });
}

#[test]
fn connect_at_a_proxy_hands_the_connection_over() {
    run(async {
        let mut h = Harness::start();
        h.endpoints.role.set(Role::Proxy);
        h.send("CONNECT users:443 HTTP/1.1\r\nhost: users:443\r\n\r\nclient hello").await;
        let Finished::Connect {
            authority,
            mut client,
            leftover,
        } = h.relay.await.expect("no panic")
        else {
            panic!("no tunnel")
        };
        assert_eq!((authority.as_str(), leftover.bytes()), ("users:443", b"client hello".as_slice()));
        write(&mut client, "HTTP/1.1 200 OK\r\n\r\n").await;
        expect(&mut h.client, "HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(h.endpoints.begun.borrow().is_empty());
    });
}

#[test]
fn connect_to_somebody_elses_proxy_passes_and_makes_a_tunnel_when_granted() {
    run(async {
        let mut h = Harness::start();
        h.send("CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n").await;
        write(
            &mut endpoint,
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno",
        )
        .await;
        expect(
            &mut h.client,
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno",
        )
        .await;
        h.send("CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\nproxy-authorization: x\r\n\r\n")
            .await;
        expect(
            &mut endpoint,
            "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\nproxy-authorization: x\r\n\r\n",
        )
        .await;
        write(&mut endpoint, "HTTP/1.1 200 Connection established\r\n\r\n").await;
        expect(&mut h.client, "HTTP/1.1 200 Connection established\r\n\r\n").await;
        h.send("bytes").await;
        expect(&mut endpoint, "bytes").await;
    });
}
