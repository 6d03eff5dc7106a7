//! What all parts of one sidecar share.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::watch;

use crate::app::Application;
use crate::balance::Rng;
use crate::drain::Drain;
use crate::http::{Outcome, Reply, RequestView};
use crate::identity::Identity;
use crate::metrics::{Direction, Metrics, RouteLabel, Traffic};
use crate::policy::InboundPolicy;
use crate::recent::Recent;
use crate::services::Services;
use crate::tap::{Observed, Taps};
use crate::withdrawal::Withdrawal;

/// One sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// Name of the workload's service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// The application.
    pub app: Application,
    /// The certificate in force.
    pub identity: Rc<Identity>,
    /// The services that the application uses.
    pub services: Rc<Services>,
    /// The workload's own ports.
    pub policy: watch::Receiver<Rc<InboundPolicy>>,
    /// The counters.
    pub metrics: Rc<Metrics>,
    /// Who watches requests.
    pub taps: Rc<Taps>,
    /// What went wrong lately.
    pub recent: Recent,
    /// Whether the program takes calls.
    pub withdrawal: Withdrawal,
    /// The orderly end.
    pub drain: Rc<Drain>,
    /// Random numbers for balancing.
    pub rng: RefCell<Rng>,
}

impl Sidecar {
    /// `name.namespace` of the workload's service.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.service, self.namespace)
    }

    /// Starts to count, and to show where somebody watches, a request that arrived at `started`.
    pub fn begin(&self, direction: Direction, head: &impl RequestView, started: Instant) -> Observed {
        Observed::new(
            self.metrics.begin(direction, head.method(), started),
            self.taps.begin(direction, head, started),
        )
    }

    /// Counts for `traffic`, and shows where somebody watches, a request that was refused before it began.
    pub fn refused(&self, traffic: &Traffic, head: &impl RequestView, reply: &Reply) {
        let outcome = Outcome {
            status: reply.status,
            error: Some(reply.code),
            ..Outcome::default()
        };
        self.taps.refused(traffic.labels(), head, reply);
        let counted = self.metrics.begin(traffic.labels().direction, head.method(), Instant::now());
        counted.finish(traffic, RouteLabel::DEFAULT, &outcome);
    }
}
