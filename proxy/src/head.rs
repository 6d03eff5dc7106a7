//! What heads and trailers may say, whichever version of HTTP carries them. Pure: bytes in, verdict out.

use crate::http::{is_own, plain_byte};
use crate::http1::error::HeadError;

/// Longest body that can be announced: programs keep lengths in signed 64 bits.
const LONGEST: u64 = i64::MAX as u64;

/// The length that a Content-Length field announces: digits and nothing else, as much as programs can count.
pub fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let number = value.iter().try_fold(0u64, |number, &digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })?;
    (number <= LONGEST).then_some(number)
}

/// Whether a text is a registered name, an address or a bracketed IPv6 address, with an optional port. User information has no place in it.
pub fn is_authority(text: &[u8]) -> bool {
    let name = match text.iter().rposition(|&byte| byte == b':') {
        // The colons within brackets belong to the address.
        Some(colon) if !text[colon..].contains(&b']') => match port(&text[colon + 1..]) {
            Some(_) => &text[..colon],
            None => return false,
        },
        _ => text,
    };
    match name {
        [b'[', inner @ .., b']'] => !inner.is_empty() && inner.iter().all(|&b| b.is_ascii_hexdigit() || b == b':' || b == b'.'),
        _ => name.iter().all(|&b| is_name(b)),
    }
}

/// Whether a text is an authority that names a host and a port, as CONNECT needs it.
pub fn is_host_with_port(text: &[u8]) -> bool {
    is_authority(text) && matches!(text.iter().rposition(|&byte| byte == b':'), Some(colon) if colon > 0 && text.last() != Some(&b']'))
}

/// The port that a text of digits names.
fn port(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 5 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    u16::try_from(number).ok()
}

/// Checks a target in origin form: a path with an optional query, or `*` with OPTIONS.
pub fn check_path(method: &[u8], path: &[u8]) -> Result<(), HeadError> {
    match path {
        [b'/', ..] => {}
        b"*" if method == b"OPTIONS" => return Ok(()),
        _ => return Err(HeadError::Target),
    }
    if path.contains(&b'#') {
        return Err(HeadError::Fragment);
    }
    match path.iter().all(|byte| (b'!'..0x7f).contains(byte)) {
        true => Ok(()),
        false => Err(HeadError::Target),
    }
}

/// Whether a byte may be in a host's name: what RFC 3986 calls unreserved, escapes and sub-delimiters, without the comma, which joins fields.
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

/// Whether a value has a blank at an end. HTTP/1.1 does not count those as part of it and RFC 9113, 8.2.1, forbids them, so programs differ over them.
pub fn has_outer_blank(value: &[u8]) -> bool {
    matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

/// Whether a field has no place in trailers, which receivers may merge into the head: what decides framing, routing or identity must not come this late. Names
/// that some program takes for the same are the same (`is_same_name`).
pub fn belongs_in_head(name: &[u8]) -> bool {
    // One byte more than the longest name of the list.
    let mut plain = [0; 20];
    let plain = &mut plain[..name.len().min(20)];
    for (to, from) in plain.iter_mut().zip(name) {
        *to = plain_byte(*from);
    }
    matches!(
        &*plain,
        b"transfer-encoding" | b"content-length" | b"host" | b"connection" | b"keep-alive" | b"te" | b"trailer" | b"upgrade" | b"expect"
    ) || matches!(
        &*plain,
        b"authorization" | b"proxy-authorization" | b"cookie" | b"set-cookie" | b"proxy-connection" | b"forwarded" | b"x-real-ip"
    ) || plain.starts_with(b"x-forwarded-")
        || plain.starts_with(b"l5d-")
        || is_own(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits_that_fit_signed_64_bits() {
        assert_eq!(length(b"0"), Some(0));
        assert_eq!(length(b"0012"), Some(12));
        assert_eq!(length(b"9223372036854775807"), Some(LONGEST));
        for refused in [
            "",
            "9223372036854775808",
            "18446744073709551615",
            "+1",
            "-1",
            "1 ",
            "1,1",
            "0x1",
            "1.0",
        ] {
            assert_eq!(length(refused.as_bytes()), None, "{refused}");
        }
    }

    #[test]
    fn authorities_are_hosts_with_an_optional_port() {
        for right in [
            "",
            "users",
            "users:80",
            "users:0",
            "users:65535",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "a_b",
        ] {
            assert!(is_authority(right.as_bytes()), "{right}");
        }
        for wrong in [
            "a b",
            "users:",
            "users:99999",
            "users:65536",
            "users:080000",
            "users:x",
            "me@users",
            "a/b",
            "a,b",
            "::1",
            "[]",
            "[x]",
            "a?b",
            "\u{fc}",
        ] {
            assert!(!is_authority(wrong.as_bytes()), "{wrong}");
        }
        for right in ["users:80", "[::1]:80"] {
            assert!(is_host_with_port(right.as_bytes()), "{right}");
        }
        for wrong in ["users", "[::1]", ":80", "users:99999", ""] {
            assert!(!is_host_with_port(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash_and_has_only_what_may_be_sent() {
        assert_eq!(check_path(b"GET", b"/a?b=c"), Ok(()));
        assert_eq!(check_path(b"GET", b"//a"), Ok(()));
        assert_eq!(check_path(b"OPTIONS", b"*"), Ok(()));
        for wrong in ["*", "?a", "a", "", "http://a/", "/a b", "/\u{e9}", "/\u{7f}"] {
            assert_eq!(check_path(b"POST", wrong.as_bytes()), Err(HeadError::Target), "{wrong}");
        }
        assert_eq!(check_path(b"GET", b"/a#b"), Err(HeadError::Fragment));
    }

    #[test]
    fn blanks_count_at_the_ends_only() {
        for right in ["", "a", "a b", "a\tb"] {
            assert!(!has_outer_blank(right.as_bytes()), "{right:?}");
        }
        for wrong in [" a", "a ", "\ta", "a\t", " "] {
            assert!(has_outer_blank(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn what_decides_framing_routing_or_identity_does_not_come_in_trailers() {
        for name in [
            "content-length",
            "Content_Length",
            "content.length",
            "l5d-client-id",
            "HOST",
            "te",
            "proxy-authorization",
            "x-forwarded-for",
            "X_Forwarded_Client_Cert",
            "weft-client-id",
            "weft-a-name-longer-than-any-of-the-list",
        ] {
            assert!(belongs_in_head(name.as_bytes()), "{name}");
        }
        for name in [
            "grpc-status",
            "grpc-message",
            "x-checksum",
            "server-timing",
            "a-name-longer-than-any-of-the-list",
            "",
        ] {
            assert!(!belongs_in_head(name.as_bytes()), "{name}");
        }
    }
}
