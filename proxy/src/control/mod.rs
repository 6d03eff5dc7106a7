//! The sidecar's one connection to the controller. Everything that it learns goes into shared state that outlives the connection: with the controller gone,
//! traffic goes on with what is known, and the connection is tried again.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::balance::Rng;
use crate::describe::Holdings;
use crate::errors;
use crate::identity::{CertifyError, Identity};
use crate::log::log;
use crate::metrics::Metrics;
use crate::policy::InboundPolicy;
use crate::proto::{self, certify_request::Proof};
use crate::services::{Services, Wish};
use crate::tap::Taps;

mod discovery;
pub mod grpc;
mod inspect;
mod tap;
mod telemetry;
pub mod workload;

use grpc::{Channel, Status};

/// Pauses between two tries: the first, and the bound that doubling reaches.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_millis(1_500);
/// Limit for the first look at the ports on which the program listens.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// Pause after a refusal, which asking again seldom changes.
const RETRY_REFUSED: Duration = Duration::from_secs(5);

/// What of the contract this proxy carries, as `Hello` says it.
const CAPABILITIES: [&str; 1] = ["routes"];

/// The streams that a sidecar is not ready without, as bits.
const DISCOVERY_UP: u8 = 1;
const WORKLOAD_UP: u8 = 2;
const ALL_UP: u8 = DISCOVERY_UP | WORKLOAD_UP;

/// What the connection needs, reads and writes.
#[derive(Debug)]
pub struct Control {
    /// The controller's socket.
    pub path: PathBuf,
    /// One-time token for the first certificate; empty once it was used.
    pub token: String,
    /// Tokens that were wanted.
    pub tokens: mpsc::Receiver<String>,
    /// Why a token is wanted: the controller does not accept this workload's proof any more.
    pub token_wanted: mpsc::Sender<String>,
    /// The certificate, written here.
    pub identity: Rc<Identity>,
    /// The services, written here.
    pub services: Rc<Services>,
    /// Names that the application asks for.
    pub wishes: mpsc::Receiver<Wish>,
    /// The counters.
    pub metrics: Rc<Metrics>,
    /// Where peers reach this sidecar.
    pub inbound: SocketAddr,
    /// Where its metrics are.
    pub admin: SocketAddr,
    /// The ports that the application listens on.
    pub listening: watch::Receiver<Vec<u16>>,
    /// The workload's own ports, written here.
    pub policy: watch::Sender<Rc<InboundPolicy>>,
    /// Set when the first certificate is there and all streams are up.
    pub ready: watch::Sender<bool>,
    /// Who watches requests, told here.
    pub taps: Rc<Taps>,
    /// What the sidecar holds, for those who ask.
    pub holdings: Holdings,
    /// Asks for a last report.
    pub flush: Rc<Notify>,
    /// Set when the last report was acknowledged.
    pub flushed: watch::Sender<bool>,
}

