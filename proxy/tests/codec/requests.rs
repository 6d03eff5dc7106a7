//! The corpus of requests: smuggling, splitting, confusion, and what looks odd but is right.

use weft_proxy::http1::body::Framing::{self, Chunked, Length};
use weft_proxy::http1::error::HeadError::{self, *};
use weft_proxy::http1::fields::{FIELD_LIMIT, HEAD_LIMIT};
use weft_proxy::http1::request::Form;
use weft_proxy::http1::request::Version::{Http10, Http11};

use crate::heads::{accepted, request};

/// Lines after `POST / HTTP/1.1` and `Host: a`.
const REFUSED_FIELDS: &[(&str, HeadError)] = &[
    // Length and coding
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LengthAndCoding),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", LengthAndCoding),
    ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", LengthAndCoding),
    ("TRANSFER-ENCODING: CHUNKED\r\ncontent-LENGTH: 5\r\n", LengthAndCoding),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", LengthRepeated),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", LengthRepeated),
    ("Content-Length: 5, 5\r\n", LengthInvalid),
    ("Content-Length: 5 5\r\n", LengthInvalid),
    ("Content-Length: +5\r\n", LengthInvalid),
    ("Content-Length: -5\r\n", LengthInvalid),
    ("Content-Length: 0x5\r\n", LengthInvalid),
    ("Content-Length: 5.0\r\n", LengthInvalid),
    ("Content-Length: 5_0\r\n", LengthInvalid),
    ("Content-Length: \r\n", LengthInvalid),
    ("Content-Length: \"5\"\r\n", LengthInvalid),
    ("Content-Length: 5;\r\n", LengthInvalid),
    ("Content-Length: \u{ff15}\r\n", LengthInvalid),
    ("Content-Length: 9223372036854775808\r\n", LengthInvalid),
    ("Content-Length: 18446744073709551616\r\n", LengthInvalid),
    ("Content-Length: 99999999999999999999999\r\n", LengthInvalid),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CodingRepeated),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CodingRepeated),
    ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", CodingUnsupported),
    ("Transfer-Encoding: chunked, chunked\r\n", CodingUnsupported),
    ("Transfer-Encoding: gzip, chunked\r\n", CodingUnsupported),
    ("Transfer-Encoding: chunked, gzip\r\n", CodingUnsupported),
    ("Transfer-Encoding: chunked, identity\r\n", CodingUnsupported),
    ("Transfer-Encoding: identity\r\n", CodingUnsupported),
    ("Transfer-Encoding: cow\r\n", CodingUnsupported),
    ("Transfer-Encoding: xchunked\r\n", CodingUnsupported),
    ("Transfer-Encoding: chunkedx\r\n", CodingUnsupported),
    ("Transfer-Encoding: chunked;q=1\r\n", CodingUnsupported),
    ("Transfer-Encoding: \"chunked\"\r\n", CodingUnsupported),
    ("Transfer-Encoding: ,chunked\r\n", CodingUnsupported),
    ("Transfer-Encoding: \r\n", CodingUnsupported),
    ("Transfer-Encoding: \u{a0}chunked\r\n", CodingUnsupported),
    ("Transfer-Encoding: \x0bchunked\r\n", Control),
    ("Transfer-Encoding: chunked\0\r\n", Control),
    // Names
    ("Transfer-Encoding : chunked\r\n", BlankBeforeColon),
    ("Content-Length\t: 5\r\n", BlankBeforeColon),
    ("X Y: 1\r\n", BlankBeforeColon),
    (": 1\r\n", FieldName),
    ("X\r\n", FieldName),
    ("X(: 1\r\n", FieldName),
    ("X\0: 1\r\n", FieldName),
    ("\"X\": 1\r\n", FieldName),
    ("X\u{e9}: 1\r\n", FieldName),
    ("X[]: 1\r\n", FieldName),
    ("Transfer\rEncoding: chunked\r\n", FieldName),
    // Line ends and controls
    (" X: 1\r\n", Fold),
    ("\tX: 1\r\n", Fold),
    ("X: 1\r\n 2\r\n", Fold),
    ("Transfer-Encoding:\r\n chunked\r\n", CodingUnsupported),
    ("X:\r\n\tchunked\r\n", Fold),
    ("X: 1\n", BareLineFeed),
    ("X: 1\nTransfer-Encoding: chunked\r\n", BareLineFeed),
    ("\nX: 1\r\n", BareLineFeed),
    ("X: 1\rTransfer-Encoding: chunked\r\n", BareCarriageReturn),
    ("X: 1\r\r\n", BareCarriageReturn),
    ("\rX: 1\r\n", BareCarriageReturn),
    ("X: a\0b\r\n", Control),
    ("X: a\x01b\r\n", Control),
    ("X: a\x7fb\r\n", Control),
    ("X: a\x1b[2Jb\r\n", Control),
    // Host
    ("Host: a\r\n", HostRepeated),
    ("Host: b\r\n", HostRepeated),
    ("HOST: b\r\n", HostRepeated),
];

