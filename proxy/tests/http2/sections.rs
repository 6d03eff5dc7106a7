//! What h2 drops without a word from heads and trailers: refused, and nobody else notices.

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::frames::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, frame, literals, read_frame};
use crate::harness::{Harness, request, response, rest, run, take};

const ACK: u8 = 1;
/// `:method: GET`, `:scheme: http`, `:authority: a` in HPACK.
const START: &[u8] = b"\x82\x86\x01\x01a";

/// The next frame of a stream, or the one that ends the connection.
async fn of_stream(read: &mut (impl AsyncReadExt + Unpin)) -> Frame {
    loop {
        let frame = read_frame(read).await.expect("open");
        if frame.kind == GOAWAY || frame.stream > 0 && [DATA, HEADERS, RST_STREAM].contains(&frame.kind) {
            return frame;
        }
    }
}

fn reason(frame: &Frame) -> Reason {
    Reason::from(u32::from_be_bytes(frame.payload[..4].try_into().expect("a reset")))
}

#[test]
fn a_path_with_a_fragment_is_refused_however_it_is_written() {
    let ways: &[&[u8]] = &[
        b"\x04\x04/#ab",
        b"\x04\x02#a",
        b"\x14\x05/a?#b",
        b"\x00\x05:path\x04/a#b",
        // Into the table, coded, and out of it again.
        b"\x44\x83\x63\xfe\xbf",
        b"\xbe",
    ];
    run(async {
        let (mut h, client) = Harness::raw();
        let (mut read, mut write) = tokio::io::split(client);
        write.write_all(PREFACE).await.expect("open");
        // One that waits for its answer meanwhile.
        let other = [START, b"\x84"].concat();
        write
            .write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &other))
            .await
            .expect("open");
        let (_, mut respond) = take(h.dialled().await).await;
        for (number, way) in (1..).zip(ways) {
            let stream = 2 * number + 1;
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &[START, way].concat());
            write.write_all(&head).await.expect("open");
            let answer = of_stream(&mut read).await;
            assert_eq!((answer.kind, answer.stream), (HEADERS, stream), "{way:?}");
            assert_eq!(h.servers.refused.take(), ["WEFT-P-MALFORMED-REQUEST"], "{way:?}");
            while of_stream(&mut read).await.kind != DATA {}
        }
        respond.send_response(response(204), true).expect("open");
        let answer = of_stream(&mut read).await;
        assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
        assert_eq!(h.outcome().await.status, 204);
    });
}

#[test]
fn a_request_with_a_pseudo_field_in_its_trailers_is_reset_and_never_whole() {
    run(async {
        let path = literals(&[(":path", "/other")]);
        for (trailers, is_cut) in [
            (&path[..], false),
            (&path, true),
            (b"\x88", false),
            (b"\x00\x84\xb9\x58\xd3\x3f\x01/", true),
        ] {
            let (mut h, client) = Harness::raw();
            let (mut read, mut write) = tokio::io::split(client);
            write.write_all(PREFACE).await.expect("open");
            let head = [START, b"\x84"].concat();
            let whole = [
                frame(HEADERS, END_HEADERS, 1, &head),
                frame(DATA, 0, 1, b"body"),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
            ]
            .concat();
            for piece in whole.chunks(if is_cut { 1 } else { whole.len() }) {
                write.write_all(piece).await.expect("open");
                tokio::task::yield_now().await;
            }
            let (taken, _respond) = take(h.dialled().await).await;
            let failed = rest(&mut taken.into_body()).await.expect_err("cut off");
            assert_eq!(failed.reason(), Some(Reason::CANCEL));
            let reset = of_stream(&mut read).await;
            assert_eq!((reset.kind, reset.stream), (RST_STREAM, 1));
            assert_eq!(reason(&reset), Reason::PROTOCOL_ERROR);
            assert_eq!(h.outcome().await.error, Some("WEFT-P-MALFORMED-BODY"));
            let next = frame(HEADERS, END_HEADERS | END_STREAM, 3, &[START, b"\x05\x01*"].concat());
            write.write_all(&next).await.expect("open");
            assert_eq!(of_stream(&mut read).await.stream, 3, "the connection goes on");
        }
    });
}

/// A server's end of a connection, up to the next request.
async fn asked(server: &mut DuplexStream) -> u32 {
    loop {
        let next = read_frame(server).await.expect("open");
        match next.kind {
            HEADERS => return next.stream,
            PING if next.payload.len() == 8 => server.write_all(&frame(PING, ACK, 0, &next.payload)).await.expect("open"),
            _ => {}
        }
    }
}

#[test]
fn an_answer_with_a_pseudo_field_in_its_trailers_is_broken_off_and_others_are_whole() {
    run(async {
        let (mut h, mut client) = Harness::start().await;
        let mut answer = client.send_request(request("GET"), true).expect("open").0;
        let mut server = h.dialled_raw().await;
        server.read_exact(&mut [0; 24]).await.expect("a client");
        server.write_all(&PREFACE[24..]).await.expect("open");
        let head = |stream, flags, block: &[u8]| frame(HEADERS, END_HEADERS | flags, stream, block);
        for (trailers, is_whole) in [
            (&b"\x88"[..], false),
            (b"\x00\x01x\x01y", true),
            (b"\x00\x07:status\x03200", false),
            (b"\x04\x01/", false),
        ] {
            let stream = asked(&mut server).await;
            let written = [
                head(stream, 0, b"\x08\x03103"),
                head(stream, 0, b"\x88"),
                frame(DATA, 0, stream, b"body"),
                head(stream, END_STREAM, trailers),
            ];
            server.write_all(&written.concat()).await.expect("open");
            let read = match answer.await {
                Ok(head) => rest(&mut head.into_body()).await,
                Err(failed) => Err(failed),
            };
            assert_eq!(read.is_ok(), is_whole, "{trailers:?}");
            if let Err(failed) = read {
                assert_eq!(failed.reason(), Some(Reason::INTERNAL_ERROR));
            }
            let outcome = h.servers.finished.take()[0];
            assert_eq!(outcome.error, (!is_whole).then_some("WEFT-P-MALFORMED-RESPONSE"));
            // A head alone is no trailers.
            answer = client.send_request(request("GET"), true).expect("open").0;
            let stream = asked(&mut server).await;
            let written = [head(stream, 0, b"\x08\x03103"), head(stream, END_STREAM, b"\x89")];
            server.write_all(&written.concat()).await.expect("open");
            assert_eq!(answer.await.expect("an answer").status(), 204);
            answer = client.send_request(request("GET"), true).expect("open").0;
            h.servers.finished.take();
        }
    });
}
