//! A gRPC client for the controller: unary calls and streams in both directions over one HTTP/2 connection on a unix socket.
//!
//! Everything stays on one thread. Messages are at most [`MAX_MESSAGE`] bytes, in both directions.

mod frame;
mod status;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Version};
use prost::Message;
use tokio::net::UnixStream;

pub use frame::MAX_MESSAGE;
pub use status::Status;

/// Time that a unary call may take.
pub const UNARY_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of one stream that the controller may send ahead of being read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all streams together that the controller may send ahead of being read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How a hung controller is noticed.
#[derive(Clone, Copy)]
struct Keepalive {
    /// Time between two pings.
    interval: Duration,
    /// Time that the answer to a ping may take.
    timeout: Duration,
}

const KEEPALIVE: Keepalive = Keepalive {
    interval: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
};

/// Starts calls. Clones share the connection; when all of them and their calls are gone, it closes.
#[derive(Clone)]
pub struct Channel {
    requests: SendRequest<Bytes>,
}

impl Channel {
    /// Connects to the unix socket at `path`. The caller spawns the connection that is returned with the channel: it carries the calls until it
    /// ends, with `Ok` when this side was done with it, with an error when it broke or the controller left a ping unanswered. Calls under way
    /// then end with `UNAVAILABLE`, as they do when it is dropped.
    pub async fn connect(path: &Path) -> io::Result<(Channel, impl Future<Output = io::Result<()>> + use<>)> {
        Channel::connect_with(path, KEEPALIVE).await
    }

    async fn connect_with(path: &Path, keepalive: Keepalive) -> io::Result<(Channel, impl Future<Output = io::Result<()>> + use<>)> {
        let (requests, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(16 * 1024)
            .handshake(UnixStream::connect(path).await?)
            .await
            .map_err(into_io)?;
        let pings = connection.ping_pong();
        let connection = async move {
            tokio::select! {
                biased;
                end = connection => end.map_err(into_io),
                error = keep_alive(pings, keepalive) => Err(error),
            }
        };
        Ok((Channel { requests }, connection))
    }

    /// Calls `path` ("/weft.v1.Identity/Certify") with one message and awaits the one answer, at most [`UNARY_DEADLINE`].
    /// `bearer` is the caller's credential.
    pub async fn unary<Req, Res>(&self, path: &'static str, bearer: Option<&str>, request: &Req) -> Result<Res, Status>
    where
        Req: Message,
        Res: Message + Default,
    {
        self.unary_within(UNARY_DEADLINE, path, bearer, request).await
    }

    async fn unary_within<Req, Res>(
        &self,
        deadline: Duration,
        path: &'static str,
        bearer: Option<&str>,
        request: &Req,
    ) -> Result<Res, Status>
    where
        Req: Message,
        Res: Message + Default,
    {
        let call = async {
            let mut head = head(path, bearer)?;
            let timeout = HeaderValue::from_str(&format!("{}m", deadline.as_millis())).map_err(|error| internal(error.to_string()))?;
            head.headers_mut().insert("grpc-timeout", timeout);
            let (response, _) = self.start(head, frame::encode(request)?, true).await?;
            let mut receiver = Receiver::<Res>::new(response);
            let answer = receiver
                .message()
                .await?
                .ok_or_else(|| internal(format!("{path} ended well without an answer")))?;
            match receiver.message().await? {
                None => Ok(answer),
                Some(_) => Err(internal(format!("{path} answered more than once"))),
            }
        };
        let late = || Status::new(Status::DEADLINE_EXCEEDED, format!("{path} took longer than {deadline:?}"));
        tokio::time::timeout(deadline, call).await.map_err(|_| late())?
    }

    /// Opens a stream to `path` with its first message, which leaves at once: response headers are awaited by the receiver only.
    pub async fn stream<Req, Res>(
        &self,
        path: &'static str,
        bearer: Option<&str>,
        first: &Req,
    ) -> Result<(Sender<Req>, Receiver<Res>), Status>
    where
        Req: Message,
        Res: Message + Default,
    {
        let (response, body) = self.start(head(path, bearer)?, frame::encode(first)?, false).await?;
        Ok((
            Sender {
                body,
                unsent: BytesMut::new(),
                message: PhantomData,
            },
            Receiver::new(response),
        ))
    }

    /// Sends the head and the first message of a call.
    async fn start(&self, head: Request<()>, first: Bytes, last: bool) -> Result<(ResponseFuture, SendStream<Bytes>), Status> {
        let (response, mut body) = self.requests.clone().ready().await?.send_request(head, false)?;
        body.send_data(first, last)?;
        Ok((response, body))
    }
}

/// Pings until an answer stays out.
async fn keep_alive(pings: Option<PingPong>, keepalive: Keepalive) -> io::Error {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(keepalive.interval).await;
        match tokio::time::timeout(keepalive.timeout, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return into_io(error),
            Err(_) => {
                let message = format!("the controller left a ping unanswered for {:?}", keepalive.timeout);
                return io::Error::new(io::ErrorKind::TimedOut, message);
            }
        }
    }
}

/// Sends the messages of a stream. Dropping it together with the [`Receiver`] cancels the call.
pub struct Sender<Req> {
    body: SendStream<Bytes>,
    /// What is left of earlier messages when a `send` was dropped half way.
    unsent: BytesMut,
    message: PhantomData<fn(&Req)>,
}

impl<Req: Message> Sender<Req> {
    /// Sends a message, waiting until the controller lets all of it through. A `send` that is dropped half way leaves the rest
    /// of its message to the next one. Fails once the call is over; the receiver knows why.
    pub async fn send(&mut self, message: &Req) -> Result<(), Status> {
        self.unsent.unsplit(BytesMut::from(frame::encode(message)?));
        while !self.unsent.is_empty() {
            self.body.reserve_capacity(self.unsent.len());
            // What is free already is not announced again.
            if self.body.capacity() == 0 {
                let ended = || Status::new(Status::UNAVAILABLE, "the controller ended the stream");
                poll_fn(|context| self.body.poll_capacity(context)).await.ok_or_else(ended)??;
            }
            let size = self.body.capacity().min(self.unsent.len());
            if size > 0 {
                self.body.send_data(self.unsent.split_to(size).freeze(), false)?;
            }
        }
        Ok(())
    }
}

impl<Req> Sender<Req> {
    /// Ends this side of the stream: no further message comes. Servers answer a call whose request is one message only after this.
    pub fn finish(mut self) -> Result<(), Status> {
        Ok(self.body.send_data(self.unsent.freeze(), true)?)
    }
}

/// Receives the messages of a call.
pub struct Receiver<Res> {
    state: State,
    /// What arrived and is no whole message yet.
    buffer: BytesMut,
    message: PhantomData<fn() -> Res>,
}

enum State {
    Head(ResponseFuture),
    Body(RecvStream),
    Ended(Result<(), Status>),
}

impl<Res: Message + Default> Receiver<Res> {
    fn new(response: ResponseFuture) -> Receiver<Res> {
        Receiver {
            state: State::Head(response),
            buffer: BytesMut::new(),
            message: PhantomData,
        }
    }

