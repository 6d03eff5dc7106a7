//! A client connection's requests, one after another.

use std::future::poll_fn;
use std::mem::take;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::body::BodyTracker;
use super::client::Client;
use super::deadline::LIMITS;
use super::error;
use super::exchange::{End, Exchange, Outgoing, Request, Way};
use super::fields::{Fields, Looked};
use super::handler::{Acquired, Finished, Handler, Role};
use super::request::{Form, RequestHead, Unreadable, Version};
use super::response::{Asked, ResponseHead};
use super::rewrite::{self, Keep};
use crate::budget;
use crate::buffer::Buffer;
use crate::errors;
use crate::http::{Attempt, Outcome, Reply, RequestView, is_idempotent};
use crate::opaque::{self, Cut, Start};
use crate::tcp;

/// Carries the requests of one client connection until it ends. `initial` is what was read from it already.
///
/// Dropped half-way, it closes the connections and finishes the call under way.
pub async fn relay<C, H>(client: C, initial: Buffer, handler: &H) -> Finished<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let mut client = Client::new(client, initial);
    let mut drain = pin!(handler.drain_started());
    // When the next request came, if something had to be found out before it could begin.
    let mut came = None;
    loop {
        let mut waiting = Waiting::new(came.take());
        let after = match poll_fn(|cx| waiting.poll(cx, &mut client, handler, drain.as_mut())).await {
            Next::Exchange(request, outgoing, active) => exchange(&mut client, request, outgoing, active).await,
            Next::Answer(answer) => answer.send(&mut client).await,
            Next::Unknown(authority) => {
                came = Some(Instant::now());
                handler.awaits_client(false);
                // Boxed, since it is rare and all connections had to hold it.
                let mut find = Box::pin(handler.find(&authority));
                let found = poll_fn(|cx| match find.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending => client.poll_gone(cx).map(|()| false),
                });
                match found.await {
                    true => After::Next,
                    false => After::Abort,
                }
            }
            Next::Connect(authority) => {
                return Finished::Connect {
                    authority,
                    client: client.io,
                    leftover: client.input,
                };
            }
            Next::Close => After::Close,
        };
        match after {
            After::Next => continue,
            After::Close => drop(poll_fn(|cx| Pin::new(&mut client.io).poll_shutdown(cx)).await),
            After::Linger => {
                let due = Instant::now() + LIMITS.linger;
                poll_fn(|cx| poll_linger(cx, &mut client, due)).await
            }
            After::Abort => {}
            After::Break => return Finished::Broken(client.io),
        }
        return Finished::Closed;
    }
}

/// What a client connection brings next.
enum Next<'h, H: Handler> {
    Exchange(Request, Outgoing, Active<'h, H>),
    Answer(Answer),
    Connect(String),
    /// A request, of which must be known first where its authority leads.
    Unknown(String),
    Close,
}

/// What becomes of the client's connection.
enum After {
    /// It carries the next request.
    Next,
    /// It ends in order.
    Close,
    /// It ends though the client may be sending: it is told, and gets some time to take the answer.
    Linger,
    /// It is gone.
    Abort,
    /// It must look broken, because what it carried is.
    Break,
}

/// A request that was begun. However it ends, it is finished once.
struct Active<'h, H: Handler> {
    handler: &'h H,
    call: Option<H::Call>,
    outcome: Outcome,
}

impl<H: Handler> Drop for Active<'_, H> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.handler.finish(call, self.outcome);
        }
    }
}

/// An answer of the proxy's own.
struct Answer {
    reply: Reply,
    keep: Keep,
    without_body: bool,
}

impl Answer {
    /// `whole`: the request was read to its end, so that the connection can go on.
    fn new(reply: Reply, request: &Request, whole: bool, draining: bool) -> Self {
        let keep = match whole && request.persistent && !draining {
            false => Keep::Close,
            true if request.version == Version::Http10 => Keep::Said,
            true => Keep::Silent,
        };
        Self {
            reply,
            keep,
            without_body: request.asked.head,
        }
    }

    /// An answer to what could not be read as a request.
    fn last(reply: Reply) -> Self {
        Self {
            reply,
            keep: Keep::Close,
            without_body: false,
        }
    }

    async fn send<C: AsyncRead + AsyncWrite + Unpin>(self, client: &mut Client<C>) -> After {
        rewrite::reply(&self.reply, self.keep, self.without_body, &mut client.output);
        match (poll_fn(|cx| client.poll_output(cx)).await, self.keep) {
            (Err(_), _) => After::Abort,
            (Ok(()), Keep::Close) => After::Linger,
            (Ok(()), Keep::Silent | Keep::Said) => After::Next,
        }
    }
}

/// The wait for a request's head.
struct Waiting {
    /// So much of the head is there.
    length: usize,
    looked: Looked,
    due: Option<Instant>,
    /// When the head was complete, if it was looked at before.
    came: Option<Instant>,
}

