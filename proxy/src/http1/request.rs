//! The head of a request.

use super::body::Framing;
use super::error::HeadError;
use super::fields::{Fields, HEAD_LIMIT, Kind, Span, line_end};
use super::scan;
use crate::head::{is_authority, is_host_with_port};
use crate::http::RequestView;

/// Version of a message that is understood here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the versions")]
pub enum Version {
    Http10,
    Http11,
}

/// Form of a request's target (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, only with `CONNECT`
    Authority,
    /// `*`, only with `OPTIONS`
    Asterisk,
}

/// The head of a request, as ranges of the bytes it was read into.
pub struct RequestHead<'h> {
    bytes: &'h [u8],
    fields: &'h Fields,
    method: Span,
    target: Span,
    form: Form,
    /// None where the form implies it.
    path: Option<Span>,
    authority: Span,
    version: Version,
    framing: Framing,
    fields_start: usize,
}

impl<'h> RequestHead<'h> {
    /// Reads a head from the start of `bytes`; None when it is not complete. `fields` must be new.
    ///
    /// One empty line before the head is skipped, as RFC 9112 asks of servers.
    pub fn parse(bytes: &'h [u8], fields: &'h mut Fields) -> Result<Option<Self>, HeadError> {
        let head = &bytes[..bytes.len().min(HEAD_LIMIT)];
        match Self::parse_within(head, fields) {
            Ok(None) if head.len() == HEAD_LIMIT => Err(HeadError::TooLarge),
            result => result,
        }
    }

    fn parse_within(head: &'h [u8], fields: &'h mut Fields) -> Result<Option<Self>, HeadError> {
        let start = match head {
            [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => 2,
            _ => 0,
        };

        let method_end = scan::token_end(head, start);
        match head.get(method_end) {
            None => return Ok(None),
            Some(b' ') if method_end > start => {}
            Some(b'\n') => return Err(HeadError::BareLineFeed),
            Some(_) => return Err(HeadError::Method),
        }
        let method = Span::new(start, method_end);

        let target_start = method_end + 1;
        let target_end = scan::visible_end(head, target_start);
        match head.get(target_end) {
            None => return Ok(None),
            Some(b' ') if target_end > target_start => {}
            Some(b'\r' | b'\n') => return Err(HeadError::Version),
            Some(_) => return Err(HeadError::Target),
        }
        let target = Span::new(target_start, target_end);

        let version_end = scan::visible_end(head, target_end + 1);
        let Some(fields_start) =
            line_end(head, version_end).map_err(|error| if error == HeadError::Control { HeadError::Version } else { error })?
        else {
            return Ok(None);
        };
        let version = version(&head[target_end + 1..version_end]).ok_or(HeadError::Version)??;

        let Some(end) = fields.parse(head, fields_start)? else {
            return Ok(None);
        };
        let (form, path, authority) = target_parts(method.of(head), target, head, fields.host, version)?;
        let framing = framing(fields, version)?;
        if form == Form::Authority && !matches!(framing, Framing::None | Framing::Length(0)) {
            return Err(HeadError::TunnelWithBody);
        }
        let bytes = &head[..end];
        Ok(Some(Self {
            bytes,
            fields,
            method,
            target,
            form,
            path,
            authority,
            version,
            framing,
            fields_start,
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

    /// Where the first field begins.
    pub fn fields_start(&self) -> usize {
        self.fields_start
    }

    /// Where the method begins.
    pub fn start(&self) -> usize {
        self.method.start()
    }

    /// The target as sent.
    pub fn target(&self) -> &'h str {
        scan::text(self.target.of(self.bytes))
    }

    /// Form of the target.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Version of the client.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body ends.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants to use the connection again.
    pub fn persistent(&self) -> bool {
        persistent(self.fields, self.version)
    }

    /// Whether the client waits for a first answer before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.fields.expect_continue && self.version == Version::Http11
    }

    /// Whether the client asks to speak another protocol from here on. h2c does not count: that way to HTTP/2 is obsolete and its bytes would pass
    /// unseen, so such a request goes on as HTTP/1.1, as a server may choose.
    pub fn upgrade(&self) -> bool {
        self.fields.upgrade && self.fields.upgrade_option && !self.fields.h2c && self.version == Version::Http11
    }

    /// Whether a field goes no further than this hop for what the head itself says.
    pub(super) fn ends_here(&self, kind: Kind, name: &[u8]) -> bool {
        match kind {
            Kind::Connection | Kind::KeepAlive | Kind::ProxyConnection | Kind::Te => true,
            Kind::Upgrade => !self.upgrade(),
            Kind::Host | Kind::ContentLength | Kind::TransferEncoding => self.fields.is_uneven,
            Kind::Disguised => true,
            Kind::Other | Kind::Expect | Kind::ProxyAuthorization => self.fields.nominated(self.bytes, name),
        }
    }
}

impl RequestView for RequestHead<'_> {
    fn method(&self) -> &str {
        scan::text(self.method.of(self.bytes))
    }

    fn path(&self) -> &str {
        match (self.path, self.form) {
            (Some(path), _) => scan::text(path.of(self.bytes)),
            (None, Form::Authority) => "",
            (None, Form::Asterisk) => "*",
            (None, _) if self.method.of(self.bytes) == b"OPTIONS" => "*",
            (None, _) => "/",
        }
    }

    fn authority(&self) -> &str {
        scan::text(self.authority.of(self.bytes))
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(self.bytes, name)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.pairs(self.bytes)
    }
}

/// What can be told of a head that was refused: the first two words of its first line, and no fields.
pub(super) struct Unreadable<'h> {
    method: &'h str,
    target: &'h str,
}

impl<'h> Unreadable<'h> {
    pub(super) fn of(bytes: &'h [u8]) -> Self {
        let line = bytes[..bytes.len().min(HEAD_LIMIT)]
            .split(|&byte| matches!(byte, b'\r' | b'\n'))
            .find(|line| !line.is_empty());
        let mut words = line.unwrap_or_default().splitn(3, |&byte| byte == b' ');
        let mut next = || readable(words.next().unwrap_or_default());
        Self {
            method: next(),
            target: next(),
        }
    }
}

/// As much of the start as is UTF-8.
fn readable(bytes: &[u8]) -> &str {
    let end = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    scan::text(&bytes[..end])
}

impl RequestView for Unreadable<'_> {
    fn method(&self) -> &str {
        if self.method.is_empty() { "?" } else { self.method }
    }

