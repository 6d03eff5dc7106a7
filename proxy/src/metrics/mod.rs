//! What the sidecar counts. Labels are computed once for a connection or route ([`Traffic`]); counting a request is a short scan and a few additions.
//! Every number is kept as the difference that the next report carries (`fresh`) and, after that, in a running total for `/metrics`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::http::Outcome;
use crate::proto;

pub mod histogram;
mod prometheus;
mod report;

use histogram::Histogram;

/// At most this many request series; what comes beyond is counted under the method "other" of the peer "other".
pub const MAX_SERIES: usize = 2_000;
/// At most this many distinct refusals between two reports.
const MAX_REFUSALS: usize = 256;
const OTHER: &str = "other";
/// At most this many routes are told apart; what comes beyond is counted under the route "other".
const MAX_ROUTES: usize = 1_000;
/// What callers without an identity are called wherever callers are named.
pub const ANONYMOUS: &str = "anonymous";

/// The two directions of traffic, seen from this sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the network to this sidecar's application.
    Inbound,
    /// From this sidecar's application to the network.
    Outbound,
}

impl Direction {
    /// As in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        }
    }

    /// As in the contract.
    pub fn to_proto(self) -> proto::Direction {
        match self {
            Direction::Inbound => proto::Direction::Inbound,
            Direction::Outbound => proto::Direction::Outbound,
        }
    }
}

/// What is spoken on a connection, once it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2, gRPC included.
    Http2,
    /// Bytes.
    Tcp,
}

impl Protocol {
    /// As in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
            Protocol::Tcp => "tcp",
        }
    }

    /// As in the contract.
    pub fn to_proto(self) -> proto::Protocol {
        match self {
            Protocol::Http1 => proto::Protocol::Http1,
            Protocol::Http2 => proto::Protocol::Http2,
            Protocol::Tcp => proto::Protocol::Tcp,
        }
    }
}

/// The labels that all traffic of one connection or route has in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Direction seen from this sidecar.
    pub direction: Direction,
    /// Outbound: the called service; inbound: the caller's service, both as `name.namespace`.
    pub peer: String,
    /// SPIFFE ID that the peer proved or must prove; empty without mutual TLS.
    pub identity: String,
    /// Port of the called service.
    pub port: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// Whether the caller is nobody in the mesh: whoever dialled a published port. Inbound, `peer` says so too.
    pub anonymous: bool,
}

/// The route that decided where a request went, as requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteLabel(u16);

impl RouteLabel {
    /// None did.
    pub const DEFAULT: RouteLabel = RouteLabel(0);
    /// One that there was no room to tell apart.
    const OTHER: RouteLabel = RouteLabel(1);
    /// The first of the table.
    const FIRST: u16 = 2;
}