impl Waiting {
    fn new(came: Option<Instant>) -> Self {
        Self {
            length: 0,
            looked: Looked::default(),
            due: None,
            came,
        }
    }

    fn poll<'h, C, H>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client<C>,
        handler: &'h H,
        drain: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Next<'h, H>>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        loop {
            if client.input.len() > self.length {
                if self.length == 0 {
                    self.due = None;
                }
                self.length = client.input.len();
                if self.looked.worth(client.input.bytes())
                    && let Some(next) = take_request(client, handler, self.came)
                {
                    return Poll::Ready(next);
                }
            }
            if client.ended {
                return Poll::Ready(Next::Close);
            }
            match client.input.poll_fill(cx, &mut client.io) {
                Poll::Ready(Ok(0)) => client.ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Close),
                Poll::Pending => break,
            }
        }
        let idle = client.input.is_empty();
        if idle && (handler.draining() || drain.poll(cx).is_ready()) {
            return Poll::Ready(Next::Close);
        }
        handler.awaits_client(!idle);
        let limit = if idle { LIMITS.idle } else { LIMITS.head };
        let due = *self.due.get_or_insert_with(|| Instant::now() + limit);
        ready!(client.deadline.poll(cx, due));
        if idle {
            return Poll::Ready(Next::Close);
        }
        let reply = Reply::new(
            408,
            error::HEAD_TIMEOUT,
            format!("the head of a request was not complete after {} s", limit.as_secs()),
        );
        handler.refused(&Unreadable::of(client.input.bytes()), &reply);
        Poll::Ready(Next::Answer(Answer::last(reply)))
    }
}

/// Takes a request from the input; None when its head is not complete.
fn take_request<'h, C, H: Handler>(client: &mut Client<C>, handler: &'h H, came: Option<Instant>) -> Option<Next<'h, H>> {
    let input = client.input.bytes();
    let mut fields = Fields::default();
    let head = match RequestHead::parse(input, &mut fields) {
        Ok(head) => head?,
        Err(error) => {
            let reply = error.reply();
            handler.refused(&Unreadable::of(input), &reply);
            return Some(Next::Answer(Answer::last(reply)));
        }
    };
    let rest = &input[head.bytes().len()..];
    let taken = head.bytes().len();
    let role = handler.role();
    if head.form() == Form::Authority && role == Role::Proxy {
        let authority = head.authority().to_owned();
        client.input.consume(taken);
        return Some(Next::Connect(authority));
    }
    if role == Role::Proxy && !handler.knows(head.authority()) {
        return Some(Next::Unknown(head.authority().to_owned()));
    }

    let request = remember(&head);
    let mut body = BodyTracker::new(head.framing());
    let (next, of_body) = match handler.begin(&head, came.unwrap_or_else(Instant::now).into_std()) {
        Ok(call) => {
            let mut active = Active {
                handler,
                call: Some(call),
                outcome: Outcome::default(),
            };
            if let Some(reply) = budget::refusal() {
                return Some(Next::Answer(active.answer(reply, &request, false)));
            }
            let mut out = Buffer::new();
            if let Some(call) = &active.call {
                rewrite::request(&head, role, handler.edits(call), &mut out);
            }
            // What came of the body with its head leaves with it, in one write.
            let rest = &rest[..rest.len().min(out.room())];
            match body.advance(rest) {
                Ok(progress) => {
                    out.extend(&rest[..progress.consumed]);
                    active.outcome.request_bytes = body.payload();
                    (Next::Exchange(request, Outgoing { head: out, body }, active), progress.consumed)
                }
                Err(error) => (Next::Answer(active.answer(error.reply(), &request, false)), 0),
            }
        }
        Err(reply) => {
            let of_body = body.advance(rest).map_or(0, |progress| progress.consumed);
            (Next::Answer(Answer::new(reply, &request, body.done(), handler.draining())), of_body)
        }
    };
    client.input.consume(taken + of_body);
    Some(next)
}

fn remember(head: &RequestHead<'_>) -> Request {
    let method = head.method();
    Request {
        asked: Asked {
            head: method == "HEAD",
            connect: head.form() == Form::Authority,
            upgrade: head.upgrade(),
        },
        version: head.version(),
        persistent: head.persistent(),
        idempotent: is_idempotent(method),
        expects_continue: head.expects_continue(),
    }
}

impl<H: Handler> Active<'_, H> {
    /// Notes an answer of the proxy's own as how the call ended.
    fn answer(&mut self, reply: Reply, request: &Request, whole: bool) -> Answer {
        self.outcome.status = reply.status;
        self.outcome.error = Some(reply.code);
        Answer::new(reply, request, whole, self.handler.draining())
    }
}

