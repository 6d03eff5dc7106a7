//! Clients that mean harm, frame by frame.

use h2::Reason;
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::frames::{
    CONTINUATION, DATA, GOAWAY, HEAD, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, literals, read_frame,
};
use crate::harness::{Harness, request, run};

/// The reason in the GOAWAY that the proxy ends with, once it has closed the connection under `flood`; None when it did not within `limit` writes.
async fn ends_with(flood: impl Fn(u32) -> Vec<u8>, limit: u32) -> Option<Reason> {
    let (_h, client) = Harness::raw();
    let (mut read, mut write) = tokio::io::split(client);
    let writing = async {
        write.write_all(PREFACE).await.ok()?;
        for number in 0..limit {
            if write.write_all(&flood(number)).await.is_err() {
                return None;
            }
        }
        Some(())
    };
    let reading = last_goaway(&mut read);
    tokio::pin!(reading);
    tokio::select! {
        biased;
        reason = &mut reading => reason,
        Some(()) = writing => None,
    }
}

async fn last_goaway(read: &mut tokio::io::ReadHalf<DuplexStream>) -> Option<Reason> {
    let mut last = None;
    while let Some(frame) = read_frame(read).await {
        if frame.kind == GOAWAY {
            last = Some(Reason::from(u32::from_be_bytes(frame.payload[4..8].try_into().ok()?)));
        }
    }
    last
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    run(async {
        let flood = |number| match number {
            0 => frame(HEADERS, 0, 1, HEAD),
            _ => frame(CONTINUATION, 0, 1, &b"\x00\x01x\x01y".repeat(200)),
        };
        let reason = ends_with(flood, 10_000).await;
        assert!(
            matches!(reason, Some(Reason::ENHANCE_YOUR_CALM | Reason::COMPRESSION_ERROR)),
            "{reason:?}"
        );
        let empty = |number| match number {
            0 => frame(HEADERS, 0, 1, HEAD),
            _ => frame(CONTINUATION, 0, 1, b""),
        };
        assert_eq!(ends_with(empty, 10_000).await, Some(Reason::ENHANCE_YOUR_CALM));
    });
}

#[test]
fn empty_data_without_end_is_cut_off() {
    run(async {
        let flood = |number| match number {
            0 => frame(HEADERS, 4, 1, HEAD),
            _ => frame(DATA, 0, 1, b""),
        };
        assert_eq!(ends_with(flood, 10_000).await, Some(Reason::ENHANCE_YOUR_CALM));
    });
}

#[test]
fn pings_and_settings_that_nobody_reads_the_answers_to_are_read_no_further() {
    run(async {
        for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])] {
            let (_h, mut client) = Harness::raw();
            client.write_all(PREFACE).await.expect("open");
            // The answers fill what the connection holds; then the proxy waits, and so does the client.
            let mut sent = 0;
            while let Ok(written) = tokio::time::timeout(std::time::Duration::from_secs(60), client.write_all(&flood)).await {
                written.expect("open");
                sent += flood.len();
                assert!(sent < 1_000_000, "answers pile up");
            }
        }
    });
}

#[test]
fn a_client_that_resets_most_requests_at_once_is_turned_away() {
    run(async {
        let (mut h, client) = Harness::raw();
        let servers = h.servers.clone();
        let serving = tokio::task::spawn_local(async move {
            let mut server = h.dialled().await;
            let mut taken = 0;
            while let Some(Ok(_)) = server.accept().await {
                taken += 1;
            }
            taken
        });
        let (mut read, mut write) = tokio::io::split(client);
        write.write_all(PREFACE).await.expect("open");
        let writing = async {
            for number in 0..5_000 {
                let stream = 2 * number + 1;
                let mut begun = frame(HEADERS, 5, stream, HEAD);
                begun.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                if write.write_all(&begun).await.is_err() {
                    break;
                }
            }
        };
        let reading = last_goaway(&mut read);
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => {}
            () = writing => {}
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        serving.abort();
        let begun = servers.finished.borrow().len();
        assert!(begun <= 501, "{begun} requests were begun");
    });
}

