//! Requests that a server took no notice of.

use h2::Reason;
use http::HeaderMap;
use tokio::task::spawn_local;

use crate::harness::{Harness, request, response, rest, run, send, take};

#[test]
fn a_request_that_was_refused_after_its_body_is_sent_again_whole() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut body) = client.send_request(request("POST"), false).expect("open");
        let mut server = h.dialled().await;
        spawn_local(async move {
            let (taken, mut refuse) = server.accept().await.expect("a request").expect("open");
            let mut body = taken.into_body();
            let reading = rest(&mut body);
            let (read, _) = tokio::select! { read = reading => read.expect("whole"), _ = server.accept() => panic!("one request") };
            assert_eq!(read.len(), 20_000);
            refuse.send_reset(Reason::REFUSED_STREAM);
            let (taken, mut respond) = take(server).await;
            let (read, trailers) = rest(&mut taken.into_body()).await.expect("whole");
            let mut stream = respond.send_response(response(200), false).expect("open");
            let sum = format!("{} {}", read.len(), trailers.expect("trailers")["sum"].to_str().expect("text"));
            send(&mut stream, sum.as_bytes(), true).await;
        });
        send(&mut body, &[7; 20_000], false).await;
        body.send_trailers(HeaderMap::from_iter([(
            "sum".parse().expect("a name"),
            "9".parse().expect("a value"),
        )]))
        .expect("open");
        let mut answer = answer.await.expect("an answer").into_body();
        assert_eq!(rest(&mut answer).await.expect("whole").0, b"20000 9");
        let outcome = h.outcome().await;
        assert_eq!((outcome.status, outcome.request_bytes, outcome.error), (200, 20_000, None));
    });
}

#[test]
fn the_client_is_told_to_send_a_long_body_again_itself() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, mut body) = client.send_request(request("POST"), false).expect("open");
        let server = h.dialled().await;
        spawn_local(async move {
            let (taken, mut refuse) = take(server).await;
            let mut body = taken.into_body();
            let mut read = 0;
            while read <= 64 * 1024 {
                let chunk = body.data().await.expect("more").expect("open");
                read += chunk.len();
                body.flow_control().release_capacity(chunk.len()).expect("received");
            }
            refuse.send_reset(Reason::REFUSED_STREAM);
        });
        send(&mut body, &[7; 100_000], false).await;
        let error = answer.await.expect_err("refused");
        assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    });
}

#[test]
fn a_kept_connection_that_ends_without_a_word_costs_no_request_that_may_be_sent_twice() {
    run(async {
        for (method, expected) in [("GET", 200), ("POST", 502)] {
            let (mut h, mut client) = Harness::start().await;
            let (first, _) = client.send_request(request("GET"), true).expect("open");
            let mut server = h.dialled().await;
            let (_, mut respond) = server.accept().await.expect("a request").expect("open");
            respond.send_response(response(204), true).expect("open");
            let serving = async {
                // Takes the second request, and is gone.
                drop(server.accept().await);
                drop(server);
            };
            let asking = async {
                assert_eq!(first.await.expect("an answer").status(), 204);
                client.send_request(request(method), true).expect("open")
            };
            let ((second, _), ()) = tokio::join!(asking, serving);
            if expected == 200 {
                let (_, mut respond) = take(h.dialled().await).await;
                respond.send_response(response(200), true).expect("open");
            }
            assert_eq!(second.await.expect("an answer").status(), expected, "{method}");
        }
    });
}

#[test]
fn a_connection_that_ended_while_it_was_idle_costs_no_request() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (first, _) = client.send_request(request("GET"), true).expect("open");
        let mut server = h.dialled().await;
        let (_, mut respond) = server.accept().await.expect("a request").expect("open");
        respond.send_response(response(204), true).expect("open");
        let first = tokio::select! { first = first => first, _ = server.accept() => panic!("one request") };
        assert_eq!(first.expect("an answer").status(), 204);
        drop(server);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let (second, _) = client.send_request(request("POST"), true).expect("open");
        let (_, mut respond) = take(h.dialled().await).await;
        respond.send_response(response(200), true).expect("open");
        assert_eq!(second.await.expect("an answer").status(), 200);
    });
}