/// Everything counted under one set of labels.
#[derive(Debug)]
pub struct Traffic {
    labels: Labels,
    requests: RefCell<Vec<RequestSeries>>,
    connections: RefCell<Counts<ConnectionCounts>>,
    open: Cell<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RequestKey {
    method: &'static str,
    status_class: u8,
    route: RouteLabel,
    grpc_status: Option<u32>,
    error: Option<&'static str>,
}

#[derive(Debug)]
struct RequestSeries {
    key: RequestKey,
    counts: Counts<RequestCounts>,
    /// Bytes of bodies since the last report.
    request_sizes: Histogram,
    response_sizes: Histogram,
}

impl RequestSeries {
    fn new(key: RequestKey) -> RequestSeries {
        RequestSeries {
            key,
            counts: Counts::default(),
            request_sizes: Histogram::default(),
            response_sizes: Histogram::default(),
        }
    }
}

/// The difference since the last report, and the total before it.
#[derive(Debug, Default)]
struct Counts<T> {
    fresh: T,
    total: T,
}

#[derive(Debug, Default)]
struct RequestCounts {
    requests: u64,
    latency: Histogram,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct ConnectionCounts {
    opened: u64,
    closed: u64,
    failed: u64,
    request_bytes: u64,
    response_bytes: u64,
}

#[derive(Debug, Default)]
struct RefusalCount {
    fresh: u64,
    detail: String,
}

/// The sidecar's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    traffic: RefCell<HashMap<Labels, Rc<Traffic>>>,
    routes: RefCell<Vec<String>>,
    series: Cell<usize>,
    series_overflow: Cell<u64>,
    refusals: RefCell<HashMap<(&'static str, IpAddr), RefusalCount>>,
    refused: RefCell<HashMap<&'static str, u64>>,
    handshakes_abandoned: Cell<u64>,
    /// Requests under way, by direction.
    in_flight: [Cell<u64>; 2],
    /// Differences of the discovery stream to a version that was not held.
    pub base_mismatches: Cell<u64>,
    /// Updates of the discovery stream that could not be used.
    pub updates_rejected: Cell<u64>,
    /// End of the certificate's validity, seconds since 1970.
    pub certificate_not_after: Cell<i64>,
    /// Reports that the controller refused for good.
    pub reports_lost: Cell<u64>,
    /// Why the application's listening ports cannot be read now; empty when they can.
    pub ports_unreadable: RefCell<String>,
    /// Where the next report begins, when the last one had no room for everything.
    report_from: Cell<usize>,
}

/// Name of a route that requests are counted under; `routes` are those that were met.
fn route_text(routes: &[String], label: RouteLabel) -> &str {
    match label {
        RouteLabel::DEFAULT => "default",
        RouteLabel::OTHER => OTHER,
        RouteLabel(place) => &routes[usize::from(place - RouteLabel::FIRST)],
    }
}

impl Metrics {
    /// The counters for a set of labels. Look them up once for a connection or route, not for each request.
    pub fn traffic(&self, labels: Labels) -> Rc<Traffic> {
        let mut table = self.traffic.borrow_mut();
        if let Some(known) = table.get(&labels) {
            return known.clone();
        }
        let labels = if table.len() < MAX_SERIES {
            labels
        } else {
            self.series_overflow.set(self.series_overflow.get() + 1);
            Labels {
                peer: OTHER.into(),
                identity: String::new(),
                port: 0,
                ..labels
            }
        };
        table
            .entry(labels.clone())
            .or_insert_with(|| {
                Rc::new(Traffic {
                    labels,
                    requests: RefCell::default(),
                    connections: RefCell::default(),
                    open: Cell::new(0),
                })
            })
            .clone()
    }

    /// The label of a route: `default/users`. Look it up once for its rules, not for each request.
    pub fn route(&self, name: &str) -> RouteLabel {
        let mut routes = self.routes.borrow_mut();
        let known = routes.iter().position(|known| known == name);
        let place = known.unwrap_or(routes.len());
        if place == MAX_ROUTES {
            return RouteLabel::OTHER;
        }
        if known.is_none() {
            routes.push(name.to_owned());
        }
        RouteLabel(RouteLabel::FIRST + place as u16)
    }

    /// The route of a label.
    pub fn route_name(&self, label: RouteLabel) -> String {
        route_text(&self.routes.borrow(), label).into()
    }

    /// Counts a connection that was turned away before it carried anything. `code` is its stable reason.
    pub fn refused(&self, code: &'static str, address: IpAddr, detail: String) {
        *self.refused.borrow_mut().entry(code).or_default() += 1;
        let mut refusals = self.refusals.borrow_mut();
        if refusals.len() < MAX_REFUSALS || refusals.contains_key(&(code, address)) {
            let count = refusals.entry((code, address)).or_default();
            count.fresh += 1;
            count.detail = detail;
        }
    }

    /// Counts a peer's connection that the peer ended before its handshake was done.
    pub fn handshake_abandoned(&self) {
        self.handshakes_abandoned.set(self.handshakes_abandoned.get() + 1);
    }

    /// Counts streams and connections that the sidecar ended for its own reasons.
    pub fn ended(&self, code: &'static str, count: u64) {
        *self.refused.borrow_mut().entry(code).or_default() += count;
    }

    /// Starts counting a request that arrived at `started`. It is counted when the guard is finished.
    pub fn begin(self: &Rc<Self>, direction: Direction, method: &str, started: Instant) -> RequestGuard {
        let in_flight = &self.in_flight[direction as usize];
        in_flight.set(in_flight.get() + 1);
        RequestGuard {
            metrics: self.clone(),
            direction,
            method: method_label(method),
            started,
        }
    }

