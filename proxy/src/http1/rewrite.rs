//! Heads on their way out: fields that end at this hop are left out, the proxy's own are added, everything else is copied in runs.

use super::body::Framing;
use super::fields::{Field, Kind};
use super::handler::Role;
use super::request::{Form, RequestHead, Version};
use super::response::ResponseHead;
use crate::buffer::Buffer;
use crate::http::{AddedField, Edits, Reply, RequestView, is_own};

/// What the proxy tells the client of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays, as HTTP/1.1 presumes.
    Silent,
    /// It stays, which HTTP/1.0 must be told.
    Said,
    /// It ends after this response.
    Close,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A program: fields that are the mesh's own are left out, as it could pretend with them to be a sidecar.
    Program,
    /// A sidecar.
    Sidecar,
}

/// Writes the head of a request for the next hop.
pub fn request(head: &RequestHead<'_>, role: Role, edits: &Edits, out: &mut Buffer) {
    let bytes = head.bytes();
    out.reserve(bytes.len() + lines_length(&edits.add) + 128);

    let absolute = head.form() == Form::Absolute;
    let mut from = head.start();
    if absolute && role == Role::Proxy {
        out.extend(head.method().as_bytes());
        out.extend(b" ");
        out.extend(head.path().as_bytes());
        out.extend(if head.version() == Version::Http11 {
            b" HTTP/1.1\r\n"
        } else {
            b" HTTP/1.0\r\n"
        });
        from = head.fields_start();
    }
    copy_fields(bytes, from, head.fields().iter(), out, |field| {
        let name = field.name.of(bytes);
        head.ends_here(field.kind, name)
            || absolute && field.kind == Kind::Host
            || role == Role::Proxy && field.kind == Kind::ProxyAuthorization
            || field.kind == Kind::Other && edits.drops(name)
    });
    // A host that is not there is not made up; HTTP/1.0 knows none.
    if absolute || head.fields().is_uneven && head.fields().host.is_some() {
        out.extend(b"host: ");
        out.extend(head.authority().as_bytes());
        out.extend(b"\r\n");
    }
    if head.fields().is_uneven {
        framing(head.framing(), out);
    }
    if head.fields().te_trailers {
        out.extend(b"te: trailers\r\n");
    }
    match (head.upgrade(), head.fields().te_trailers) {
        (true, true) => out.extend(b"connection: upgrade, te\r\n"),
        (true, false) => out.extend(b"connection: upgrade\r\n"),
        (false, true) => out.extend(b"connection: te\r\n"),
        (false, false) if head.version() == Version::Http10 && head.persistent() => out.extend(b"connection: keep-alive\r\n"),
        (false, false) => {}
    }
    edits.add.iter().for_each(|field| out.extend(field.line().as_bytes()));
    out.extend(b"\r\n");
}

/// Writes the head of a response for the client. The version is this hop's own.
pub fn response(head: &ResponseHead<'_>, source: Source, keep: Keep, edits: Option<&Edits>, out: &mut Buffer) {
    let bytes = head.bytes();
    let added = edits.map_or(&[][..], |edits| &edits.add);
    out.reserve(bytes.len() + lines_length(added) + 32);
    const VERSION: &[u8] = b"HTTP/1.1";
    out.extend(VERSION);
    copy_fields(bytes, VERSION.len(), head.fields().iter(), out, |field| {
        let name = field.name.of(bytes);
        head.ends_here(field.kind, name)
            || source == Source::Program && is_own(name)
            || edits.is_some_and(|edits| field.kind == Kind::Other && edits.drops(name))
    });
    framing(head.rewritten_framing(), out);
    match (keep, head.offers_upgrade()) {
        (Keep::Close, true) => out.extend(b"connection: close, upgrade\r\n"),
        (_, true) => out.extend(b"connection: upgrade\r\n"),
        (keep, false) => out.extend(connection_line(keep)),
    }
    added.iter().for_each(|field| out.extend(field.line().as_bytes()));
    out.extend(b"\r\n");
}

/// Writes a whole answer of the proxy's own.
pub fn reply(reply: &Reply, keep: Keep, without_body: bool, out: &mut Buffer) {
    let body = reply.body();
    let reason = http::StatusCode::from_u16(reply.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("");
    let Reply { status, code, .. } = reply;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\nweft-error: {code}\r\n"
    );
    out.extend(head.as_bytes());
    out.extend(connection_line(keep));
    out.extend(b"\r\n");
    if !without_body {
        out.extend(body.as_bytes());
    }
}

fn lines_length(added: &[AddedField]) -> usize {
    added.iter().map(|field| field.line().len()).sum()
}

/// Writes framing as every program reads it.
fn framing(framing: Framing, out: &mut Buffer) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Chunked => out.extend(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) => out.extend(format!("content-length: {length}\r\n").as_bytes()),
    }
}

fn connection_line(keep: Keep) -> &'static [u8] {
    match keep {
        Keep::Silent => b"",
        Keep::Said => b"connection: keep-alive\r\n",
        Keep::Close => b"connection: close\r\n",
    }
}

/// Copies what stands from `from` to the last field, without the fields that are left out and without the empty line.
fn copy_fields<'f>(
    head: &[u8],
    mut from: usize,
    fields: impl Iterator<Item = &'f Field>,
    out: &mut Buffer,
    left_out: impl Fn(&Field) -> bool,
) {
    let end = head.len() - 2;
    let mut skipping = false;
    for field in fields {
        let start = field.name.start();
        if skipping {
            from = start;
        }
        skipping = left_out(field);
        if skipping {
            out.extend(&head[from..start]);
            from = end;
        }
    }
    out.extend(&head[from..end]);
}
