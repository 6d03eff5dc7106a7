//! Heads and trailers: what routing sees of them, what is refused, and what changes on the way. What both versions of HTTP have in common is in [`crate::head`].

use h2::RecvStream;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::MAX_HEAD;
use crate::head::{belongs_in_head, check_path, has_outer_blank, is_authority, is_host_with_port, length};
use crate::http::{Edits, RequestView, ResponseView, is_own};
use crate::http1::error::{BodyError, HeadError};
use crate::http1::fields::FIELD_LIMIT;

/// What a field costs beyond its bytes when a head is measured (RFC 9113, 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Set on a request whose `:path` has a fragment, which h2 cuts off.
#[derive(Clone, Copy)]
pub(super) struct HasFragment;

/// Checks a request's head, in which its :authority stands afterwards even if it came as Host alone. True when it is a call of gRPC.
pub(super) fn check_request(request: &mut Request<RecvStream>) -> Result<bool, HeadError> {
    let seen = Seen::of(request.headers())?;
    if seen.outer_blank {
        return Err(HeadError::OuterBlank);
    }
    if request.extensions().get::<HasFragment>().is_some() {
        return Err(HeadError::Fragment);
    }
    let uri = request.uri();
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    match (seen.host.map(HeaderValue::as_bytes), authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => return Err(HeadError::HostDiffers),
        (None, None) | (Some(b""), _) => return Err(HeadError::HostMissing),
        (host, authority) if !authority.or(host).is_some_and(is_authority) => return Err(HeadError::HostInvalid),
        _ => {}
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let is_tunnel = request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_none();
    if !is_tunnel {
        check_path(request.method().as_str().as_bytes(), path.as_bytes())?;
        // The crate forgets the scheme when there is no :authority.
        if uri
            .scheme()
            .is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS)
        {
            return Err(HeadError::Target);
        }
    } else if !authority.is_some_and(is_host_with_port) {
        return Err(HeadError::Target);
    }
    if seen.size + path.len() + authority.map_or(0, <[u8]>::len) > MAX_HEAD {
        return Err(HeadError::TooLarge);
    }
    let is_grpc = seen.is_grpc;
    if authority.is_none()
        && let Some(host) = seen.host
    {
        // Allowed by RFC 9113, 8.3.1; on the way on it becomes :authority.
        let named = Uri::builder().scheme(Scheme::HTTP).authority(host.as_bytes()).path_and_query(path);
        *request.uri_mut() = named.build().map_err(|_| HeadError::HostInvalid)?;
    }
    Ok(is_grpc)
}

/// Checks the head of a program's or sidecar's answer. What it must not say is left out: fields of the mesh's own, unless a sidecar speaks; lengths where there is
/// no body; blanks around values, as there often are at the end of `grpc-message`, over which clients end connections.
pub(super) fn check_answer(status: StatusCode, fields: &mut HeaderMap, from_sidecar: bool) -> Result<(), HeadError> {
    let seen = Seen::of(fields)?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(HeadError::UnaskedSwitch);
    }
    if seen.size > MAX_HEAD {
        return Err(HeadError::TooLarge);
    }
    let (has_own, has_blank) = (seen.own && !from_sidecar, seen.outer_blank);
    if seen.has_length && (status.is_informational() || status == StatusCode::NO_CONTENT) {
        fields.remove(CONTENT_LENGTH);
    }
    if has_own {
        remove(fields, is_own);
    }
    if has_blank {
        trim(fields);
    }
    Ok(())
}

/// Checks the trailers of a request. Those that belong into its head are refused, since programs may merge them into it.
pub(super) fn check_trailers(trailers: &HeaderMap) -> Result<(), BodyError> {
    for (name, value) in trailers {
        if belongs_in_head(name.as_str().as_bytes()) {
            return Err(BodyError::TrailerForbidden);
        }
        if has_outer_blank(value.as_bytes()) {
            return Err(BodyError::Trailer);
        }
    }
    Ok(())
}

/// Leaves out of an answer's trailers what belongs into its head, and blanks around values.
pub(super) fn mend_trailers(trailers: &mut HeaderMap) {
    if trailers.keys().any(|name| belongs_in_head(name.as_str().as_bytes())) {
        remove(trailers, belongs_in_head);
    }
    if trailers.values().any(|value| has_outer_blank(value.as_bytes())) {
        trim(trailers);
    }
}

