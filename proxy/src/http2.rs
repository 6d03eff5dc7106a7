//! HTTP/2: carries each stream of a client connection to a stream of an upstream connection, with both ends' flow control joined.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::errors;
use crate::http::{Edits, Outcome, Reply, RequestView};
use crate::http1::error::HeadError;
use crate::http1::fields::FIELD_LIMIT;

/// Receive window of a stream, bytes; what one slow reader can make the sidecar hold.
const STREAM_WINDOW: u32 = 65_535;
/// Receive window of a connection, bytes: that of all its streams together, so that those that nobody reads from cannot hold up the others.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
/// Bytes that wait to be sent, a stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams at a time, a connection.
const MAX_STREAMS: u32 = 1_000;
/// Bytes of a head, fields uncompressed (as for HTTP/1.1).
const MAX_HEAD: u32 = 60 * 1024;
/// Limit for the connection preface and first SETTINGS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Routing, pools and counting for one client connection; the methods mean what they mean in [`crate::http1::Handler`].
pub trait Handler {
    /// One request under way.
    type Call;
    /// Routes a request.
    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Self::Call, Reply>;
    /// What changes in the request's fields.
    fn edits<'a>(&'a self, call: &'a Self::Call) -> &'a Edits;
    /// A connection for the call that can take one more stream.
    fn acquire(&self, call: &mut Self::Call) -> impl Future<Output = Result<SendRequest<Bytes>, Reply>>;
    /// Called exactly once for each begun request.
    fn finish(&self, call: Self::Call, outcome: Outcome);
    /// Resolves when the sidecar starts to drain.
    fn drain_started(&self) -> impl Future<Output = ()>;
}

/// Starts HTTP/2 on a connection to a server and drives it in a task of its own until it ends.
pub async fn client<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> io::Result<SendRequest<Bytes>> {
    let handshake = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEAD)
        .enable_push(false)
        .handshake(stream);
    let (sender, connection) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(io::Error::other)?;
    // How the connection ends reaches each of its streams.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

/// Serves a client's connection until it ends. When draining starts, streams under way finish and new ones are refused.
pub async fn serve<S, H>(stream: S, handler: Rc<H>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler + 'static,
{
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEAD)
        .max_concurrent_streams(MAX_STREAMS)
        .handshake::<_, Bytes>(stream);
    let Ok(Ok(mut connection)) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await else {
        return;
    };
    let drain = handler.drain_started();
    tokio::pin!(drain);
    let mut draining = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::task::spawn_local(exchange(handler.clone(), request, respond, Instant::now()));
                }
                Some(Err(_)) | None => return,
            },
            () = &mut drain, if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Finishes the call when the exchange ends, however it ends.
struct Finish<H: Handler> {
    handler: Rc<H>,
    call: Option<H::Call>,
    outcome: Outcome,
}

impl<H: Handler> Drop for Finish<H> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.handler.finish(call, self.outcome);
        }
    }
}

/// Why an exchange ended early.
enum Cut {
    /// The client reset its stream, or its connection ended.
    Client(Reason),
    /// The upstream reset its stream, or its connection ended.
    Upstream(Reason),
}

