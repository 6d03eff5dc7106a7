//! Answers of the sidecar's own, in HTTP and in gRPC.

use bytes::Bytes;
use h2::server::SendResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::errors;
use crate::http::Reply;

/// Sends an answer of the sidecar's own: to gRPC a status that its libraries understand, to others a line of text.
pub(super) fn answer(respond: &mut SendResponse<Bytes>, reply: &Reply, is_grpc: bool, is_head: bool) {
    let mut response = Response::new(());
    response.headers_mut().insert("weft-error", HeaderValue::from_static(reply.code));
    // Failures below mean that the client is gone and nobody waits for the answer.
    if is_grpc {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response.headers_mut().insert("grpc-status", HeaderValue::from(grpc_status(reply)));
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

/// The gRPC status for an HTTP answer that the sidecar would have given (gRPC, doc/http-grpc-status-mapping). That a route leads nowhere is UNAVAILABLE, as the Gateway
/// API asks for.
pub(super) fn grpc_status(reply: &Reply) -> u32 {
    match reply.status {
        _ if reply.code == errors::NO_BACKEND => 14,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Highest status that gRPC knows.
const LAST_STATUS: u32 = 16;

/// The status that a gRPC server put into a head or trailers. What is none is UNKNOWN, as gRPC's libraries read it; so nobody makes numbers up.
pub(super) fn grpc_status_field(fields: &HeaderMap) -> Option<u32> {
    const UNKNOWN: u32 = 2;
    let field = fields.get("grpc-status")?;
    let status = field.to_str().ok().and_then(|status| status.parse().ok());
    Some(status.filter(|status| *status <= LAST_STATUS).unwrap_or(UNKNOWN))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_status_of_grpc_is_unknown() {
        let read = |value| {
            grpc_status_field(&HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        for (value, expected) in [
            ("0", 0),
            ("14", 14),
            ("16", 16),
            ("17", 2),
            ("4294967295", 2),
            ("-1", 2),
            ("x", 2),
            ("", 2),
        ] {
            assert_eq!(read(value), Some(expected), "{value:?}");
        }
        assert_eq!(grpc_status_field(&HeaderMap::new()), None);
    }

    #[test]
    fn grpc_messages_are_percent_encoded() {
        assert_eq!(percent_encoded("50% ä\n"), "50%25 %C3%A4%0A");
    }
}
