//! One request and its response, both ways at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::body::{BodyTracker, Framing};
use super::client::Client;
use super::deadline::LIMITS;
use super::error::{self, BodyError, HeadError};
use super::fields::{Fields, Looked};
use super::request::Version;
use super::response::{Asked, Next, ResponseHead};
use super::rewrite::{self, Keep, Source};
use super::stall::{Awaited, Stall};
use crate::budget;
use crate::buffer::{BUFFER_SIZE, Buffer};
use crate::errors;
use crate::http::{Edits, Outcome, Reply};

/// What is remembered of a request after its head went out.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub asked: Asked,
    pub version: Version,
    /// The client wants to use the connection again.
    pub persistent: bool,
    /// May be sent twice without harm, as far as HTTP knows.
    pub idempotent: bool,
    /// The client holds the body back until it is told to go on.
    pub expects_continue: bool,
}

/// The request on its way to the upstream.
pub struct Outgoing {
    /// The edited head and what came of the body with it or soon after. Kept until it is sent and need not be sent again.
    pub head: Buffer,
    /// How far the body was read.
    pub body: BodyTracker,
}

/// How an exchange ended.
#[derive(Debug)]
pub enum End {
    /// The response is complete.
    Complete {
        /// So is the request, so that the client's connection is where the next one begins.
        request_done: bool,
        /// The upstream can carry another exchange.
        reusable: bool,
    },
    /// The connection was dead; nothing came of the request, and it can be sent again.
    Stale {
        /// Some of it was sent, so that a server may have seen it.
        sent: bool,
    },
    /// The endpoint's sidecar says with this code that its program did not answer the request, which can be sent to another endpoint. When there is none, see
    /// [`Exchange::insist`].
    Elsewhere(&'static str),
    /// Nothing was passed on, so the proxy answers.
    Refused(Reply),
    /// The response broke off after its head was passed on.
    Truncated,
    /// The client left.
    ClientGone,
    /// The client did not go on with what it began, after the answer had begun.
    Stalled(&'static str),
    /// Both sides speak another protocol from here on.
    Tunnel {
        /// The program announced a body with it, so that it may have opened none and go on reading requests.
        doubtful: bool,
    },
}

/// The connection that an exchange is tried on.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// It carried an exchange before, so that it may have been closed meanwhile.
    pub reused: bool,
    /// It leads to a sidecar, whose own fields are true.
    pub sidecar: bool,
    /// The request was sent before and may have been seen, so this is the last time.
    pub last: bool,
}

/// Bytes of a request's head and body that are kept until an answer comes, in case that it must go to another endpoint.
const KEPT_LIMIT: usize = 64 * 1024;

enum Response {
    Head,
    /// So many bytes at the front of the input belong to the body and wait to be written.
    Body(BodyTracker, usize),
    Done,
    Switched {
        doubtful: bool,
    },
}

/// What became of the input's next head.
enum Taken {
    Passed,
    Incomplete,
    /// It belongs to an answer that is not passed on.
    Elsewhere(&'static str),
}

/// The state of an exchange with one upstream connection.
pub struct Exchange<U> {
    pub upstream: U,
    way: Way,
    /// From the upstream, not yet passed on.
    pub input: Buffer,
    request: Request,
    /// So much of the request's output is sent.
    sent: usize,
    /// All of the request that was sent is still in its output.
    kept: bool,
    /// All of the request went out and the answer did not come at once.
    waits: bool,
    /// The upstream takes no more of the request.
    deaf: bool,
    flushed: bool,
    /// So many bytes at the front of the client's input belong to the body and wait to be written.
    passing: usize,
    /// Something came from the upstream.
    answered: bool,
    /// The client was told to go on with its body.
    continued: bool,
    /// The client got its answer before it sent anything of the body that it held back, and may never send it.
    withheld: bool,
    response: Response,
    looked: Looked,
    keep: bool,
    upstream_persistent: bool,
    client_due: Option<Instant>,
    stall: Stall,
    /// The upstream was told that nothing more comes.
    half_closed: bool,
}

impl<U: AsyncRead + AsyncWrite + Unpin> Exchange<U> {
    pub fn new(upstream: U, way: Way, request: Request) -> Self {
        Self {
            upstream,
            way,
            input: Buffer::new(),
            request,
            sent: 0,
            // A program that a request reached is not asked again, unless that does no harm.
            kept: way.sidecar || way.reused && request.idempotent,
            waits: false,
            deaf: false,
            flushed: true,
            passing: 0,
            answered: false,
            continued: false,
            withheld: false,
            response: Response::Head,
            looked: Looked::default(),
            keep: request.persistent,
            upstream_persistent: false,
            client_due: None,
            stall: Stall::default(),
            half_closed: false,
        }
    }

