//! The counters as reports to the controller.

use std::collections::HashMap;

use prost::Message;

use super::{ConnectionCounts, Metrics, RequestCounts, Traffic, route_text};
use crate::proto;

/// What a field's number and a length take before a text or a message, at most.
const OVERHEAD: usize = 6;

/// A report that is being written, up to a number of bytes.
struct Draft<'a> {
    report: proto::Report,
    /// Places of the texts that it has.
    places: HashMap<&'a str, u32>,
    /// Bytes that are left.
    room: usize,
}

/// How far a draft was written before a series.
struct Mark {
    texts: usize,
    room: usize,
}

impl<'a> Draft<'a> {
    fn mark(&self) -> Mark {
        Mark {
            texts: self.report.texts.len(),
            room: self.room,
        }
    }

    /// The place of a text, which the report gets if it does not have it.
    fn place(&mut self, text: &'a str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        *self.places.entry(text).or_insert_with(|| {
            self.report.texts.push(text.into());
            self.room = self.room.saturating_sub(text.len() + OVERHEAD);
            self.report.texts.len() as u32
        })
    }

    /// Takes the room that a message needs, if it is there; without it, the texts that were placed for it since `mark` go again.
    fn takes(&mut self, message: &impl Message, mark: &Mark) -> bool {
        if let Some(left) = self.room.checked_sub(message.encoded_len() + OVERHEAD) {
            self.room = left;
            return true;
        }
        self.report.texts.truncate(mark.texts);
        self.places.retain(|_, place| *place as usize <= mark.texts);
        self.room = mark.room;
        false
    }
}

impl Metrics {
    /// Takes what was counted since the last call, up to `room` bytes, and says whether that was all. None when nothing happened. What is left out stays counted, and
    /// comes first the next time.
    pub fn take_report(&self, room: usize) -> (Option<proto::Report>, bool) {
        let traffic = self.traffic.borrow();
        let routes = self.routes.borrow();
        let mut draft = Draft {
            report: proto::Report {
                series_overflow: self.series_overflow.take(),
                ..Default::default()
            },
            places: HashMap::new(),
            room,
        };
        let known = traffic.len().max(1);
        let first = self.report_from.take() % known;
        let in_turn = traffic.values().skip(first).chain(traffic.values().take(first));
        let mut left_out = None;
        for (index, traffic) in in_turn.enumerate() {
            if !traffic.report(&mut draft, &routes) {
                left_out = Some((first + index) % known);
                break;
            }
        }
        self.report_from.set(left_out.unwrap_or(0));
        self.refusals.borrow_mut().retain(|(reason, address), count| {
            let refusal = proto::Refusal {
                reason: (*reason).into(),
                address: address.to_string(),
                identity: String::new(),
                count: count.fresh,
                detail: count.detail.clone(),
            };
            let fits = draft.takes(&refusal, &draft.mark());
            if fits {
                draft.report.refusals.push(refusal);
            }
            !fits
        });
        let is_all = left_out.is_none() && self.refusals.borrow().is_empty();
        let report = draft.report;
        let silent = report.requests.is_empty() && report.connections.is_empty() && report.refusals.is_empty();
        ((!silent).then_some(report), is_all)
    }

    /// The gauges of the sidecar itself, read now.
    pub fn proxy_stats(&self) -> proto::ProxyStats {
        let process = Process::read();
        proto::ProxyStats {
            resident_bytes: process.resident_bytes,
            cpu_us: process.cpu_us,
            requests_in_flight: self.requests_in_flight(),
            base_mismatches: self.base_mismatches.get(),
            updates_rejected: self.updates_rejected.get(),
            certificate_not_after: self.certificate_not_after.get(),
            reports_lost: self.reports_lost.get(),
            ports_unreadable: self.ports_unreadable.borrow().clone(),
        }
    }
}