    /// Requests under way in one direction.
    pub fn in_flight(&self, direction: Direction) -> u64 {
        self.in_flight[direction as usize].get()
    }

    fn requests_in_flight(&self) -> u64 {
        self.in_flight.iter().map(Cell::get).sum()
    }
}

impl Labels {
    /// Whether mutual TLS protects the traffic. Sidecars take nothing else in, even where the caller itself proves no identity.
    pub fn is_secured(&self) -> bool {
        self.direction == Direction::Inbound || !self.identity.is_empty()
    }

    /// The other end, as in the contract.
    pub fn peer_to_proto(&self) -> proto::Peer {
        proto::Peer {
            name: self.peer.clone(),
            identity: self.identity.clone(),
        }
    }
}

impl Traffic {
    /// The labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Counts an open connection until the guard is dropped.
    pub fn connection(self: &Rc<Self>) -> ConnectionGuard {
        self.connections.borrow_mut().fresh.opened += 1;
        self.open.set(self.open.get() + 1);
        ConnectionGuard(self.clone())
    }

    /// Counts a connection that could not be opened.
    pub fn connection_failed(&self) {
        self.connections.borrow_mut().fresh.failed += 1;
    }

    /// Counts bytes of an opaque connection.
    pub fn bytes(&self, from_caller: u64, from_called: u64) {
        let counts = &mut self.connections.borrow_mut().fresh;
        counts.request_bytes += from_caller;
        counts.response_bytes += from_called;
    }

    fn count(&self, metrics: &Metrics, key: RequestKey, latency: Duration, outcome: &Outcome) {
        let mut requests = self.requests.borrow_mut();
        let index = requests.iter().position(|series| series.key == key).unwrap_or_else(|| {
            if metrics.series.get() < MAX_SERIES {
                metrics.series.set(metrics.series.get() + 1);
                requests.push(RequestSeries::new(key));
                return requests.len() - 1;
            }
            metrics.series_overflow.set(metrics.series_overflow.get() + 1);
            // Beyond the bound only the status is told apart, so a peer adds a handful of series at most.
            let key = RequestKey {
                method: OTHER,
                route: RouteLabel::OTHER,
                grpc_status: None,
                error: None,
                ..key
            };
            requests.iter().position(|series| series.key == key).unwrap_or_else(|| {
                requests.push(RequestSeries::new(key));
                requests.len() - 1
            })
        });
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let series = &mut requests[index];
        series.counts.fresh.requests += 1;
        series.counts.fresh.latency.record(latency_us);
        series.request_sizes.record(outcome.request_bytes);
        series.response_sizes.record(outcome.response_bytes);
    }
}

/// A request under way.
#[derive(Debug)]
pub struct RequestGuard {
    metrics: Rc<Metrics>,
    direction: Direction,
    method: &'static str,
    started: Instant,
}

impl RequestGuard {
    /// The request's method, as it is counted.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The route of a label.
    pub fn route_name(&self, label: RouteLabel) -> String {
        self.metrics.route_name(label)
    }

    /// Counts the request under `traffic` and the route that decided where it went as finished now.
    pub fn finish(self, traffic: &Traffic, route: RouteLabel, outcome: &Outcome) {
        let key = RequestKey {
            method: self.method,
            route,
            status_class: u8::try_from(outcome.status / 100).unwrap_or(0),
            grpc_status: outcome.grpc_status,
            error: outcome.error,
        };
        traffic.count(&self.metrics, key, self.started.elapsed(), outcome);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let in_flight = &self.metrics.in_flight[self.direction as usize];
        in_flight.set(in_flight.get() - 1);
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionGuard(Rc<Traffic>);

impl ConnectionGuard {
    /// The counters that it counts for.
    pub fn traffic(&self) -> &Rc<Traffic> {
        &self.0
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.borrow_mut().fresh.closed += 1;
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// Methods of RFC 9110 and PATCH (RFC 5789) by name; the rest share one label, so that callers cannot make series up.
fn method_label(method: &str) -> &'static str {
    const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}
