//! Bodies in both directions: framing passes as it came, and where a body ends the next message begins.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use weft_proxy::http::Outcome;

use crate::harness::{Harness, expect, rest, run, write};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn chunks_and_trailers_pass_verbatim_and_only_payload_is_counted() {
    run(async {
        let mut h = Harness::start();
        let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nx-sum: 1\r\n\r\n";
        let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n";
        for _ in 0..2 {
            h.send(request).await;
        }
        let mut endpoint = h.dialled().await;
        for _ in 0..2 {
            expect(&mut endpoint, request).await;
            write(&mut endpoint, response).await;
            expect(&mut h.client, response).await;
        }
        let counted = Outcome {
            status: 200,
            request_bytes: 6,
            response_bytes: 10,
            attempts: 1,
            ..Outcome::default()
        };
        assert_eq!(h.finished(), [counted; 2]);
    });
}

#[test]
fn bodies_stream_before_they_are_complete() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        write(&mut endpoint, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nAB").await;
        expect(&mut h.client, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nAB").await;
        h.send("cd").await;
        expect(&mut endpoint, "cd").await;
        write(&mut endpoint, "CD").await;
        expect(&mut h.client, "CD").await;
        assert_eq!(h.endpoints.idle.borrow().len(), 1);
    });
}

#[test]
fn large_bodies_pass_whole_however_slowly_they_are_read() {
    run(async {
        let mut h = Harness::start();
        let body: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        h.send(format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()))
            .await;
        let mut endpoint = h.dialled().await;
        expect(
            &mut endpoint,
            format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()),
        )
        .await;
        let (mut client_read, mut client_write) = tokio::io::split(&mut h.client);
        let (mut endpoint_read, mut endpoint_write) = tokio::io::split(&mut endpoint);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), &body].concat();
        tokio::join!(
            write(&mut client_write, &body),
            expect(&mut endpoint_read, &body),
            write(&mut endpoint_write, &answer),
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                expect(&mut client_read, &answer).await;
            }
        );
        let counted = Outcome {
            status: 200,
            request_bytes: 1_000_000,
            response_bytes: 1_000_000,
            attempts: 1,
            ..Outcome::default()
        };
        while h.finished().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(h.finished(), [counted]);
    });
}

#[test]
fn a_slow_reader_stops_the_endpoint() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
        let endless = endpoint.write_all(&[b'x'; 1_000_000]);
        let stopped = tokio::time::timeout(Duration::from_secs(5), endless).await;
        assert!(stopped.is_err(), "nobody reads, so not all can be written");
    });
}

#[test]
fn answers_without_a_body_leave_the_connection_for_the_next() {
    run(async {
        let mut h = Harness::start();
        let cases = [
            (
                "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n",
            ),
            (
                "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (GET, "HTTP/1.1 204 No Content\r\n\r\n"),
            (GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n"),
            (GET, OK),
        ];
        h.send(cases[0].0).await;
        let mut endpoint = h.dialled().await;
        for (i, (request, response)) in cases.into_iter().enumerate() {
            if i > 0 {
                h.send(request).await;
            }
            expect(&mut endpoint, request).await;
            write(&mut endpoint, response).await;
            expect(&mut h.client, response).await;
        }
    });
}

#[test]
fn an_answer_that_ends_with_the_connection_ends_both() {
    run(async {
        let mut h = Harness::start();
        h.send(GET).await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, "HTTP/1.0 200 OK\r\nServer: SimpleHTTP\r\n\r\nuntil the end").await;
        drop(endpoint);
        assert_eq!(
            rest(&mut h.client).await,
            "HTTP/1.1 200 OK\r\nServer: SimpleHTTP\r\nconnection: close\r\n\r\nuntil the end"
        );
        assert_eq!(
            h.outcome().await,
            Outcome {
                status: 200,
                response_bytes: 13,
                attempts: 1,
                ..Outcome::default()
            }
        );
    });
}

#[test]
fn informational_answers_pass_before_the_real_one() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
        expect(
            &mut endpoint,
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await;
        write(
            &mut endpoint,
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        )
        .await;
        expect(
            &mut h.client,
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        )
        .await;
        h.send("ab").await;
        expect(&mut endpoint, "ab").await;
        assert!(h.endpoints.answered.borrow().is_empty(), "they are not the answer");
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
        assert_eq!(*h.endpoints.answered.borrow(), [1]);
        h.send(GET).await;
        expect(&mut endpoint, GET).await;
    });
}

