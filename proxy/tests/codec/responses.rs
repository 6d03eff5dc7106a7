//! The corpus of responses.

use weft_proxy::http1::body::Framing::{Chunked, Length, None as Empty, UntilClose};
use weft_proxy::http1::error::HeadError::{self, *};
use weft_proxy::http1::response::{Asked, Next};

use crate::heads::response;

const PLAIN: Asked = Asked {
    head: false,
    connect: false,
    upgrade: false,
};
const HEAD: Asked = Asked { head: true, ..PLAIN };
const CONNECT: Asked = Asked { connect: true, ..PLAIN };
const UPGRADE: Asked = Asked { upgrade: true, ..PLAIN };

#[test]
fn what_follows_a_head_depends_on_status_fields_and_request() {
    let cases = [
        (PLAIN, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", 200, Next::Body(Length(5)), true),
        (PLAIN, "HTTP/1.1 200\r\nContent-Length: 0\r\n", 200, Next::Body(Length(0)), true),
        (
            PLAIN,
            "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n",
            200,
            Next::Body(Chunked),
            true,
        ),
        (PLAIN, "HTTP/1.1 200 OK\r\n", 200, Next::Body(UntilClose), true),
        (PLAIN, "HTTP/1.0 200 OK\r\n", 200, Next::Body(UntilClose), false),
        (
            PLAIN,
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n",
            200,
            Next::Body(Length(1)),
            true,
        ),
        (
            PLAIN,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n",
            200,
            Next::Body(Length(1)),
            false,
        ),
        (
            PLAIN,
            "HTTP/1.1 404 Pas trouv\u{e9}\r\nContent-Length: 1\r\n",
            404,
            Next::Body(Length(1)),
            true,
        ),
        (
            PLAIN,
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n",
            204,
            Next::Body(Empty),
            true,
        ),
        (
            PLAIN,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
            304,
            Next::Body(Empty),
            true,
        ),
        (PLAIN, "HTTP/1.1 100 Continue\r\n", 100, Next::Head, true),
        (PLAIN, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", 103, Next::Head, true),
        (
            PLAIN,
            "HTTP/1.1 999 Whatever\r\nContent-Length: 1\r\n",
            999,
            Next::Body(Length(1)),
            true,
        ),
        (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", 200, Next::Body(Empty), true),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
            200,
            Next::Body(Empty),
            true,
        ),
        (CONNECT, "HTTP/1.1 200 Connection established\r\n", 200, Next::Tunnel, true),
        (
            CONNECT,
            "HTTP/1.1 407 No\r\nContent-Length: 5\r\n",
            407,
            Next::Body(Length(5)),
            true,
        ),
        (
            UPGRADE,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n",
            101,
            Next::Tunnel,
            true,
        ),
        (
            UPGRADE,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
            200,
            Next::Body(Length(5)),
            true,
        ),
    ];
    for (asked, head, status, next, persistent) in cases {
        assert_eq!(
            response(format!("{head}\r\n").as_bytes(), asked),
            Ok(Some((status, next, persistent))),
            "{head:?}"
        );
    }
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    let cases: &[(&str, HeadError)] = &[
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            LengthAndCoding,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", LengthRepeated),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5,5\r\n\r\n", LengthInvalid),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", CodingUnsupported),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CodingInOldVersion),
        ("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", Fold),
        ("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", BlankBeforeColon),
        ("HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n", Control),
        ("HTTP/1.1 200 OK\nX: 1\n\n", BareLineFeed),
        ("HTTP/1.1 200 OK\rX: 1\r\n\r\n", BareCarriageReturn),
        ("HTTP/1.1 200 O\x07K\r\n\r\n", Control),
        ("HTTP/1.1  200 OK\r\n\r\n", StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", StatusLine),
        ("HTTP/1.1 2x0 OK\r\n\r\n", StatusLine),
        ("HTTP/1.1\r\n\r\n", StatusLine),
        ("HTTP/1.1 200\tOK\r\n\r\n", StatusLine),
        ("HTTP/2 200\r\n\r\n", StatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", UnsupportedVersion),
        ("http/1.1 200 OK\r\n\r\n", StatusLine),
        ("ICY 200 OK\r\n\r\n", StatusLine),
        ("<html>", StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", StatusLine),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", UnaskedSwitch),
    ];
    for (head, error) in cases {
        assert_eq!(response(head.as_bytes(), PLAIN), Err(*error), "{head:?}");
    }
    assert_eq!(response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", CONNECT), Err(UnaskedSwitch));
    assert_eq!(response(b"HTTP/1.", PLAIN), Ok(None));
    assert_eq!(response(b"HTTP/1.1 200 OK\r\nX: 1\r\n\r", PLAIN), Ok(None));
}