/// Whole heads.
const REFUSED_HEADS: &[(&str, HeadError)] = &[
    ("GET / HTTP/1.1\r\n\r\n", HostMissing),
    ("GET http://a/ HTTP/1.1\r\n\r\n", HostMissing),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a?\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CodingInOldVersion),
    (
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        CodingInOldVersion,
    ),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Version),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Version),
    ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Method),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLineFeed),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
    ("GET\r\n\r\n", Method),
    ("GET /\r\n\r\n", Version),
    ("GET / HTTP/1.1\nHost: a\n\n", BareLineFeed),
    ("GET / HTTP/1.1\rHost: a\r\n\r\n", BareCarriageReturn),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", Version),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", Version),
    ("GET / HTTP/11\r\nHost: a\r\n\r\n", Version),
    ("GET / HTTP/1.x\r\nHost: a\r\n\r\n", Version),
    ("GET / SIP/2.0\r\nHost: a\r\n\r\n", Version),
    ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", UnsupportedVersion),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", UnsupportedVersion),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", UnsupportedVersion),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UnsupportedVersion),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Version),
    ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Fragment),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET ../a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET http://user@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET http://b\\c/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n", TunnelWithBody),
    (
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n",
        TunnelWithBody,
    ),
    ("POST * HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("CONNECT http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
    ("\x16\x03\x01\x02\0\x01", Method),
    ("*1\r\n$4\r\nPING\r\n", Method),
    ("SSH-2.0-OpenSSH_9.6\r\n", Method),
];

#[test]
fn fields_that_could_be_read_in_two_ways_are_refused() {
    for (lines, error) in REFUSED_FIELDS {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(request(head.as_bytes()), Err(*error), "{lines:?}");
    }
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    for (head, error) in REFUSED_HEADS {
        assert_eq!(request(head.as_bytes()), Err(*error), "{head:?}");
    }
}

#[test]
fn framing_is_as_the_fields_say() {
    let cases: &[(&str, Framing)] = &[
        ("", Framing::None),
        ("Content-Length: 0\r\n", Length(0)),
        ("Content-Length: 5\r\n", Length(5)),
        ("content-length:\t 5 \t\r\n", Length(5)),
        ("CONTENT-LENGTH:0005\r\n", Length(5)),
        ("Content-Length: 9223372036854775807\r\n", Length(9_223_372_036_854_775_807)),
        ("Transfer-Encoding: chunked\r\n", Chunked),
        ("transfer-encoding:CHUNKED \r\n", Chunked),
        ("X-Transfer-Encoding: chunked\r\n", Framing::None),
        ("Content-Lengths: 5\r\n", Framing::None),
    ];
    for (lines, framing) in cases {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\nbody");
        assert_eq!(accepted(head.as_bytes()).framing, *framing, "{lines:?}");
    }
}

