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

    /// Whether no body follows, whatever the request and the fields say.
    fn is_bare(&self) -> bool {
        self.next == Next::Tunnel || self.status < 200 || matches!(self.status, 204 | 304)
    }

    /// Whether the head announces a body that does not belong to such an answer. Some programs send it nevertheless.
    pub fn announces_more(&self) -> bool {
        let length = match self.status {
            304 => false,
            // A tunnel has no length, not even 0.
            200 => self.fields.length.is_some(),
            _ => self.fields.length.is_some_and(|length| length > 0),
        };
        self.is_bare() && (self.fields.chunked || length)
    }

    /// What the head says of the body's end, to be written anew when its fields are left out for how they are written.
    pub(super) fn rewritten_framing(&self) -> Framing {
        match (self.fields.chunked, self.fields.length) {
            _ if !self.fields.is_uneven => Framing::None,
            (true, _) if !self.is_bare() => Framing::Chunked,
            (false, Some(length)) if !self.is_bare() || self.status == 304 => Framing::Length(length),
            _ => Framing::None,
        }
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
            // A 304 says how long the answer would be; others without a body say nothing of it that a client could not take for one (RFC 9110, 8.6; RFC 9112, 6.1).
            Kind::ContentLength => self.fields.is_uneven || self.is_bare() && self.status != 304,
            Kind::TransferEncoding => self.fields.is_uneven || self.is_bare(),
            Kind::Other | Kind::Disguised | Kind::Host | Kind::Expect | Kind::ProxyAuthorization => self.fields.nominated(self.bytes, name),
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
    // What it says of a body is ignored (RFC 9110, 9.3.6): forward proxies do say it. Other statuses of success come from servers that know no CONNECT and read on.
    if asked.connect && status == 200 {
        return Ok(Next::Tunnel);
    }
    match (fields.chunked, fields.length) {
        (true, _) if version == Version::Http10 => return Err(HeadError::CodingInOldVersion),
        (true, Some(_)) => return Err(HeadError::LengthAndCoding),
        _ => {}
    }
    Ok(match status {
        101 if asked.upgrade => Next::Tunnel,
        101 => return Err(HeadError::UnaskedSwitch),
        100..200 => Next::Head,
        204 | 304 => Next::Body(Framing::None),
        _ if asked.head => Next::Body(Framing::None),
        _ => Next::Body(match (fields.chunked, fields.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        }),
    })
}