impl Control {
    /// Keeps the connection up for the life of the sidecar. Returns only when there can be no first certificate, with the code and the reason.
    pub async fn run(mut self) -> (&'static str, String) {
        let hello = proto::Hello {
            incarnation: Rng::from_entropy().next_u64(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: CAPABILITIES.map(String::from).into(),
        };
        let mut reporter = telemetry::Reporter::new(self.metrics.clone(), hello.incarnation);
        let mut pause = RETRY_FIRST;
        // Told before the first look at them, a program that listens would be taken for one that does not. It takes a millisecond.
        let _ = tokio::time::timeout(LOOK_LIMIT, self.listening.changed()).await;
        loop {
            let connected = Channel::connect(&self.path).await;
            let ended = match connected {
                Ok((channel, driver)) => {
                    let mut driver = tokio::task::spawn_local(driver);
                    let ended = self.session(&channel, &mut driver, &hello, &mut reporter).await;
                    driver.abort();
                    self.services.lost();
                    ended
                }
                Err(error) => Ended::Lost(format!("{}: {error}", self.path.display())),
            };
            match ended {
                Ended::Hopeless(code, reason) if self.identity.current().is_none() => return (code, reason),
                Ended::Hopeless(_, reason) => {
                    if pause != RETRY_REFUSED {
                        log!("the controller cannot be used: {reason}; traffic goes on with what is known");
                    }
                    pause = RETRY_REFUSED;
                }
                Ended::Unknown(reason) => {
                    // The mesh may have been set up anew around a running program; its calls must not end for that.
                    if pause == RETRY_REFUSED {
                        tokio::time::sleep(jittered(pause)).await;
                    } else {
                        log!(
                            "the controller does not know this workload: {reason}; it is registered anew, and traffic goes on with what is known"
                        );
                    }
                    pause = RETRY_REFUSED;
                    self.token = self.fresh_token(reason).await.unwrap_or_default();
                    continue;
                }
                Ended::Established(reason) => {
                    log!("the controller is away: {reason}; traffic goes on with what is known");
                    pause = RETRY_FIRST;
                }
                Ended::Lost(reason) => {
                    if pause <= RETRY_FIRST {
                        log!("the controller cannot be reached: {reason}; trying again");
                    }
                    pause = if pause > RETRY_LAST {
                        RETRY_FIRST
                    } else {
                        (pause * 2).min(RETRY_LAST)
                    };
                }
            }
            tokio::time::sleep(jittered(pause)).await;
        }
    }

    /// Asks for a token. None when there is none within the pause after a refusal: the registry may not be writable now.
    async fn fresh_token(&mut self, reason: String) -> Option<String> {
        // One that came too late for the last question is as old as that.
        while self.tokens.try_recv().is_ok() {}
        // A question that is not taken yet is enough.
        let _ = self.token_wanted.try_send(reason);
        tokio::time::timeout(jittered(RETRY_REFUSED), self.tokens.recv())
            .await
            .ok()
            .flatten()
    }

    /// Lives as long as the connection, which `driver` carries. Streams that end alone are opened again.
    async fn session(
        &mut self,
        channel: &Channel,
        driver: &mut JoinHandle<io::Result<()>>,
        hello: &proto::Hello,
        reporter: &mut telemetry::Reporter,
    ) -> Ended {
        if !self.token.is_empty() || self.identity.current().is_none() {
            match self.identity.certify(channel, Proof::OneTimeToken(self.token.clone())).await {
                Ok(()) => {
                    self.token.clear();
                    if *self.ready.borrow() {
                        log!("registered anew, with a new certificate");
                    }
                }
                Err(error) => {
                    let ended = Ended::uncertified(error);
                    // An answer that was lost may have used it up; then it is refused, and another is asked for.
                    if !matches!(ended, Ended::Lost(_)) {
                        self.token.clear();
                    }
                    return ended;
                }
            }
        }
        let Some(certified) = self.identity.current() else {
            return Ended::Lost("no certificate".into());
        };
        self.metrics.certificate_not_after.set(certified.not_after);
        let bearer = certified.credential.clone();
        drop(certified);

        let (up, mut streams_up) = watch::channel(0u8);
        let Control {
            identity,
            services,
            wishes,
            metrics,
            listening,
            policy,
            ..
        } = self;
        let mut workload = workload::Workload {
            inbound: self.inbound,
            admin: self.admin,
            listening,
            policy,
            identity,
            metrics,
            up: &up,
        };
        let streams = async {
            tokio::select! {
                unknown = lasting("services", async || {
                    let ended = discovery::watch(channel, &bearer, hello, services, wishes, metrics, &up).await;
                    services.lost();
                    ended
                }) => unknown,
                unknown = lasting("the workload's own ports", async || workload.watch(channel, &bearer, hello).await) => unknown,
                unknown = lasting("reports", async || reporter.run(channel, &bearer, hello, &self.flush, &self.flushed).await) => unknown,
                never = keep_certified(channel, identity, metrics) => match never {},
                unknown = lasting("live requests", async || tap::serve(channel, &bearer, hello, &self.taps).await) => unknown,
                unknown = lasting("questions", async || inspect::serve(channel, &bearer, hello, &self.holdings).await) => unknown,
            }
        };
        let ready = async {
            // The sender lives as long as this function.
            let _ = streams_up.wait_for(|up| *up == ALL_UP).await;
            self.ready.send_replace(true);
            std::future::pending::<()>().await;
        };
        let reason = tokio::select! {
            unknown = streams => return Ended::refused(&unknown),
            () = ready => unreachable!("it never ends"),
            closed = driver => match closed {
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(())) => "it closed the connection".into(),
                Err(error) => error.to_string(),
            },
        };
        if *up.borrow() == ALL_UP {
            Ended::Established(reason)
        } else {
            Ended::Lost(reason)
        }
    }
}

