//! Carries the application's HTTP requests to endpoints: routing, balancing, pools, counting.

use std::rc::Rc;
use std::time::Instant;

use super::Outbound;
use super::target::Target;
use crate::balance::{Call as Picked, Outcome as Verdict};
use crate::endpoint::{ConnectError, Endpoint, PeerStream};
use crate::errors;
use crate::http::{Edits, Outcome, Reply, RequestView};
use crate::http1::error::CLIENT_GONE;
use crate::http1::{self, Acquired, Role};
use crate::http2;
use crate::log::log;
use crate::metrics::{Protocol, RequestGuard, Traffic};
use crate::tls::Inside;

/// Endpoints that are tried for one request, as long as nothing was sent.
const MAX_TRIES: usize = 3;

/// Which service a connection's requests go to.
#[derive(Debug)]
pub enum Route {
    /// The service that the application connected to.
    Target(Rc<Target>),
    /// The service or host that each request names: this side is the application's HTTP proxy.
    Named,
}

/// Handles the requests of one connection of the application.
#[derive(Debug)]
pub struct Handler {
    outbound: Rc<Outbound>,
    route: Route,
    protocol: Protocol,
    edits: Edits,
}

/// One request.
#[derive(Debug)]
pub struct Call {
    guard: RequestGuard,
    target: Option<Rc<Target>>,
    authority: Option<String>,
    picked: Option<Picked<Endpoint>>,
    traffic: Option<Rc<Traffic>>,
}

impl Handler {
    /// A handler for one connection.
    pub fn new(outbound: Rc<Outbound>, route: Route, protocol: Protocol) -> Handler {
        // Who calls is said by the callee's sidecar, from what was proven.
        Handler {
            outbound,
            route,
            protocol,
            edits: Edits {
                drop: &["weft-*"],
                ..Edits::default()
            },
        }
    }

    fn start(&self, head: &impl RequestView, started: Instant) -> Call {
        let guard = self.outbound.sidecar.metrics.begin(head.method(), started);
        let (target, authority) = match &self.route {
            Route::Target(target) => (Some(target.clone()), None),
            Route::Named => (None, Some(head.authority().to_owned())),
        };
        Call {
            guard,
            target,
            authority,
            picked: None,
            traffic: None,
        }
    }

    /// Chooses an endpoint for the call. False when none is left that was not tried.
    fn pick(&self, call: &mut Call, target: &Target, tried: &[Rc<Endpoint>]) -> bool {
        call.picked = target.pick(tried, &mut self.outbound.sidecar.rng.borrow_mut());
        if let Some(picked) = &call.picked {
            call.traffic = Some(target.traffic(self.protocol, &picked.endpoint().identity));
        }
        call.picked.is_some()
    }