/// What one walk over the fields of a head finds.
struct Seen<'a> {
    host: Option<&'a HeaderValue>,
    has_length: bool,
    is_grpc: bool,
    own: bool,
    outer_blank: bool,
    size: usize,
}

impl<'a> Seen<'a> {
    fn of(fields: &'a HeaderMap) -> Result<Seen<'a>, HeadError> {
        if fields.len() > FIELD_LIMIT {
            return Err(HeadError::TooManyFields);
        }
        let mut seen = Seen {
            host: None,
            has_length: false,
            is_grpc: false,
            own: false,
            outer_blank: false,
            size: fields.len() * FIELD_OVERHEAD,
        };
        for (name, value) in fields {
            let (text, bytes) = (name.as_str().as_bytes(), value.as_bytes());
            seen.size += text.len() + bytes.len();
            seen.outer_blank |= has_outer_blank(bytes);
            match text.len() {
                4 if *name == HOST => {
                    if seen.host.replace(value).is_some() {
                        return Err(HeadError::HostRepeated);
                    }
                }
                12 if *name == CONTENT_TYPE => seen.is_grpc = bytes.starts_with(b"application/grpc"),
                14 if *name == CONTENT_LENGTH => {
                    if seen.has_length {
                        return Err(HeadError::LengthRepeated);
                    }
                    length(bytes).ok_or(HeadError::LengthInvalid)?;
                    seen.has_length = true;
                }
                _ => seen.own |= is_own(text),
            }
        }
        Ok(seen)
    }
}

/// Whether a request that may be refused is a call of gRPC.
pub(super) fn is_grpc(fields: &HeaderMap) -> bool {
    fields
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn remove(fields: &mut HeaderMap, is_unwanted: impl Fn(&[u8]) -> bool) {
    let unwanted = |name: &&HeaderName| is_unwanted(name.as_str().as_bytes());
    let names: Vec<HeaderName> = fields.keys().filter(unwanted).cloned().collect();
    for name in names {
        fields.remove(name);
    }
}

fn trim(fields: &mut HeaderMap) {
    for value in fields.values_mut().filter(|value| has_outer_blank(value.as_bytes())) {
        let bare = HeaderValue::from_bytes(value.as_bytes().trim_ascii());
        // What is left of a value is one, too.
        *value = bare.unwrap_or_else(|_| HeaderValue::from_static(""));
    }
}

/// The request with its fields edited.
pub(super) fn edited(mut parts: http::request::Parts, edits: &Edits) -> Request<()> {
    edit(&mut parts.headers, edits);
    parts.version = Version::HTTP_2;
    Request::from_parts(parts, ())
}

/// Edits the fields of a head.
pub(super) fn edit(fields: &mut HeaderMap, edits: &Edits) {
    remove(fields, |name| edits.drops(name));
    for field in edits.add.iter() {
        let (name, value) = field.header();
        fields.append(name, value);
    }
}

/// A request's head for routing.
pub(super) struct View<'a> {
    request: &'a Request<RecvStream>,
}

impl<'a> View<'a> {
    pub(super) fn of(request: &'a Request<RecvStream>) -> View<'a> {
        View { request }
    }
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.request.method().as_str()
    }

    fn path(&self) -> &str {
        self.request.uri().path_and_query().map_or("", |path| path.as_str())
    }

    fn authority(&self) -> &str {
        let authority = self.request.uri().authority().map(|authority| authority.as_str());
        authority.or_else(|| self.request.headers().get(HOST)?.to_str().ok()).unwrap_or("")
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.request.headers().get(name).map(HeaderValue::as_bytes)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(self.request.headers())
    }
}

/// What is known of a head that h2 refused: nothing.
pub(super) struct Unreadable;

impl RequestView for Unreadable {
    fn method(&self) -> &str {
        "?"
    }

    fn path(&self) -> &str {
        ""
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

/// A response's head.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) grpc_status: Option<u32>,
    pub(super) fields: &'a HeaderMap,
}

impl ResponseView for Answer<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn grpc_status(&self) -> Option<u32> {
        self.grpc_status
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(self.fields)
    }
}

fn pairs(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}
