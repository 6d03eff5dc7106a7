//! One request and its response, both ways at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};

use super::answer::{answer, grpc_status, grpc_status_field};
use super::carry::{Piece, Place, Side, carry, pass};
use super::connections::{Lease, Load};
use super::cut::{Cut, broken_off, closed_early, malformed, took_no_notice, unanswered};
use super::found::{self, Asked};
use super::head::{Answer, View, check_answer, check_request, check_trailers, edit, edited, is_grpc, mend_trailers};
use super::interims::Interims;
use super::kept::Kept;
use super::{Handler, Manners};
use crate::budget::{self, Account, Cost, Hold};
use crate::errors;
use crate::http::{Edits, Outcome, Reply, is_idempotent};
use crate::http1::LIMITS;
use crate::http1::error::{BodyError, HeadError, MALFORMED_REQUEST, MALFORMED_RESPONSE};

/// Looks at a body that does not go on until it is given up.
const LOOKS: u32 = 2;
/// Times that a request is sent again when servers take no notice of it.
const MAX_REFUSALS: usize = 2;

/// Finishes the call when the exchange ends, however it ends.
struct Finish<H: Handler> {
    handler: Rc<H>,
    call: Option<H::Call>,
    outcome: Outcome,
}

impl<H: Handler> Finish<H> {
    fn now(&mut self) {
        if let Some(call) = self.call.take() {
            self.handler.finish(call, self.outcome);
        }
    }
}

impl<H: Handler> Drop for Finish<H> {
    fn drop(&mut self) {
        self.now();
    }
}

/// A request on its way.
struct Outgoing {
    head: Request<()>,
    /// Absent when there is none.
    body: Option<RecvStream>,
    taken: Taken,
    account: Account,
    /// What the head costs, and its copies, when memory is not plenty.
    hold: Option<Hold>,
}

/// What was read of a request's body.
struct Taken {
    kept: RefCell<Kept>,
    /// Bytes.
    count: Cell<u64>,
    /// Bytes of those whose window was not given back.
    owed: Cell<usize>,
    asked: Rc<Asked>,
}

impl Outgoing {
    fn is_idempotent(&self) -> bool {
        is_idempotent(self.head.method().as_str())
    }
}

