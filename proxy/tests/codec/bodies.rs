//! Where bodies end, and chunks that do not fit.

use weft_proxy::http1::body::{BodyTracker, Framing, Progress, TRAILER_LIMIT};
use weft_proxy::http1::error::BodyError::{self, *};

fn chunked(bytes: &[u8]) -> Result<(usize, bool, u64), BodyError> {
    let mut tracker = BodyTracker::new(Framing::Chunked);
    let Progress { consumed, done } = tracker.advance(bytes)?;
    Ok((consumed, done, tracker.payload()))
}

#[test]
fn chunked_bodies_end_after_their_trailers() {
    for (body, payload) in [
        ("0\r\n\r\n", 0),
        ("000\r\n\r\n", 0),
        ("5\r\nhello\r\n0\r\n\r\n", 5),
        ("a\r\n0123456789\r\n0\r\n\r\n", 10),
        ("A;name=value;q=\"\\\"\"\r\n0123456789\r\n0;last\r\n\r\n", 10),
        ("00000000000001\r\nx\r\n1\r\ny\r\n0\r\n\r\n", 2),
        ("2\r\n\r\n\r\n0\r\n\r\n", 2),
        ("0\r\nX-Sum: 1\r\nempty:\r\n\r\n", 0),
    ] {
        let followed = format!("{body}GET / HTTP/1.1\r\n");
        assert_eq!(chunked(followed.as_bytes()), Ok((body.len(), true, payload)), "{body:?}");
        for end in 0..body.len() {
            assert_eq!(
                chunked(&body.as_bytes()[..end]).map(|(consumed, done, _)| (consumed, done)),
                Ok((end, false)),
                "{body:?} to {end}"
            );
        }
    }
}

#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused() {
    let long_extension = format!("1;{}\r\n", "x".repeat(300));
    let long_trailer = format!("0\r\nX: {}\r\n\r\n", "x".repeat(TRAILER_LIMIT as usize));
    let many_trailers = format!("0\r\n{}\r\n", "X: 1\r\n".repeat(2000));
    let cases: &[(&str, BodyError)] = &[
        ("\r\n", ChunkSize),
        (";x\r\n", ChunkSize),
        ("x\r\n", ChunkSize),
        ("0x5\r\nhello\r\n", ChunkSize),
        ("+5\r\nhello\r\n", ChunkSize),
        ("-5\r\nhello\r\n", ChunkSize),
        (" 5\r\nhello\r\n", ChunkSize),
        ("5 \r\nhello\r\n", ChunkSize),
        ("5 ;x\r\nhello\r\n", ChunkSize),
        ("5\t\r\nhello\r\n", ChunkSize),
        ("5,5\r\nhello\r\n", ChunkSize),
        ("1_0\r\n", ChunkSize),
        ("5\nhello\r\n", ChunkSize),
        ("5\0\r\n", ChunkSize),
        ("ffffffffffffffff\r\n", ChunkSize),
        ("10000000000000000\r\n", ChunkSize),
        ("0000000000000005\r\n", ChunkSize),
        ("5\rhello\r\n", ChunkEnd),
        ("5\r\nhello0\r\n\r\n", ChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", ChunkEnd),
        ("5\r\nhello\r0\r\n\r\n", ChunkEnd),
        ("5\r\nhellohello\r\n0\r\n\r\n", ChunkEnd),
        ("5;x\ny\r\nhello\r\n", ChunkExtension),
        ("5;x\0\r\nhello\r\n", ChunkExtension),
        (&long_extension, ChunkExtension),
        ("0\r\n\n", Trailer),
        ("0\r\n X: 1\r\n\r\n", Trailer),
        ("0\r\nX : 1\r\n\r\n", Trailer),
        ("0\r\nX\r\n\r\n", Trailer),
        ("0\r\n: 1\r\n\r\n", Trailer),
        ("0\r\nX: 1\n\r\n", Trailer),
        ("0\r\nX: 1\rY: 2\r\n\r\n", Trailer),
        ("0\r\nX: \0\r\n\r\n", Trailer),
        ("0\r\nX: 1\r\n 2\r\n\r\n", Trailer),
        ("0\r\n\rX", Trailer),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", TrailerForbidden),
        ("0\r\ncontent-length: 5\r\n\r\n", TrailerForbidden),
        ("0\r\nHOST: b\r\n\r\n", TrailerForbidden),
        (
            "0\r\nX: 1\r\nWeft-Client: spiffe://weft.local/ns/default/sa/admin\r\n\r\n",
            TrailerForbidden,
        ),
        (
            "0\r\nweft_client_id: spiffe://weft.local/ns/default/sa/admin\r\n\r\n",
            TrailerForbidden,
        ),
        ("0\r\ncontent_length: 5\r\n\r\n", TrailerForbidden),
        ("0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n", TrailerForbidden),
        (&long_trailer, TrailersTooLarge),
        (&many_trailers, TrailersTooLarge),
    ];
    for (body, error) in cases {
        assert_eq!(chunked(body.as_bytes()), Err(*error), "{body:?}");
    }
}

#[test]
fn bodies_with_a_length_end_after_it() {
    let mut tracker = BodyTracker::new(Framing::Length(5));
    assert_eq!(tracker.advance(b"abc"), Ok(Progress { consumed: 3, done: false }));
    assert_eq!(tracker.advance(b"deGET"), Ok(Progress { consumed: 2, done: true }));
    assert_eq!(tracker.advance(b"GET"), Ok(Progress { consumed: 0, done: true }));
    assert_eq!(tracker.payload(), 5);
    assert!(BodyTracker::new(Framing::Length(0)).done());
    assert!(BodyTracker::new(Framing::None).done());
}

#[test]
fn only_a_body_without_another_end_may_end_with_the_connection() {
    for (framing, ends) in [
        (Framing::UntilClose, true),
        (Framing::None, true),
        (Framing::Length(1), false),
        (Framing::Chunked, false),
    ] {
        let mut tracker = BodyTracker::new(framing);
        assert_eq!(tracker.ends_with_connection(), ends, "{framing:?}");
        assert!(tracker.done());
    }
}
