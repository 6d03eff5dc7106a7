//! How a gRPC call ended.

use std::fmt;

use http::{HeaderMap, StatusCode};

/// The names of the codes, in the order of their numbers.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The end of a call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// One of the codes below, or a number that the other side made up.
    pub code: u32,
    /// What happened, for people.
    pub message: String,
}

#[allow(missing_docs)] // The names are the standard's own.
impl Status {
    pub const OK: u32 = 0;
    pub const CANCELLED: u32 = 1;
    pub const UNKNOWN: u32 = 2;
    pub const INVALID_ARGUMENT: u32 = 3;
    pub const DEADLINE_EXCEEDED: u32 = 4;
    pub const NOT_FOUND: u32 = 5;
    pub const ALREADY_EXISTS: u32 = 6;
    pub const PERMISSION_DENIED: u32 = 7;
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    pub const FAILED_PRECONDITION: u32 = 9;
    pub const ABORTED: u32 = 10;
    pub const OUT_OF_RANGE: u32 = 11;
    pub const UNIMPLEMENTED: u32 = 12;
    pub const INTERNAL: u32 = 13;
    pub const UNAVAILABLE: u32 = 14;
    pub const DATA_LOSS: u32 = 15;
    pub const UNAUTHENTICATED: u32 = 16;
}

impl Status {
    /// A status that this side gives.
    pub fn new(code: u32, message: impl Into<String>) -> Status {
        Status {
            code,
            message: message.into(),
        }
    }

    /// The name of the code, for example "UNAVAILABLE"; "UNKNOWN" for a number without a name.
    pub fn name(&self) -> &'static str {
        NAMES.get(self.code as usize).unwrap_or(&NAMES[Status::UNKNOWN as usize])
    }

    /// True when the same call would end the same way, so that trying again is of no use.
    pub fn is_final(&self) -> bool {
        matches!(
            self.code,
            Status::INVALID_ARGUMENT | Status::NOT_FOUND | Status::PERMISSION_DENIED | Status::UNAUTHENTICATED
        )
    }

    /// True when the controller does not know this workload, or not its proof.
    pub fn is_unknown(&self) -> bool {
        matches!(self.code, Status::UNAUTHENTICATED | Status::NOT_FOUND)
    }

    /// True when what was sent may be the reason, and not the connection, the controller's state or who sent it.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.code,
            Status::INVALID_ARGUMENT
                | Status::RESOURCE_EXHAUSTED
                | Status::FAILED_PRECONDITION
                | Status::OUT_OF_RANGE
                | Status::UNIMPLEMENTED
                | Status::INTERNAL
                | Status::UNKNOWN
                | Status::DATA_LOSS
        )
    }

    /// How trailers (or the headers of a response that has no body) say that the call ended; `None` when they do not say.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Result<(), Status>> {
        let code = headers.get("grpc-status")?;
        let message = headers
            .get("grpc-message")
            .map(|value| percent_decode(value.as_bytes()))
            .unwrap_or_default();
        Some(match code.to_str().ok().and_then(|code| code.parse().ok()) {
            Some(Status::OK) => Ok(()),
            Some(code) => Err(Status { code, message }),
            None => Err(Status::new(
                Status::UNKNOWN,
                format!("the controller answered with an unreadable grpc-status {code:?}"),
            )),
        })
    }

    /// What an HTTP status without a gRPC status stands for.
    pub(super) fn from_http(status: StatusCode) -> Status {
        let code = match status.as_u16() {
            400 => Status::INTERNAL,
            401 => Status::UNAUTHENTICATED,
            403 => Status::PERMISSION_DENIED,
            404 => Status::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Status::UNAVAILABLE,
            _ => Status::UNKNOWN,
        };
        Status::new(code, format!("the controller answered with HTTP status {status} in place of gRPC"))
    }
}

impl From<h2::Error> for Status {
    fn from(error: h2::Error) -> Status {
        let code = match error.reason() {
            _ if error.is_io() || error.is_go_away() => Status::UNAVAILABLE,
            Some(h2::Reason::REFUSED_STREAM) => Status::UNAVAILABLE,
            Some(h2::Reason::CANCEL) => Status::CANCELLED,
            Some(h2::Reason::ENHANCE_YOUR_CALM) => Status::RESOURCE_EXHAUSTED,
            Some(h2::Reason::INADEQUATE_SECURITY) => Status::PERMISSION_DENIED,
            _ => Status::INTERNAL,
        };
        Status::new(code, format!("the connection to the controller: {error}"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.as_str() {
            "" => f.write_str(self.name()),
            message => write!(f, "{}: {message}", self.name()),
        }
    }
}

impl std::error::Error for Status {}

/// Decodes `grpc-message`. What is no escape stays as it is, as the specification wants.
fn percent_decode(bytes: &[u8]) -> String {
    let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_percent_decoded_and_broken_escapes_are_kept() {
        assert_eq!(percent_decode(b"caf%C3%A9 100%25"), "café 100%");
        assert_eq!(percent_decode(b"50% of %zz%4"), "50% of %zz%4");
    }

    #[test]
    fn a_code_without_a_name_is_kept_and_called_unknown() {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("99"))]);
        let status = Status::from_headers(&headers).unwrap().unwrap_err();
        assert_eq!((status.code, status.name()), (99, "UNKNOWN"));
    }

    #[test]
    fn refusals_are_final_and_troubles_are_not() {
        assert!(Status::new(Status::UNAUTHENTICATED, "the token was used").is_final());
        assert!(Status::new(Status::NOT_FOUND, "the workload was forgotten").is_final());
        assert!(!Status::new(Status::UNAVAILABLE, "the connection was lost").is_final());
        assert!(!Status::new(Status::DEADLINE_EXCEEDED, "too late").is_final());
    }

    #[test]
    fn a_status_shows_its_name_and_message() {
        assert_eq!(
            Status::new(Status::NOT_FOUND, "no such workload").to_string(),
            "NOT_FOUND: no such workload"
        );
        assert_eq!(Status::new(Status::UNAVAILABLE, "").to_string(), "UNAVAILABLE");
    }

    proptest! {
        #[test]
        fn any_text_survives_percent_encoding(text in ".*") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decode(encoded.as_bytes()), text);
        }

        #[test]
        fn hostile_messages_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(percent_decode(&bytes).chars().count() <= bytes.len());
        }
    }
}