#[test]
fn informational_answers_do_not_reach_clients_of_http_1_0() {
    run(async {
        let mut h = Harness::start();
        h.send("GET / HTTP/1.0\r\n\r\n").await;
        let mut endpoint = h.dialled().await;
        write(
            &mut endpoint,
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        assert_eq!(
            rest(&mut h.client).await,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
        );
    });
}

#[test]
fn a_client_that_was_refused_before_it_was_told_to_go_on_is_disconnected() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
        write(
            &mut endpoint,
            "HTTP/1.1 417 Expectation Failed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        drop(endpoint);
        assert_eq!(
            rest(&mut h.client).await,
            "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    });
}

#[test]
fn an_answer_during_the_upload_passes_and_the_connection_ends_when_the_endpoint_stops_reading() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbegin").await;
        let mut endpoint = h.dialled().await;
        write(
            &mut endpoint,
            "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        drop(endpoint);
        let (mut reader, mut writer) = tokio::io::split(&mut h.client);
        // The client goes on for a while, and still gets the answer.
        let uploading = async {
            while writer.write_all(&[b'x'; 1000]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let answered = async { rest(&mut reader).await };
        let (answer, ()) = tokio::join!(answered, async {
            drop(tokio::time::timeout(Duration::from_secs(10), uploading).await)
        });
        assert_eq!(answer, "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
        let counted = h.outcome().await;
        assert_eq!((counted.status, counted.error), (413, None));
    });
}

#[test]
fn an_answer_during_the_upload_does_not_end_it_when_the_endpoint_reads_on() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        let mut endpoint = h.dialled().await;
        expect(&mut endpoint, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
        h.send(format!("cd{GET}")).await;
        expect(&mut endpoint, format!("cd{GET}")).await;
    });
}

#[test]
fn a_client_that_holds_its_body_back_is_not_waited_for_once_it_has_its_answer() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            .await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
        // The server keeps its connection and the client waits for the end that it was told of.
        assert_eq!(
            rest(&mut h.client).await,
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        assert!(h.endpoints.idle.borrow().is_empty());
        assert_eq!(h.outcome().await.status, 401);
    });
}

#[test]
fn a_client_that_did_not_wait_to_be_told_sends_its_body_to_the_end() {
    run(async {
        let mut h = Harness::start();
        h.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nab")
            .await;
        let mut endpoint = h.dialled().await;
        write(&mut endpoint, OK).await;
        expect(&mut h.client, OK).await;
        h.send(format!("cd{GET}")).await;
        let body = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nabcd";
        expect(&mut endpoint, format!("{body}{GET}")).await;
    });
}

#[test]
fn what_an_answer_without_a_body_says_of_one_is_not_passed_on() {
    run(async {
        for (head, passed, reused) in [
            ("204 No Content\r\ntransfer-encoding: chunked\r\n", "204 No Content\r\n", false),
            ("204 No Content\r\ncontent-length: 5\r\n", "204 No Content\r\n", false),
            ("204 No Content\r\ncontent-length: 0\r\n", "204 No Content\r\n", true),
            ("304 Not Modified\r\ntransfer-encoding: chunked\r\n", "304 Not Modified\r\n", false),
            (
                "304 Not Modified\r\ncontent-length: 5\r\n",
                "304 Not Modified\r\ncontent-length: 5\r\n",
                true,
            ),
            (
                "103 Early Hints\r\ncontent-length: 5\r\nx: y\r\n\r\nHTTP/1.1 204 No Content\r\n",
                "103 Early Hints\r\nx: y\r\n\r\nHTTP/1.1 204 No Content\r\n",
                true,
            ),
        ] {
            let mut h = Harness::start();
            h.send(GET).await;
            let mut endpoint = h.dialled().await;
            write(&mut endpoint, format!("HTTP/1.1 {head}\r\n")).await;
            expect(&mut h.client, format!("HTTP/1.1 {passed}\r\n")).await;
            if reused {
                h.send(GET).await;
                expect(&mut endpoint, format!("{GET}{GET}")).await;
                continue;
            }
            // Some programs send the last chunk nevertheless, later.
            expect(&mut endpoint, GET).await;
            assert_eq!(rest(&mut endpoint).await, "");
            h.send(GET).await;
            let mut endpoint = h.dialled().await;
            expect(&mut endpoint, GET).await;
            write(&mut endpoint, OK).await;
            expect(&mut h.client, OK).await;
        }
    });
}

#[test]
fn hosts_lengths_and_codings_leave_as_every_program_reads_them() {
    run(async {
        for (sent, passed) in [
            (
                "Host: a\r\nTransfer-Encoding: chunked \r\n",
                "host: a\r\ntransfer-encoding: chunked\r\n",
            ),
            ("Host:\ta\r\ncontent-length: 0\r\n", "host: a\r\ncontent-length: 0\r\n"),
            ("Host:  a\r\n", "host: a\r\n"),
            (
                "Host: a\r\nContent-Length: 00\r\nx:  y \r\n",
                "x:  y \r\nhost: a\r\ncontent-length: 0\r\n",
            ),
            ("Host:a\r\nContent-Length:0\r\n", "Host:a\r\nContent-Length:0\r\n"),
            ("Host: a\r\nContent_Length: 3\r\nTransfer.Encoding: chunked\r\n", "Host: a\r\n"),
        ] {
            let mut h = Harness::start();
            h.send(format!("POST / HTTP/1.1\r\n{sent}\r\n")).await;
            expect(&mut h.dialled().await, format!("POST / HTTP/1.1\r\n{passed}\r\n")).await;
        }
        for (sent, passed) in [
            ("Content-Length: 00 \r\n", "content-length: 0\r\n"),
            ("Transfer-Encoding: chunked\t\r\n", "transfer-encoding: chunked\r\n"),
        ] {
            let mut h = Harness::start();
            h.send(GET).await;
            write(&mut h.dialled().await, format!("HTTP/1.1 200 OK\r\n{sent}\r\n")).await;
            expect(&mut h.client, format!("HTTP/1.1 200 OK\r\n{passed}\r\n")).await;
        }
    });
}
