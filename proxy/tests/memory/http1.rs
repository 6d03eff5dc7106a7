//! Connections of HTTP/1.1 and of bytes that stand still in the middle of something.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::task::spawn_local;
use weft_proxy::buffer::Buffer;
use weft_proxy::tcp;

use super::{MEGABYTE, Memory};
use crate::relay_harness::{Harness, expect, run, write};

/// One request and its answer over a relay of its own.
async fn is_served() {
    let mut h = Harness::start();
    h.send("GET / HTTP/1.1\r\nhost: users\r\n\r\n").await;
    let mut endpoint = h.dialled().await;
    let mut head = [0; 64];
    assert!(endpoint.read(&mut head).await.expect("readable") > 0);
    write(&mut endpoint, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    expect(&mut h.client, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    h.relay.abort();
}

#[test]
fn heads_that_do_not_end_are_kept_within_the_limit_and_others_are_served() {
    run(async {
        let memory = Memory::with_room(12 * MEGABYTE);
        let mut held = Vec::new();
        for _ in 0..300 {
            let mut h = Harness::start();
            let fields = format!("x: {}\r\n", "a".repeat(7_000)).repeat(7);
            // Those whose turn it is to end break while they are written to.
            let head = format!("GET / HTTP/1.1\r\nhost: users\r\n{fields}");
            let _ = tokio::time::timeout(Duration::from_millis(20), h.client.write_all(head.as_bytes())).await;
            held.push(h);
            is_served().await;
        }
        memory.kept_its_limit();
        let ended = held.iter().filter(|h| h.relay.is_finished()).count();
        assert!(ended > 100, "only {ended} of 300 connections were ended");
        held.iter().for_each(|h| h.relay.abort());
        drop(held);
        memory.is_given_back().await;
    });
}

#[test]
fn bytes_that_nobody_takes_are_kept_within_the_limit() {
    run(async {
        let memory = Memory::with_room(8 * MEGABYTE);
        let mut held = Vec::new();
        for _ in 0..1_000 {
            let (mut caller, mut near) = duplex(1_024);
            let (mut far, called) = duplex(1_024);
            let relay = spawn_local(async move {
                let relayed = tcp::relay(&mut near, &mut far, Buffer::new(), Buffer::new(), |_, _| {}).await;
                relayed.expect_err("nothing ends it but the limit").kind()
            });
            let write = async { while caller.write_all(&[0; 16_384]).await.is_ok() {} };
            let _ = tokio::time::timeout(Duration::from_millis(1), write).await;
            held.push((caller, called, relay));
        }
        memory.kept_its_limit();
        for (_, _, relay) in held.iter_mut().filter(|(.., relay)| relay.is_finished()) {
            assert_eq!(relay.await.expect("no panic"), std::io::ErrorKind::OutOfMemory);
        }
        assert!(memory.ended.get() > 300, "only {} of 1,000 were ended", memory.ended.get());
        held.iter().for_each(|(.., relay)| relay.abort());
        drop(held);
        memory.is_given_back().await;
    });
}