/// Opens a stream again and again while the connection lasts. Its trouble is nobody else's; that the controller does not know the workload is everybody's, and returned.
async fn lasting(what: &str, mut run: impl AsyncFnMut() -> Result<(), Status>) -> Status {
    let (mut pause, mut told) = (RETRY_FIRST, false);
    loop {
        let started = Instant::now();
        let reason = match run().await {
            Err(status) if status.is_unknown() => return status,
            Err(status) => status.to_string(),
            Ok(()) => "the controller closed it".into(),
        };
        if started.elapsed() > RETRY_REFUSED * 2 {
            (pause, told) = (RETRY_FIRST, false);
        }
        // When the connection ended, so does this.
        tokio::time::sleep(jittered(pause)).await;
        if !told {
            log!("the stream for {what} ended: {reason}; it is opened again, and the others go on");
            told = true;
        }
        pause = (pause * 2).min(RETRY_REFUSED);
    }
}

/// Half to one and a half of `pause`, so that a mesh does not come back all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + Rng::from_entropy().unit())
}

/// How a session with the controller ended.
enum Ended {
    /// It never came up.
    Lost(String),
    /// It was up.
    Established(String),
    /// The controller does not know this workload, or not its proof: it has to be registered anew.
    Unknown(String),
    /// Trying again would end the same way. The code and the reason.
    Hopeless(&'static str, String),
}

impl Ended {
    fn refused(status: &Status) -> Ended {
        if status.is_unknown() {
            Ended::Unknown(status.to_string())
        } else {
            Ended::Hopeless(errors::REFUSED_BY_CONTROLLER, status.to_string())
        }
    }

    fn uncertified(error: CertifyError) -> Ended {
        match error {
            CertifyError::Refused(status) if status.is_final() => Ended::refused(&status),
            CertifyError::NotValid(reason) => Ended::Hopeless(errors::CERTIFICATE_NOT_VALID, reason),
            error => Ended::Lost(error.to_string()),
        }
    }
}

/// Renews the certificate when it is due.
async fn keep_certified(channel: &Channel, identity: &Identity, metrics: &Metrics) -> Infallible {
    loop {
        let Some(certified) = identity.current() else {
            return std::future::pending().await;
        };
        certified.renewal_due().await;
        if let Err(error) = identity.certify(channel, Proof::Credential(certified.credential.clone())).await {
            log!("the certificate was not renewed: {error}; trying again in a minute");
            tokio::time::sleep(Duration::from_secs(60)).await;
        } else if let Some(certified) = identity.current() {
            metrics.certificate_not_after.set(certified.not_after);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_again_and_again_is_opened_again_and_ends_nothing_else() {
        let opened = Cell::new(0);
        let troubled = lasting("this test", async || {
            opened.set(opened.get() + 1);
            match opened.get() {
                ..10 => Err(Status::new(Status::INVALID_ARGUMENT, "it does not fit the contract")),
                10..20 => Ok(()),
                20..30 => Err(Status::new(Status::RESOURCE_EXHAUSTED, "too large")),
                _ => Err(Status::new(Status::NOT_FOUND, "who is that?")),
            }
        });
        assert_eq!(troubled.await.code, Status::NOT_FOUND);
        assert_eq!(opened.get(), 30);
    }
}
