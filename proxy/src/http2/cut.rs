//! Why exchanges end early, and whose doing it is.

use h2::{Reason, RecvStream};
use http::Response;

use super::found::Answer;
use crate::errors;
use crate::http::Reply;
use crate::http1::error::{BodyError, HeadError, MALFORMED_RESPONSE};

/// Why an exchange ended early.
pub(super) enum Cut {
    /// The client reset its stream, or its connection ended.
    Client(Reason),
    /// The upstream reset its stream, or its connection ended: the reason that the client is told, and the code.
    Upstream(Reason, &'static str),
    /// The upstream took no notice of the request, so that it can be sent again.
    Refused,
    /// A connection that had carried others, or leads to a sidecar, ended before any answer, so that a request that may be sent twice can be sent again.
    Lost(Reply),
    /// The endpoint's sidecar answers with this code that its program did not; the request can be sent to another endpoint.
    Elsewhere(&'static str, Response<RecvStream>, Answer),
    /// One side was not read or did not answer while memory was short.
    Slow,
    /// The request's body or trailers break the rules.
    Body(BodyError),
    /// The sidecar answers.
    Reply(Reply),
}

/// The code with which a sidecar says that its program did not answer.
pub(super) fn unanswered(response: &Response<RecvStream>) -> Option<&'static str> {
    let code = response.headers().get("weft-error")?;
    [errors::CONNECT_FAILED, errors::UPSTREAM_CLOSED]
        .into_iter()
        .find(|known| code == known)
}

/// Whether a stream failed before the other side did anything for it (RFC 9113, 8.7).
pub(super) fn took_no_notice(error: &h2::Error) -> bool {
    // GOAWAY reaches only streams beyond the last one that the other side took.
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// The end of an answer that the upstream did not complete. A reset that leaves its connection as it was and names no failure of its own is about the request.
pub(super) fn broken_off(error: &h2::Error) -> Cut {
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    let own_failure = matches!(
        reason,
        Reason::INTERNAL_ERROR | Reason::REFUSED_STREAM | Reason::ENHANCE_YOUR_CALM | Reason::CONNECT_ERROR
    );
    let code = if error.is_reset() && error.is_remote() && !own_failure {
        errors::STREAM_RESET
    } else {
        errors::UPSTREAM_CLOSED
    };
    Cut::Upstream(reason, code)
}

/// The answer in place of one that breaks the rules.
pub(super) fn malformed(error: HeadError) -> Cut {
    let message = format!("the endpoint's answer was refused: {}", error.reason());
    Cut::Reply(Reply::new(502, MALFORMED_RESPONSE, message))
}

/// The answer in place of one that never came.
pub(super) fn closed_early(error: &h2::Error) -> Reply {
    Reply::new(
        502,
        errors::UPSTREAM_CLOSED,
        format!("the connection ended before the answer: {error}"),
    )
}
