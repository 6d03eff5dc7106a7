//! Carries a peer's HTTP requests to the application.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

use crate::errors;
use crate::http::{AddedField, Edits, Outcome, Reply, RequestView};
use crate::http1::{self, Acquired, Role};
use crate::http2;
use crate::log::log;
use crate::metrics::{RequestGuard, Traffic};
use crate::sidecar::Sidecar;
use crate::stream::Stream;
use crate::tls::PeerIdentity;

/// Handles the requests of one connection of a peer. Connections to the application belong to it, so that the application sees each caller's own address.
#[derive(Debug)]
pub struct Handler {
    sidecar: Rc<Sidecar>,
    traffic: Rc<Traffic>,
    target_port: u16,
    caller: Option<Ipv4Addr>,
    edits: Edits,
    idle: RefCell<Option<Stream>>,
    http2: http2::Connections,
}

impl Handler {
    /// A handler for one connection of `peer`.
    pub fn new(sidecar: Rc<Sidecar>, traffic: Rc<Traffic>, peer: &PeerIdentity, target_port: u16) -> Handler {
        let proven = AddedField::new("weft-client-id", &peer.id);
        let edits = Edits {
            drop: &["weft-*"],
            add: proven.into_iter().collect(),
        };
        Handler {
            sidecar,
            traffic,
            target_port,
            caller: peer.address,
            edits,
            idle: RefCell::default(),
            http2: http2::Connections::default(),
        }
    }

    async fn connect(&self) -> Result<Stream, Reply> {
        match self.sidecar.app.connect(self.target_port, self.caller).await {
            Ok(application) => Ok(application.into()),
            Err(error) => {
                log!("the application does not answer on port {}: {error}", self.target_port);
                let message = format!(
                    "the program behind {} does not answer on port {}: {error}",
                    self.sidecar.service, self.target_port
                );
                Err(Reply::new(503, errors::CONNECT_FAILED, message))
            }
        }
    }

    /// Room on an HTTP/2 connection to the application.
    async fn lease(&self) -> Result<http2::Lease, Reply> {
        let open = async || {
            http2::client(Box::pin(self.connect()).await?).await.map_err(|error| {
                let message = format!(
                    "the program behind {} speaks no HTTP/2 on port {}: {error}",
                    self.sidecar.service, self.target_port
                );
                Reply::new(502, errors::UPSTREAM_CLOSED, message)
            })
        };
        self.http2.acquire(open).await
    }

    fn log_refused(&self, reply: &Reply) {
        log!(
            "a request of {} was refused: {} ({})",
            self.traffic.labels().peer,
            reply.message,
            reply.code
        );
    }
}

impl http1::Handler for Handler {
    type Upstream = Stream;
    type Call = RequestGuard;

    fn role(&self) -> Role {
        Role::Transparent
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<RequestGuard, Reply> {
        Ok(self.sidecar.metrics.begin(head.method(), started))
    }

    fn edits<'a>(&'a self, _call: &'a RequestGuard) -> &'a Edits {
        &self.edits
    }

    async fn acquire(&self, _call: &mut RequestGuard, fresh: bool) -> Result<Acquired<Stream>, Reply> {
        let idle = self.idle.take().filter(|_| !fresh);
        if let Some(mut idle) = idle
            && idle.is_quiet()
        {
            return Ok(Acquired {
                upstream: idle,
                reused: true,
            });
        }
        Ok(Acquired {
            upstream: Box::pin(self.connect()).await?,
            reused: false,
        })
    }

    fn release(&self, _call: &RequestGuard, upstream: Stream) {
        self.idle.replace(Some(upstream));
    }

    fn finish(&self, call: RequestGuard, outcome: Outcome) {
        call.finish(&self.traffic, &outcome);
    }

    fn refused(&self, reply: &Reply) {
        self.log_refused(reply);
    }

    fn draining(&self) -> bool {
        self.sidecar.drain.is_started()
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.sidecar.drain.started()
    }
}

impl http2::Handler for Handler {
    type Call = RequestGuard;

    async fn takes_extended_connect(&self) -> bool {
        self.lease().await.is_ok_and(|lease| lease.takes_extended_connect())
    }

    fn begin(&self, head: &impl RequestView, started: Instant) -> Result<RequestGuard, Reply> {
        Ok(self.sidecar.metrics.begin(head.method(), started))
    }

    fn edits<'a>(&'a self, _call: &'a RequestGuard) -> &'a Edits {
        &self.edits
    }

    async fn acquire(&self, _call: &mut RequestGuard) -> Result<http2::Lease, Reply> {
        self.lease().await
    }

    fn finish(&self, call: RequestGuard, outcome: Outcome) {
        call.finish(&self.traffic, &outcome);
    }

    fn refused(&self, reply: &Reply) {
        self.log_refused(reply);
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        self.sidecar.drain.started()
    }
}
