//! Why a message is refused. Each reason is one sentence that a person who wrote the other side can act on.

pub use crate::errors::UPSTREAM_CLOSED;
use crate::http::Reply;

/// 400: a request's head breaks the grammar or can be read in two ways.
pub const MALFORMED_REQUEST: &str = "WEFT-P-MALFORMED-REQUEST";
/// 400: a request's chunked body or trailers break the grammar.
pub const MALFORMED_BODY: &str = "WEFT-P-MALFORMED-BODY";
/// 408: the head was not complete in time.
pub const HEAD_TIMEOUT: &str = "WEFT-P-HEAD-TIMEOUT";
/// 408: the client stopped in the middle of a request's body.
pub const BODY_TIMEOUT: &str = "WEFT-P-BODY-TIMEOUT";
/// 431: the head is larger or has more fields than is allowed.
pub const HEAD_TOO_LARGE: &str = "WEFT-P-HEAD-TOO-LARGE";
/// 501: a transfer coding other than chunked.
pub const UNSUPPORTED_CODING: &str = "WEFT-P-UNSUPPORTED-CODING";
/// 505: a version other than HTTP/1.0 and HTTP/1.1.
pub const UNSUPPORTED_VERSION: &str = "WEFT-P-UNSUPPORTED-VERSION";
/// 502: the endpoint's answer breaks the grammar, can be read in two ways, or does not fit the request.
pub const MALFORMED_RESPONSE: &str = "WEFT-P-MALFORMED-RESPONSE";
/// No status of its own: the endpoint closed the connection, or broke the framing, in the middle of the response.
pub const UPSTREAM_TRUNCATED: &str = "WEFT-P-UPSTREAM-TRUNCATED";
/// No status of its own: the client left before the response was complete.
pub const CLIENT_GONE: &str = "WEFT-P-CLIENT-GONE";

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`reason` says it")]
pub enum HeadError {
    Method,
    Target,
    Fragment,
    Unreadable,
    Version,
    UnsupportedVersion,
    StatusLine,
    BareCarriageReturn,
    BareLineFeed,
    Control,
    Fold,
    OuterBlank,
    BlankBeforeColon,
    FieldName,
    TooLarge,
    TooManyFields,
    HostMissing,
    HostRepeated,
    HostInvalid,
    HostDiffers,
    LengthInvalid,
    LengthRepeated,
    LengthAndCoding,
    CodingRepeated,
    CodingUnsupported,
    CodingInOldVersion,
    UnaskedSwitch,
    EarlySwitch,
    TunnelWithBody,
}

impl HeadError {
    /// What is wrong, as the end of a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Method => "the method is not a token followed by one space",
            Self::Target => "the target is not in a form that fits the method, or has bytes that must be escaped",
            Self::Fragment => "the target has a fragment, which is not sent",
            Self::Unreadable => "what was sent breaks HTTP/2, or is a head larger than 120 KiB",
            Self::Version => "the request line does not end in a version such as HTTP/1.1",
            Self::UnsupportedVersion => "the version is neither HTTP/1.0 nor HTTP/1.1",
            Self::StatusLine => "the status line is not a version, three digits and a reason",
            Self::BareCarriageReturn => "a carriage return stands without a line feed",
            Self::BareLineFeed => "a line feed stands without a carriage return",
            Self::Control => "there is a NUL or another control character",
            Self::Fold => "a field is continued on a second line",
            Self::OuterBlank => "a field's value begins or ends with a blank",
            Self::BlankBeforeColon => "there is a blank between a field's name and its colon",
            Self::FieldName => "a field's name is empty or not a token",
            Self::TooLarge => "the head is larger than 60 KiB",
            Self::TooManyFields => "the head has more than 100 fields",
            Self::HostMissing => "the request names no host",
            Self::HostRepeated => "there is more than one Host field",
            Self::HostInvalid => "the host is not a name or address with an optional port",
            Self::HostDiffers => "the Host field names another host than :authority",
            Self::LengthInvalid => "Content-Length is not one decimal number",
            Self::LengthRepeated => "there is more than one Content-Length field",
            Self::LengthAndCoding => "Content-Length and Transfer-Encoding are both present",
            Self::CodingRepeated => "there is more than one Transfer-Encoding field",
            Self::CodingUnsupported => "the transfer coding is not exactly `chunked`",
            Self::CodingInOldVersion => "Transfer-Encoding does not exist in HTTP/1.0",
            Self::UnaskedSwitch => "it switches protocols though the request did not ask for it",
            Self::EarlySwitch => "it switches protocols before the request is complete",
            Self::TunnelWithBody => "it asks for a tunnel and has a body, so it can be read in two ways",
        }
    }

    /// The answer to a client whose request is refused.
    pub fn reply(self) -> Reply {
        let (status, code) = match self {
            Self::TooLarge | Self::TooManyFields => (431, HEAD_TOO_LARGE),
            Self::CodingUnsupported => (501, UNSUPPORTED_CODING),
            Self::UnsupportedVersion => (505, UNSUPPORTED_VERSION),
            _ => (400, MALFORMED_REQUEST),
        };
        Reply::new(status, code, format!("the request was refused: {}", self.reason()))
    }
}

/// What is wrong with a body's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`reason` says it")]
pub enum BodyError {
    ChunkSize,
    ChunkExtension,
    ChunkEnd,
    Trailer,
    TrailerForbidden,
    PseudoTrailer,
    TrailersTooLarge,
    Stopped,
}

impl BodyError {
    /// What is wrong, as the end of a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ChunkSize => "a chunk's size is not a hexadecimal number of at most 15 digits",
            Self::ChunkExtension => "a chunk's extension has control characters or is longer than 256 bytes",
            Self::ChunkEnd => "a chunk's line or data does not end in carriage return and line feed",
            Self::Trailer => "a trailer field breaks the grammar",
            Self::TrailerForbidden => "a trailer field carries framing, routing or identity, which belong in the head",
            Self::PseudoTrailer => "a trailer's name begins with a colon, as only a head's may",
            Self::TrailersTooLarge => "the trailers are larger than 8 KiB",
            Self::Stopped => "nothing more of it came for a minute",
        }
    }

    /// The answer to a client whose request body is refused.
    pub fn reply(self) -> Reply {
        let (status, code) = match self {
            Self::Stopped => (408, BODY_TIMEOUT),
            _ => (400, MALFORMED_BODY),
        };
        Reply::new(status, code, format!("the request's body was refused: {}", self.reason()))
    }
}
