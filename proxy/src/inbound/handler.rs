//! Carries a peer's HTTP requests to the application.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

use crate::errors;
use crate::http::{AddedField, Attempt, Edits, Outcome, Reply, RequestView, ResponseView};
use crate::http1::{self, Acquired, Role};
use crate::http2;
use crate::metrics::{Direction, RouteLabel, Traffic};
use crate::open::Connection;
use crate::sidecar::Sidecar;
use crate::standing::Standing;
use crate::stream::Stream;
use crate::tap::Observed;
use crate::tls::PeerIdentity;

/// Handles the requests of one connection of a peer. Connections to the application belong to it, so that the application sees each caller's own address.
#[derive(Debug)]
pub struct Handler {
    sidecar: Rc<Sidecar>,
    traffic: Rc<Traffic>,
    target_port: u16,
    caller: Option<Ipv4Addr>,
    edits: Edits,
    /// What the peer's connection stands on.
    standing: Option<Rc<Standing>>,
    idle: RefCell<Option<Stream>>,
    http2: http2::Connections<Reply>,
    live: Rc<Connection>,
}

impl Handler {
    /// A handler for one connection of `caller`; None is somebody without an identity, who comes from loopback.
    pub fn new(
        sidecar: Rc<Sidecar>,
        traffic: Rc<Traffic>,
        caller: Option<&PeerIdentity>,
        target_port: u16,
        standing: Option<Rc<Standing>>,
        live: Rc<Connection>,
    ) -> Handler {
        let proven = caller.and_then(|caller| AddedField::new("weft-client-id", &caller.id));
        let edits = Edits {
            // Others' names for the same: what a caller claims by them, nobody proved.
            drop: &["weft-*", "l5d-*", "x-forwarded-client-cert"],
            add: proven.into_iter().collect(),
            ..Edits::default()
        };
        Handler {
            sidecar,
            traffic,
            target_port,
            caller: caller.and_then(|caller| caller.address),
            edits,
            standing,
            idle: RefCell::default(),
            http2: http2::Connections::default(),
            live,
        }
    }

    fn is_over(&self) -> bool {
        self.sidecar.drain.is_started() || self.standing.as_ref().is_some_and(|standing| standing.is_over())
    }

    /// Resolves when the connection takes no more requests. It is polled for each request, so it waits for one thing only.
    async fn over(&self) {
        let Some(standing) = &self.standing else {
            return self.sidecar.drain.started().await;
        };
        let news = standing.news();
        if !self.is_over() {
            news.await;
        }
    }

    fn refuse(&self, head: &impl RequestView, reply: &Reply) {
        let peer = &self.traffic.labels().peer;
        let message = format_args!("a request of {peer} was refused: {}", reply.message);
        self.sidecar.recent.log(reply.code, peer, message);
        self.sidecar.refused(&self.traffic, head, reply);
    }

    /// Room on an HTTP/2 connection to the application.
    async fn lease(&self) -> Result<http2::Lease, Reply> {
        self.sidecar.withdrawal.check(&self.sidecar.service)?;
        let open = || {
            let (sidecar, port, caller) = (self.sidecar.clone(), self.target_port, self.caller);
            async move {
                http2::client(connect(&sidecar, port, caller).await?).await.map_err(|error| {
                    let message = format!("the program behind {} speaks no HTTP/2 on port {port}: {error}", sidecar.service);
                    Reply::new(502, errors::UPSTREAM_CLOSED, message)
                })
            }
        };
        self.http2.acquire(None, open).await
    }
}

/// Connects to the application as `caller`.
async fn connect(sidecar: &Sidecar, port: u16, caller: Option<Ipv4Addr>) -> Result<Stream, Reply> {
    match sidecar.app.connect(port, caller).await {
        Ok(application) => Ok(application.into()),
        Err(error) => {
            let happened = format_args!("the application does not answer on port {port}: {error}");
            sidecar.recent.log(errors::CONNECT_FAILED, "", happened);
            let message = format!("the program behind {} does not answer on port {port}: {error}", sidecar.service);
            Err(Reply::new(503, errors::CONNECT_FAILED, message))
        }
    }
}