    /// The next message; `None` when the call ended well, and again on every later call. May be dropped half way without loss.
    pub async fn message(&mut self) -> Result<Option<Res>, Status> {
        loop {
            match &mut self.state {
                State::Head(response) => {
                    let response = response.await;
                    self.state = response
                        .map_err(Status::from)
                        .and_then(open)
                        .unwrap_or_else(|status| State::Ended(Err(status)));
                }
                State::Body(body) => match frame::decode(&mut self.buffer) {
                    Ok(Some(message)) => return Ok(Some(message)),
                    Ok(None) => match body.data().await {
                        Some(Ok(data)) => {
                            // Given back on arrival, for a message may be larger than the window. Nothing more is read
                            // while a whole message waits here.
                            let released = body.flow_control().release_capacity(data.len());
                            self.buffer.extend_from_slice(&data);
                            if let Err(error) = released {
                                self.state = State::Ended(Err(error.into()));
                            }
                        }
                        Some(Err(error)) => self.state = State::Ended(Err(error.into())),
                        None => {
                            let trailers = body.trailers().await;
                            self.state = State::Ended(end(trailers, self.buffer.is_empty()));
                        }
                    },
                    Err(status) => self.state = State::Ended(Err(status)),
                },
                State::Ended(end) => {
                    self.buffer = BytesMut::new();
                    return end.clone().map(|()| None);
                }
            }
        }
    }
}

/// The head of a request.
fn head(path: &'static str, bearer: Option<&str>) -> Result<Request<()>, Status> {
    let mut request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("http://localhost{path}"))
        .header(CONTENT_TYPE, "application/grpc+proto")
        .header(TE, "trailers")
        .header(USER_AGENT, concat!("weft-proxy/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|error| internal(error.to_string()))?;
    if let Some(bearer) = bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {bearer}"))
            .map_err(|_| Status::new(Status::UNAUTHENTICATED, "the credential holds bytes that no header can carry"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// What follows on the head of a response.
fn open(response: Response<RecvStream>) -> Result<State, Status> {
    if let Some(end) = Status::from_headers(response.headers()) {
        return Ok(State::Ended(end));
    }
    if response.status() != StatusCode::OK {
        return Err(Status::from_http(response.status()));
    }
    match response.headers().get(CONTENT_TYPE) {
        Some(kind) if kind.as_bytes().starts_with(b"application/grpc") => Ok(State::Body(response.into_body())),
        kind => Err(Status::new(
            Status::UNKNOWN,
            format!("the controller answered with content type {kind:?} in place of gRPC"),
        )),
    }
}

/// How a call ended whose last bytes arrived; `whole` when they completed a message.
fn end(trailers: Result<Option<http::HeaderMap>, h2::Error>, whole: bool) -> Result<(), Status> {
    match trailers?.as_ref().and_then(Status::from_headers) {
        Some(Ok(())) if !whole => Err(internal("the controller ended the call in the middle of a message")),
        Some(end) => end,
        None => Err(internal("the controller ended the call without a status")),
    }
}

fn internal(message: impl Into<String>) -> Status {
    Status::new(Status::INTERNAL, message)
}

fn into_io(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into()),
        false => io::Error::other(error),
    }
}