async fn exchange<H: Handler>(handler: Rc<H>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>, started: Instant) {
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let is_head = request.method() == Method::HEAD;
    if let Err(error) = checked(request.headers(), request.uri()) {
        return answer(&mut respond, &error.reply(), is_grpc, is_head);
    }
    let call = match handler.begin(&View::of(&request), started) {
        Ok(call) => call,
        Err(reply) => return answer(&mut respond, &reply, is_grpc, is_head),
    };
    let mut finish = Finish {
        handler: handler.clone(),
        call: Some(call),
        outcome: Outcome::default(),
    };
    let Some(call) = finish.call.as_mut() else { return };
    let acquired = tokio::select! {
        acquired = handler.acquire(call) => acquired,
        _ = poll_fn(|context| respond.poll_reset(context)) => return,
    };
    let sent = acquired.and_then(|mut sender| {
        let (parts, body) = request.into_parts();
        let ended = body.is_end_stream();
        let head = edited(parts, handler.edits(call));
        let sent = sender.send_request(head, ended);
        sent.map(|(response, send)| (response, send, (!ended).then_some(body)))
            .map_err(|error| closed_early(&error))
    });
    let (response, mut send, body) = match sent {
        Ok(sent) => sent,
        Err(reply) => {
            finish.outcome = Outcome {
                status: reply.status,
                error: Some(reply.code),
                ..Outcome::default()
            };
            if is_grpc {
                (finish.outcome.status, finish.outcome.grpc_status) = (200, Some(grpc_status(reply.status)));
            }
            return answer(&mut respond, &reply, is_grpc, is_head);
        }
    };

    let Finish { outcome, call, .. } = &mut finish;
    let Some(call) = call.as_ref() else { return };
    let edits = handler.edits(call);
    let mut request_bytes = 0;
    let cut = {
        let upload = upload(body, &mut send, &mut request_bytes, edits);
        let download = download(response, &mut respond, outcome, is_grpc, is_head);
        tokio::pin!(upload, download);
        let mut uploading = true;
        loop {
            tokio::select! {
                biased;
                uploaded = &mut upload, if uploading => match uploaded {
                    Err(Cut::Client(reason)) => break Err(Cut::Client(reason)),
                    // What became of the upstream's side is told by its response.
                    Ok(()) | Err(Cut::Upstream(_)) => uploading = false,
                },
                downloaded = &mut download => break downloaded,
            }
        }
    };
    finish.outcome.request_bytes = request_bytes;
    match cut {
        Ok(()) => {}
        Err(Cut::Client(reason)) => send.send_reset(reason),
        Err(Cut::Upstream(reason)) => {
            finish.outcome.error = Some(errors::UPSTREAM_CLOSED);
            respond.send_reset(reason);
        }
    }
}

/// Carries the request's body and trailers, of which what the edits drop is left out: programs may merge trailers into the head.
async fn upload(body: Option<RecvStream>, send: &mut SendStream<Bytes>, count: &mut u64, edits: &Edits) -> Result<(), Cut> {
    let Some(body) = body else { return Ok(()) };
    match carry(body, send, count, |trailers| drop_fields(trailers, edits)).await {
        Ok(_) => Ok(()),
        Err(Side::Source(reason)) => Err(Cut::Client(reason)),
        Err(Side::Sink(reason)) => Err(Cut::Upstream(reason)),
    }
}

/// Carries the response: interim heads, head, body, trailers.
async fn download(
    mut response: ResponseFuture,
    respond: &mut SendResponse<Bytes>,
    outcome: &mut Outcome,
    is_grpc: bool,
    is_head: bool,
) -> Result<(), Cut> {
    let response = loop {
        tokio::select! {
            biased;
            interim = poll_fn(|context| response.poll_informational(context)) => {
                if let Some(Ok(interim)) = interim {
                    // The client may have gone; the next steps find out.
                    let _ = respond.send_informational(interim);
                    continue;
                }
                // No more of them: the final response or its error comes next.
                break (&mut response).await;
            }
            reset = poll_fn(|context| respond.poll_reset(context)) => return Err(Cut::Client(reset.unwrap_or(Reason::CANCEL))),
        }
    };
    let response = match response {
        Ok(response) => response,
        Err(error) if error.is_reset() => return Err(Cut::Upstream(error.reason().unwrap_or(Reason::INTERNAL_ERROR))),
        Err(error) => {
            let reply = closed_early(&error);
            outcome.error = Some(reply.code);
            (outcome.status, outcome.grpc_status) = if is_grpc {
                (200, Some(grpc_status(reply.status)))
            } else {
                (reply.status, None)
            };
            answer(respond, &reply, is_grpc, is_head);
            return Ok(());
        }
    };
    let (parts, body) = response.into_parts();
    outcome.status = parts.status.as_u16();
    outcome.grpc_status = grpc_status_field(&parts.headers);
    let ended = body.is_end_stream();
    let mut send = respond
        .send_response(Response::from_parts(parts, ()), ended)
        .map_err(|error| Cut::Client(error.reason().unwrap_or(Reason::CANCEL)))?;
    if ended {
        return Ok(());
    }
    match carry(body, &mut send, &mut outcome.response_bytes, |_| {}).await {
        Ok(trailers) => {
            outcome.grpc_status = trailers.as_ref().and_then(grpc_status_field).or(outcome.grpc_status);
            Ok(())
        }
        Err(Side::Source(reason)) => Err(Cut::Upstream(reason)),
        Err(Side::Sink(reason)) => Err(Cut::Client(reason)),
    }
}