    /// Whether the client was not told that its connection ends.
    pub fn keeps_client(&self) -> bool {
        self.keep
    }

    /// Goes on with both directions. The response comes first: it tells a dead connection from a live one before anything is written to it.
    pub fn poll<'e, C: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client<C>,
        outgoing: &mut Outgoing,
        outcome: &mut Outcome,
        draining: impl Fn() -> bool,
        answered: impl Fn(&ResponseHead<'_>) -> Option<&'e Edits>,
    ) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_response(cx, client, outgoing, outcome, &draining, &answered) {
            return Poll::Ready(end);
        }
        let was_deaf = self.deaf;
        let request = self.poll_request(cx, client, outgoing);
        outcome.request_bytes = outgoing.body.payload();
        if let Poll::Ready(end) = request {
            return Poll::Ready(end);
        }
        // The response waits for the request in two cases: it is complete and the request now is, too, or writing failed and the answer says why.
        let settled = matches!(self.response, Response::Done) && self.request_sent(outgoing);
        if settled || self.deaf != was_deaf {
            let response = self.poll_response(cx, client, outgoing, outcome, &draining, &answered);
            if response.is_ready() {
                return response;
            }
        }
        let awaited = self.awaits_client(client, outgoing);
        let moved = self.moved(client, outgoing);
        if let Poll::Ready(awaited) = self.stall.poll(cx, &mut client.deadline, awaited, moved) {
            return Poll::Ready(self.stalled(awaited));
        }
        self.poll_half_closed(cx, client, outgoing)
    }

    /// What only the client can go on with.
    pub fn awaits_client<C>(&self, client: &Client<C>, outgoing: &Outgoing) -> Option<Awaited> {
        if client.unflushed {
            return Some(Awaited::Reader);
        }
        let told_to_send = !self.request.expects_continue || self.continued;
        let waits = !outgoing.body.done() && !self.deaf && self.passing == 0 && client.input.is_empty() && told_to_send;
        waits.then(|| match outgoing.body.between_chunks() {
            true => Awaited::Chunk,
            false => Awaited::Body,
        })
    }

    /// Another number after each byte that came from the client or went to it.
    fn moved<C>(&self, client: &Client<C>, outgoing: &Outgoing) -> u64 {
        let passed = match &self.response {
            Response::Body(tracker, passing) => tracker.payload().wrapping_sub(*passing as u64),
            _ => 0,
        };
        passed
            .wrapping_sub(client.output.len() as u64)
            .wrapping_add(outgoing.body.payload())
    }

    fn stalled(&self, awaited: Awaited) -> End {
        let (code, limit) = match awaited {
            Awaited::Reader => return End::Stalled(errors::SLOW_READER),
            Awaited::Body => (error::BODY_TIMEOUT, LIMITS.body),
            Awaited::Chunk => (error::BODY_TIMEOUT, LIMITS.chunk),
        };
        match self.response {
            Response::Head => End::Refused(Reply::new(
                408,
                code,
                format!("nothing more of the request's body came for {} s", limit.as_secs()),
            )),
            _ => End::Stalled(code),
        }
    }

    /// Whether all of the request went out.
    pub fn request_sent(&self, outgoing: &Outgoing) -> bool {
        self.sent >= outgoing.head.len() && outgoing.body.done() && self.passing == 0
    }

    /// Passes the endpoint's answer on, whatever it says.
    pub fn insist(&mut self) {
        self.kept = false;
    }