#[test]
fn a_client_that_makes_the_sidecar_reset_its_requests_is_turned_away_and_ended_however_it_does() {
    fn with_length() -> Vec<u8> {
        [HEAD, &literals(&[("content-length", "3")])].concat()
    }
    type Way = fn(u32) -> Vec<u8>;
    let ways: [(&str, Way); 5] = [
        ("a window that overflows", |stream| {
            [
                frame(HEADERS, 5, stream, HEAD),
                frame(WINDOW_UPDATE, 0, stream, &[0x7f, 255, 255, 255]),
            ]
            .concat()
        }),
        ("a stream that depends on itself", |stream| {
            let itself = [&stream.to_be_bytes()[..], &[0]].concat();
            [frame(HEADERS, 5, stream, HEAD), frame(PRIORITY, 0, stream, &itself)].concat()
        }),
        ("more than the length says", |stream| {
            [frame(HEADERS, 4, stream, &with_length()), frame(DATA, 0, stream, b"more")].concat()
        }),
        ("less than the length says", |stream| {
            [frame(HEADERS, 4, stream, &with_length()), frame(DATA, 1, stream, b"")].concat()
        }),
        ("a head that HTTP/2 does not know", |stream| {
            frame(HEADERS, 5, stream, &literals(&[(":method", "GET"), (":path", "/")]))
        }),
    ];
    for (what, way) in ways {
        run(async {
            let (mut h, client) = Harness::raw();
            let servers = h.servers.clone();
            let serving = tokio::task::spawn_local(async move {
                let mut server = h.dialled().await;
                while let Some(Ok(_)) = server.accept().await {}
            });
            let (mut read, mut write) = tokio::io::split(client);
            write.write_all(PREFACE).await.expect("open");
            let writing = async {
                for number in 0..5_000 {
                    if write.write_all(&way(2 * number + 1)).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                std::future::pending::<()>().await;
            };
            let reading = last_goaway(&mut read);
            let reason = tokio::select! {
                reason = reading => reason,
                () = writing => None,
            };
            serving.abort();
            assert_eq!(reason, Some(Reason::ENHANCE_YOUR_CALM), "{what}");
            let refused = servers.refused.borrow();
            let resets = refused.iter().filter(|code| **code == "WEFT-P-MALFORMED-REQUEST").count();
            assert!((21..200).contains(&resets), "{what}: {resets} are told of");
            assert!(refused.contains(&"WEFT-P-RESET-FLOOD"), "{what}");
            let begun = servers.finished.borrow().len();
            assert!(begun < 200, "{what}: {begun} requests were begun");
        });
    }
}

#[test]
fn a_connection_that_breaks_the_protocol_is_told_of() {
    run(async {
        let (h, mut client) = Harness::raw();
        client.write_all(PREFACE).await.expect("open");
        client.write_all(&frame(HEADERS, 4, 1, HEAD)).await.expect("open");
        client.write_all(&frame(WINDOW_UPDATE, 0, 1, &[0; 4])).await.expect("open");
        assert_eq!(last_goaway(&mut tokio::io::split(client).0).await, Some(Reason::PROTOCOL_ERROR));
        assert_eq!(h.servers.refused.take(), ["WEFT-P-MALFORMED-REQUEST"]);
    });
}

#[test]
fn a_client_that_cancels_now_and_then_is_not() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let serving = tokio::task::spawn_local(async move {
            loop {
                let mut server = h.dialled().await;
                tokio::task::spawn_local(async move {
                    while let Some(Ok((_, mut respond))) = server.accept().await {
                        drop(respond.send_response(crate::harness::response(200), true));
                    }
                });
            }
        });
        for number in 0..2_000 {
            client = client.ready().await.expect("open");
            let (answer, mut out) = client.send_request(request("POST"), false).expect("open");
            if number % 3 == 0 {
                out.send_reset(Reason::CANCEL);
            } else {
                assert_eq!(answer.await.expect("an answer").status(), 200);
            }
        }
        serving.abort();
    });
}

/// The answer to a client whose server says so many interim heads, a pause apart, before its answer.
async fn after_interims(count: u32, pause: std::time::Duration) -> Result<http::StatusCode, h2::Error> {
    let (mut h, mut client) = Harness::start().await;
    let (answer, _) = client.send_request(request("GET"), true).expect("open");
    let (_taken, mut respond) = crate::harness::take(h.dialled().await).await;
    tokio::task::spawn_local(async move {
        for _ in 0..count {
            if respond.send_informational(crate::harness::response(103)).is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        // The proxy may have ended the stream.
        let _ = respond.send_response(crate::harness::response(200), true);
    });
    answer.await.map(|answer| answer.status())
}

#[test]
fn interim_heads_without_end_end_the_request_and_now_and_then_they_pass() {
    run(async {
        let (millisecond, second) = (std::time::Duration::from_millis(1), std::time::Duration::from_secs(1));
        assert_eq!(after_interims(60, millisecond).await.expect("an answer"), 200);
        assert_eq!(after_interims(300, 2 * second).await.expect("an answer"), 200);
        assert_eq!(after_interims(300, millisecond).await.expect("an answer"), 502);
    });
}