impl http1::Handler for Handler {
    type Upstream = Stream;
    type Call = Observed;

    fn role(&self) -> Role {
        Role::Transparent
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Observed, Reply> {
        self.live.request_began();
        Ok(self.sidecar.begin(Direction::Inbound, head, started))
    }

    fn edits<'a>(&'a self, _call: &'a Observed) -> &'a Edits {
        &self.edits
    }

    async fn acquire(&self, _call: &mut Observed, attempt: Attempt) -> Result<Acquired<Stream>, Reply> {
        self.sidecar.withdrawal.check(&self.sidecar.service)?;
        let idle = self.idle.take().filter(|_| attempt == Attempt::First);
        if let Some(mut idle) = idle
            && idle.is_quiet()
        {
            return Ok(Acquired {
                upstream: idle,
                reused: true,
            });
        }
        let connected = Box::pin(connect(&self.sidecar, self.target_port, self.caller))
            .await
            .map_err(|reply| match attempt {
                // What may have reached the program must not look as if it had not.
                Attempt::Again { sent: true } => Reply {
                    status: 502,
                    code: errors::UPSTREAM_CLOSED,
                    ..reply
                },
                _ => reply,
            });
        Ok(Acquired {
            upstream: connected?,
            reused: false,
        })
    }

    fn leads_to_sidecar(&self, _call: &Observed) -> bool {
        false
    }

    fn elsewhere(&self, _call: &mut Observed, _code: &'static str) -> bool {
        false
    }

    fn answered<'a>(&'a self, call: &'a Observed, head: &impl ResponseView) -> Option<&'a Edits> {
        call.answered("", head);
        None
    }

    fn release(&self, _call: &Observed, upstream: Stream) {
        self.idle.replace(Some(upstream));
    }

    fn broken(&self, upstream: Stream) {
        upstream.reset_on_close();
    }

    fn finish(&self, call: Observed, outcome: Outcome) {
        self.live.request_ended();
        call.finish(&self.traffic, RouteLabel::DEFAULT, &outcome);
    }

    fn refused(&self, head: &impl RequestView, reply: &Reply) {
        self.refuse(head, reply);
    }

    fn awaits_client(&self, awaited: bool) {
        self.live.awaits_client(awaited);
    }

    fn draining(&self) -> bool {
        self.is_over() || self.live.is_ending()
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.live.ending_or(self.over())
    }
}

impl http2::Handler for Handler {
    type Call = Observed;

    async fn takes_extended_connect(&self) -> bool {
        self.lease().await.is_ok_and(|lease| lease.takes_extended_connect())
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<Observed, Reply> {
        self.live.request_began();
        Ok(self.sidecar.begin(Direction::Inbound, head, started))
    }

    fn edits<'a>(&'a self, _call: &'a Observed) -> &'a Edits {
        &self.edits
    }

    fn leads_to_sidecar(&self, _call: &Observed) -> bool {
        false
    }

    fn elsewhere(&self, _call: &mut Observed, _code: &'static str) -> bool {
        false
    }

    fn lost(&self, _call: &mut Observed) {}

    async fn acquire(&self, _call: &mut Observed) -> Result<http2::Lease, Reply> {
        self.lease().await
    }

    fn answered<'a>(&'a self, call: &'a Observed, head: &impl ResponseView) -> Option<&'a Edits> {
        call.answered("", head);
        None
    }

    fn refused(&self, head: &impl RequestView, reply: &Reply) {
        self.refuse(head, reply);
    }

    fn finish(&self, call: Observed, outcome: Outcome) {
        self.live.request_ended();
        call.finish(&self.traffic, RouteLabel::DEFAULT, &outcome);
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.live.ending_or(self.over())
    }
}
