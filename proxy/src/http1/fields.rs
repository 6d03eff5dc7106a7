//! The fields of a head: where they are, and what they say about connection and framing.

use super::error::HeadError;
use super::scan;
use crate::head;
use crate::http::is_same_name;

/// Most bytes of a head, first line and last empty line included.
pub const HEAD_LIMIT: usize = 60 * 1024;

/// Most fields of a head.
pub const FIELD_LIMIT: usize = 100;

const _: () = assert!(HEAD_LIMIT <= u16::MAX as usize, "spans are 16 bits wide");

/// How much of an incomplete head was looked at. Only a whole line tells more than was known, so that a head that comes byte by byte is not
/// read anew for each of them.
#[derive(Default)]
pub(super) struct Looked(usize);

impl Looked {
    /// Whether these bytes, which begin with those of the last call, are worth another look.
    pub(super) fn worth(&mut self, bytes: &[u8]) -> bool {
        let before = std::mem::replace(&mut self.0, bytes.len());
        before == 0 || bytes.len() >= HEAD_LIMIT || bytes[before..].contains(&b'\n')
    }
}

/// A range of bytes of a head.
#[derive(Clone, Copy, Default)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u16,
            end: end as u16,
        }
    }

    /// The bytes.
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }

    /// Where it begins.
    pub fn start(self) -> usize {
        self.start as usize
    }
}

/// Fields that matter to the codec itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of that name")]
pub enum Kind {
    #[default]
    Other,
    Connection,
    ContentLength,
    /// A spelling of Content-Length or Transfer-Encoding that programs which read fields as variables take for it.
    Disguised,
    Expect,
    Host,
    KeepAlive,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    TransferEncoding,
    Upgrade,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        let (candidate, kind): (&[u8], Self) = match name.len() {
            2 => (b"te", Self::Te),
            4 => (b"host", Self::Host),
            6 => (b"expect", Self::Expect),
            7 => (b"upgrade", Self::Upgrade),
            10 if name[0] | 0x20 == b'c' => (b"connection", Self::Connection),
            10 => (b"keep-alive", Self::KeepAlive),
            14 => (b"content-length", Self::ContentLength),
            16 => (b"proxy-connection", Self::ProxyConnection),
            17 => (b"transfer-encoding", Self::TransferEncoding),
            19 => (b"proxy-authorization", Self::ProxyAuthorization),
            _ => return Self::Other,
        };
        match kind {
            _ if name.eq_ignore_ascii_case(candidate) => kind,
            Self::ContentLength | Self::TransferEncoding if is_same_name(name, candidate) => Self::Disguised,
            _ => Self::Other,
        }
    }
}

/// One field.
#[derive(Clone, Copy, Default)]
pub struct Field {
    /// Name as sent.
    pub name: Span,
    /// Value without blanks around it.
    pub value: Span,
    /// Which one it is.
    pub kind: Kind,
}

/// The fields of one head. Made by the caller and filled by a parser, so that nothing of it is moved.
pub struct Fields {
    list: [Field; FIELD_LIMIT],
    count: usize,
    pub(super) host: Option<Span>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade_option: bool,
    /// `Connection` names fields of the application's own.
    pub(super) nominates: bool,
    pub(super) upgrade: bool,
    pub(super) h2c: bool,
    pub(super) te_trailers: bool,
    pub(super) expect_continue: bool,
    /// Host, length or coding are written in a way that some programs do not read as others do: with blanks, or leading zeros.
    pub(super) is_uneven: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            list: [Field::default(); FIELD_LIMIT],
            count: 0,
            host: None,
            length: None,
            chunked: false,
            close: false,
            keep_alive: false,
            upgrade_option: false,
            nominates: false,
            upgrade: false,
            h2c: false,
            te_trailers: false,
            expect_continue: false,
            is_uneven: false,
        }
    }
}