    /// Whether the request can be sent again when the connection ends without an answer.
    fn repeatable(&self) -> bool {
        let harmless = self.sent == 0 || self.kept && self.request.idempotent;
        harmless && !self.answered && !self.way.last && (self.way.reused || self.way.sidecar)
    }

    /// The code with which a sidecar says that its program did not answer, if the request can be sent to another one.
    fn elsewhere(&self, head: &ResponseHead<'_>) -> Option<&'static str> {
        if head.status() < 500 || !self.kept || !self.way.sidecar {
            return None;
        }
        let code = head.fields().get(head.bytes(), "weft-error")?;
        if code == errors::CONNECT_FAILED.as_bytes() {
            // Nothing reached the program.
            return Some(errors::CONNECT_FAILED);
        }
        let again = self.request.idempotent && !self.way.last;
        (again && code == errors::UPSTREAM_CLOSED.as_bytes()).then_some(errors::UPSTREAM_CLOSED)
    }

    fn poll_response<'e, C: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client<C>,
        outgoing: &mut Outgoing,
        outcome: &mut Outcome,
        draining: &impl Fn() -> bool,
        answered: &impl Fn(&ResponseHead<'_>) -> Option<&'e Edits>,
    ) -> Poll<End> {
        loop {
            if ready!(client.poll_output(cx)).is_err() {
                return Poll::Ready(End::ClientGone);
            }
            match &mut self.response {
                Response::Head => {
                    if !self.input.is_empty() {
                        match self.take_head(client, outcome, outgoing, draining, answered) {
                            Ok(Taken::Passed) => continue,
                            Ok(Taken::Incomplete) => {}
                            Ok(Taken::Elsewhere(code)) => return Poll::Ready(End::Elsewhere(code)),
                            Err(reason) => return Poll::Ready(malformed(reason)),
                        }
                    }
                    match ready!(self.input.poll_fill(cx, &mut self.upstream)) {
                        // What a kept connection says before it is asked is the end of an earlier story, such as a 408.
                        Ok(_) | Err(_) if self.way.reused && self.sent == 0 => return Poll::Ready(End::Stale { sent: false }),
                        // The server was told that the client ended, and left as well.
                        Ok(0) | Err(_) if self.half_closed => return Poll::Ready(End::ClientGone),
                        Ok(0) | Err(_) if self.repeatable() => return Poll::Ready(End::Stale { sent: self.sent > 0 }),
                        Ok(0) => return Poll::Ready(self.closed(None)),
                        Err(error) => return Poll::Ready(self.closed(Some(error))),
                        Ok(_) => self.heard(),
                    }
                }
                Response::Body(tracker, passing) => {
                    if *passing > 0 {
                        let waiting = self.input.len();
                        client.unflushed = true;
                        let written = self.input.poll_drain(cx, &mut client.io, *passing);
                        *passing -= waiting - self.input.len();
                        if ready!(written).is_err() {
                            return Poll::Ready(End::ClientGone);
                        }
                        continue;
                    }
                    if tracker.done() {
                        self.response = Response::Done;
                        continue;
                    }
                    if self.input.is_empty() {
                        match ready!(self.input.poll_fill(cx, &mut self.upstream)) {
                            Ok(0) if tracker.ends_with_connection() => continue,
                            Ok(0) | Err(_) => return Poll::Ready(End::Truncated),
                            Ok(_) => {
                                self.heard();
                                continue;
                            }
                        }
                    }
                    match tracker.advance(self.input.bytes()) {
                        Ok(progress) => *passing = progress.consumed,
                        Err(_) => return Poll::Ready(End::Truncated),
                    }
                    outcome.response_bytes = tracker.payload();
                }
                Response::Switched { doubtful } => return Poll::Ready(End::Tunnel { doubtful: *doubtful }),
                Response::Done => {
                    let request_done = self.request_sent(outgoing);
                    let reusable = self.upstream_persistent && self.flushed && self.input.is_empty() && !self.half_closed;
                    if request_done || !reusable || self.deaf || self.withheld {
                        return Poll::Ready(End::Complete {
                            request_done,
                            reusable: request_done && reusable,
                        });
                    }
                    // An answer came before the request was complete, and the server stays: it reads the rest, as it would without a proxy.
                    self.upstream_persistent = match ready!(self.input.poll_fill(cx, &mut self.upstream)) {
                        Ok(_) | Err(_) => false,
                    };
                }
            }
        }
    }

    /// The upstream lives.
    fn heard(&mut self) {
        self.answered = true;
    }

    /// Passes the next head on, with what is there of its body.
    fn take_head<'e, C>(
        &mut self,
        client: &mut Client<C>,
        outcome: &mut Outcome,
        outgoing: &mut Outgoing,
        draining: &impl Fn() -> bool,
        answered: &impl Fn(&ResponseHead<'_>) -> Option<&'e Edits>,
    ) -> Result<Taken, &'static str> {
        if !self.looked.worth(self.input.bytes()) {
            return Ok(Taken::Incomplete);
        }
        let mut fields = Fields::default();
        let parsed = ResponseHead::parse(self.input.bytes(), &mut fields, self.request.asked).map_err(HeadError::reason)?;
        let Some(head) = parsed else { return Ok(Taken::Incomplete) };
        if let Some(code) = self.elsewhere(&head) {
            self.looked = Looked::default();
            return Ok(Taken::Elsewhere(code));
        }
        self.kept = false;
        if self.sent >= outgoing.head.len() {
            outgoing.head.clear();
        }
        let source = if self.way.sidecar { Source::Sidecar } else { Source::Program };
        let mut taken = head.bytes().len();
        let old = self.request.version == Version::Http10;
        match head.next() {
            Next::Head if old => {}
            Next::Head => {
                self.continued |= head.status() == 100;
                rewrite::response(&head, source, Keep::Silent, None, &mut client.output);
            }
            Next::Tunnel if !self.request_sent(outgoing) => return Err(HeadError::EarlySwitch.reason()),
            Next::Tunnel => {
                outcome.status = head.status();
                rewrite::response(&head, source, Keep::Silent, answered(&head), &mut client.output);
                let doubtful = head.announces_more();
                self.response = Response::Switched { doubtful };
            }
            Next::Body(Framing::Chunked) if old => return Err(HeadError::CodingInOldVersion.reason()),
            Next::Body(framing) => {
                let until_close = framing == Framing::UntilClose;
                // A client that was never told to go on may send its body or not: the next request cannot be told from it.
                self.withheld = self.request.expects_continue && !self.continued && !outgoing.body.begun() && client.input.is_empty();
                // To a client every success is a tunnel, and what it sends next belongs into it.
                let no_tunnel = self.request.asked.connect && head.status() < 300;
                self.keep &= !until_close && !self.withheld && !no_tunnel && !draining();
                // A program that opened no tunnel may take for requests what was meant for it.
                let clean = !until_close && !self.request.asked.connect && !head.announces_more();
                self.upstream_persistent = clean && head.persistent() && (!old || head.says_keep_alive());
                let keep = match self.keep {
                    false => Keep::Close,
                    true if old => Keep::Said,
                    true => Keep::Silent,
                };
                outcome.status = head.status();
                rewrite::response(&head, source, keep, answered(&head), &mut client.output);
                // What came of the body with its head leaves with it, in one write.
                let mut tracker = BodyTracker::new(framing);
                let rest = &self.input.bytes()[taken..];
                let rest = &rest[..rest.len().min(client.output.room())];
                let progress = tracker.advance(rest).map_err(|error| {
                    client.output.clear();
                    error.reason()
                })?;
                client.output.extend(&rest[..progress.consumed]);
                outcome.response_bytes = tracker.payload();
                taken += progress.consumed;
                self.response = Response::Body(tracker, 0);
            }
        }
        self.input.consume(taken);
        self.looked = Looked::default();
        Ok(Taken::Passed)
    }

