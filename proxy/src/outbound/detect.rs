//! Finds out what a program speaks from its first bytes.

use crate::http1::is_token;
use crate::metrics::Protocol;

/// The start of every HTTP/2 connection with prior knowledge (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest method that is taken for one.
const MAX_METHOD: usize = 32;
/// Most bytes of empty lines or spaces that are looked past.
const MAX_EMPTY: usize = 64;
/// Bytes by which it is decided. Whoever waits for more keeps them all, and looks through them again with each that comes.
const MAX_UNCLEAR: usize = 2 * 1024;

/// The protocol that begins with `bytes`; None when more of them are needed to tell.
pub fn detect(bytes: &[u8]) -> Option<Protocol> {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Some(Protocol::Http2);
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return None;
    }
    http1(bytes)
}

/// HTTP/1 begins with a method, a space, a target without spaces, a space and `HTTP/1.` Servers take less: empty lines before it and more spaces within. That
/// is HTTP too, for the codec to judge; as bytes it would be refused (`opaque`).
///
/// A method is any token, but most that begin with one are of other protocols, whose clients must not be kept waiting: more bytes are waited for only after a
/// word in capitals, or where a target that begins with a slash follows.
fn http1(bytes: &[u8]) -> Option<Protocol> {
    let bytes = match bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')) {
        Some(start) if start <= MAX_EMPTY => &bytes[start..],
        None if bytes.len() <= MAX_EMPTY => return None,
        _ => return Some(Protocol::Http1),
    };
    let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
    if method == 0 || method > MAX_METHOD {
        return Some(Protocol::Tcp);
    }
    let is_usual = bytes[..method]
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    match bytes.get(method) {
        None if is_usual => return None,
        None => return Some(Protocol::Tcp),
        Some(b' ') => {}
        Some(_) => return Some(Protocol::Tcp),
    }
    let target = &bytes[method + 1..];
    let spaces = target.iter().take_while(|byte| **byte == b' ').count();
    if spaces > MAX_EMPTY {
        return Some(Protocol::Tcp);
    }
    let target = &target[spaces..];
    match target.first() {
        None => return None,
        Some(b'/') => {}
        // `*`, or absolute and authority form, which begin with a letter or digit or `[`.
        Some(first) if is_usual && (matches!(first, b'*' | b'[') || first.is_ascii_alphanumeric()) => {}
        Some(_) => return Some(Protocol::Tcp),
    }
    let length = target.iter().take_while(|byte| **byte > b' ' && **byte != 0x7f).count();
    match target.get(length) {
        // A long target is still HTTP: its end may be many reads away.
        None if is_usual && length >= 16 && target[0] == b'/' => Some(Protocol::Http1),
        None if bytes.len() >= MAX_UNCLEAR => Some(Protocol::Http1),
        None => None,
        Some(b' ') => {
            const VERSION: &[u8] = b"HTTP/1.";
            let version = &target[length + 1..];
            if version.starts_with(VERSION) {
                Some(Protocol::Http1)
            } else if VERSION.starts_with(version) {
                None
            } else {
                Some(Protocol::Tcp)
            }
        }
        Some(_) => Some(Protocol::Tcp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn protocols_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Option<Protocol>); 31] = [
            (b"GET / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"OPTIONS * HTTP/1.0\r\n", Some(Protocol::Http1)),
            (b"GET http://users/ HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"CONNECT users:443 HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"GET /a/rather/long/path/that/goes/on", Some(Protocol::Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(Protocol::Http2)),
            (b"\x16\x03\x01\x02\x00", Some(Protocol::Tcp)),
            (b"*1\r\n$4\r\nPING\r\n", Some(Protocol::Tcp)),
            (b"PING\r\n", Some(Protocol::Tcp)),
            (b"SET key value\r\n", Some(Protocol::Tcp)),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some(Protocol::Tcp)),
            (b"EHLO localhost\r\n", Some(Protocol::Tcp)),
            (b"\r\n\r\nGET / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"GET  / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"\r\n\r\n\0\r\nQUIT\n", Some(Protocol::Tcp)),
            (b"patch / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"Get /a/rather/long/path/that/goes/on HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"FOO.BAR / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"X2 / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"patch /a/rather/long/path/that/goes/on", None),
            // Clients of ZooKeeper and memcached, and others that say a word and wait.
            (b"ruok", Some(Protocol::Tcp)),
            (b"hello world", Some(Protocol::Tcp)),
            (b"get key", Some(Protocol::Tcp)),
            (b"get /page\r\n", Some(Protocol::Tcp)),
            (b"SSH-2.0", Some(Protocol::Tcp)),
            (b"*1", Some(Protocol::Tcp)),
            (b"\r\n", None),
            (b"", None),
            (b"GE", None),
            (b"GET / HT", None),
            (b"PRI * HTTP/2.0", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(detect(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_was_told_early_does_not_change_with_more_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..80) {
            let (early, late) = (detect(&bytes[..cut.min(bytes.len())]), detect(&bytes));
            // But for a method of an unusual word that came in pieces, which was not waited for.
            if early.is_some() && early != Some(Protocol::Tcp) {
                prop_assert_eq!(early, late);
            }
        }

        #[test]
        fn bytes_of_usual_words_do_not_become_http_with_more_of_them(bytes in "[A-Z]{1,3}( [/a-z0-9]{0,5} ?(HTTP/1.1|HTT|x)?[\r]?)?", cut in 0usize..20) {
            let early = detect(&bytes.as_bytes()[..cut.min(bytes.len())]);
            if early.is_some() {
                prop_assert_eq!(early, detect(bytes.as_bytes()));
            }
        }

        #[test]
        fn a_verdict_comes_within_a_bounded_number_of_bytes(start in "[\r\n]{0,64}([A-Za-z.]{1,32}( {1,64}[*/\\[a-z]?)?)?", filling in "[\r\n Aa/*H\\[\\x01]") {
            let endless: Vec<u8> = start.bytes().chain(filling.bytes().cycle()).take(2 * MAX_UNCLEAR).collect();
            prop_assert!(detect(&endless).is_some(), "{start:?} and then {filling:?}");
        }
    }
}