impl Fields {
    /// The fields in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.list[..self.count].iter()
    }

    /// Names and values, in the order they were sent.
    pub fn pairs<'h>(&'h self, head: &'h [u8]) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        self.iter().map(|field| (field.name.of(head), field.value.of(head)))
    }

    /// The first value of a field.
    pub fn get<'h>(&self, head: &'h [u8], name: &str) -> Option<&'h [u8]> {
        self.iter()
            .find(|field| field.name.of(head).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value.of(head))
    }

    /// Whether a field ends at this hop because `Connection` names it.
    pub fn nominated(&self, head: &[u8], name: &[u8]) -> bool {
        self.nominates && self.connection_names(head, name)
    }

    #[cold]
    fn connection_names(&self, head: &[u8], name: &[u8]) -> bool {
        let connection = self.iter().filter(|field| field.kind == Kind::Connection);
        connection
            .flat_map(|field| scan::list(field.value.of(head)))
            .any(|option| option.eq_ignore_ascii_case(name))
    }

    /// Reads field lines from `at` up to and with the empty line; gives where the head ends, or None when there is no empty line yet.
    pub(super) fn parse(&mut self, head: &[u8], mut at: usize) -> Result<Option<usize>, HeadError> {
        loop {
            match head.get(at) {
                None => return Ok(None),
                Some(b'\r') => return line_end(head, at),
                Some(b'\n') => return Err(HeadError::BareLineFeed),
                Some(b' ' | b'\t') => return Err(HeadError::Fold),
                Some(_) => {}
            }
            let colon = scan::token_end(head, at);
            match head.get(colon) {
                None => return Ok(None),
                Some(b':') if colon > at => {}
                Some(b' ' | b'\t') => return Err(HeadError::BlankBeforeColon),
                Some(_) => return Err(HeadError::FieldName),
            }
            let mut start = colon + 1;
            while let Some(b' ' | b'\t') = head.get(start) {
                start += 1;
            }
            let stop = scan::value_end(head, start);
            let Some(next) = line_end(head, stop)? else { return Ok(None) };
            let mut end = stop;
            while end > start && matches!(head[end - 1], b' ' | b'\t') {
                end -= 1;
            }
            if self.count == FIELD_LIMIT {
                return Err(HeadError::TooManyFields);
            }
            let name = Span::new(at, colon);
            let field = Field {
                name,
                value: Span::new(start, end),
                kind: Kind::of(name.of(head)),
            };
            self.note(head, field)?;
            self.list[self.count] = field;
            self.count += 1;
            at = next;
        }
    }

    fn note(&mut self, head: &[u8], field: Field) -> Result<(), HeadError> {
        let value = field.value.of(head);
        if matches!(field.kind, Kind::Host | Kind::ContentLength | Kind::TransferEncoding) {
            self.is_uneven |= is_uneven(head, field);
        }
        match field.kind {
            Kind::Host if self.host.is_some() => return Err(HeadError::HostRepeated),
            Kind::Host => self.host = Some(field.value),
            Kind::ContentLength if self.length.is_some() => return Err(HeadError::LengthRepeated),
            Kind::ContentLength => self.length = Some(head::length(value).ok_or(HeadError::LengthInvalid)?),
            Kind::TransferEncoding if self.chunked => return Err(HeadError::CodingRepeated),
            Kind::TransferEncoding if value.eq_ignore_ascii_case(b"chunked") => self.chunked = true,
            Kind::TransferEncoding => return Err(HeadError::CodingUnsupported),
            Kind::Connection => scan::list(value).for_each(|option| self.connection_option(option)),
            Kind::Upgrade => {
                self.upgrade = true;
                self.h2c |= scan::list(value).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
            }
            Kind::Te => self.te_trailers |= scan::list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
            Kind::Expect => self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            Kind::Other | Kind::Disguised | Kind::KeepAlive | Kind::ProxyAuthorization | Kind::ProxyConnection => {}
        }
        Ok(())
    }

    fn connection_option(&mut self, option: &[u8]) {
        match option.len() {
            5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
            10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
            7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade_option = true,
            _ => self.nominates = true,
        }
    }
}

/// Whether there is more around a value than the one blank before it, or a zero in front of a number.
fn is_uneven(head: &[u8], field: Field) -> bool {
    let before = &head[field.name.end as usize + 1..field.value.start as usize];
    let number = field.kind == Kind::ContentLength && field.value.of(head).len() > 1 && head[field.value.start as usize] == b'0';
    !matches!(before, b"" | b" ") || head.get(field.value.end as usize) != Some(&b'\r') || number
}

/// Where the line goes on after the CR LF that stands at `at`; None when it has not arrived whole.
pub(super) fn line_end(head: &[u8], at: usize) -> Result<Option<usize>, HeadError> {
    match (head.get(at), head.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), _) => Err(HeadError::BareCarriageReturn),
        (Some(b'\n'), _) => Err(HeadError::BareLineFeed),
        _ => Err(HeadError::Control),
    }
}
