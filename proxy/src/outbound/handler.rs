//! Carries the application's HTTP requests to endpoints: routing, balancing, pools, counting.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use super::Outbound;
use super::proxy::{Host, NoHost};
use super::routing::Chosen;
use super::target::Target;
use super::tries::{Tries, note};
use crate::balance::{Call as Picked, Outcome as Verdict};
use crate::endpoint::{ConnectError, Endpoint, PeerStream};
use crate::errors;
use crate::http::{Attempt, Edits, OWN_FIELDS, Outcome, Reply, RequestView, ResponseView, is_idempotent};
use crate::http1::error::{MALFORMED_RESPONSE, UPSTREAM_TRUNCATED};
use crate::http1::{self, Acquired, Role};
use crate::http2;
use crate::metrics::{Direction, Protocol, RouteLabel, Traffic};
use crate::open::Connection;
use crate::own_ports::LeadsHere;
use crate::tap::Observed;
use crate::tls::Lane;

/// Where a connection's requests go.
#[derive(Debug)]
pub enum Called {
    /// To the service that the application connected to.
    Service(Rc<Target>),
    /// To the service or host that each request names: this side is the application's HTTP proxy.
    Named(RefCell<Option<Named>>),
}

/// What was found out of the authority that the next request of a proxy's client names.
#[derive(Debug)]
pub struct Named {
    authority: String,
    leads: Result<Host, Reply>,
}

/// Handles the requests of one connection of the application.
#[derive(Debug)]
pub struct Handler {
    outbound: Rc<Outbound>,
    called: Called,
    protocol: Protocol,
    edits: Edits,
    live: Rc<Connection>,
    /// A request of this connection was answered, so that its connection to the endpoint was free for others.
    gave_back: Cell<bool>,
}

/// One request.
#[derive(Debug)]
pub struct Call {
    observed: Observed,
    /// Where it goes; None for a host outside the mesh, or for nowhere.
    target: Option<Rc<Target>>,
    route: RouteLabel,
    chosen: Option<Chosen>,
    /// What is known before anything is sent: the connection to a host outside the mesh, or the answer.
    settled: Option<Box<Result<PeerStream, Reply>>>,
    tries: Tries,
    /// The connection that was acquired last carried another request before.
    reused: bool,
}

impl Call {
    fn answered(&self, head: &impl ResponseView) -> Option<&Edits> {
        let picked = self.tries.picked();
        if let Some(picked) = picked {
            let failed = head.status() >= 500 || head.grpc_status().is_some_and(grpc_failed);
            picked.record(if failed { Verdict::Failure } else { Verdict::Success }, Instant::now());
        }
        self.observed.answered(picked.map_or("", |picked| &picked.endpoint().id), head);
        self.chosen.as_ref()?.response()
    }

    fn settle(&mut self, settled: Result<PeerStream, Reply>) {
        self.settled = Some(Box::new(settled));
    }

    /// What is known before anything is sent, once.
    fn take_settled(&mut self) -> Result<Option<PeerStream>, Reply> {
        self.settled.take().map(|settled| *settled).transpose()
    }
}

impl Handler {
    /// A handler for one connection.
    pub fn new(outbound: Rc<Outbound>, called: Called, protocol: Protocol, live: Rc<Connection>) -> Handler {
        Handler {
            outbound,
            called,
            protocol,
            live,
            gave_back: Cell::new(false),
            edits: Edits {
                drop: OWN_FIELDS,
                ..Edits::default()
            },
        }
    }

    fn start(&self, head: &impl RequestView, started: Instant) -> Call {
        self.live.request_began();
        let observed = self.outbound.sidecar.begin(Direction::Outbound, head, started);
        let mut call = Call {
            tries: Tries::new(self.protocol, is_idempotent(observed.method())),
            observed,
            target: None,
            route: RouteLabel::DEFAULT,
            chosen: None,
            settled: None,
            reused: false,
        };
        match &self.called {
            Called::Service(target) => call.target = Some(target.clone()),
            Called::Named(found) => self.start_named(found, head.authority(), &mut call),
        }
        if let Some(target) = &call.target
            && target.is_routed()
        {
            self.route(&mut call, head);
        }
        call
    }

    /// Begins a request of a proxy's client with what was found out of its authority.
    fn start_named(&self, found: &RefCell<Option<Named>>, authority: &str, call: &mut Call) {
        let found = found.take().filter(|named| named.authority == authority);
        match found.map(|named| named.leads) {
            Some(Ok(Host::Service(target))) => call.target = Some(target),
            Some(Ok(Host::Outside(tcp))) => {
                let traffic = self.outbound.external(self.protocol);
                call.settle(Ok(PeerStream::new(tcp.into(), &traffic)));
                call.tries.count_as(traffic);
            }
            Some(Err(reply)) => call.settle(Err(reply)),
            None => {}
        }
    }

