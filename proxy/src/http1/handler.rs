//! What the relay asks of the proxy around it.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;
use crate::http::{Attempt, Edits, Outcome, Reply, RequestView, ResponseView};

/// What the client takes this side for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server itself: the client does not know of a proxy. Targets pass in the form they came in, and `CONNECT` and `Proxy-Authorization`
    /// are for whom it dialled.
    Transparent,
    /// Its HTTP proxy: absolute targets become origin form, `Proxy-Authorization` ends here, and `CONNECT` ends the relay with
    /// [`Finished::Connect`].
    Proxy,
}

/// A connection to an endpoint, for one exchange.
pub struct Acquired<U> {
    /// The connection, with nothing of an earlier exchange left in it.
    pub upstream: U,
    /// Whether it carried an exchange before, so that the endpoint may have closed it meanwhile.
    pub reused: bool,
}

/// Routing, pools and counting for one client connection.
///
/// For each request: `begin`, `edits`, `acquire` (again when a connection turns out dead, or after `elsewhere`), `answered`, `release` when the connection can carry
/// another exchange, `finish`. Futures are part of the relay's own, which lives as long as the connection: box what is large and rare, such as dialling.
pub trait Handler {
    /// A connection to an endpoint.
    type Upstream: AsyncRead + AsyncWrite + Unpin;
    /// One request under way: the chosen endpoint, when it began, what counts it.
    type Call;

    /// What the client takes this side for.
    fn role(&self) -> Role;

    /// Whether it is known where the authority of a proxy's request leads. Only asked with [`Role::Proxy`].
    fn knows(&self, _authority: &str) -> bool {
        true
    }

    /// Finds out where the authority of the next request leads, whatever comes of it; `knows` is true afterwards. Dropped when the client leaves.
    fn find(&self, _authority: &str) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Routes a request whose head is complete. After `Err` the reply is sent and nothing else is asked for this request.
    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Self::Call, Reply>;

    /// What changes in the request's fields.
    fn edits<'a>(&'a self, call: &'a Self::Call) -> &'a Edits;

    /// A connection for the call. Dropped before it is ready when the client leaves.
    fn acquire(&self, call: &mut Self::Call, attempt: Attempt) -> impl Future<Output = Result<Acquired<Self::Upstream>, Reply>>;

    /// Whether the connection that was acquired last leads to a sidecar, whose fields `weft-*` are true.
    fn leads_to_sidecar(&self, call: &Self::Call) -> bool;

    /// Whether there is another endpoint for a call, after the sidecar of this one said that its program did not answer, with this code. Then `acquire` follows,
    /// and otherwise the answer is passed on.
    fn elsewhere(&self, call: &mut Self::Call, code: &'static str) -> bool;

    /// Told of the final head of the endpoint's answer before it is passed on, which may be long before its end. Says what changes in its fields, if anything does.
    fn answered<'a>(&'a self, call: &'a Self::Call, head: &impl ResponseView) -> Option<&'a Edits>;

    /// Takes a connection back that can carry another exchange. One that cannot is dropped instead.
    fn release(&self, call: &Self::Call, upstream: Self::Upstream);

    /// Ends a tunnel's connection whose other side broke, so that the endpoint does not take that for an orderly end.
    fn broken(&self, upstream: Self::Upstream);

    /// Called exactly once for each begun request, also when the relay is dropped half-way.
    fn finish(&self, call: Self::Call, outcome: Outcome);

    /// Told of each request that was refused before `begin`; of its head only what could be read.
    fn refused(&self, head: &impl RequestView, reply: &Reply);

    /// Told whether it is the client that has to go on now: with a request that it began, or with taking the answer.
    fn awaits_client(&self, _awaited: bool) {}

    /// Whether this connection should end after the request under way.
    fn draining(&self) -> bool;

    /// Resolves once `draining` is true. Made once a connection and polled while it waits for a request.
    fn drain_started(&self) -> impl Future<Output = ()>;
}

/// How a relay ended.
pub enum Finished<C> {
    /// The connection is closed and counted; nothing is left to do.
    Closed,
    /// As above, but the client's connection is still open and must be reset: what it carried broke off, and its end could be taken for the end of that.
    Broken(C),
    /// The client asks its proxy for a tunnel and waits for an answer. Nothing was counted. Only with [`Role::Proxy`].
    Connect {
        /// `host:port` as sent.
        authority: String,
        /// The connection.
        client: C,
        /// Bytes that the client sent after the head.
        leftover: Buffer,
    },
}
