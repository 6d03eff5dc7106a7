//! Streams on which nothing is said for long.

use std::time::Duration;

use crate::harness::{Harness, request, response, run, send, take};

#[test]
fn a_stream_with_a_message_a_day_lives_on() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut ours) = client.send_request(request("POST"), false).expect("open");
        let (taken, mut respond) = take(h.dialled().await).await;
        let mut theirs = respond.send_response(response(200), false).expect("open");
        let mut down = answer.await.expect("an answer").into_body();
        let mut up = taken.into_body();
        for _ in 0..7 {
            tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
            send(&mut ours, b"ping", false).await;
            assert_eq!(up.data().await.expect("open").expect("open"), "ping");
            send(&mut theirs, b"pong", false).await;
            assert_eq!(down.data().await.expect("open").expect("open"), "pong");
        }
        assert!(h.servers.finished.borrow().is_empty());
    });
}