    /// Decides by the routes of the port where a request goes.
    #[cold]
    #[inline(never)]
    fn route(&self, call: &mut Call, head: &impl RequestView) {
        let Some((target, routing)) = call.target.clone().and_then(|target| Some((target.clone(), target.routing()?))) else {
            return;
        };
        let sidecar = &self.outbound.sidecar;
        let routed = routing.route(head, || target.name(), &mut sidecar.rng.borrow_mut());
        call.route = routed.label;
        match routed.outcome {
            Ok(chosen) => {
                call.target = Some(chosen.target.clone());
                call.chosen = Some(chosen);
            }
            Err(reply) => {
                sidecar.recent.keep(reply.code, &target.name(), &reply.message);
                call.settle(Err(reply));
            }
        }
    }

    /// Connects to the chosen endpoint, and to others as long as one does not answer.
    async fn connected<C>(
        &self,
        call: &mut Call,
        open: impl AsyncFn(&Picked<Endpoint>, Lane, &Rc<Traffic>) -> Result<C, ConnectError>,
    ) -> Result<C, Reply> {
        let Some(target) = &call.target else {
            return Err(Reply::new(400, errors::UNKNOWN_HOST, "the request names no host"));
        };
        let open = async |picked: &Picked<Endpoint>, traffic: &Rc<Traffic>| open(picked, target.lane, traffic).await;
        call.tries.connect(&self.outbound, target, open).await
    }

    fn leads_to_sidecar(&self, call: &Call) -> bool {
        call.tries.picked().is_some_and(|picked| picked.endpoint().has_sidecar())
    }

    fn elsewhere(&self, call: &mut Call, code: &'static str) -> bool {
        let Some(target) = &call.target else { return false };
        let (verdict, message) = if code == errors::CONNECT_FAILED {
            (Verdict::Unreachable, ConnectError::Program.to_string())
        } else {
            (Verdict::Failure, "its program closed the connection before it answered".to_owned())
        };
        call.tries.give_up(&self.outbound, target, verdict, code, message);
        call.tries.pick_another(&self.outbound, target)
    }

    /// Notes that a connection broke before an answer. The endpoint may be asked once more when it is the only one.
    fn lost(&self, call: &mut Call) {
        if let (Some(target), Some(picked)) = (&call.target, call.tries.picked()) {
            picked.record(Verdict::Unreachable, Instant::now());
            let message = "the connection ended before the answer".to_owned();
            note(&self.outbound, target, picked.endpoint(), errors::UPSTREAM_CLOSED, message);
        }
        call.tries.start_over();
    }

    fn end(&self, call: Call, outcome: Outcome) {
        self.live.request_ended();
        if let (Some(verdict), Some(picked)) = (verdict(&outcome), call.tries.picked()) {
            picked.record(verdict, Instant::now());
            if let (Some(code), Some(target)) = (outcome.error, &call.target) {
                let message = format!("a request ended early, with status {}", outcome.status);
                self.outbound
                    .sidecar
                    .recent
                    .keep(code, &target.name(), format_args!("endpoint {}: {message}", picked.endpoint().id));
                picked.endpoint().failed(code, message);
            }
        }
        let traffic = call
            .tries
            .traffic()
            .cloned()
            .unwrap_or_else(|| self.traffic_to(call.target.as_deref()));
        call.observed.finish(&traffic, call.route, &outcome);
    }

    /// The counters for a request that reached no endpoint.
    fn traffic_to(&self, target: Option<&Target>) -> Rc<Traffic> {
        target.map_or_else(|| self.outbound.external(self.protocol), |target| target.traffic(self.protocol, ""))
    }

    fn refuse(&self, head: &impl RequestView, reply: &Reply) {
        let sidecar = &self.outbound.sidecar;
        let target = match &self.called {
            Called::Service(target) => Some(&**target),
            Called::Named(_) => None,
        };
        let message = format_args!("a request of the application was refused: {}", reply.message);
        sidecar
            .recent
            .log(reply.code, &target.map_or_else(String::new, Target::name), message);
        sidecar.refused(&self.traffic_to(target), head, reply);
    }