    /// Connects to the chosen endpoint, and to others as long as one does not answer.
    async fn connected<C>(
        &self,
        call: &mut Call,
        connect: impl AsyncFn(&Endpoint, u16, &Rc<Traffic>) -> Result<C, ConnectError>,
    ) -> Result<C, Reply> {
        let Some(target) = call.target.clone() else {
            return Err(Reply::new(400, errors::UNKNOWN_HOST, "the request names no host"));
        };
        let mut tried: Vec<Rc<Endpoint>> = Vec::new();
        let mut last: Option<ConnectError> = None;
        while tried.len() < MAX_TRIES && (call.picked.is_some() || self.pick(call, &target, &tried)) {
            let (Some(picked), Some(traffic)) = (&mut call.picked, &call.traffic) else {
                break;
            };
            match connect(picked.endpoint(), target.port, traffic).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    log!("endpoint {} of {}: {error}", picked.endpoint().id, target.name());
                    picked.record(Verdict::Failure, Instant::now());
                    tried.push(picked.endpoint().clone());
                    call.picked = None;
                    last = Some(error);
                }
            }
        }
        call.traffic.get_or_insert_with(|| target.traffic(self.protocol, ""));
        Err(match last {
            Some(error) => Reply::new(503, error.code(), format!("{} cannot be reached: {error}", target.name())),
            None => Reply::new(
                503,
                errors::NO_ENDPOINT,
                format!(
                    "{} has no endpoint that serves port {} now; see `weft status`",
                    target.name(),
                    target.port
                ),
            ),
        })
    }

    fn end(&self, mut call: Call, outcome: Outcome) {
        if let Some(picked) = &mut call.picked {
            picked.record(verdict(&outcome), Instant::now());
        }
        let traffic = call
            .traffic
            .take()
            .or_else(|| Some(call.target.as_ref()?.traffic(self.protocol, "")));
        let traffic = traffic.unwrap_or_else(|| self.outbound.external(self.protocol));
        call.guard.finish(&traffic, &outcome);
    }

    /// Resolves what a proxy request names: a service of the mesh, or a host outside of it, which is dialled here.
    async fn resolve(&self, call: &mut Call) -> Result<Option<PeerStream>, Reply> {
        let Some(authority) = call.authority.take() else { return Ok(None) };
        let (host, port) = split_authority(&authority, 80)
            .ok_or_else(|| Reply::new(400, errors::UNKNOWN_HOST, format!("{authority:?} is no host with a port")))?;
        if let Some(target) = self.outbound.target(&host, port).await {
            call.target = Some(target);
            return Ok(None);
        }
        let traffic = self.outbound.external(self.protocol);
        call.traffic = Some(traffic.clone());
        let tcp = self.outbound.dial_host(&host, port).await.map_err(|error| {
            Reply::new(
                502,
                errors::UNKNOWN_HOST,
                format!("{host}:{port} is no service of the mesh, and outside of it: {error}"),
            )
        })?;
        Ok(Some(PeerStream::new(tcp.into(), &traffic)))
    }
}

/// What the end of a request says of its endpoint. What the client did wrong, or that it left, is no failure of the endpoint.
fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome {
            error: Some(CLIENT_GONE | errors::SLOW_READER),
            ..
        }
        | Outcome {
            error: Some(_),
            status: 400..500,
            ..
        }
        | Outcome {
            error: None, status: 0, ..
        } => Verdict::Cancelled,
        Outcome { error: Some(_), .. } | Outcome { status: 500.., .. } => Verdict::Failure,
        _ => Verdict::Success,
    }
}

/// Splits `host:port`, `[v6]:port` or a host alone.
pub(super) fn split_authority(authority: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.starts_with('[')) => (host, port.parse().ok()?),
        _ => (authority, default_port),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty() && port != 0).then(|| (host.to_owned(), port))
}

impl http1::Handler for Handler {
    type Upstream = PeerStream;
    type Call = Call;

    fn role(&self) -> Role {
        match self.route {
            Route::Target(_) => Role::Transparent,
            Route::Named => Role::Proxy,
        }
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Call, Reply> {
        Ok(self.start(head, started))
    }

    fn edits<'a>(&'a self, _call: &'a Call) -> &'a Edits {
        &self.edits
    }

    async fn acquire(&self, call: &mut Call, fresh: bool) -> Result<Acquired<PeerStream>, Reply> {
        if call.authority.is_some()
            && let Some(external) = Box::pin(self.resolve(call)).await?
        {
            return Ok(Acquired {
                upstream: external,
                reused: false,
            });
        }
        if let (false, Some(target)) = (fresh, call.target.clone())
            && self.pick(call, &target, &[])
            && let Some(idle) = call.picked.as_ref().and_then(|picked| picked.endpoint().take_idle(target.port))
        {
            return Ok(Acquired {
                upstream: idle,
                reused: true,
            });
        }
        if fresh {
            call.picked = None;
        }
        let certified = self.outbound.certified()?;
        let connect = self.connected(call, async |endpoint, port, traffic| {
            endpoint.connect(&certified.tls, port, Inside::Http1, traffic).await
        });
        Ok(Acquired {
            upstream: Box::pin(connect).await?,
            reused: false,
        })
    }

    fn release(&self, call: &Call, upstream: PeerStream) {
        if let (Some(target), Some(picked)) = (&call.target, &call.picked) {
            picked.endpoint().give_back(target.port, upstream);
        }
    }

    fn finish(&self, call: Call, outcome: Outcome) {
        self.end(call, outcome);
    }

    fn refused(&self, reply: &Reply) {
        log!("a request of the application was refused: {} ({})", reply.message, reply.code);
    }

    fn draining(&self) -> bool {
        self.outbound.sidecar.drain.is_started()
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.outbound.sidecar.drain.started()
    }
}

impl http2::Handler for Handler {
    type Call = Call;