    fn closed(&self, error: Option<io::Error>) -> End {
        let how = match (self.input.is_empty() && !self.answered, error) {
            (true, None) => "the endpoint closed the connection before it answered".to_owned(),
            (true, Some(error)) => format!("the connection to the endpoint failed before it answered: {error}"),
            (false, _) => "the endpoint closed the connection in the middle of its answer's head".to_owned(),
        };
        End::Refused(Reply::new(502, error::UPSTREAM_CLOSED, how))
    }

    fn poll_request<C: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client<C>,
        outgoing: &mut Outgoing,
    ) -> Poll<End> {
        loop {
            if self.deaf {
                return self.poll_gone(cx, client);
            }
            if self.sent < outgoing.head.len() {
                match Pin::new(&mut self.upstream).poll_write(cx, &outgoing.head.bytes()[self.sent..]) {
                    Poll::Pending => return self.poll_gone(cx, client),
                    Poll::Ready(Ok(0) | Err(_)) => self.deaf = true,
                    Poll::Ready(Ok(count)) => {
                        self.sent += count;
                        self.flushed = false;
                    }
                }
                continue;
            }
            // What can be sent again is kept until the upstream shows that it lives.
            if self.kept && self.passing > 0 {
                if outgoing.head.len() + self.passing <= KEPT_LIMIT && !budget::is_tight() {
                    outgoing.head.extend(&client.input.bytes()[..self.passing]);
                    client.input.consume(std::mem::take(&mut self.passing));
                    continue;
                }
                self.kept = false;
            }
            if self.kept && outgoing.head.len() > BUFFER_SIZE / 4 && budget::is_tight() {
                self.kept = false;
            }
            if !self.kept && !outgoing.head.is_empty() {
                outgoing.head.clear();
            }
            if self.passing > 0 {
                let waiting = client.input.len();
                let written = client.input.poll_drain(cx, &mut self.upstream, self.passing);
                self.passing -= waiting - client.input.len();
                self.flushed = false;
                match written {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => self.deaf = true,
                    Poll::Ready(Ok(())) => {}
                }
                continue;
            }
            if outgoing.body.done() {
                if std::mem::replace(&mut self.waits, true) {
                    outgoing.head.shrink();
                }
                self.flush(cx);
                return self.poll_gone(cx, client);
            }
            if client.input.is_empty() {
                match client.input.poll_fill(cx, &mut client.io) {
                    Poll::Pending => {
                        self.flush(cx);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(End::ClientGone),
                    Poll::Ready(Ok(_)) => {}
                }
            }
            match outgoing.body.advance(client.input.bytes()) {
                Ok(progress) => self.passing = progress.consumed,
                Err(error) => return Poll::Ready(self.refuse_body(error)),
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        if !self.flushed {
            self.flushed = Pin::new(&mut self.upstream).poll_flush(cx).is_ready();
        }
    }

    fn refuse_body(&self, error: BodyError) -> End {
        match self.response {
            Response::Head => End::Refused(error.reply()),
            _ => End::Truncated,
        }
    }

    fn poll_gone<C: AsyncRead + AsyncWrite + Unpin>(&self, cx: &mut Context<'_>, client: &mut Client<C>) -> Poll<End> {
        client.poll_gone(cx).map(|()| End::ClientGone)
    }

    /// A client that closed its half may wait for the answer, or be gone. The server is told and decides, as it would without a proxy, and may take its time. A
    /// client that is gone answers the kernel's probes with a reset, which is looked for now and then.
    fn poll_half_closed<C: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, client: &mut Client<C>, outgoing: &Outgoing) -> Poll<End> {
        if !client.ended {
            return Poll::Pending;
        }
        if !self.half_closed && client.input.is_empty() && self.flushed && self.request_sent(outgoing) {
            // A failure shows when the answer is read.
            self.half_closed = Pin::new(&mut self.upstream).poll_shutdown(cx).is_ready();
        }
        loop {
            let due = *self.client_due.get_or_insert_with(|| Instant::now() + LIMITS.half_closed);
            ready!(client.deadline.poll(cx, due));
            self.client_due = None;
            // After its end nothing of a connection shows when it is read, but when it is written to.
            if let Poll::Ready(Err(_)) = Pin::new(&mut client.io).poll_write(cx, &[]) {
                return Poll::Ready(End::ClientGone);
            }
        }
    }
}

fn malformed(reason: &str) -> End {
    End::Refused(Reply::new(
        502,
        error::MALFORMED_RESPONSE,
        format!("the endpoint's answer was refused: {reason}"),
    ))
}
