//! The counters in the Prometheus text format 0.0.4.

use std::fmt::{self, Write};

use super::report::Process;
use super::{ANONYMOUS, Direction, Labels, Metrics, RequestKey, RouteLabel};

/// Upper bounds of the latency buckets, microseconds.
const BOUNDS_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
    60_000_000,
];

impl Metrics {
    /// The whole page for `/metrics`. Numbers only grow while the sidecar lives.
    pub fn prometheus(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail.
        let _ = self.write_prometheus(&mut page);
        page
    }

    fn write_prometheus(&self, page: &mut String) -> fmt::Result {
        let traffic = self.traffic.borrow();
        header(page, "weft_requests_total", "counter", "Finished HTTP requests.")?;
        for (labels, key, requests) in traffic.values().flat_map(|traffic| traffic.request_totals()) {
            writeln!(page, "weft_requests_total{{{}}} {requests}", RequestLabels(&labels, &key, self))?;
        }
        header(
            page,
            "weft_request_duration_seconds",
            "histogram",
            "Time from a request's first byte to its response's last.",
        )?;
        for traffic in traffic.values() {
            for series in traffic.requests.borrow().iter() {
                let labels = RequestLabels(&traffic.labels, &series.key, self);
                let mut latency = series.counts.total.latency.clone();
                latency.merge(&series.counts.fresh.latency);
                for bound in BOUNDS_US {
                    let below = latency.count_up_to(bound);
                    writeln!(
                        page,
                        "weft_request_duration_seconds_bucket{{{labels},le=\"{}\"}} {below}",
                        bound as f64 / 1e6
                    )?;
                }
                let (count, sum) = (latency.count(), latency.sum() as f64 / 1e6);
                writeln!(page, "weft_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {count}")?;
                writeln!(page, "weft_request_duration_seconds_sum{{{labels}}} {sum}")?;
                writeln!(page, "weft_request_duration_seconds_count{{{labels}}} {count}")?;
            }
        }
        type Count = fn(&super::ConnectionCounts) -> u64;
        let connection_counters: [(&str, &str, Count); 5] = [
            ("weft_connections_opened_total", "Connections opened.", |counts| counts.opened),
            ("weft_connections_closed_total", "Connections closed.", |counts| counts.closed),
            ("weft_connections_failed_total", "Connections that could not be opened.", |counts| {
                counts.failed
            }),
            (
                "weft_tcp_request_bytes_total",
                "Bytes from callers over opaque connections.",
                |counts| counts.request_bytes,
            ),
            (
                "weft_tcp_response_bytes_total",
                "Bytes to callers over opaque connections.",
                |counts| counts.response_bytes,
            ),
        ];
        for (name, help, count) in connection_counters {
            header(page, name, "counter", help)?;
            for traffic in traffic.values() {
                let counts = traffic.connections.borrow();
                writeln!(page, "{name}{{{}}} {}", traffic.labels, count(&counts.fresh) + count(&counts.total))?;
            }
        }
        header(page, "weft_connections_open", "gauge", "Connections open now.")?;
        for traffic in traffic.values() {
            writeln!(page, "weft_connections_open{{{}}} {}", traffic.labels, traffic.open.get())?;
        }
        header(
            page,
            "weft_refused_total",
            "counter",
            "Connections turned away before they carried anything, and what was ended because memory was short.",
        )?;
        for (code, count) in self.refused.borrow().iter() {
            writeln!(page, "weft_refused_total{{error=\"{code}\"}} {count}")?;
        }
        let process = Process::read();
        let gauges = [
            ("weft_requests_in_flight", "gauge", "Requests under way.", self.requests_in_flight()),
            (
                "weft_handshakes_abandoned_total",
                "counter",
                "Connections that peers ended before their handshake was done.",
                self.handshakes_abandoned.get(),
            ),
            (
                "weft_base_mismatches_total",
                "counter",
                "Discovery updates to a version that was not held, so that the whole was asked for.",
                self.base_mismatches.get(),
            ),
            (
                "weft_updates_rejected_total",
                "counter",
                "Discovery updates that could not be used.",
                self.updates_rejected.get(),
            ),
            (
                "weft_reports_lost_total",
                "counter",
                "Reports that the controller refused, whose counts it does not have.",
                self.reports_lost.get(),
            ),
            (
                "weft_heap_bytes",
                "gauge",
                "Memory that is in use for connections and all else.",
                crate::sys::heap() as u64,
            ),
            (
                "weft_heap_limit_bytes",
                "gauge",
                "The most of it that may be.",
                crate::budget::limit() as u64,
            ),
            ("process_resident_memory_bytes", "gauge", "Resident memory.", process.resident_bytes),
        ];
        for (name, kind, help, value) in gauges {
            header(page, name, kind, help)?;
            writeln!(page, "{name} {value}")?;
        }
        header(page, "process_cpu_seconds_total", "counter", "User and system time.")?;
        writeln!(page, "process_cpu_seconds_total {}", process.cpu_us as f64 / 1e6)
    }
}

impl super::Traffic {
    fn request_totals(&self) -> Vec<(Labels, RequestKey, u64)> {
        let requests = self.requests.borrow();
        requests
            .iter()
            .map(|series| {
                (
                    self.labels.clone(),
                    series.key,
                    series.counts.fresh.requests + series.counts.total.requests,
                )
            })
            .collect()
    }
}

fn header(page: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

struct RequestLabels<'a>(&'a Labels, &'a RequestKey, &'a Metrics);

impl fmt::Display for RequestLabels<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestLabels(labels, key, metrics) = self;
        write!(out, "{labels},method=\"{}\",status_class=\"{}\"", key.method, key.status_class)?;
        write!(
            out,
            ",grpc_status=\"{}\",error=\"{}\"",
            key.grpc_status.map_or(String::new(), |status| status.to_string()),
            key.error.unwrap_or("")
        )?;
        match key.route {
            RouteLabel::DEFAULT => Ok(()),
            route => write!(out, ",route=\"{}\"", Escaped(&metrics.route_name(route))),
        }
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "direction=\"{}\",peer=\"{}\",identity=\"{}\",port=\"{}\",protocol=\"{}\"",
            self.direction.as_str(),
            Escaped(&self.peer),
            Escaped(&self.identity),
            self.port,
            self.protocol.as_str()
        )?;
        match (self.anonymous, self.direction) {
            // Inbound, the peer is the caller.
            (true, Direction::Outbound) => write!(out, ",caller=\"{ANONYMOUS}\""),
            _ => Ok(()),
        }
    }
}

/// A label's value with backslash, quote and line feed escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => out.write_str("\\\\"),
            '"' => out.write_str("\\\""),
            '\n' => out.write_str("\\n"),
            other => out.write_char(other),
        })
    }
}