impl Traffic {
    /// Moves what was counted into a report; false when there was not room for all of it.
    fn report<'a>(&'a self, draft: &mut Draft<'a>, routes: &'a [String]) -> bool {
        let labels = &self.labels;
        let direction = labels.direction.to_proto();
        for series in self
            .requests
            .borrow_mut()
            .iter_mut()
            .filter(|series| series.counts.fresh.requests > 0)
        {
            let fresh = &series.counts.fresh;
            let mark = draft.mark();
            let message = proto::RequestSeries {
                direction: direction.into(),
                peer: draft.place(&labels.peer),
                peer_identity: draft.place(&labels.identity),
                port: labels.port.into(),
                protocol: labels.protocol.to_proto().into(),
                route: draft.place(route_text(routes, series.key.route)),
                method: draft.place(series.key.method),
                status_class: series.key.status_class.into(),
                grpc_status: series.key.grpc_status,
                error: draft.place(series.key.error.unwrap_or_default()),
                anonymous: labels.anonymous,
                requests: fresh.requests,
                latency: Some(fresh.latency.to_proto()),
                request_sizes: Some(series.request_sizes.to_proto()),
                response_sizes: Some(series.response_sizes.to_proto()),
            };
            if !draft.takes(&message, &mark) {
                return false;
            }
            draft.report.requests.push(message);
            series.counts.total.add(&std::mem::take(&mut series.counts.fresh));
            (series.request_sizes, series.response_sizes) = Default::default();
        }
        let mut counts = self.connections.borrow_mut();
        if counts.fresh == ConnectionCounts::default() {
            return true;
        }
        let fresh = &counts.fresh;
        let mark = draft.mark();
        let message = proto::ConnectionSeries {
            direction: direction.into(),
            peer: draft.place(&labels.peer),
            peer_identity: draft.place(&labels.identity),
            port: labels.port.into(),
            protocol: labels.protocol.to_proto().into(),
            tls: labels.is_secured(),
            anonymous: labels.anonymous,
            opened: fresh.opened,
            closed: fresh.closed,
            failed: fresh.failed,
            open: self.open.get(),
            request_bytes: fresh.request_bytes,
            response_bytes: fresh.response_bytes,
        };
        if !draft.takes(&message, &mark) {
            return false;
        }
        draft.report.connections.push(message);
        let fresh = std::mem::take(&mut counts.fresh);
        counts.total.add(&fresh);
        true
    }
}

impl RequestCounts {
    pub(super) fn add(&mut self, other: &RequestCounts) {
        self.requests += other.requests;
        self.latency.merge(&other.latency);
    }
}

impl ConnectionCounts {
    pub(super) fn add(&mut self, other: &ConnectionCounts) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.failed += other.failed;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
    }
}

/// What the kernel says of this process.
pub(super) struct Process {
    pub(super) resident_bytes: u64,
    pub(super) cpu_us: u64,
}

impl Process {
    pub(super) fn read() -> Process {
        let pages = std::fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok())
            .unwrap_or(0);
        let cpu_us = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).map_or(0, |usage| {
            let microseconds = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
            microseconds(usage.user_time()) + microseconds(usage.system_time())
        });
        Process {
            resident_bytes: pages * page_size(),
            cpu_us,
        }
    }
}

fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .map_or(4096, |size| size as u64)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::http::Outcome;
    use crate::metrics::{Direction, Labels, Protocol, RouteLabel};

    fn labels(peer: usize) -> Labels {
        Labels {
            direction: Direction::Outbound,
            peer: format!("service-{peer}.default"),
            identity: format!("spiffe://weft.local/ns/default/sa/service-{peer}"),
            port: 80,
            protocol: Protocol::Http1,
            anonymous: false,
        }
    }

    #[test]
    fn a_report_has_no_more_than_there_is_room_for_and_nothing_is_lost_or_counted_twice() {
        let metrics = Rc::new(Metrics::default());
        let outcome = Outcome {
            status: 200,
            ..Outcome::default()
        };
        let count = |peer: usize, requests: u64| {
            let traffic = metrics.traffic(labels(peer));
            drop(traffic.connection());
            for request in 0..requests {
                let started = Instant::now().checked_sub(Duration::from_micros(request * 977)).unwrap();
                metrics
                    .begin(Direction::Outbound, "GET", started)
                    .finish(&traffic, RouteLabel::DEFAULT, &outcome);
            }
        };
        for peer in 0..200 {
            count(peer, 20);
        }
        for number in 0..50u8 {
            metrics.refused("WEFT-P-PEER-NOT-TLS", [127, 0, 0, number].into(), "x".repeat(300));
        }
        let (mut requests, mut opened, mut refused, mut reports) = (0, 0, 0, 0);
        loop {
            let (report, is_all) = metrics.take_report(8 * 1024);
            let Some(report) = report else { break };
            assert!(report.encoded_len() <= 8 * 1024, "{} bytes", report.encoded_len());
            requests += report.requests.iter().map(|series| series.requests).sum::<u64>();
            opened += report.connections.iter().map(|series| series.opened).sum::<u64>();
            refused += report.refusals.iter().map(|refusal| refusal.count).sum::<u64>();
            reports += 1;
            if reports == 2 {
                // What is counted meanwhile comes in later ones.
                count(7, 5);
            }
            if is_all {
                break;
            }
        }
        assert_eq!((requests, opened, refused), (200 * 20 + 5, 201, 50));
        assert!(reports > 5);
        assert_eq!(metrics.take_report(8 * 1024), (None, true));
    }

    /// The text at a place of a report.
    fn text(report: &proto::Report, place: u32) -> &str {
        place.checked_sub(1).map_or("", |index| &report.texts[index as usize])
    }

    #[test]
    fn a_text_is_in_a_report_once_however_many_series_name_it_and_none_is_there_for_nothing() {
        let metrics = Rc::new(Metrics::default());
        for peer in 0..40 {
            let traffic = metrics.traffic(labels(peer));
            for (method, status) in [("GET", 200), ("GET", 404), ("GET", 503), ("POST", 200), ("POST", 503)] {
                for request in 0..20u64 {
                    let outcome = Outcome {
                        status,
                        request_bytes: 200,
                        response_bytes: 2_000 + request,
                        ..Outcome::default()
                    };
                    let started = Instant::now().checked_sub(Duration::from_micros(1_000 + 100 * request)).unwrap();
                    metrics
                        .begin(Direction::Outbound, method, started)
                        .finish(&traffic, RouteLabel::DEFAULT, &outcome);
                }
            }
        }
        let mut all = proto::Report::default();
        for room in [2_000, 512 * 1024] {
            let (report, _) = metrics.take_report(room);
            let report = report.unwrap();
            let distinct: std::collections::HashSet<_> = report.texts.iter().collect();
            assert_eq!(distinct.len(), report.texts.len());
            let named: std::collections::HashSet<u32> = report
                .requests
                .iter()
                .flat_map(|series| [series.peer, series.peer_identity, series.route, series.method, series.error])
                .filter(|place| *place > 0)
                .collect();
            assert_eq!(named.len(), report.texts.len(), "each is named by a series");
            all = report;
        }
        let series = all.requests.last().unwrap();
        assert_eq!((text(&all, series.route), text(&all, series.error)), ("default", ""));
        assert!(text(&all, series.peer_identity).ends_with(text(&all, series.peer).trim_end_matches(".default")));
        let sizes = series.response_sizes.as_ref().unwrap();
        assert_eq!((sizes.sum, sizes.counts.iter().sum::<u64>()), (20 * 2_000 + 190, 20));
        let bytes = all.encoded_len() / all.requests.len();
        assert!(bytes < 120, "{bytes} bytes a series");
    }

    #[test]
    fn busy_peers_do_not_keep_the_others_out_of_reports_that_are_too_small_for_all() {
        let metrics = Rc::new(Metrics::default());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..60 {
            for peer in 0..20 {
                drop(metrics.traffic(labels(peer)).connection());
            }
            let (report, is_all) = metrics.take_report(400);
            assert!(!is_all);
            let report = report.unwrap();
            seen.extend(report.connections.iter().map(|series| text(&report, series.peer).to_owned()));
        }
        assert_eq!(seen.len(), 20);
    }
}