    /// Finds out where the authority of a proxy's request leads: to a service of the mesh, or to a host outside of it, which is dialled here.
    async fn find(&self, authority: &str) -> Result<Host, Reply> {
        let (host, port) = split_authority(authority, 80)
            .ok_or_else(|| Reply::new(400, errors::UNKNOWN_HOST, format!("{authority:?} is no host with a port")))?;
        match self.outbound.find_host(&host, port).await {
            Ok(host) => Ok(host),
            Err(NoHost::Unanswered) => {
                let message =
                    format!("the controller does not say whether {host} is a service, and outside of the mesh nobody is asked for it");
                Err(Reply::new(503, errors::NAME_UNANSWERED, message))
            }
            Err(NoHost::Unreachable(error)) if LeadsHere::is(&error) => {
                self.outbound.note_loop(&error);
                let message = format!("the request would come back to this sidecar: {error}");
                Err(Reply::new(508, errors::LOOP, message))
            }
            Err(NoHost::Unreachable(error)) => {
                let message = format!("{host}:{port} is no service of the mesh, and outside of it: {error}");
                Err(Reply::new(502, errors::UNKNOWN_HOST, message))
            }
        }
    }
}

/// What the end of a request says of its endpoint, beyond what the head of the response said. What the client did wrong, or that it left, is no failure of the
/// endpoint, and neither is what this sidecar refuses.
fn verdict(outcome: &Outcome) -> Option<Verdict> {
    match (outcome.error, outcome.status) {
        // The connection broke before an answer.
        (Some(errors::UPSTREAM_CLOSED), 502) => Some(Verdict::Unreachable),
        // The endpoint broke off, or does not speak the protocol.
        (Some(errors::UPSTREAM_CLOSED | UPSTREAM_TRUNCATED | MALFORMED_RESPONSE), _) => Some(Verdict::Failure),
        (Some(errors::STREAM_RESET), _) => Some(Verdict::Declined),
        (Some(_), _) => None,
        (None, _) => outcome.grpc_status.filter(|status| grpc_failed(*status)).map(|_| Verdict::Failure),
    }
}

/// Whether a status of gRPC says that the server failed, as statuses from 500 on do in HTTP: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS, as numbers
/// of failures count them, too.
fn grpc_failed(status: u32) -> bool {
    matches!(status, 2 | 4 | 13..=15)
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
        match self.called {
            Called::Service(_) => Role::Transparent,
            Called::Named(_) => Role::Proxy,
        }
    }

    fn knows(&self, authority: &str) -> bool {
        match &self.called {
            Called::Service(_) => true,
            Called::Named(found) => found.borrow().as_ref().is_some_and(|named| named.authority == authority),
        }
    }

    async fn find(&self, authority: &str) {
        if let Called::Named(found) = &self.called {
            let named = Named {
                authority: authority.to_owned(),
                leads: self.find(authority).await,
            };
            found.replace(Some(named));
        }
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Call, Reply> {
        Ok(self.start(head, started))
    }

    fn edits<'a>(&'a self, call: &'a Call) -> &'a Edits {
        call.chosen.as_ref().map_or(&self.edits, Chosen::request)
    }

    async fn acquire(&self, call: &mut Call, attempt: Attempt) -> Result<Acquired<PeerStream>, Reply> {
        if let Some(outside) = call.take_settled()? {
            return Ok(Acquired {
                upstream: outside,
                reused: false,
            });
        }
        match (attempt, &call.target) {
            (Attempt::First, Some(target)) => {
                if call.tries.pick(&self.outbound, target)
                    && let Some(picked) = call.tries.picked()
                    && let Some(idle) = picked.endpoint().take_idle(target.lane, picked.probes())
                {
                    call.reused = true;
                    return Ok(Acquired {
                        upstream: idle,
                        reused: true,
                    });
                }
            }
            // A kept connection that is closed says nothing of the endpoint.
            (Attempt::Again { .. }, _) if call.reused => call.tries.start_over(),
            (Attempt::Again { .. }, _) => self.lost(call),
            _ => {}
        }
        call.reused = false;
        let certified = self.outbound.certified()?;
        let connect = self.connected(call, async |picked, lane, traffic| {
            picked.endpoint().http1(&certified, lane, traffic, self.gave_back.get()).await
        });
        let upstream = Box::pin(connect).await?;
        call.reused = upstream.is_reused;
        Ok(Acquired {
            reused: upstream.is_reused,
            upstream,
        })
    }

    fn leads_to_sidecar(&self, call: &Call) -> bool {
        self.leads_to_sidecar(call)
    }

    fn elsewhere(&self, call: &mut Call, code: &'static str) -> bool {
        self.elsewhere(call, code)
    }

    fn answered<'a>(&'a self, call: &'a Call, head: &impl ResponseView) -> Option<&'a Edits> {
        call.answered(head)
    }

    fn release(&self, call: &Call, upstream: PeerStream) {
        if let (Some(target), Some(picked)) = (&call.target, call.tries.picked()) {
            picked.endpoint().give_back(target.lane, upstream);
            self.gave_back.set(true);
        }
    }

    fn broken(&self, upstream: PeerStream) {
        upstream.stream.reset_on_close();
    }

    fn finish(&self, call: Call, outcome: Outcome) {
        self.end(call, outcome);
    }

    fn refused(&self, head: &impl RequestView, reply: &Reply) {
        self.refuse(head, reply);
    }

    fn awaits_client(&self, awaited: bool) {
        self.live.awaits_client(awaited);
    }

    fn draining(&self) -> bool {
        self.outbound.sidecar.drain.is_started() || self.live.is_ending()
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.live.ending_or(self.outbound.sidecar.drain.started())
    }
}

