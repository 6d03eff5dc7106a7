//! The counters as reports to the controller.

use prost::Message;

use super::{ConnectionCounts, Metrics, RequestCounts, Traffic};
use crate::proto;

/// Room that is left in a report, bytes.
struct Room(usize);

impl Room {
    /// Takes the room that one of a report's repeated messages needs, if it is there.
    fn take(&mut self, message: &impl Message) -> bool {
        // The field's number and the length come before the message.
        let left = self.0.checked_sub(message.encoded_len() + 6);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

impl Metrics {
    /// Takes what was counted since the last call, up to `room` bytes, and says whether that was all. None when nothing happened. What is left out stays counted, and
    /// comes first the next time.
    pub fn take_report(&self, room: usize) -> (Option<proto::Report>, bool) {
        let mut report = proto::Report {
            series_overflow: self.series_overflow.take(),
            ..Default::default()
        };
        let mut room = Room(room);
        let traffic = self.traffic.borrow();
        let known = traffic.len().max(1);
        let first = self.report_from.take() % known;
        let in_turn = traffic.values().skip(first).chain(traffic.values().take(first));
        let mut left_out = None;
        for (index, traffic) in in_turn.enumerate() {
            if !traffic.report(self, &mut report, &mut room) {
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
            let fits = room.take(&refusal);
            if fits {
                report.refusals.push(refusal);
            }
            !fits
        });
        let is_all = left_out.is_none() && self.refusals.borrow().is_empty();
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
    fn report(&self, metrics: &Metrics, report: &mut proto::Report, room: &mut Room) -> bool {
        let labels = &self.labels;
        let direction = labels.direction.to_proto();
        let peer = || Some(labels.peer_to_proto());
        for series in self
            .requests
            .borrow_mut()
            .iter_mut()
            .filter(|series| series.counts.fresh.requests > 0)
        {
            let fresh = &series.counts.fresh;
            let message = proto::RequestSeries {
                direction: direction.into(),
                peer: peer(),
                port: labels.port.into(),
                protocol: labels.protocol.to_proto().into(),
                route: metrics.route_name(series.key.route),
                method: series.key.method.into(),
                status_class: series.key.status_class.into(),
                grpc_status: series.key.grpc_status,
                error: series.key.error.unwrap_or_default().into(),
                requests: fresh.requests,
                request_bytes: fresh.request_bytes,
                response_bytes: fresh.response_bytes,
                latency: Some(fresh.latency.to_proto()),
                anonymous: labels.anonymous,
            };
            if !room.take(&message) {
                return false;
            }
            report.requests.push(message);
            series.counts.total.add(&std::mem::take(&mut series.counts.fresh));
        }
        let mut counts = self.connections.borrow_mut();
        if counts.fresh == ConnectionCounts::default() {
            return true;
        }
        let fresh = &counts.fresh;
        let message = proto::ConnectionSeries {
            direction: direction.into(),
            peer: peer(),
            port: labels.port.into(),
            protocol: labels.protocol.to_proto().into(),
            tls: labels.is_secured(),
            opened: fresh.opened,
            closed: fresh.closed,
            failed: fresh.failed,
            open: self.open.get(),
            request_bytes: fresh.request_bytes,
            response_bytes: fresh.response_bytes,
            anonymous: labels.anonymous,
        };
        if !room.take(&message) {
            return false;
        }
        report.connections.push(message);
        let fresh = std::mem::take(&mut counts.fresh);
        counts.total.add(&fresh);
        true
    }
}

impl RequestCounts {
    pub(super) fn add(&mut self, other: &RequestCounts) {
        self.requests += other.requests;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
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
            seen.extend(report.unwrap().connections.into_iter().map(|series| series.peer.unwrap().name));
        }
        assert_eq!(seen.len(), 20);
    }
}
