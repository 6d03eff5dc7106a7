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

fn post(length: usize) -> http::Request<()> {
    let mut post = request("POST");
    post.headers_mut().insert("content-length", length.into());
    post
}

#[test]
fn a_body_whose_length_was_said_may_come_slowly_and_its_answer_late_but_it_must_go_on() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut ours) = client.send_request(post(20), false).expect("open");
        let (taken, mut respond) = take(h.dialled().await).await;
        let mut up = taken.into_body();
        for _ in 0..19 {
            tokio::time::sleep(Duration::from_secs(55)).await;
            send(&mut ours, b"x", false).await;
            assert_eq!(up.data().await.expect("open").expect("open"), "x");
        }
        send(&mut ours, b"x", true).await;
        assert_eq!(up.data().await.expect("open").expect("open"), "x");
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        respond.send_response(response(200), true).expect("open");
        assert_eq!(answer.await.expect("an answer").status(), 200);
    });
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut ours) = client.send_request(post(20), false).expect("open");
        let (_taken, _respond) = take(h.dialled().await).await;
        send(&mut ours, b"x", false).await;
        let start = tokio::time::Instant::now();
        let answer = answer.await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["weft-error"]),
            (408, &"WEFT-P-BODY-TIMEOUT".parse().unwrap())
        );
        assert!((60..=90).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}
