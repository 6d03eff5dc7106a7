//! The telemetry stream: one report a second while there is something to say, at most one under way, none counted twice and none lost.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::metrics::Metrics;
use crate::proto::telemetry_report_request::Request;
use crate::proto::telemetry_report_response::Response;
use crate::proto::{Hello, Report, TelemetryReportRequest, TelemetryReportResponse};

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Gauges are sent this often when nothing else happens.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// What of the counters the controller knows.
#[derive(Debug)]
pub struct Reporter {
    metrics: Rc<Metrics>,
    incarnation: u64,
    sequence: u64,
    span_start_ms: i64,
    last_sent: Option<Instant>,
    unacknowledged: Option<Report>,
}

impl Reporter {
    /// A reporter that has sent nothing.
    pub fn new(metrics: Rc<Metrics>, incarnation: u64) -> Reporter {
        Reporter {
            metrics,
            incarnation,
            sequence: 0,
            span_start_ms: now_ms(),
            last_sent: None,
            unacknowledged: None,
        }
    }

    /// Runs until the stream ends. A report that was not acknowledged on an earlier stream is repeated first. After `flush` everything counted until then is sent
    /// and, once acknowledged, `flushed` is set.
    pub async fn run(
        &mut self,
        channel: &Channel,
        bearer: &str,
        hello: &Hello,
        flush: &Notify,
        flushed: &watch::Sender<bool>,
    ) -> Result<(), Status> {
        let hello = TelemetryReportRequest {
            request: Some(Request::Hello(hello.clone())),
        };
        let (mut requests, mut responses): (Sender<TelemetryReportRequest>, Receiver<TelemetryReportResponse>) =
            channel.stream("/weft.v1.Telemetry/Report", Some(bearer), &hello).await?;
        if let Some(report) = self.unacknowledged.clone() {
            send(&mut requests, report).await?;
        }
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut flushing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => self.send_next(&mut requests).await?,
                () = flush.notified() => {
                    flushing = true;
                    self.last_sent = None;
                    self.send_next(&mut requests).await?;
                }
                response = responses.message() => match response?.map(|message| message.response) {
                    None => return Ok(()),
                    Some(Some(Response::Acknowledged(sequence))) => {
                        self.unacknowledged.take_if(|report| report.sequence <= sequence);
                        if flushing && self.unacknowledged.is_none() {
                            // Something may have been counted while the report was under way.
                            self.send_next(&mut requests).await?;
                            if self.unacknowledged.is_none() {
                                flushed.send_replace(true);
                            }
                        }
                    }
                    Some(Some(Response::Hello(_)) | None) => {}
                },
            }
        }
    }

    async fn send_next(&mut self, requests: &mut Sender<TelemetryReportRequest>) -> Result<(), Status> {
        if self.unacknowledged.is_some() {
            return Ok(());
        }
        let counted = self.metrics.take_report();
        let gauges_due = self.last_sent.is_none_or(|sent| sent.elapsed() >= IDLE_INTERVAL);
        if counted.is_none() && !gauges_due {
            return Ok(());
        }
        let end_ms = now_ms();
        self.sequence += 1;
        let report = Report {
            incarnation: self.incarnation,
            sequence: self.sequence,
            start_ms: self.span_start_ms,
            end_ms,
            proxy: Some(self.metrics.proxy_stats()),
            ..counted.unwrap_or_default()
        };
        self.span_start_ms = end_ms;
        self.last_sent = Some(Instant::now());
        self.unacknowledged = Some(report.clone());
        send(requests, report).await
    }
}

async fn send(requests: &mut Sender<TelemetryReportRequest>, report: Report) -> Result<(), Status> {
    requests
        .send(&TelemetryReportRequest {
            request: Some(Request::Report(report)),
        })
        .await
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}
