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
        // A server that knows no CONNECT may still take for requests what was meant for the tunnel.
        assert!(h.endpoints.idle.borrow().is_empty());
        assert_eq!(rest(&mut endpoint).await, "");
        h.send("CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\nproxy-authorization: x\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
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

const CONNECT: &str = "CONNECT b:80 HTTP/1.1\r\nhost: b:80\r\n\r\n";

#[test]
fn what_a_granted_tunnel_says_of_a_body_is_ignored_and_not_passed_on() {
    run(async {
        for body in [
            "content-length: 0",
            "content-length: 9",
            "transfer-encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 9",
        ] {
            let mut h = Harness::start();
            h.send(CONNECT).await;
            let mut endpoint = h.dialled().await;
            expect(&mut endpoint, CONNECT).await;
            write(&mut endpoint, format!("HTTP/1.1 200 OK\r\n{body}\r\nvia: x\r\n\r\n")).await;
            expect(&mut h.client, "HTTP/1.1 200 OK\r\nvia: x\r\n\r\n").await;
            h.send("\x16\x03bytes").await;
            expect(&mut endpoint, "\x16\x03bytes").await;
            write(&mut endpoint, "back").await;
            expect(&mut h.client, "back").await;
        }
    });
}

#[test]
fn an_answer_to_connect_that_is_no_200_opens_no_tunnel_and_its_connection_is_not_used_again() {
    run(async {
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for (answer, passed) in [
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
            ),
            (
                "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok",
                "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
            ),
        ] {
            let mut h = Harness::start();
            h.edits(&["weft-*"], &[("weft-client-id", "me")]);
            h.send(format!("{CONNECT}GET / HTTP/1.1\r\nhost: a\r\nweft-client-id: admin\r\n\r\n"))
                .await;
            let mut endpoint = h.dialled().await;
            expect(&mut endpoint, CONNECT.replace("\r\n\r\n", "\r\nweft-client-id: me\r\n\r\n")).await;
            write(&mut endpoint, answer).await;
            // To a client it is a tunnel, so what it sends next is no request.
            expect(&mut h.client, passed).await;
            assert_eq!(rest(&mut h.client).await, "");
            assert_eq!(rest(&mut endpoint).await, "");
            assert!(h.endpoints.idle.borrow().is_empty());
        }
        for status in ["404 Not Found", "302 Found", "500 Internal Server Error"] {
            let mut h = Harness::start();
            h.send(format!("{CONNECT}{request}")).await;
            let mut endpoint = h.dialled().await;
            expect(&mut endpoint, CONNECT).await;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            write(&mut endpoint, &answer).await;
            expect(&mut h.client, &answer).await;
            assert_eq!(rest(&mut endpoint).await, "", "{status}");
            expect(&mut h.dialled().await, request).await;
        }
    });
}

#[test]
fn a_tunnel_that_was_granted_with_a_body_carries_no_requests() {
    run(async {
        let forged = "GET / HTTP/1.1\r\nhost: a\r\nweft-client-id: admin\r\n\r\n";
        let split = || vec![CONNECT.to_owned(), "GET / HT".to_owned(), forged[8..].to_owned()];
        // As Go's and WSGI servers answer any method.
        let (full, empty) = ("content-length: 2\r\n\r\nok", "content-length: 0\r\n\r\n");
        for (pieces, body) in [
            (vec![format!("{CONNECT}{forged}")], full),
            (vec![CONNECT.to_owned(), forged.to_owned()], full),
            (split(), full),
            (split(), empty),
            (split(), "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ] {
            let mut h = Harness::start();
            let mut endpoint = None;
            for (number, piece) in pieces.iter().enumerate() {
                h.send(piece).await;
                if number == 0 {
                    let connection = endpoint.insert(h.dialled().await);
                    expect(connection, CONNECT).await;
                    write(connection, format!("HTTP/1.1 200 OK\r\n{body}")).await;
                    expect(&mut h.client, "HTTP/1.1 200 OK\r\n\r\n").await;
                } else if number + 1 < pieces.len() {
                    expect(endpoint.as_mut().expect("dialled"), piece).await;
                }
            }
            let left = rest(endpoint.as_mut().expect("dialled")).await;
            assert_eq!(left, "", "nothing more, after an answer with {body:?}");
            assert_eq!(h.outcome().await.error, Some("WEFT-P-PEER-HIDDEN-HTTP"));
        }
    });
}
