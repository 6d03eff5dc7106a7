//! The head of a response.

use super::body::Framing;
use super::error::HeadError;
use super::fields::{Fields, HEAD_LIMIT, Kind, line_end};
use super::request::{Version, persistent, version};
use super::scan;
use crate::http::ResponseView;

/// What the head of a response must be read with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The method was `HEAD`.
    pub head: bool,
    /// The method was `CONNECT`.
    pub connect: bool,
    /// The request asked for another protocol.
    pub upgrade: bool,
}

/// What comes after a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another head: this one was informational (1xx).
    Head,
    /// A body, perhaps an empty one.
    Body(Framing),
    /// Bytes of another protocol, in both directions.
    Tunnel,
}

/// The head of a response, as ranges of the bytes it was read into.
pub struct ResponseHead<'h> {
    bytes: &'h [u8],
    fields: &'h Fields,
    version: Version,
    status: u16,
    next: Next,
}

impl<'h> ResponseHead<'h> {
    /// Reads a head from the start of `bytes`; None when it is not complete. `fields` must be new.
    pub fn parse(bytes: &'h [u8], fields: &'h mut Fields, asked: Asked) -> Result<Option<Self>, HeadError> {
        let head = &bytes[..bytes.len().min(HEAD_LIMIT)];
        match Self::parse_within(head, fields, asked) {
            Ok(None) if head.len() == HEAD_LIMIT => Err(HeadError::TooLarge),
            result => result,
        }
    }

    fn parse_within(head: &'h [u8], fields: &'h mut Fields, asked: Asked) -> Result<Option<Self>, HeadError> {
        let line = scan::value_end(head, 0);
        let Some(fields_start) = line_end(head, line)? else {
            return early_doubt(head).map_or(Ok(None), Err);
        };
        let (version, status) = status_line(&head[..line])?;
        let Some(end) = fields.parse(head, fields_start)? else {
            return Ok(None);
        };
        let next = next(fields, version, status, asked)?;
        Ok(Some(Self {
            bytes: &head[..end],
            fields,
            version,
            status,
            next,
        }))
    }

    /// The head as it came, up to and with the empty line.
    pub fn bytes(&self) -> &'h [u8] {
        self.bytes
    }

    /// The fields.
    pub fn fields(&self) -> &'h Fields {
        self.fields
    }

    /// Version of the server.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Status code, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What comes after it.
    pub fn next(&self) -> Next {
        self.next
    }

    /// Whether the server keeps the connection.
    pub fn persistent(&self) -> bool {
        persistent(self.fields, self.version)
    }

    /// Whether the server says that it keeps the connection, as it must to a client of HTTP/1.0.
    pub fn says_keep_alive(&self) -> bool {
        self.fields.keep_alive && !self.fields.close
    }

    /// Whether the `Upgrade` field has a meaning for the client.
    pub fn offers_upgrade(&self) -> bool {
        self.fields.upgrade && matches!(self.status, 101 | 426)
    }

    /// Whether a field goes no further than this hop.
    pub(super) fn ends_here(&self, kind: Kind, name: &[u8]) -> bool {
        match kind {
            Kind::Connection | Kind::KeepAlive | Kind::ProxyConnection | Kind::Te => true,
            Kind::Upgrade => !self.offers_upgrade(),
            Kind::ContentLength | Kind::TransferEncoding => false,
            Kind::Other | Kind::Host | Kind::Expect | Kind::ProxyAuthorization => self.fields.nominated(self.bytes, name),
        }
    }
}

impl ResponseView for ResponseHead<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.pairs(self.bytes)
    }
}

/// Notices that a server does not speak HTTP before it sends a whole line.
fn early_doubt(head: &[u8]) -> Option<HeadError> {
    let start = &head[..head.len().min(7)];
    (start != &b"HTTP/1."[..start.len()]).then_some(HeadError::StatusLine)
}

/// `HTTP/1.1 200 OK`; the reason, and the space before it, may be missing.
fn status_line(line: &[u8]) -> Result<(Version, u16), HeadError> {
    let (Some(version_text), Some(b' '), Some(status)) = (line.get(..8), line.get(8), line.get(9..12)) else {
        return Err(HeadError::StatusLine);
    };
    let version = version(version_text).ok_or(HeadError::StatusLine)??;
    if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' || !matches!(line.get(12), None | Some(b' ')) {
        return Err(HeadError::StatusLine);
    }
    Ok((
        version,
        status.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')),
    ))
}

fn next(fields: &Fields, version: Version, status: u16, asked: Asked) -> Result<Next, HeadError> {
    match (fields.chunked, fields.length) {
        (true, _) if version == Version::Http10 => return Err(HeadError::CodingInOldVersion),
        (true, Some(_)) => return Err(HeadError::LengthAndCoding),
        _ => {}
    }
    Ok(match status {
        101 if asked.upgrade => Next::Tunnel,
        101 => return Err(HeadError::UnaskedSwitch),
        100..200 => Next::Head,
        // A server that says how long a body is did not open a tunnel (RFC 9110, 9.3.6): it would read what follows as requests.
        200..300 if asked.connect && (fields.chunked || fields.length.is_some()) => return Err(HeadError::TunnelWithBody),
        200..300 if asked.connect => Next::Tunnel,
        204 | 304 => Next::Body(Framing::None),
        _ if asked.head => Next::Body(Framing::None),
        _ => Next::Body(match (fields.chunked, fields.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        }),
    })
}