pub(super) async fn exchange<H: Handler>(
    handler: Rc<H>,
    (manners, asked): (Rc<RefCell<Manners>>, Rc<Asked>),
    account: Account,
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    started: Instant,
) {
    let is_head = request.method() == Method::HEAD;
    let is_grpc = match check_request(&mut request) {
        Ok(is_grpc) => is_grpc,
        Err(error) => {
            let reply = error.reply();
            handler.refused(&View::of(&request), &reply);
            if !request.body().is_end_stream() {
                manners.borrow_mut().reset(started);
            }
            return answer(&mut respond, &reply, is_grpc(request.headers()), is_head);
        }
    };
    let call = match handler.begin(&View::of(&request), started) {
        Ok(call) => call,
        Err(reply) => return answer(&mut respond, &reply, is_grpc, is_head),
    };
    let (parts, body) = request.into_parts();
    let mut outgoing = Outgoing {
        head: edited(parts, handler.edits(&call)),
        body: (!body.is_end_stream()).then_some(body),
        taken: Taken {
            kept: RefCell::new(Kept::new()),
            count: Cell::new(0),
            owed: Cell::new(0),
            asked,
        },
        account,
        hold: None,
    };
    if budget::is_watched() {
        let fields = outgoing.head.headers().iter();
        let bytes: usize = fields.map(|(name, value)| name.as_str().len() + value.len()).sum();
        outgoing.hold = Some(Hold::new(account, Cost::Bytes(2 * bytes)));
    }
    let mut finish = Finish {
        handler,
        call: Some(call),
        outcome: Outcome::default(),
    };
    let mut refusals = 0;
    // Why the request may have been seen already.
    let mut seen: Option<Reply> = None;
    let cut = loop {
        let ended = match budget::refusal() {
            Some(reply) => Err(Cut::Reply(reply)),
            None => attempt(&mut finish, &mut outgoing, &mut respond).await,
        };
        finish.outcome.request_bytes = outgoing.taken.count.get();
        let Some(call) = &mut finish.call else { break ended };
        let can_repeat = outgoing.taken.kept.borrow().is_whole();
        let may_repeat = can_repeat && outgoing.is_idempotent() && seen.is_none();
        match ended {
            Err(Cut::Refused) if can_repeat && refusals < MAX_REFUSALS => refusals += 1,
            Err(Cut::Lost(reply)) if may_repeat => {
                finish.handler.lost(call);
                seen = Some(reply);
            }
            Err(Cut::Elsewhere(errors::CONNECT_FAILED, ..)) if finish.handler.elsewhere(call, errors::CONNECT_FAILED) => {}
            Err(Cut::Elsewhere(code, ..)) if code != errors::CONNECT_FAILED && may_repeat && finish.handler.elsewhere(call, code) => {
                seen = Some(Reply::new(502, code, "the program's connection ended before the answer"));
            }
            Err(Cut::Elsewhere(_, response, expected)) => {
                let handler = &finish.handler;
                let answered = |head: &Answer<'_>| handler.answered(call, head);
                let load = Load::default();
                let place = Place { load: &load, account };
                break deliver((response, expected), &mut respond, place, &mut finish.outcome, answered).await;
            }
            // What a program may have seen must not look as if it had not.
            Err(Cut::Reply(reply)) if reply.code == errors::CONNECT_FAILED => break Err(Cut::Reply(seen.unwrap_or(reply))),
            // A malformed message is no request that could be answered (RFC 9113, 8.1.1).
            Err(Cut::Body(error)) if finish.outcome.status == 0 && error != BodyError::PseudoTrailer => {
                break Err(Cut::Reply(error.reply()));
            }
            ended => break ended,
        }
    };
    let outcome = &mut finish.outcome;
    match cut {
        Ok(()) => {}
        Err(Cut::Client(_)) => {
            if outcome.status == 0 {
                manners.borrow_mut().reset(started);
            }
        }
        Err(Cut::Upstream(reason, code)) => {
            let call = finish.call.as_ref();
            // So says a sidecar whose memory is short, not its program.
            let slow = reason == Reason::ENHANCE_YOUR_CALM && call.is_some_and(|call| finish.handler.leads_to_sidecar(call));
            outcome.error = Some(if slow { errors::SLOW_READER } else { code });
            manners.borrow_mut().passes_on(reason);
            respond.send_reset(reason);
        }
        Err(Cut::Refused) => {
            // Part of the body is gone. The client is told that it may send the request again.
            outcome.error = Some(errors::UPSTREAM_CLOSED);
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        Err(Cut::Slow) => {
            outcome.error = Some(errors::SLOW_READER);
            respond.send_reset(Reason::ENHANCE_YOUR_CALM);
        }
        Err(Cut::Body(error)) => {
            outcome.error = Some(error.reply().code);
            manners.borrow_mut().reset(started);
            manners.borrow_mut().passes_on(Reason::PROTOCOL_ERROR);
            respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        // Those were settled above.
        Err(Cut::Elsewhere(..)) => respond.send_reset(Reason::INTERNAL_ERROR),
        Err(Cut::Reply(reply) | Cut::Lost(reply)) => {
            outcome.error = Some(reply.code);
            (outcome.status, outcome.grpc_status) = if is_grpc {
                (200, Some(grpc_status(&reply)))
            } else {
                (reply.status, None)
            };
            answer(&mut respond, &reply, is_grpc, is_head);
        }
    }
}

/// Sends the request once and carries what follows.
async fn attempt<H: Handler>(finish: &mut Finish<H>, outgoing: &mut Outgoing, respond: &mut SendResponse<Bytes>) -> Result<(), Cut> {
    let Some(call) = &mut finish.call else { return Ok(()) };
    let waiting = || match &mut outgoing.body {
        Some(body) => Cost::Window(body.flow_control().clone()),
        None => Cost::Bytes(0),
    };
    let mut lease = tokio::select! {
        acquired = budget::holding(outgoing.account, waiting, finish.handler.acquire(call)) => {
            acquired.ok_or(Cut::Slow)?.map_err(Cut::Reply)?
        }
        reset = poll_fn(|context| respond.poll_reset(context)) => return Err(Cut::Client(reset.unwrap_or(Reason::CANCEL))),
    };
    finish.outcome.attempts += 1;
    let is_extended = outgoing.head.extensions().get::<Protocol>().is_some();
    if is_extended && !lease.takes_extended_connect() {
        let message = "the called program takes no extended CONNECT (RFC 8441), which WebSockets over HTTP/2 need";
        return Err(Cut::Reply(Reply::new(501, errors::NO_EXTENDED_CONNECT, message)));
    }
    let sidecar = finish.handler.leads_to_sidecar(call);
    let is_tunnel = outgoing.head.method() == Method::CONNECT;
    let sent = lease.sender.send_request(outgoing.head.clone(), outgoing.body.is_none());
    let (response, mut send) = sent.map_err(|error| {
        // What ended the connection came before the request.
        if error.is_go_away() || error.is_io() {
            Cut::Refused
        } else {
            // What cannot be written is the client's mistake, whatever became of it.
            Cut::Reply(Reply::new(
                400,
                MALFORMED_REQUEST,
                format!("the request cannot be passed on: {error}"),
            ))
        }
    })?;
    let ended = {
        let place = Place {
            load: &lease.load,
            account: outgoing.account,
        };
        let taken = &outgoing.taken;
        let has_length = outgoing.head.headers().contains_key(CONTENT_LENGTH);
        let mut upload = pin!(upload(&mut outgoing.body, has_length, &mut send, place, taken));
        let mut uploading = true;
        let mut ended = {
            let Finish { handler, call, outcome } = &mut *finish;
            let call = call.as_ref();
            let answered = |head: &Answer<'_>| handler.answered(call?, head);
            let mut download = pin!(download(
                response,
                respond,
                (&lease, place),
                sidecar,
                &taken.kept,
                outcome,
                answered
            ));
            loop {
                tokio::select! {
                    biased;
                    uploaded = &mut upload, if uploading => match uploaded {
                        Err(Side::Source(error)) => break Err(Cut::Client(error.reason().unwrap_or(Reason::CANCEL))),
                        Err(Side::Slow) => break Err(Cut::Slow),
                        Err(Side::Malformed(error)) => break Err(Cut::Body(error)),
                        // What became of the upstream's side is told by its response.
                        Ok(()) | Err(Side::Sink(_)) => uploading = false,
                    },
                    downloaded = &mut download => break downloaded,
                    () = lost(&outgoing.hold), if outgoing.hold.is_some() => break Err(Cut::Slow),
                }
            }
        };
        if uploading && ended.is_ok() {
            // A server may answer to the end and still read; when it does not, it says so by a reset.
            finish.outcome.request_bytes = taken.count.get();
            if !is_tunnel {
                finish.now();
            }
            match upload.await {
                Err(Side::Source(error)) => ended = Err(Cut::Client(error.reason().unwrap_or(Reason::CANCEL))),
                Err(Side::Malformed(error)) => ended = Err(Cut::Body(error)),
                _ => {}
            }
        }
        ended
    };
    match ended {
        Err(Cut::Client(reason)) => send.send_reset(reason),
        Err(Cut::Slow | Cut::Body(_)) => send.send_reset(Reason::CANCEL),
        _ => {}
    }
    ended
}

async fn lost(hold: &Option<Hold>) {
    match hold {
        Some(hold) => hold.lost().await,
        None => std::future::pending().await,
    }
}

/// Carries the request's body and trailers. Begins with what was sent before, if anything was.
async fn upload(
    body: &mut Option<RecvStream>,
    has_length: bool,
    send: &mut SendStream<Bytes>,
    place: Place<'_>,
    taken: &Taken,
) -> Result<(), Side> {
    let Some(body) = body else { return Ok(()) };
    let Taken { kept, count, owed, asked } = taken;
    let stream = body.stream_id().as_u32();
    let (again, is_all) = kept.borrow().pieces();
    for piece in again {
        pass(piece, send, place, body).await?;
    }
    if is_all {
        return Ok(());
    }
    let carried = carry(body, send, place, owed, |piece| {
        if let Piece::Data(data, _) = piece {
            count.set(count.get() + data.len() as u64);
        }
        if let Piece::Trailers(trailers) = piece {
            if asked.has_pseudo_trailer(stream) {
                return Err(BodyError::PseudoTrailer);
            }
            check_trailers(trailers)?;
        }
        kept.borrow_mut().add(piece);
        Ok(())
    });
    tokio::select! {
        biased;
        carried = carried => carried,
        () = stands_still(count, owed), if has_length => Err(Side::Malformed(BodyError::Stopped)),
    }
}

/// Resolves when nothing more of a body comes, though its client said how much there is. Not while the server does not take what came.
async fn stands_still(count: &Cell<u64>, owed: &Cell<usize>) {
    let mut looks = (0, None);
    while looks.0 < LOOKS {
        tokio::time::sleep(LIMITS.body / LOOKS).await;
        let now = (owed.get() == 0).then(|| count.get());
        looks = if now.is_some() && now == looks.1 {
            (looks.0 + 1, now)
        } else {
            (0, now)
        };
    }
}

/// Carries the response: interim heads, head, body, trailers.
async fn download<'e>(
    mut response: ResponseFuture,
    respond: &mut SendResponse<Bytes>,
    (lease, place): (&Lease, Place<'_>),
    sidecar: bool,
    kept: &RefCell<Kept>,
    outcome: &mut Outcome,
    answered: impl Fn(&Answer<'_>) -> Option<&'e Edits>,
) -> Result<(), Cut> {
    // Nothing came yet: the connection is read by another task.
    let expected = place.load.answers.expect(response.stream_id().as_u32());
    let mut interims = Interims::default();
    let response = loop {
        tokio::select! {
            biased;
            interim = poll_fn(|context| response.poll_informational(context)) => {
                if let Some(Ok(mut interim)) = interim {
                    kept.borrow_mut().forget();
                    check_answer(interim.status(), interim.headers_mut(), sidecar).map_err(malformed)?;
                    if !interims.one_more() {
                        let message = "the endpoint's answer was refused: it has too many interim heads";
                        return Err(Cut::Reply(Reply::new(502, MALFORMED_RESPONSE, message)));
                    }
                    if let Err(error) = respond.send_informational(interim) {
                        return Err(Cut::Client(error.reason().unwrap_or(Reason::CANCEL)));
                    }
                    continue;
                }
                // No more of them: the final response or its error comes next.
                break (&mut response).await;
            }
            reset = poll_fn(|context| respond.poll_reset(context)) => return Err(Cut::Client(reset.unwrap_or(Reason::CANCEL))),
        }
    };
    let mut response = response.map_err(|error| match error.reason() {
        _ if took_no_notice(&error) => Cut::Refused,
        // What the other side sent breaks the protocol, or is far too large.
        Some(_) if error.is_library() && error.is_reset() => malformed(HeadError::Unreadable),
        Some(_) if error.is_reset() => broken_off(&error),
        _ if error.is_io() && (lease.is_reused || sidecar) => Cut::Lost(closed_early(&error)),
        _ => Cut::Reply(closed_early(&error)),
    })?;
    let code = if sidecar { unanswered(&response) } else { None };
    if let (Some(code), true) = (code, kept.borrow().is_whole()) {
        return Err(Cut::Elsewhere(code, response, expected));
    }
    kept.borrow_mut().forget();
    check_answer(response.status(), response.headers_mut(), sidecar).map_err(malformed)?;
    deliver((response, expected), respond, place, outcome, answered).await
}

/// Carries the final head, the body and the trailers of a response.
async fn deliver<'e>(
    (response, expected): (Response<RecvStream>, found::Answer),
    respond: &mut SendResponse<Bytes>,
    place: Place<'_>,
    outcome: &mut Outcome,
    answered: impl Fn(&Answer<'_>) -> Option<&'e Edits>,
) -> Result<(), Cut> {
    let (mut parts, mut body) = response.into_parts();
    outcome.status = parts.status.as_u16();
    outcome.grpc_status = grpc_status_field(&parts.headers);
    let edits = answered(&Answer {
        status: outcome.status,
        grpc_status: outcome.grpc_status,
        fields: &parts.headers,
    });
    if let Some(edits) = edits {
        edit(&mut parts.headers, edits);
    }
    let ended = body.is_end_stream();
    let mut send = respond
        .send_response(Response::from_parts(parts, ()), ended)
        .map_err(|error| Cut::Client(error.reason().unwrap_or(Reason::CANCEL)))?;
    if ended {
        return Ok(());
    }
    let owed = Cell::default();
    let carried = carry(&mut body, &mut send, place, &owed, |piece| {
        match piece {
            Piece::Data(data, _) => outcome.response_bytes += data.len() as u64,
            Piece::Trailers(_) if expected.has_pseudo_trailer() => return Err(BodyError::PseudoTrailer),
            Piece::Trailers(trailers) => {
                mend_trailers(trailers);
                outcome.grpc_status = grpc_status_field(trailers).or(outcome.grpc_status);
            }
            Piece::End => {}
        }
        Ok(())
    });
    carried.await.map_err(|side| match side {
        Side::Malformed(_) => Cut::Upstream(Reason::INTERNAL_ERROR, MALFORMED_RESPONSE),
        Side::Source(error) => broken_off(&error),
        Side::Sink(reason) => Cut::Client(reason),
        Side::Slow => Cut::Slow,
    })
}
