//! Heads and trailers that programs read in different ways: refused or mended, and nobody else notices.

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_local;
use weft_proxy::http::{AddedField, Edits};

use crate::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, frame, literals, read_frame};
use crate::harness::{Harness, request, response, rest, run, send, take};

const MALFORMED: &str = "WEFT-P-MALFORMED-REQUEST";

/// A request for `http://a/` with other fields after those of its address, some of which may be replaced.
fn asked(replaced: &[(&'static str, &'static str)], fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut all = vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    for (name, value) in replaced {
        let place = all.iter().position(|(known, _)| known == name).expect("a pseudo-field");
        match *value {
            "absent" => drop(all.remove(place)),
            value => all[place].1 = value,
        }
    }
    all.extend(fields);
    literals(&all)
}

#[test]
fn heads_that_can_be_read_in_two_ways_are_refused_with_a_reason_and_end_no_connection() {
    type Fields = &'static [(&'static str, &'static str)];
    let cases: &[(Fields, Fields)] = &[
        (&[], &[("x", " y")]),
        (&[], &[("x", "y ")]),
        (&[], &[("x", "\ty")]),
        (&[], &[("x", " ")]),
        (&[(":authority", "absent")], &[]),
        (&[(":authority", "absent")], &[("host", "")]),
        (&[(":authority", "absent")], &[("host", "a b")]),
        (&[(":authority", "absent")], &[("host", "\u{fc}")]),
        (&[(":authority", "absent")], &[("host", "a/b")]),
        (&[(":authority", "absent")], &[("host", "me@a")]),
        (&[(":authority", "absent")], &[("host", "a:99999")]),
        (&[(":authority", "a:99999")], &[]),
        (&[(":authority", "a:")], &[]),
        (&[(":authority", "me@a")], &[]),
        (&[], &[("host", "b")]),
        (&[], &[("host", "a"), ("host", "a")]),
        (&[], &[("content-length", "0"), ("content-length", "0")]),
        (&[], &[("content-length", "")]),
        (&[(":path", "?a")], &[]),
        (&[(":path", "*")], &[]),
        (&[(":path", "/\u{e9}")], &[]),
        (&[(":scheme", "ftp")], &[]),
    ];
    run(async {
        let (mut h, client) = Harness::raw();
        let (mut read, mut write) = tokio::io::split(client);
        write.write_all(PREFACE).await.expect("open");
        for (number, (replaced, fields)) in (0..).zip(cases) {
            let stream = 2 * number + 1;
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &asked(replaced, fields));
            write.write_all(&head).await.expect("open");
            loop {
                let frame = read_frame(&mut read).await.expect("open");
                assert!(frame.kind != RST_STREAM && frame.kind != GOAWAY, "{replaced:?} {fields:?}");
                if frame.kind == HEADERS {
                    assert_eq!(frame.stream, stream);
                    break;
                }
            }
            assert_eq!(h.servers.refused.take(), [MALFORMED], "{replaced:?} {fields:?}");
        }
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 1001, &asked(&[], &[("host", "A"), ("x", "y z")]));
        write.write_all(&head).await.expect("open");
        let (taken, mut respond) = take(h.dialled().await).await;
        assert_eq!(taken.headers()["x"], "y z");
        respond.send_response(response(204), true).expect("open");
        assert_eq!(h.outcome().await.status, 204);
    });
}

#[test]
fn a_request_that_names_its_host_in_a_field_alone_is_passed_on_with_authority() {
    run(async {
        let (mut h, mut client) = Harness::raw();
        client.write_all(PREFACE).await.expect("open");
        let head = asked(&[(":authority", "absent"), (":path", "/a?b=c")], &[("host", "users:8080")]);
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
        client.write_all(&head).await.expect("open");
        let (taken, _) = take(h.dialled().await).await;
        assert_eq!(taken.uri(), "http://users:8080/a?b=c");
    });
}

#[test]
fn a_head_beyond_the_limit_is_refused_with_a_reason_on_either_side() {
    run(async {
        let large = HeaderValue::from_maybe_shared(Bytes::from(vec![b'a'; 61 * 1024])).expect("valid");
        let (mut h, mut client) = Harness::start().await;
        let mut asked = request("POST");
        asked.headers_mut().insert("metadata-bin", large.clone());
        let (answer, _) = client.send_request(asked, true).expect("open");
        let answer = answer.await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["weft-error"]),
            (431, &HeaderValue::from_static("WEFT-P-HEAD-TOO-LARGE"))
        );
        assert_eq!(h.servers.refused.take(), ["WEFT-P-HEAD-TOO-LARGE"]);
        let mut asked = request("POST");
        for _ in 0..101 {
            asked.headers_mut().append("x", HeaderValue::from_static("y"));
        }
        let (answer, _) = client.send_request(asked, true).expect("open");
        assert_eq!(answer.await.expect("an answer").status(), 431);

        let (answer, _) = client.send_request(request("POST"), true).expect("open");
        let mut server = h.dialled().await;
        let mut far_too_large = response(200);
        far_too_large.headers_mut().insert("metadata-bin", large.clone());
        let mut too_large = far_too_large.clone();
        far_too_large.headers_mut().insert("more-bin", large);
        too_large.headers_mut().insert("more", HeaderValue::from_static("x"));
        let serving = spawn_local(async move {
            for answer in [too_large, far_too_large] {
                let (_, mut respond) = server.accept().await.expect("a request").expect("open");
                respond.send_response(answer, true).expect("open");
            }
            server.accept().await.is_some()
        });
        let (second, _) = client.send_request(request("POST"), true).expect("open");
        for answer in [answer, second] {
            let answer = answer.await.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["weft-error"]),
                (502, &HeaderValue::from_static("WEFT-P-MALFORMED-RESPONSE"))
            );
        }
        serving.abort();
    });
}

