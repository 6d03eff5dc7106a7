//! Whether a request is what a match says. Allocates nothing.

use crate::http::RequestView;

/// What a request must be: all that is set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// Index of the rule that decides then.
    pub rule: usize,
    pub path: Option<Path>,
    /// Empty: any.
    pub method: String,
    pub headers: Vec<Pair>,
    pub query: Vec<Pair>,
}

/// What the path must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Path {
    Exact(Text),
    /// Without a slash at its end.
    Prefix(Text),
    /// Service and method of a gRPC call, empty ones for any.
    Grpc(String, String),
}

/// A text to compare with, as it is sent and as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub sent: Box<[u8]>,
    pub read: Box<[u8]>,
}

/// A name and the value that must be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub name: String,
    pub value: String,
}

/// A request with its path as it was sent or as it is read.
pub(super) struct Request<'a, H> {
    pub path: &'a [u8],
    pub is_read: bool,
    pub query: &'a str,
    pub head: &'a H,
}

impl Match {
    pub fn holds<H: RequestView>(&self, request: &Request<'_, H>) -> bool {
        self.path.as_ref().is_none_or(|path| path.holds(request))
            && (self.method.is_empty() || self.method == request.head.method())
            && self.headers.iter().all(|header| has_header(header, request.head))
            && self.query.iter().all(|parameter| has_parameter(parameter, request.query))
    }
}

impl Path {
    fn holds<H>(&self, request: &Request<'_, H>) -> bool {
        let path = request.path;
        match self {
            Path::Exact(text) => path == text.of(request.is_read),
            Path::Prefix(text) => path
                .strip_prefix(text.of(request.is_read))
                .is_some_and(|rest| matches!(rest, [] | [b'/', ..])),
            Path::Grpc(service, method) => is_call(path, service.as_bytes(), method.as_bytes()),
        }
    }
}

impl Text {
    fn of(&self, is_read: bool) -> &[u8] {
        if is_read { &self.read } else { &self.sent }
    }
}

/// Whether a path is that of a gRPC call, `/service/method`.
fn is_call(path: &[u8], service: &[u8], method: &[u8]) -> bool {
    let is = |wanted: &[u8], part: &[u8]| wanted.is_empty() || wanted == part;
    let mut parts = path.split(|byte| *byte == b'/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some([]), Some(called), Some(by), None) => is(service, called) && is(method, by),
        _ => false,
    }
}

/// Whether the fields of a name, joined by `, ` where there are several, are this value. Host is the authority, however it came.
fn has_header(header: &Pair, head: &impl RequestView) -> bool {
    if header.name == "host" {
        return head.authority() == header.value;
    }
    let named = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(header.name.as_bytes());
    let mut left: Option<&[u8]> = None;
    for (_, value) in head.fields().filter(named) {
        let joint: &[u8] = if left.is_some() { b", " } else { b"" };
        let rest = left.unwrap_or(header.value.as_bytes()).strip_prefix(joint);
        match rest.and_then(|rest| rest.strip_prefix(value)) {
            Some(rest) => left = Some(rest),
            None => return false,
        }
    }
    left.is_some_and(<[u8]>::is_empty)
}

/// Whether the first parameter of a name has this value.
fn has_parameter(parameter: &Pair, query: &str) -> bool {
    let mut parameters = query.split('&').map(|each| each.split_once('=').unwrap_or((each, "")));
    parameters.find(|(name, _)| *name == parameter.name).map(|(_, value)| value) == Some(&parameter.value)
}
