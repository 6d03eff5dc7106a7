//! HTTP/2: carries each stream of a client connection to a stream of an upstream connection, with both ends' flow control joined.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{Ping, Reason};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::budget::{Account, Careful};
use crate::http::{Edits, Outcome, Reply, RequestView, ResponseView};
use crate::http1::error::{HeadError, MALFORMED_REQUEST};
use crate::turns;

mod answer;
mod carry;
mod connections;
mod cut;
mod exchange;
mod found;
mod frames;
mod head;
pub mod hpack;
mod huffman;
mod interims;
mod kept;
mod manners;
pub mod sections;
mod wire;

pub use connections::{Connections, Lease, Opened};
use exchange::exchange;
use found::{Answers, Asked};
use head::{HasFragment, Unreadable, View};
use manners::{Manners, Patience};
use wire::Watched;

/// Receive window of a stream, bytes; what one slow reader can make the sidecar hold on each side, besides what waits to be sent.
const STREAM_WINDOW: u32 = 65_535;
/// Receive window of a connection, bytes. Streams that nobody reads fill it; those beyond wait. A pool takes another connection long before (`connections`).
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;
/// What the frames in the windows of a connection may cost beyond their bytes, in h2's measure of 256 bytes a frame: a connection with more ends. Messages of ten
/// bytes take it up when ten streams of them are not read.
const FRAME_BUDGET: usize = 16 * 1024 * 1024;
/// Bytes that wait to be sent, a stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams at a time, a connection.
const MAX_STREAMS: u32 = 1_000;
/// Bytes of a head, fields uncompressed (as for HTTP/1.1).
const MAX_HEAD: usize = 60 * 1024;
/// What h2 takes before it refuses a head without a word; what is between is refused with a reason.
const MAX_SILENT_HEAD: u32 = 2 * 60 * 1024;
/// Limit for the connection preface and first SETTINGS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a client waits at most for its SETTINGS, which say what the server takes.
const LEARN_LIMIT: Duration = Duration::from_millis(500);

/// Routing, pools and counting for one client connection; the methods mean what they mean in [`crate::http1::Handler`].
pub trait Handler {
    /// One request under way.
    type Call;
    /// Whether the server takes extended CONNECT (RFC 8441), by which WebSockets come over HTTP/2. Asked once, before the client's first request.
    fn takes_extended_connect(&self) -> impl Future<Output = bool>;
    /// Routes a request.
    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Self::Call, Reply>;
    /// What changes in the request's fields.
    fn edits<'a>(&'a self, call: &'a Self::Call) -> &'a Edits;
    /// A connection for the call that can take one more stream. Asked again when a server took no notice of the request.
    fn acquire(&self, call: &mut Self::Call) -> impl Future<Output = Result<Lease, Reply>>;
    /// Told of the final head of the answer before it is passed on. Says what changes in its fields, if anything does.
    fn answered<'a>(&'a self, call: &'a Self::Call, head: &impl ResponseView) -> Option<&'a Edits>;
    /// Whether the connection that was acquired last leads to a sidecar.
    fn leads_to_sidecar(&self, call: &Self::Call) -> bool;
    /// Whether there is another endpoint for a call; then `acquire` follows.
    fn elsewhere(&self, call: &mut Self::Call, code: &'static str) -> bool;
    /// Told that the connection broke before an answer; `acquire` follows.
    fn lost(&self, call: &mut Self::Call);
    /// Called exactly once for each begun request.
    fn finish(&self, call: Self::Call, outcome: Outcome);
    /// Told of each request that was refused before `begin`.
    fn refused(&self, head: &impl RequestView, reply: &Reply);
    /// Resolves when the sidecar starts to drain.
    fn drain_started(&self) -> impl Future<Output = ()>;
}

/// Starts HTTP/2 on a connection to a server and drives it in a task of its own until it ends. Once it answers, the server's settings are known: how many
/// streams it takes at a time above all.
pub async fn client<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> io::Result<Opened> {
    tokio::time::timeout(HANDSHAKE_LIMIT, async {
        let answers = Rc::new(Answers::default());
        let stream = Watched::server(Careful::new(stream, Account::new()), answers.clone());
        let (sender, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(FRAME_BUDGET)
            .max_header_list_size(MAX_SILENT_HEAD)
            .max_concurrent_reset_streams(MAX_STREAMS as usize)
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
        Ok(Opened {
            sender,
            standing: None,
            answers,
        })
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
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET)
        .max_header_list_size(MAX_SILENT_HEAD)
        .max_concurrent_reset_streams(MAX_STREAMS as usize)
        .max_concurrent_streams(MAX_STREAMS);
    // Boxed, since it is over soon and the connection may live for long.
    let extended = Box::pin(tokio::time::timeout(LEARN_LIMIT, handler.takes_extended_connect()));
    if extended.await == Ok(true) {
        builder.enable_connect_protocol();
    }
    let (account, asked, resets) = (Account::new(), Rc::new(Asked::default()), Rc::new(Cell::new(0)));
    let stream = Watched::client(Careful::new(stream, account), asked.clone(), resets.clone());
    let handshake = builder.handshake::<_, Bytes>(stream);
    let Ok(Ok(mut connection)) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await else {
        return;
    };
    let drain = handler.drain_started();
    tokio::pin!(drain);
    let (mut draining, mut begun) = (false, 0);
    let manners = Rc::new(RefCell::new(Manners::default()));
    loop {
        tokio::select! {
            biased;
            accepted = poll_fn(|context| {
                let accepted = connection.poll_accept(context);
                // Whatever had come has begun.
                if accepted.is_pending() {
                    begun = 0;
                }
                accepted
            }) => match accepted {
                Some(Ok((mut request, respond))) => {
                    if asked.has_fragment(respond.stream_id().as_u32()) {
                        request.extensions_mut().insert(HasFragment);
                    }
                    if let Some(reply) = manners.borrow_mut().begun() {
                        handler.refused(&View::of(&request), &reply);
                        connection.graceful_shutdown();
                    }
                    if manners.borrow().bad() {
                        refuse(respond);
                        continue;
                    }
                    tokio::task::spawn_local(exchange(handler.clone(), (manners.clone(), asked.clone()), account, request, respond, Instant::now()));
                    begun += 1;
                    turns::request(begun).await;
                }
                Some(Err(error)) => {
                    if error.is_library() {
                        let message = format!("the connection was ended: {error}");
                        handler.refused(&Unreadable, &Reply::new(400, MALFORMED_REQUEST, message));
                    }
                    return;
                }
                None => return,
            },
            // Polled after the connection, which h2 resets streams in.
            () = poll_fn(|_| if manners.borrow().knows(resets.get()) { Poll::Pending } else { Poll::Ready(()) }) => {
                let (news, patience) = manners.borrow_mut().learn(resets.get());
                for _ in 0..news {
                    handler.refused(&Unreadable, &HeadError::Unreadable.reply());
                }
                match patience {
                    Patience::Lasts => {}
                    Patience::Ends(reply) => {
                        handler.refused(&Unreadable, &reply);
                        connection.graceful_shutdown();
                    }
                    Patience::Lost => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                }
            }
            () = &mut drain, if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Tells the client that nothing was done for the request.
fn refuse(mut respond: h2::server::SendResponse<Bytes>) {
    respond.send_reset(Reason::REFUSED_STREAM);
}