    fn path(&self) -> &str {
        self.target
    }

    fn authority(&self) -> &str {
        ""
    }

    fn field(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        std::iter::empty()
    }
}

/// The version that a text names; the inner error when it is one, but not understood here.
pub(super) fn version(text: &[u8]) -> Option<Result<Version, HeadError>> {
    match text {
        b"HTTP/1.1" => Some(Ok(Version::Http11)),
        b"HTTP/1.0" => Some(Ok(Version::Http10)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Some(Err(HeadError::UnsupportedVersion))
        }
        _ => None,
    }
}

/// Whether the sender of these fields keeps the connection.
pub(super) fn persistent(fields: &Fields, version: Version) -> bool {
    !fields.close && (version == Version::Http11 || fields.keep_alive)
}

fn framing(fields: &Fields, version: Version) -> Result<Framing, HeadError> {
    match (fields.chunked, fields.length) {
        (true, _) if version == Version::Http10 => Err(HeadError::CodingInOldVersion),
        (true, Some(_)) => Err(HeadError::LengthAndCoding),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::None),
    }
}

type TargetParts = (Form, Option<Span>, Span);

/// Splits the target; an absolute one decides the authority, else the Host field does.
fn target_parts(method: &[u8], target: Span, head: &[u8], host: Option<Span>, version: Version) -> Result<TargetParts, HeadError> {
    let text = target.of(head);
    if text.contains(&b'#') {
        return Err(HeadError::Fragment);
    }
    if host.is_none() && version == Version::Http11 {
        return Err(HeadError::HostMissing);
    }
    if !host.is_none_or(|host| is_authority(host.of(head))) {
        return Err(HeadError::HostInvalid);
    }
    let host = host.unwrap_or_default();
    if method == b"CONNECT" {
        return match is_host_with_port(text) {
            true => Ok((Form::Authority, None, target)),
            false => Err(HeadError::Target),
        };
    }
    match text {
        [b'/', ..] => return Ok((Form::Origin, Some(target), host)),
        b"*" if method == b"OPTIONS" => return Ok((Form::Asterisk, None, host)),
        _ => {}
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return Err(HeadError::Target) };
    let start = target.start() + scheme.len();
    let end = target.start() + text.len();
    let slash = head[start..end]
        .iter()
        .position(|&b| b == b'/' || b == b'?')
        .map_or(end, |n| start + n);
    if slash == start || !is_authority(&head[start..slash]) || head[slash] == b'?' {
        return Err(HeadError::Target);
    }
    Ok((
        Form::Absolute,
        (slash < end).then(|| Span::new(slash, end)),
        Span::new(start, slash),
    ))
}