enum Side {
    Source(Reason),
    Sink(Reason),
}

/// Carries data and trailers from one stream to another. A chunk's window is given back to the source only when the sink took it.
async fn carry(
    mut source: RecvStream,
    sink: &mut SendStream<Bytes>,
    count: &mut u64,
    edit_trailers: impl FnOnce(&mut HeaderMap),
) -> Result<Option<HeaderMap>, Side> {
    let cut_sink = |error: h2::Error| Side::Sink(error.reason().unwrap_or(Reason::CANCEL));
    loop {
        let mut chunk = tokio::select! {
            biased;
            reset = poll_fn(|context| sink.poll_reset(context)) => return Err(Side::Sink(reset.unwrap_or(Reason::CANCEL))),
            data = source.data() => match data {
                None => break,
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Err(Side::Source(error.reason().unwrap_or(Reason::CANCEL))),
            },
        };
        let length = chunk.len();
        *count += length as u64;
        let last = source.is_end_stream();
        if length == 0 && last {
            return sink.send_data(chunk, true).map(|()| None).map_err(cut_sink);
        }
        while !chunk.is_empty() {
            sink.reserve_capacity(chunk.len());
            let room = match poll_fn(|context| sink.poll_capacity(context)).await {
                Some(Ok(room)) => room.min(chunk.len()),
                Some(Err(error)) => return Err(cut_sink(error)),
                None => return Err(Side::Sink(Reason::CANCEL)),
            };
            let part = chunk.split_to(room);
            sink.send_data(part, last && chunk.is_empty()).map_err(cut_sink)?;
        }
        // Fails only when the source's stream is gone, which its next read reports.
        let _ = source.flow_control().release_capacity(length);
        if last {
            return Ok(None);
        }
    }
    let mut trailers = source
        .trailers()
        .await
        .map_err(|error| Side::Source(error.reason().unwrap_or(Reason::CANCEL)))?;
    match &mut trailers {
        Some(trailers) => {
            edit_trailers(trailers);
            sink.send_trailers(trailers.clone()).map_err(cut_sink)?;
        }
        None => sink.send_data(Bytes::new(), true).map_err(cut_sink)?,
    }
    Ok(trailers)
}

/// The request with its fields edited, addressed as it came.
fn edited(mut parts: http::request::Parts, edits: &Edits) -> Request<()> {
    drop_fields(&mut parts.headers, edits);
    for field in edits.add.iter() {
        if let Ok(value) = HeaderValue::from_str(field.value()) {
            parts.headers.insert(HeaderName::from_static(field.name()), value);
        }
    }
    if parts.uri.authority().is_none() {
        // Allowed by RFC 9113, 8.3.1, when Host is there; on the way on it becomes :authority.
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if let Ok(uri) = Uri::builder().scheme("http").authority(host).path_and_query(path).build() {
            parts.uri = uri;
        }
    }
    parts.version = Version::HTTP_2;
    Request::from_parts(parts, ())
}

