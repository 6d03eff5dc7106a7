//! Peak EWMA over two random choices: of two endpoints drawn at random, the one with the lower expected cost is called.
//!
//! The cost of an endpoint is (latency + share of failures · [`FAILURE_COST`]) · (calls under way + 1).
//!
//! - *Latency* is a moving average that jumps to every sample above it and comes down with [`LATENCY_DECAY`].
//! - *Share of failures* is a moving average too, with [`FAILURE_DECAY`]. Failures never count as latency, so that failing fast attracts
//!   nothing; and as it is a share and not an event, endpoints that all fail a little remain equals.
//! - Both decay while nothing is heard, so that every endpoint is tried again in time. While a call is under way they decay from its start only:
//!   one call tries an endpoint that was bad, and the rest wait for how it goes.
//! - An endpoint that was never called costs nothing until its first call is under way, and [`UNKNOWN_LATENCY`] then.
//!
//! Pure: the time and the random numbers come from the caller.

mod rng;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use rng::Rng;

/// Time in which what is known of an endpoint's latency fades to 1/e.
pub const LATENCY_DECAY: Duration = Duration::from_secs(10);

/// Time in which what is known of an endpoint's failures fades to 1/e.
pub const FAILURE_DECAY: Duration = Duration::from_secs(1);

/// Latency for which a call to an endpoint that only fails stands.
pub const FAILURE_COST: Duration = Duration::from_secs(5);

/// Latency that is assumed of an endpoint while the first calls to it are under way.
pub const UNKNOWN_LATENCY: Duration = Duration::from_secs(1);

/// What an endpoint's calls say of it.
#[derive(Debug)]
pub struct Load {
    /// Calls under way.
    pending: Cell<u32>,
    /// Moving average at the last outcome, seconds.
    latency: Cell<f64>,
    /// Moving average at the last outcome, 0 to 1.
    failures: Cell<f64>,
    /// Time of the last outcome.
    outcome_at: Cell<Option<Instant>>,
    /// Start of the last call.
    started_at: Cell<Option<Instant>>,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            pending: Cell::new(0),
            latency: Cell::new(UNKNOWN_LATENCY.as_secs_f64()),
            failures: Cell::new(0.0),
            outcome_at: Cell::new(None),
            started_at: Cell::new(None),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Success,
    /// The endpoint could not be reached, reset the call, took too long or answered with a failure of its own.
    Failure,
    /// The caller gave up: the answer would have taken at least this long.
    Cancelled,
}

impl Load {
    /// Calls under way.
    pub fn pending(&self) -> u32 {
        self.pending.get()
    }

    /// The moving peak of the latency as it stands now. `None` when nothing is known of it.
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        let at = self.outcome_at.get()?;
        Some(Duration::from_secs_f64(
            self.latency.get() * remaining(Some(at), now, LATENCY_DECAY),
        ))
    }

    /// The moving share of failures as it stands now, 0 to 1.
    pub fn failures(&self, now: Instant) -> f64 {
        self.failures.get() * remaining(self.outcome_at.get(), now, FAILURE_DECAY)
    }

    /// What one more call costs, in seconds.
    fn cost(&self, now: Instant) -> f64 {
        let heard = match self.pending.get() {
            0 => self.outcome_at.get(),
            _ => self.outcome_at.get().max(self.started_at.get()),
        };
        let latency = self.latency.get() * remaining(heard, now, LATENCY_DECAY);
        let failures = match self.failures.get() {
            0.0 => 0.0,
            failures => failures * remaining(heard, now, FAILURE_DECAY),
        };
        (latency + failures * FAILURE_COST.as_secs_f64()) * (f64::from(self.pending.get()) + 1.0)
    }

    fn start(&self, now: Instant) {
        self.pending.set(self.pending.get() + 1);
        self.started_at.set(Some(now));
    }

    fn record(&self, outcome: Outcome, elapsed: Duration, now: Instant) {
        let heard = self.outcome_at.get();
        let (elapsed, average) = (elapsed.as_secs_f64(), self.latency.get());
        let kept = remaining(heard, now, LATENCY_DECAY);
        self.latency.set(match outcome {
            Outcome::Success if elapsed < average => average * kept + elapsed * (1.0 - kept),
            Outcome::Success => elapsed,
            // A call that was given up early says nothing of how long it would have taken.
            Outcome::Cancelled if elapsed < average * kept => return,
            Outcome::Cancelled => elapsed,
            Outcome::Failure => average * kept,
        });
        let kept = remaining(heard, now, FAILURE_DECAY);
        let failed = if outcome == Outcome::Failure { 1.0 - kept } else { 0.0 };
        self.failures.set(self.failures.get() * kept + failed);
        self.outcome_at.set(Some(now));
    }
}

/// The part of what was heard at `heard` that still counts.
fn remaining(heard: Option<Instant>, now: Instant, decay: Duration) -> f64 {
    heard.map_or(0.0, |heard| {
        (-now.saturating_duration_since(heard).as_secs_f64() / decay.as_secs_f64()).exp()
    })
}

/// What calls can be balanced over.
pub trait Balanced {
    /// The load that [`Call`] keeps.
    fn load(&self) -> &Load;
}

/// The endpoint to call now: the better of two drawn at random from those that are not in `tried`. `None` when all were tried.
/// Allocates nothing.
pub fn pick<'a, T: Balanced>(endpoints: &'a [Rc<T>], tried: &[Rc<T>], now: Instant, rng: &mut Rng) -> Option<&'a Rc<T>> {
    let untried = || {
        endpoints
            .iter()
            .filter(|endpoint| !tried.iter().any(|tried| Rc::ptr_eq(tried, endpoint)))
    };
    let count = if tried.is_empty() { endpoints.len() } else { untried().count() };
    let at = |index| {
        if tried.is_empty() {
            endpoints.get(index)
        } else {
            untried().nth(index)
        }
    };
    if count < 2 {
        return at(0);
    }
    let first = rng.below(count);
    let second = rng.below(count - 1);
    let (first, second) = (at(first)?, at(if second < first { second } else { second + 1 })?);
    Some(if second.load().cost(now) < first.load().cost(now) {
        second
    } else {
        first
    })
}

/// A call under way. It counts from [`Call::start`] until it is dropped; dropped without an outcome it was cancelled.
#[derive(Debug)]
pub struct Call<T: Balanced> {
    endpoint: Rc<T>,
    started: Instant,
    recorded: bool,
}

impl<T: Balanced> Call<T> {
    /// Starts a call to `endpoint`.
    pub fn start(endpoint: Rc<T>, now: Instant) -> Call<T> {
        endpoint.load().start(now);
        Call {
            endpoint,
            started: now,
            recorded: false,
        }
    }

    /// The called endpoint.
    pub fn endpoint(&self) -> &Rc<T> {
        &self.endpoint
    }

    /// Records how the call went; only the first time counts. May be told at the head of the response: the call
    /// counts as under way until it is dropped.
    pub fn record(&mut self, outcome: Outcome, now: Instant) {
        if !std::mem::replace(&mut self.recorded, true) {
            self.endpoint
                .load()
                .record(outcome, now.saturating_duration_since(self.started), now);
        }
    }
}

impl<T: Balanced> Drop for Call<T> {
    fn drop(&mut self) {
        if !self.recorded {
            self.record(Outcome::Cancelled, Instant::now());
        }
        let pending = &self.endpoint.load().pending;
        pending.set(pending.get() - 1);
    }
}
