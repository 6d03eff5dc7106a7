//! What all parts of one sidecar share.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::watch;

use crate::app::Application;
use crate::balance::Rng;
use crate::control::InboundPolicy;
use crate::drain::Drain;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::services::Services;

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
    /// The orderly end.
    pub drain: Rc<Drain>,
    /// Random numbers for balancing.
    pub rng: RefCell<Rng>,
}
