//! What routing, balancing and counting know of a request, whichever HTTP version carried it.

use std::borrow::Cow;
use std::rc::Rc;

use http::{HeaderName, HeaderValue};

/// The head of a request, as routing sees it.
pub trait RequestView {
    /// The method as sent, e.g. `GET`; case matters.
    fn method(&self) -> &str;
    /// Path and query in origin form, e.g. `/a?b=c`; `*` for a server-wide `OPTIONS`; empty for `CONNECT`.
    fn path(&self) -> &str;
    /// Host and optional port that the request is meant for, without user information; may be empty.
    fn authority(&self) -> &str;
    /// The first value of a field; `name` is lowercase.
    fn field(&self, name: &str) -> Option<&[u8]>;
    /// Names, in the case in which they came, and values of all fields.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
}

/// The final head of a response, as those see it who do not carry it.
pub trait ResponseView {
    /// The status.
    fn status(&self) -> u16;
    /// The status of a gRPC call that ends with its head.
    fn grpc_status(&self) -> Option<u32> {
        None
    }
    /// Names, in the case in which they came, and values of all fields.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
}

/// Whether a request with this method may be sent twice without harm (RFC 9110, 9.2.2). Methods that HTTP does not know are not.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// How a call ended, for counting and balancing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Status that was passed on or answered here; 0 when none was.
    pub status: u16,
    /// gRPC status from the trailers; only HTTP/2 carries it.
    pub grpc_status: Option<u32>,
    /// Payload of the request in bytes, without framing.
    pub request_bytes: u64,
    /// Payload of the response in bytes, without framing.
    pub response_bytes: u64,
    /// Times that the request was sent, or about to be when its connection turned out dead.
    pub attempts: u32,
    /// Stable error code when the call did not end as both sides meant it to.
    pub error: Option<&'static str>,
}

/// Why a connection is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The request was not sent yet.
    First,
    /// The last connection turned out dead, so a new one is needed.
    Again {
        /// Something of the request was sent on it, so that a program may have seen it.
        sent: bool,
    },
    /// The last endpoint's sidecar said that its program did not answer, and the handler agreed to ask another one.
    Elsewhere,
}

/// An answer that the proxy gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Stable error code, `WEFT-P-...`; also sent as the field `weft-error`.
    pub code: &'static str,
    /// What happened, where, why and what to do, in one line.
    pub message: Cow<'static, str>,
}

impl Reply {
    /// An answer with a message that need not be a `String`.
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The body that is sent: `weft: <message> (<code>)` and a line end.
    pub fn body(&self) -> String {
        format!("weft: {} ({})\n", self.message, self.code)
    }
}

/// A field that the proxy adds to requests; checked once, when made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedField {
    /// As HTTP/1.1 writes it, so that adding it is one copy.
    line: Box<str>,
    /// As HTTP/2 keeps it; a copy of it costs no allocation.
    header: (HeaderName, HeaderValue),
}

impl AddedField {
    /// None when the name is not a lowercase token or the value has a byte that could end a line.
    pub fn new(name: &str, value: &str) -> Option<Self> {
        let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let valid = !name.is_empty() && name.bytes().all(token) && value.bytes().all(|b| (0x20..0x7f).contains(&b));
        let header = (
            HeaderName::from_lowercase(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        );
        valid.then(|| Self {
            line: format!("{name}: {value}\r\n").into(),
            header,
        })
    }

    /// Lowercase name.
    pub fn name(&self) -> &str {
        self.header.0.as_str()
    }

    /// Printable ASCII.
    pub fn value(&self) -> &str {
        &self.line[self.name().len() + 2..self.line.len() - 2]
    }

    /// Name and value.
    pub fn header(&self) -> (HeaderName, HeaderValue) {
        self.header.clone()
    }

    /// `name: value` and the line's end.
    pub fn line(&self) -> &str {
        &self.line
    }
}

/// What is changed in the fields of a head on its way; made once a connection or route, not for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Lowercase names of fields to leave out; one that ends in `*` stands for all names that begin so.
    pub drop: &'static [&'static str],
    /// More names of fields to leave out, with a hyphen for all that is neither letter nor digit.
    pub remove: Box<[Box<str>]>,
    /// Fields to add, after the drops. A field that must not come from outside is listed in `drop` as well.
    pub add: Rc<[AddedField]>,
}

impl Edits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.remove.is_empty() && self.add.is_empty()
    }

    /// Whether the field of this name is left out, in any spelling that [`is_same_name`] sees through.
    pub fn drops(&self, name: &[u8]) -> bool {
        if self.remove.iter().any(|removed| is_same_name(name, removed.as_bytes())) {
            return true;
        }
        let Some(first) = name.first().map(u8::to_ascii_lowercase) else {
            return false;
        };
        self.drop.iter().any(|pattern| {
            // Most names differ in their first letter.
            pattern.as_bytes().first() == Some(&first)
                && match pattern.as_bytes() {
                    [prefix @ .., b'*'] => name.get(..prefix.len()).is_some_and(|start| is_same_name(start, prefix)),
                    whole => is_same_name(name, whole),
                }
        })
    }
}

/// Fields that no program may send: who calls is said by the callee's sidecar, from what was proven.
pub const OWN_FIELDS: &[&str] = &["weft-*"];

/// Whether a field of this name, in any case and spelling, is the mesh's own.
pub fn is_own(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"weft-";
    matches!(name.first(), Some(b'w' | b'W')) && name.get(..PREFIX.len()).is_some_and(|start| is_same_name(start, PREFIX))
}

/// Whether some program takes two names for the same; `plain` is in small letters and hyphens. Programs that read fields as variables (CGI, WSGI, PHP, lighttpd) make
/// underscores of hyphens, of dots or of all that is neither letter nor digit.
pub fn is_same_name(name: &[u8], plain: &[u8]) -> bool {
    name.len() == plain.len() && name.iter().copied().map(plain_byte).eq(plain.iter().copied())
}

/// A byte of a name as [`is_same_name`] compares it.
pub fn plain_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_field_cannot_smuggle_a_line() {
        let field = AddedField::new("weft-client", "spiffe://weft.local/ns/default/sa/web").expect("valid");
        assert_eq!(
            (field.name(), field.value()),
            ("weft-client", "spiffe://weft.local/ns/default/sa/web")
        );
        for (name, value) in [
            ("weft-client", "a\r\nb: c"),
            ("weft-client", "a\0"),
            ("Weft", "a"),
            ("", "a"),
            ("a:", "b"),
        ] {
            assert_eq!(AddedField::new(name, value), None, "{name:?}: {value:?}");
        }
    }

    #[test]
    fn drops_match_names_in_any_case_and_spelling_and_prefixes() {
        let edits = Edits {
            drop: &["weft-*", "x-real-ip"],
            ..Edits::default()
        };
        for name in [
            "weft-client",
            "WEFT-x",
            "weft-",
            "Weft_client-ID",
            "weft.client",
            "weft~x",
            "X-Real-IP",
            "x_real_ip",
            "x.real!ip",
        ] {
            assert!(edits.drops(name.as_bytes()), "{name}");
        }
        assert!(
            is_own(b"Weft_Error") && is_own(b"weft.error") && is_own(b"weft-error") && !is_own(b"weft") && !is_own(b"www-authenticate")
        );
        for name in ["weft", "x-weft-client", "x-real-ips", ""] {
            assert!(!edits.drops(name.as_bytes()), "{name}");
        }
    }
}