#[test]
fn trailers_that_belong_into_the_head_of_a_request_are_refused_and_nobody_else_notices() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (other, _other) = client.send_request(request("POST"), false).expect("open");
        let mut server = h.dialled().await;
        let (_, mut respond) = server.accept().await.expect("a request").expect("open");
        for (name, value) in [
            ("content-length", "5"),
            ("host", "b"),
            ("authorization", "x"),
            ("cookie", "x"),
            ("weft-client-id", "x"),
            ("weft_client_id", "x"),
            ("x", " y"),
        ] {
            let (answer, mut body) = client.send_request(request("POST"), false).expect("open");
            let (taken, _respond) = server.accept().await.expect("a request").expect("open");
            send(&mut body, b"body", false).await;
            body.send_trailers(HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
            .expect("open");
            let mut taken = taken.into_body();
            let read = tokio::select! { read = rest(&mut taken) => read, _ = server.accept() => panic!("no more requests") };
            assert_eq!(read.expect_err("cut off").reason(), Some(Reason::CANCEL), "{name}");
            let answer = tokio::select! { answer = answer => answer, _ = server.accept() => panic!("no more requests") };
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 400, "{name}");
            assert_eq!(answer.headers()["weft-error"], "WEFT-P-MALFORMED-BODY");
        }
        respond.send_response(response(200), true).expect("open");
        let other = tokio::select! { other = other => other, _ = server.accept() => panic!("no more requests") };
        assert_eq!(other.expect("an answer").status(), 200);
    });
}

#[test]
fn what_an_answer_must_not_say_is_left_out() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (mut answer, _) = client.send_request(request("GET"), true).expect("open");
        let (_, mut respond) = take(h.dialled().await).await;
        let fields = |fields: &[(&'static str, &'static str)]| {
            let pairs = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            pairs.collect::<HeaderMap>()
        };
        let mut early = response(103);
        *early.headers_mut() = fields(&[("weft-error", "x"), ("weft_client_id", "x"), ("link", " </a> ")]);
        respond.send_informational(early).expect("open");
        let mut head = response(200);
        *head.headers_mut() = fields(&[("weft-error", "x"), ("server", "\tme ")]);
        let mut body = respond.send_response(head, false).expect("open");
        let said = [
            ("weft-error", "x"),
            ("content-length", "5"),
            ("set-cookie", "x"),
            ("grpc-message", "gone "),
            ("grpc-status", "5"),
        ];
        body.send_trailers(fields(&said)).expect("open");

        let interim = std::future::poll_fn(|context| answer.poll_informational(context)).await;
        assert_eq!(
            interim.expect("an interim answer").expect("open").headers(),
            &fields(&[("link", "</a>")])
        );
        let mut answer = answer.await.expect("an answer");
        assert_eq!(answer.headers(), &fields(&[("server", "me")]));
        let (_, trailers) = rest(answer.body_mut()).await.expect("whole");
        assert_eq!(
            trailers.expect("trailers"),
            fields(&[("grpc-message", "gone"), ("grpc-status", "5")])
        );
    });
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_refused() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let (answer, _) = client.send_request(request("GET"), true).expect("open");
        let mut server = h.dialled().await;
        let mut twice = response(200);
        twice.headers_mut().append("content-length", HeaderValue::from_static("0"));
        twice.headers_mut().append("content-length", HeaderValue::from_static("0"));
        spawn_local(async move {
            let (_, mut respond) = server.accept().await.expect("a request").expect("open");
            respond.send_response(twice, true).expect("open");
            server.accept().await.is_some()
        });
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.headers()["weft-error"], "WEFT-P-MALFORMED-RESPONSE");
    });
}

#[test]
fn fields_of_answers_are_dropped_and_added() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let fields = |all: &[(&'static str, &'static str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in all {
                fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            fields
        };
        let edits = Edits {
            drop: &["server"],
            add: ["1", "2"].into_iter().filter_map(|value| AddedField::new("x-a", value)).collect(),
            ..Edits::default()
        };
        h.servers.response_edits.set(edits).expect("for the first time");
        let (answer, _) = client.send_request(request("GET"), true).expect("open");
        let (_, mut respond) = take(h.dialled().await).await;
        let mut head = response(200);
        *head.headers_mut() = fields(&[("server", "me"), ("x-a", "0")]);
        respond.send_response(head, true).expect("open");
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.headers(), &fields(&[("x-a", "0"), ("x-a", "1"), ("x-a", "2")]));
    });
}