fn drop_fields(fields: &mut HeaderMap, edits: &Edits) {
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| edits.drops(name.as_str().as_bytes()))
        .cloned()
        .collect();
    for name in dropped {
        fields.remove(name);
    }
}

/// Refuses what the protocol allows and programs read in different ways (RFC 9113, 8.3.1), or in great numbers.
fn checked(fields: &HeaderMap, uri: &Uri) -> Result<(), HeadError> {
    if fields.len() > FIELD_LIMIT {
        return Err(HeadError::TooManyFields);
    }
    let mut hosts = fields.get_all(HOST).iter();
    match (hosts.next(), hosts.next(), uri.authority()) {
        (Some(_), Some(_), _) => Err(HeadError::HostRepeated),
        (Some(host), None, Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            Err(HeadError::HostDiffers)
        }
        _ => Ok(()),
    }
}

fn closed_early(error: &h2::Error) -> Reply {
    Reply::new(
        502,
        errors::UPSTREAM_CLOSED,
        format!("the connection ended before the answer: {error}"),
    )
}

/// Sends an answer of the sidecar's own: to gRPC a status that its libraries understand, to others a line of text.
fn answer(respond: &mut SendResponse<Bytes>, reply: &Reply, is_grpc: bool, is_head: bool) {
    let mut response = Response::new(());
    response.headers_mut().insert("weft-error", HeaderValue::from_static(reply.code));
    // Failures below mean that the client is gone and nobody waits for the answer.
    if is_grpc {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from(grpc_status(reply.status)));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&format!("weft: {} ({})", reply.message, reply.code))) {
            response.headers_mut().insert("grpc-message", message);
        }
        let _ = respond.send_response(response, true);
        return;
    }
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(mut send) = respond.send_response(response, is_head)
        && !is_head
    {
        let _ = send.send_data(reply.body().into(), true);
    }
}

/// The gRPC status for an HTTP status that the sidecar would have answered (gRPC, doc/http-grpc-status-mapping).
fn grpc_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

fn grpc_status_field(fields: &HeaderMap) -> Option<u32> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Percent-encoding of `grpc-message` (gRPC over HTTP/2: everything but printable ASCII without `%`).
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A request's head for routing.
struct View<'a> {
    request: &'a Request<RecvStream>,
}

impl<'a> View<'a> {
    fn of(request: &'a Request<RecvStream>) -> View<'a> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_name_two_hosts_or_have_very_many_fields_are_refused() {
        let verdict = |authority: &str, hosts: &[&'static str], others: usize| {
            let mut fields = HeaderMap::new();
            for host in hosts {
                fields.append(HOST, HeaderValue::from_static(host));
            }
            for _ in 0..others {
                fields.append("x", HeaderValue::from_static("y"));
            }
            let uri = format!("{authority}/").parse().unwrap();
            checked(&fields, &uri).err()
        };
        assert_eq!(verdict("http://users", &[], FIELD_LIMIT), None);
        assert_eq!(verdict("http://users", &["Users"], 0), None);
        assert_eq!(verdict("", &["users"], 0), None);
        assert_eq!(verdict("http://users", &["orders"], 0), Some(HeadError::HostDiffers));
        assert_eq!(verdict("", &["users", "users"], 0), Some(HeadError::HostRepeated));
        assert_eq!(verdict("http://users", &[], FIELD_LIMIT + 1), Some(HeadError::TooManyFields));
    }

    #[test]
    fn what_edits_drop_is_left_out_in_every_spelling() {
        let edits = Edits {
            drop: &["weft-*"],
            ..Edits::default()
        };
        let mut fields = HeaderMap::new();
        for name in ["weft-client-id", "weft_client_id", "x-weft"] {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static("me"));
        }
        drop_fields(&mut fields, &edits);
        assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-weft"]);
    }

    #[test]
    fn grpc_messages_are_percent_encoded() {
        assert_eq!(percent_encoded("50% ä\n"), "50%25 %C3%A4%0A");
    }
}