    async fn takes_extended_connect(&self) -> bool {
        let (Route::Target(target), Ok(certified)) = (&self.route, self.outbound.certified()) else {
            return false;
        };
        let Some(mut picked) = target.pick(&[], &mut self.outbound.sidecar.rng.borrow_mut()) else {
            return false;
        };
        let endpoint = picked.endpoint().clone();
        let traffic = target.traffic(self.protocol, &endpoint.identity);
        match endpoint.http2(&certified.tls, target.port, &traffic).await {
            Ok(lease) => lease.takes_extended_connect(),
            Err(_) => {
                picked.record(Verdict::Failure, Instant::now());
                false
            }
        }
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Call, Reply> {
        Ok(self.start(head, started))
    }

    fn edits<'a>(&'a self, _call: &'a Call) -> &'a Edits {
        &self.edits
    }

    async fn acquire(&self, call: &mut Call) -> Result<http2::Lease, Reply> {
        if call.authority.is_some() && Box::pin(self.resolve(call)).await?.is_some() {
            return Err(Reply::new(
                502,
                errors::UNKNOWN_HOST,
                "HTTP/2 to hosts outside the mesh does not pass a proxy; use CONNECT",
            ));
        }
        let certified = self.outbound.certified()?;
        Box::pin(self.connected(call, async |endpoint, port, traffic| {
            endpoint.http2(&certified.tls, port, traffic).await
        }))
        .await
    }

    fn finish(&self, call: Call, outcome: Outcome) {
        self.end(call, outcome);
    }

    fn refused(&self, reply: &Reply) {
        log!("a request of the application was refused: {} ({})", reply.message, reply.code);
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.outbound.sidecar.drain.started()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::error::MALFORMED_BODY;

    #[test]
    fn an_endpoint_answers_for_itself_and_not_for_its_clients() {
        let cases = [
            (200, None, Verdict::Success),
            (404, None, Verdict::Success),
            (500, None, Verdict::Failure),
            (502, Some(errors::UPSTREAM_CLOSED), Verdict::Failure),
            (200, Some(errors::UPSTREAM_CLOSED), Verdict::Failure),
            (0, None, Verdict::Cancelled),
            (0, Some(CLIENT_GONE), Verdict::Cancelled),
            (200, Some(CLIENT_GONE), Verdict::Cancelled),
            (400, Some(MALFORMED_BODY), Verdict::Cancelled),
        ];
        for (status, error, expected) in cases {
            let outcome = Outcome {
                status,
                error,
                ..Outcome::default()
            };
            assert_eq!(verdict(&outcome), expected, "{status} {error:?}");
        }
    }

    #[test]
    fn authorities_split_into_host_and_port() {
        let cases = [
            ("users", Some(("users", 80))),
            ("users:8080", Some(("users", 8080))),
            ("[::1]:8080", Some(("::1", 8080))),
            ("[::1]", Some(("::1", 80))),
            ("::1", Some(("::1", 80))),
            ("127.0.0.1:1", Some(("127.0.0.1", 1))),
            ("", None),
            (":80", None),
            ("users:0", None),
            ("users:x", None),
            ("users:70000", None),
        ];
        for (authority, expected) in cases {
            assert_eq!(
                split_authority(authority, 80),
                expected.map(|(host, port)| (host.to_owned(), port)),
                "{authority}"
            );
        }
    }
}
