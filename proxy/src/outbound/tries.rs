//! One endpoint after the other, until one takes a call of which nothing was sent.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::spawn_local;

use super::Outbound;
use super::target::Target;
use crate::balance::{Call, Outcome};
use crate::endpoint::{ConnectError, Endpoint};
use crate::errors;
use crate::http::Reply;
use crate::metrics::{Protocol, Traffic};
use crate::tls::Inside;

/// Endpoints that are tried, however long each takes.
const TRIES: usize = 3;
/// More are tried within this time, so that a call survives when most of many endpoints are gone.
const TIME: Duration = Duration::from_secs(1);
/// Endpoints that are tried at most.
const MOST: usize = 32;

/// The endpoints that were tried for one call, and the one that has it now.
#[derive(Debug)]
pub struct Tries {
    protocol: Protocol,
    /// The call does no harm when an endpoint takes it and never answers.
    harmless: bool,
    picked: Option<Call<Endpoint>>,
    traffic: Option<Rc<Traffic>>,
    tried: Vec<Rc<Endpoint>>,
}

impl Tries {
    /// None yet. `harmless` says that the call does no harm when an endpoint takes it and never answers: it changes nothing, or can be repeated.
    pub fn new(protocol: Protocol, harmless: bool) -> Tries {
        Tries {
            protocol,
            harmless,
            picked: None,
            traffic: None,
            tried: Vec::new(),
        }
    }

    /// The endpoint that has the call.
    pub fn picked(&self) -> Option<&Call<Endpoint>> {
        self.picked.as_ref()
    }

    /// What counts the call: that of the endpoint which had it last, if any had it.
    pub fn traffic(&self) -> Option<&Rc<Traffic>> {
        self.traffic.as_ref()
    }

    /// Counts the call elsewhere, as it is for nobody in the mesh.
    pub fn count_as(&mut self, traffic: Rc<Traffic>) {
        self.traffic = Some(traffic);
    }

    /// Chooses an endpoint. False when none is left that was not tried.
    pub fn pick(&mut self, outbound: &Rc<Outbound>, target: &Rc<Target>) -> bool {
        let pick = || target.pick(&self.tried, self.harmless, &mut outbound.sidecar.rng.borrow_mut());
        let mut picked = pick();
        while let Some(probe) = picked.take_if(|picked| !self.is_connected(picked, target)) {
            spawn_local(reach(outbound.clone(), target.clone(), self.protocol, probe));
            picked = pick();
        }
        self.picked = picked;
        if let Some(picked) = &self.picked {
            self.traffic = Some(target.traffic(self.protocol, picked.endpoint().identity()));
        }
        self.picked.is_some()
    }

    /// Gives the endpoint that has the call up for this call: `outcome` says what it did, `code` and `message` why.
    pub fn give_up(&mut self, outbound: &Outbound, target: &Target, outcome: Outcome, code: &'static str, message: String) {
        if let Some(picked) = self.picked.take() {
            picked.record(outcome, Instant::now());
            note(outbound, target, picked.endpoint(), code, message);
            self.tried.push(picked.endpoint().clone());
        }
    }

    /// False for a probe for which no connection is there that is younger than the endpoint's trouble.
    fn is_connected(&self, picked: &Call<Endpoint>, target: &Target) -> bool {
        let connected = |trouble| picked.endpoint().has_connection_since(target.lane, inside(self.protocol), trouble);
        picked.probes().is_none_or(connected)
    }

    /// Chooses an endpoint anew, the same one perhaps.
    pub fn start_over(&mut self) {
        self.picked = None;
    }

    /// Chooses another endpoint, unless very many were tried.
    pub fn pick_another(&mut self, outbound: &Rc<Outbound>, target: &Rc<Target>) -> bool {
        self.tried.len() < MOST && self.pick(outbound, target)
    }

    /// Connects to the endpoint that was picked, and to others as long as one does not answer.
    pub async fn connect<C>(
        &mut self,
        outbound: &Rc<Outbound>,
        target: &Rc<Target>,
        open: impl AsyncFn(&Call<Endpoint>, &Rc<Traffic>) -> Result<C, ConnectError>,
    ) -> Result<C, Reply> {
        let (started, before) = (Instant::now(), self.tried.len());
        let mut last = None;
        while self.picked.is_some() || self.pick_another(outbound, target) {
            let (Some(picked), Some(traffic)) = (&self.picked, &self.traffic) else {
                break;
            };
            match open(picked, traffic).await {
                Ok(connection) => return Ok(connection),
                // No endpoint would be any better.
                Err(error) if error.is_own() => {
                    self.start_over();
                    last = Some(error);
                    break;
                }
                Err(error) => {
                    self.give_up(outbound, target, Outcome::Unreachable, error.code(), error.to_string());
                    last = Some(error);
                }
            }
            if self.tried.len() - before >= TRIES && started.elapsed() > TIME {
                break;
            }
        }
        self.traffic.get_or_insert_with(|| target.traffic(self.protocol, ""));
        Err(match last {
            Some(error) => Reply::new(503, error.code(), format!("{} cannot be reached: {error}", target.name())),
            None => {
                let (name, port) = (target.name(), target.lane.port);
                let message = format!("{name} has no endpoint that serves port {port} now; see `weft status`");
                outbound.sidecar.recent.log(errors::NO_ENDPOINT, &name, &message);
                Reply::new(503, errors::NO_ENDPOINT, message)
            }
        })
    }
}

/// Notes what went wrong with an endpoint.
pub fn note(outbound: &Outbound, target: &Target, endpoint: &Endpoint, code: &'static str, message: String) {
    let name = target.name();
    let happened = format_args!("endpoint {} of {name}: {message}", endpoint.id);
    outbound.sidecar.recent.log(code, &name, happened);
    endpoint.failed(code, message);
}

/// Finds out whether an endpoint in trouble can be reached, so that no request waits for that: connections from before may lead nowhere. The connection is for
/// the next call, which finds out whether the endpoint answers.
async fn reach(outbound: Rc<Outbound>, target: Rc<Target>, protocol: Protocol, probe: Call<Endpoint>) {
    let Ok(certified) = outbound.certified() else { return };
    let endpoint = probe.endpoint();
    let lane = target.lane;
    let traffic = target.traffic(protocol, endpoint.identity());
    let reached = match inside(protocol) {
        Inside::Http1 => {
            let connected = endpoint.http1(&certified, lane, &traffic, true).await;
            connected.map(|stream| endpoint.give_back(lane, stream))
        }
        Inside::Http2 => endpoint.http2(&certified, lane, &traffic, probe.probes()).await.map(drop),
        Inside::Tcp => {
            let connected = endpoint.connect(&certified.tls, lane, Inside::Tcp, &traffic).await;
            connected.map(|_| probe.record(Outcome::Success, Instant::now()))
        }
    };
    match reached {
        Ok(()) => probe.reached(),
        // It says nothing of the endpoint.
        Err(error) if error.is_own() => {}
        Err(error) => {
            probe.record(Outcome::Unreachable, Instant::now());
            note(&outbound, &target, endpoint, error.code(), error.to_string());
        }
    }
}

fn inside(protocol: Protocol) -> Inside {
    match protocol {
        Protocol::Http1 => Inside::Http1,
        Protocol::Http2 => Inside::Http2,
        Protocol::Tcp => Inside::Tcp,
    }
}
