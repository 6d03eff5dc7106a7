//! HTTP/2: carries each stream of a client connection to a stream of an upstream connection, with both ends' flow control joined.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Ping, Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::errors;
use crate::http::{Edits, Outcome, Reply, RequestView, ResponseView};
use crate::http1::error::HeadError;
use crate::http1::fields::FIELD_LIMIT;

mod answer;
mod connections;

use answer::{answer, grpc_status, grpc_status_field};
pub use connections::{Connections, Lease};

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
/// Times that a request is sent when servers take no notice of it.
const MAX_SENDS: usize = 3;
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
    /// A connection for the call that can take one more stream. Asked again when a server took no notice of the request.
    fn acquire(&self, call: &mut Self::Call) -> impl Future<Output = Result<Lease, Reply>>;
    /// Told of the final head of the answer before it is passed on.
    fn answered(&self, call: &Self::Call, head: &impl ResponseView);
    /// Told of each request that was refused before `begin`.
    fn refused(&self, head: &impl RequestView, reply: &Reply);
    /// Called exactly once for each begun request.
    fn finish(&self, call: Self::Call, outcome: Outcome);
    /// Resolves when the sidecar starts to drain.
    fn drain_started(&self) -> impl Future<Output = ()>;
}

/// Starts HTTP/2 on a connection to a server and drives it in a task of its own until it ends. Once it answers, the server's settings are known: how many
/// streams it takes at a time above all.
pub async fn client<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> io::Result<SendRequest<Bytes>> {
    tokio::time::timeout(HANDSHAKE_LIMIT, async {
        let (sender, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEAD)
            .enable_push(false)
            .handshake(stream)
            .await?;
        let ping = connection.ping_pong();
        // How the connection ends reaches each of its streams.
        tokio::task::spawn_local(async move { drop(connection.await) });
        if let Some(mut ping) = ping {
            // Settings come first (RFC 9113, 3.4), so the pong comes after them.
            ping.ping(Ping::opaque()).await?;
        }
        Ok(sender)
    })
    .await
    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    .map_err(|error: h2::Error| io::Error::other(error))
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
    /// The upstream took no notice of the request, so that it can be sent again.
    Refused,
    /// The sidecar answers.
    Reply(Reply),
}

async fn exchange<H: Handler>(handler: Rc<H>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>, started: Instant) {
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let is_head = request.method() == Method::HEAD;
    if let Err(error) = checked(request.headers(), request.uri()) {
        let reply = error.reply();
        handler.refused(&View::of(&request), &reply);
        return answer(&mut respond, &reply, is_grpc, is_head);
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
    let Finish {
        call: Some(call), outcome, ..
    } = &mut finish
    else {
        return;
    };
    let (parts, body) = request.into_parts();
    let head = edited(parts, handler.edits(call));
    let has_body = !body.is_end_stream();
    let mut body = has_body.then_some(body);
    let mut sends = 1;
    let cut = loop {
        match attempt(&*handler, call, &head, &mut body, &mut respond, outcome).await {
            Err(Cut::Refused) if sends < MAX_SENDS && body.is_some() == has_body => sends += 1,
            ended => break ended,
        }
    };
    match cut {
        Ok(()) | Err(Cut::Client(_)) => {}
        Err(Cut::Upstream(reason)) => {
            outcome.error = Some(errors::UPSTREAM_CLOSED);
            respond.send_reset(reason);
        }
        Err(Cut::Refused) => {
            // Part of the body is gone. The client is told that it may send the request again.
            outcome.error = Some(errors::UPSTREAM_CLOSED);
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        Err(Cut::Reply(reply)) => {
            outcome.error = Some(reply.code);
            (outcome.status, outcome.grpc_status) = if is_grpc {
                (200, Some(grpc_status(reply.status)))
            } else {
                (reply.status, None)
            };
            answer(&mut respond, &reply, is_grpc, is_head);
        }
    }
}

/// Sends the request once and carries what follows. `body` is taken only when the head was sent.
async fn attempt<H: Handler>(
    handler: &H,
    call: &mut H::Call,
    head: &Request<()>,
    body: &mut Option<RecvStream>,
    respond: &mut SendResponse<Bytes>,
    outcome: &mut Outcome,
) -> Result<(), Cut> {
    let mut lease = tokio::select! {
        acquired = handler.acquire(call) => acquired.map_err(Cut::Reply)?,
        reset = poll_fn(|context| respond.poll_reset(context)) => return Err(Cut::Client(reset.unwrap_or(Reason::CANCEL))),
    };
    outcome.attempts += 1;
    let (response, mut send) = lease.sender.send_request(head.clone(), body.is_none()).map_err(|error| {
        // What ended the connection came before the request.
        if error.is_go_away() || error.is_io() {
            Cut::Refused
        } else {
            Cut::Reply(closed_early(&error))
        }
    })?;
    let mut request_bytes = 0;
    let ended = {
        let upload = upload(body.take(), &mut send, &mut request_bytes, handler.edits(call));
        let download = download(response, respond, outcome, |head| handler.answered(call, head));
        tokio::pin!(upload, download);
        let mut uploading = true;
        loop {
            tokio::select! {
                biased;
                uploaded = &mut upload, if uploading => match uploaded {
                    Err(Cut::Client(reason)) => break Err(Cut::Client(reason)),
                    // What became of the upstream's side is told by its response.
                    _ => uploading = false,
                },
                downloaded = &mut download => break downloaded,
            }
        }
    };
    outcome.request_bytes = request_bytes;
    if let Err(Cut::Client(reason)) = ended {
        send.send_reset(reason);
    }
    ended
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
    answered: impl Fn(&Answer<'_>),
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
    let response = response.map_err(|error| match error.reason() {
        _ if took_no_notice(&error) => Cut::Refused,
        Some(reason) if error.is_reset() => Cut::Upstream(reason),
        _ => Cut::Reply(closed_early(&error)),
    })?;
    let (parts, body) = response.into_parts();
    outcome.status = parts.status.as_u16();
    outcome.grpc_status = grpc_status_field(&parts.headers);
    answered(&Answer(parts.status.as_u16(), &parts.headers));
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

/// Whether a stream failed before the other side did anything for it (RFC 9113, 8.7).
fn took_no_notice(error: &h2::Error) -> bool {
    // GOAWAY reaches only streams beyond the last one that the other side took.
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

fn closed_early(error: &h2::Error) -> Reply {
    Reply::new(
        502,
        errors::UPSTREAM_CLOSED,
        format!("the connection ended before the answer: {error}"),
    )
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

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(self.request.headers())
    }
}

/// A response's head.
struct Answer<'a>(u16, &'a HeaderMap);

impl ResponseView for Answer<'_> {
    fn status(&self) -> u16 {
        self.0
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(self.1)
    }
}

fn pairs(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
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
}
