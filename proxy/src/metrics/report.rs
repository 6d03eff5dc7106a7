//! The counters as reports to the controller.

use super::{ConnectionCounts, Metrics, RequestCounts};
use crate::proto;

impl Metrics {
    /// Takes everything that was counted since the last call. None when nothing happened.
    pub fn take_report(&self) -> Option<proto::Report> {
        let mut report = proto::Report {
            series_overflow: self.series_overflow.take(),
            ..Default::default()
        };
        for traffic in self.traffic.borrow().values() {
            let labels = &traffic.labels;
            let direction = labels.direction.to_proto();
            let peer = || Some(labels.peer_to_proto());
            for series in traffic
                .requests
                .borrow_mut()
                .iter_mut()
                .filter(|series| series.counts.fresh.requests > 0)
            {
                let fresh = std::mem::take(&mut series.counts.fresh);
                let RequestCounts {
                    requests,
                    request_bytes,
                    response_bytes,
                    latency,
                } = &fresh;
                report.requests.push(proto::RequestSeries {
                    direction: direction.into(),
                    peer: peer(),
                    port: labels.port.into(),
                    protocol: labels.protocol.to_proto().into(),
                    route: "default".into(),
                    method: series.key.method.into(),
                    status_class: series.key.status_class.into(),
                    grpc_status: series.key.grpc_status,
                    error: series.key.error.unwrap_or_default().into(),
                    requests: *requests,
                    request_bytes: *request_bytes,
                    response_bytes: *response_bytes,
                    latency: Some(latency.to_proto()),
                    anonymous: labels.anonymous,
                });
                series.counts.total.add(&fresh);
            }
            let mut counts = traffic.connections.borrow_mut();
            if counts.fresh != ConnectionCounts::default() {
                let fresh = std::mem::take(&mut counts.fresh);
                report.connections.push(proto::ConnectionSeries {
                    direction: direction.into(),
                    peer: peer(),
                    port: labels.port.into(),
                    protocol: labels.protocol.to_proto().into(),
                    tls: labels.is_secured(),
                    opened: fresh.opened,
                    closed: fresh.closed,
                    failed: fresh.failed,
                    open: traffic.open.get(),
                    request_bytes: fresh.request_bytes,
                    response_bytes: fresh.response_bytes,
                    anonymous: labels.anonymous,
                });
                counts.total.add(&fresh);
            }
        }
        report
            .refusals
            .extend(self.refusals.borrow_mut().drain().map(|((reason, address), count)| proto::Refusal {
                reason: reason.into(),
                address: address.to_string(),
                identity: String::new(),
                count: count.fresh,
                detail: count.detail,
            }));
        let silent = report.requests.is_empty() && report.connections.is_empty() && report.refusals.is_empty();
        (!silent).then_some(report)
    }

    /// The gauges of the sidecar itself, read now.
    pub fn proxy_stats(&self) -> proto::ProxyStats {
        let process = Process::read();
        proto::ProxyStats {
            resident_bytes: process.resident_bytes,
            cpu_us: process.cpu_us,
            requests_in_flight: self.requests_in_flight(),
            digest_mismatches: self.digest_mismatches.get(),
            updates_rejected: self.updates_rejected.get(),
            certificate_not_after: self.certificate_not_after.get(),
        }
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
