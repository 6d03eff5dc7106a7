//! The telemetry stream: one report a second while there is something to say, at most one under way, none counted twice and none lost.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;
use tokio::sync::{Notify, watch};

use super::grpc::{Channel, Receiver, Sender, Status};
use crate::log::log;
use crate::metrics::Metrics;
use crate::proto::telemetry_report_request::Request;
use crate::proto::telemetry_report_response::Response;
use crate::proto::{Hello, Report, TelemetryReportRequest, TelemetryReportResponse};

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Gauges are sent this often when nothing else happens.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes of a report, so that it fits into a message: the controller takes 1 MiB.
const MAX_REPORT: usize = 512 * 1024;
/// Times that a report is refused before it is given up.
const MAX_REFUSALS: u32 = 3;

/// A report on its way, as it is repeated when its stream ends.
#[derive(Debug)]
struct Sent {
    sequence: u64,
    /// Requests that it counts.
    requests: u64,
    encoded: Bytes,
}

/// What of the counters the controller knows.
#[derive(Debug)]
pub struct Reporter {
    metrics: Rc<Metrics>,
    incarnation: u64,
    sequence: u64,
    span_start_ms: i64,
    last_sent: Option<Instant>,
    unacknowledged: Option<Sent>,
    /// Times that it was refused.
    refusals: u32,
    /// The last report had no room for all that was counted.
    is_more: bool,
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
            refusals: 0,
            is_more: false,
        }
    }

    /// Runs until the stream ends. A report that was not acknowledged on an earlier stream is repeated first, unless the controller does not want it. After `flush`
    /// everything counted until then is sent and, once acknowledged, `flushed` is set.
    pub async fn run(
        &mut self,
        channel: &Channel,
        bearer: &str,
        hello: &Hello,
        flush: &Notify,
        flushed: &watch::Sender<bool>,
    ) -> Result<(), Status> {
        let ended = self.report(channel, bearer, hello, flush, flushed).await;
        if let Err(status) = &ended {
            self.refused(status);
        }
        ended
    }

    /// Gives a report up that was refused too often: whatever is wrong with it, those that follow must not wait for it.
    fn refused(&mut self, status: &Status) {
        if self.unacknowledged.is_none() || !status.is_refusal() {
            return;
        }
        self.refusals += 1;
        if self.refusals < MAX_REFUSALS {
            return;
        }
        self.refusals = 0;
        if let Some(report) = self.unacknowledged.take() {
            self.metrics.reports_lost.set(self.metrics.reports_lost.get() + 1);
            log!(
                "the controller refused report {} {MAX_REFUSALS} times, so it is lost, and with it the counts of {} requests: {status}",
                report.sequence,
                report.requests
            );
        }
    }

    async fn report(
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
        if let Some(report) = &self.unacknowledged {
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
                        if self.unacknowledged.take_if(|report| report.sequence <= sequence).is_some() {
                            self.refusals = 0;
                        }
                        if (flushing || self.is_more) && self.unacknowledged.is_none() {
                            // Something had no room, or may have been counted while the report was under way.
                            self.send_next(&mut requests).await?;
                            if flushing && self.unacknowledged.is_none() {
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
        let (counted, is_all) = self.metrics.take_report(MAX_REPORT);
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
        self.is_more = !is_all;
        if is_all {
            self.span_start_ms = end_ms;
        }
        self.last_sent = Some(Instant::now());
        let report = Sent {
            sequence: report.sequence,
            requests: report.requests.iter().map(|series| series.requests).sum(),
            encoded: report.encode_to_vec().into(),
        };
        send(requests, self.unacknowledged.insert(report)).await
    }
}

async fn send(requests: &mut Sender<TelemetryReportRequest>, report: &Sent) -> Result<(), Status> {
    requests
        .send(&TelemetryReportRequest {
            request: Some(Request::Report(report.encoded.clone())),
        })
        .await
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> Reporter {
        let mut reporter = Reporter::new(Rc::default(), 7);
        reporter.unacknowledged = Some(Sent {
            sequence: 1,
            requests: 0,
            encoded: Bytes::new(),
        });
        reporter
    }

    #[test]
    fn a_report_that_is_refused_again_and_again_is_given_up_and_counted() {
        let mut reporter = reporter();
        for code in [Status::RESOURCE_EXHAUSTED, Status::INVALID_ARGUMENT] {
            reporter.refused(&Status::new(code, "no"));
            assert!(reporter.unacknowledged.is_some(), "it may pass");
        }
        reporter.refused(&Status::new(Status::INTERNAL, "a fault"));
        assert!(reporter.unacknowledged.is_none());
        assert_eq!(reporter.metrics.reports_lost.get(), 1);
        reporter.refused(&Status::new(Status::INTERNAL, "a fault"));
        assert_eq!(reporter.metrics.reports_lost.get(), 1, "there is none to be given up");
    }

    #[test]
    fn a_report_is_repeated_for_as_long_as_the_controller_is_away_or_does_not_know_the_workload() {
        let mut reporter = reporter();
        for code in [Status::UNAVAILABLE, Status::CANCELLED, Status::NOT_FOUND, Status::UNAUTHENTICATED] {
            for _ in 0..10 {
                reporter.refused(&Status::new(code, "not now"));
            }
        }
        assert!(reporter.unacknowledged.is_some());
    }
}