#[test]
fn targets_are_taken_apart() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a", Form::Origin, "a", "/"),
        (
            "GET //x/../y?z=%00 HTTP/1.1\r\nHost: a:8080",
            Form::Origin,
            "a:8080",
            "//x/../y?z=%00",
        ),
        ("GET /{|}^`\"<> HTTP/1.1\r\nHost: a", Form::Origin, "a", "/{|}^`\"<>"),
        ("GET / HTTP/1.1\r\nHost:", Form::Origin, "", "/"),
        ("GET / HTTP/1.1\r\nHost: [::1]:80", Form::Origin, "[::1]:80", "/"),
        ("GET / HTTP/1.1\r\nHost: a_b.default.weft", Form::Origin, "a_b.default.weft", "/"),
        ("GET / HTTP/1.0\r\nX: 1", Form::Origin, "", "/"),
        ("GET http://b/c?d HTTP/1.1\r\nHost: a", Form::Absolute, "b", "/c?d"),
        ("GET HTTPS://b:1/ HTTP/1.1\r\nHost: a", Form::Absolute, "b:1", "/"),
        ("GET http://b HTTP/1.1\r\nHost: a", Form::Absolute, "b", "/"),
        ("OPTIONS http://b HTTP/1.1\r\nHost: a", Form::Absolute, "b", "*"),
        ("OPTIONS * HTTP/1.1\r\nHost: a", Form::Asterisk, "a", "*"),
        ("CONNECT b:443 HTTP/1.1\r\nHost: a", Form::Authority, "b:443", ""),
        ("\r\nM-SEARCH /x HTTP/1.1\r\nHost: a", Form::Origin, "a", "/x"),
    ];
    for (head, form, authority, path) in cases {
        let parsed = accepted(format!("{head}\r\n\r\n").as_bytes());
        assert_eq!(
            (parsed.form, parsed.authority.as_str(), parsed.path.as_str()),
            (form, authority, path),
            "{head:?}"
        );
    }
}

#[test]
fn persistence_follows_version_and_connection() {
    for (version, connection, persistent) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.1", "X-Connection: close\r\n", true),
    ] {
        let parsed = accepted(format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n").as_bytes());
        assert_eq!(parsed.persistent, persistent, "{version} {connection:?}");
        assert_eq!(parsed.version, if version == "1.1" { Http11 } else { Http10 });
    }
}

#[test]
fn an_upgrade_needs_its_connection_option_and_is_not_h2c() {
    for (lines, upgrade) in [
        ("Upgrade: websocket\r\nConnection: Upgrade\r\n", true),
        ("Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", true),
        ("Upgrade: websocket\r\n", false),
        ("Connection: upgrade\r\n", false),
        ("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n", false),
        ("Upgrade: websocket, H2C\r\nConnection: Upgrade\r\n", false),
        ("Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", false),
    ] {
        assert_eq!(
            accepted(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes()).upgrade,
            upgrade,
            "{lines:?}"
        );
    }
    assert!(!accepted(b"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").upgrade);
    assert!(accepted(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").expects_continue);
}

#[test]
fn values_may_have_any_visible_byte_tabs_and_other_alphabets() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\ta \"b\"  \r\nY:\r\nY: 2\r\n\r\n";
    let fields = accepted(head).fields;
    let expected: [(&str, &[u8]); 4] = [("Host", b"a"), ("X", b"\xc3\xa9\ta \"b\""), ("Y", b""), ("Y", b"2")];
    assert_eq!(
        fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(count - 1));
    assert_eq!(accepted(fields(FIELD_LIMIT).as_bytes()).fields.len(), FIELD_LIMIT);
    assert_eq!(request(fields(FIELD_LIMIT + 1).as_bytes()), Err(TooManyFields));

    let sized = |size: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size - frame))
    };
    assert_eq!(accepted(sized(HEAD_LIMIT).as_bytes()).length, HEAD_LIMIT);
    assert_eq!(request(sized(HEAD_LIMIT + 1).as_bytes()), Err(TooLarge));
    assert_eq!(request(&vec![b'G'; HEAD_LIMIT]), Err(TooLarge));
    assert_eq!(request(&vec![b'G'; HEAD_LIMIT - 1]), Ok(None));
    assert_eq!(request(b"\r"), Ok(None));
}

#[test]
fn every_reason_has_its_status() {
    for (error, status) in [
        (HostMissing, 400),
        (CodingUnsupported, 501),
        (UnsupportedVersion, 505),
        (TooLarge, 431),
        (TooManyFields, 431),
    ] {
        let reply = error.reply();
        assert_eq!(reply.status, status);
        assert!(reply.message.ends_with(error.reason()));
    }
}