impl http2::Handler for Handler {
    type Call = Call;

    async fn takes_extended_connect(&self) -> bool {
        let (Called::Service(target), Ok(certified)) = (&self.called, self.outbound.certified()) else {
            return false;
        };
        let Some(picked) = target.pick(&[], false, &mut self.outbound.sidecar.rng.borrow_mut()) else {
            return false;
        };
        let endpoint = picked.endpoint().clone();
        let traffic = target.traffic(self.protocol, endpoint.identity());
        match endpoint.http2(&certified, target.lane, &traffic, picked.probes()).await {
            Ok(lease) => {
                picked.reached();
                lease.takes_extended_connect()
            }
            Err(_) => {
                picked.record(Verdict::Unreachable, Instant::now());
                false
            }
        }
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Call, Reply> {
        Ok(self.start(head, started))
    }

    fn edits<'a>(&'a self, call: &'a Call) -> &'a Edits {
        call.chosen.as_ref().map_or(&self.edits, Chosen::request)
    }

    fn leads_to_sidecar(&self, call: &Call) -> bool {
        self.leads_to_sidecar(call)
    }

    fn elsewhere(&self, call: &mut Call, code: &'static str) -> bool {
        self.elsewhere(call, code)
    }

    fn lost(&self, call: &mut Call) {
        self.lost(call);
    }

    async fn acquire(&self, call: &mut Call) -> Result<http2::Lease, Reply> {
        call.take_settled()?;
        let certified = self.outbound.certified()?;
        Box::pin(self.connected(call, async |picked, lane, traffic| {
            picked.endpoint().http2(&certified, lane, traffic, picked.probes()).await
        }))
        .await
    }

    fn answered<'a>(&'a self, call: &'a Call, head: &impl ResponseView) -> Option<&'a Edits> {
        call.answered(head)
    }

    fn refused(&self, head: &impl RequestView, reply: &Reply) {
        self.refuse(head, reply);
    }

    fn finish(&self, call: Call, outcome: Outcome) {
        self.end(call, outcome);
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.live.ending_or(self.outbound.sidecar.drain.started())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::error::{CLIENT_GONE, MALFORMED_BODY, UPSTREAM_TRUNCATED};

    #[test]
    fn an_endpoint_answers_for_itself_and_not_for_its_clients() {
        let cases = [
            (200, None, None),
            (502, None, None),
            (502, Some(errors::UPSTREAM_CLOSED), Some(Verdict::Unreachable)),
            (0, Some(errors::UPSTREAM_CLOSED), Some(Verdict::Failure)),
            (0, Some(errors::STREAM_RESET), Some(Verdict::Declined)),
            (501, Some(errors::NO_EXTENDED_CONNECT), None),
            (503, Some(errors::NOT_CERTIFIED), None),
            (502, Some(MALFORMED_RESPONSE), Some(Verdict::Failure)),
            (200, Some(errors::UPSTREAM_CLOSED), Some(Verdict::Failure)),
            (200, Some(UPSTREAM_TRUNCATED), Some(Verdict::Failure)),
            (0, None, None),
            (0, Some(CLIENT_GONE), None),
            (200, Some(CLIENT_GONE), None),
            (400, Some(MALFORMED_BODY), None),
        ];
        for (status, error, expected) in cases {
            let outcome = Outcome {
                status,
                error,
                ..Outcome::default()
            };
            assert_eq!(verdict(&outcome), expected, "{status} {error:?}");
        }
        for (grpc_status, expected) in [
            (0, None),
            (1, None),
            (2, Some(Verdict::Failure)),
            (4, Some(Verdict::Failure)),
            (5, None),
            (14, Some(Verdict::Failure)),
        ] {
            let outcome = Outcome {
                status: 200,
                grpc_status: Some(grpc_status),
                ..Outcome::default()
            };
            assert_eq!(verdict(&outcome), expected, "{grpc_status}");
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