/// Carries one request and its response, over another connection when one turns out dead, and to another endpoint when the program behind one does not answer.
async fn exchange<C, H>(client: &mut Client<C>, request: Request, mut outgoing: Outgoing, mut active: Active<'_, H>) -> After
where
    C: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let handler = active.handler;
    let mut attempt = Attempt::First;
    let mut last = false;
    loop {
        let Some(call) = &mut active.call else { return After::Abort };
        handler.awaits_client(!outgoing.body.done() && client.input.is_empty());
        let acquired = {
            let mut acquiring = pin!(handler.acquire(call, attempt));
            poll_fn(|cx| match acquiring.as_mut().poll(cx) {
                Poll::Ready(acquired) => Poll::Ready(Some(acquired)),
                Poll::Pending => client.poll_gone(cx).map(|()| None),
            })
            .await
        };
        let Acquired { upstream, reused } = match acquired {
            Some(Ok(acquired)) => acquired,
            Some(Err(reply)) => return active.answer(reply, &request, outgoing.body.done()).send(client).await,
            None => {
                active.outcome.error = Some(error::CLIENT_GONE);
                return After::Abort;
            }
        };
        active.outcome.attempts += 1;
        let sidecar = handler.leads_to_sidecar(call);
        let mut exchange = Exchange::new(upstream, Way { reused, sidecar, last }, request);
        let outcome = &mut active.outcome;
        let end = poll_fn(|cx| {
            loop {
                let answered = |head: &ResponseHead<'_>| handler.answered(call, head);
                match exchange.poll(cx, client, &mut outgoing, outcome, || handler.draining(), answered) {
                    Poll::Ready(End::Elsewhere(code)) if !handler.elsewhere(call, code) => exchange.insist(),
                    Poll::Pending => {
                        handler.awaits_client(exchange.awaits_client(client, &outgoing).is_some());
                        return Poll::Pending;
                    }
                    end => return end,
                }
            }
        })
        .await;
        return match end {
            End::Stale { sent } => {
                last |= sent || attempt != Attempt::First;
                attempt = Attempt::Again { sent };
                continue;
            }
            End::Elsewhere(code) => {
                last |= code != errors::CONNECT_FAILED;
                attempt = Attempt::Elsewhere;
                continue;
            }
            End::Complete { request_done, reusable } => {
                let keep = exchange.keeps_client();
                if reusable && let Some(call) = &active.call {
                    handler.release(call, exchange.upstream);
                }
                match (request_done, keep) {
                    (true, true) => After::Next,
                    (true, false) => After::Close,
                    (false, _) => After::Linger,
                }
            }
            End::Tunnel { doubtful } => {
                let (outcome, waiting) = (&mut active.outcome, take(&mut client.input));
                let count = |forth, back| {
                    outcome.request_bytes += forth;
                    outcome.response_bytes += back;
                };
                let Exchange { mut upstream, input, .. } = exchange;
                let relayed = if doubtful {
                    // Boxed, since it is rare and all connections had to hold it.
                    Box::pin(opaque::relay(
                        Start::skeptical(),
                        &mut client.io,
                        &mut upstream,
                        waiting,
                        input,
                        count,
                    ))
                    .await
                } else {
                    let relayed = tcp::relay(&mut client.io, &mut upstream, waiting, input, count).await;
                    relayed.map_err(|_| Cut::Failed)
                };
                match relayed {
                    Ok(()) => After::Abort,
                    Err(cut) => {
                        if matches!(cut, Cut::Http) {
                            outcome.error = Some(errors::PEER_HIDDEN_HTTP);
                        }
                        handler.broken(upstream);
                        After::Break
                    }
                }
            }
            End::Refused(reply) => {
                let whole = exchange.request_sent(&outgoing);
                give_up(handler, exchange, &outgoing);
                active.answer(reply, &request, whole).send(client).await
            }
            End::Truncated => {
                active.outcome.error = Some(error::UPSTREAM_TRUNCATED);
                After::Break
            }
            End::Stalled(code) => {
                active.outcome.error = Some(code);
                After::Break
            }
            End::ClientGone => {
                active.outcome.error = Some(error::CLIENT_GONE);
                give_up(handler, exchange, &outgoing);
                After::Abort
            }
        };
    }
}

/// Ends an exchange's connection to the upstream. It must look broken when some of the request is missing: many servers take an orderly end for the end of the body.
fn give_up<H: Handler>(handler: &H, exchange: Exchange<H::Upstream>, outgoing: &Outgoing) {
    if !exchange.request_sent(outgoing) {
        handler.broken(exchange.upstream);
    }
}

/// Tells the client that nothing more comes and throws away what it still sends: closing at once could take the answer from it.
fn poll_linger<C: AsyncRead + AsyncWrite + Unpin>(cx: &mut Context<'_>, client: &mut Client<C>, due: Instant) -> Poll<()> {
    if client.deadline.poll(cx, due).is_ready() || ready!(Pin::new(&mut client.io).poll_shutdown(cx)).is_err() {
        return Poll::Ready(());
    }
    loop {
        client.input.clear();
        match ready!(client.input.poll_fill(cx, &mut client.io)) {
            Ok(0) | Err(_) => return Poll::Ready(()),
            Ok(_) => {}
        }
    }
}
