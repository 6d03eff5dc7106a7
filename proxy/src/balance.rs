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
//! An endpoint in [`trouble`] gets a probe now and then while another is in none, and is known anew from the first call after it answered again.
//!
//! Pure: the time and the random numbers come from the caller.

mod rng;
#[cfg(test)]
mod tests;
mod trouble;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use rng::Rng;
pub use trouble::State;
use trouble::Trouble;

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
    /// Calls that started earlier say nothing of how the endpoint is now: it was in trouble then.
    known_from: Cell<Option<Instant>>,
    trouble: Trouble,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            pending: Cell::new(0),
            latency: Cell::new(UNKNOWN_LATENCY.as_secs_f64()),
            failures: Cell::new(0.0),
            outcome_at: Cell::new(None),
            started_at: Cell::new(None),
            known_from: Cell::new(None),
            trouble: Trouble::default(),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Success,
    /// The endpoint lives, and its answer says nothing of how it does: it would not take what it was asked.
    Declined,
    /// The endpoint answered with a failure of its own, or its answer broke off.
    Failure,
    /// The endpoint could not be reached, or its connection broke before it answered.
    Unreachable,
    /// The caller gave up: the answer would have taken at least this long.
    Cancelled,
}

impl Load {
    /// Calls under way.
    pub fn pending(&self) -> u32 {
        self.pending.get()
    }

    /// How the endpoint does.
    pub fn state(&self, now: Instant) -> State {
        self.trouble.state(now)
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

    /// When the endpoint last answered.
    pub fn answered_at(&self) -> Option<Instant> {
        self.trouble.heard_at()
    }

    /// What one more call costs, in seconds.
    fn cost(&self, now: Instant) -> f64 {
        let tried = match self.pending.get() {
            0 => None,
            _ => self.started_at.get().filter(|at| Some(*at) >= self.known_from.get()),
        };
        let heard = self.outcome_at.get().max(tried);
        let latency = self.latency.get() * remaining(heard, now, LATENCY_DECAY);
        let failures = match self.failures.get() {
            0.0 => 0.0,
            failures => failures * remaining(heard, now, FAILURE_DECAY),
        };
        (latency + failures * FAILURE_COST.as_secs_f64()) * (f64::from(self.pending.get()) + 1.0)
    }

    /// Counts a call. When it is a probe: since when the endpoint is in trouble.
    fn start(&self, now: Instant, harmless: bool) -> Option<Instant> {
        let probe = self.trouble.start(now, harmless);
        self.pending.set(self.pending.get() + 1);
        self.started_at.set(Some(now));
        probe
    }

    fn record(&self, outcome: Outcome, started: Instant, now: Instant) {
        match outcome {
            Outcome::Success | Outcome::Failure | Outcome::Declined => {
                if self.trouble.heard(now) {
                    self.forget(now);
                }
            }
            Outcome::Unreachable => self.trouble.unreachable(now),
            Outcome::Cancelled => {}
        }
        if outcome == Outcome::Declined || Some(started) < self.known_from.get() {
            return;
        }
        let heard = self.outcome_at.get();
        let (elapsed, average) = (now.saturating_duration_since(started).as_secs_f64(), self.latency.get());
        let kept = remaining(heard, now, LATENCY_DECAY);
        self.latency.set(match outcome {
            Outcome::Success if elapsed < average => average * kept + elapsed * (1.0 - kept),
            Outcome::Success => elapsed,
            // A call that was given up early says nothing of how long it would have taken.
            Outcome::Cancelled if elapsed < average * kept => return self.trouble.withdrawn(started),
            Outcome::Cancelled => elapsed,
            Outcome::Failure | Outcome::Unreachable | Outcome::Declined => average * kept,
        });
        let failed = matches!(outcome, Outcome::Failure | Outcome::Unreachable);
        let kept = remaining(heard, now, FAILURE_DECAY);
        self.failures
            .set(self.failures.get() * kept + if failed { 1.0 - kept } else { 0.0 });
        self.outcome_at.set(Some(now));
    }

    /// The endpoint is out of trouble, and as one that was never called. What it was asked before counts no more: it took as long as the trouble.
    fn forget(&self, now: Instant) {
        self.latency.set(UNKNOWN_LATENCY.as_secs_f64());
        self.failures.set(0.0);
        self.outcome_at.set(None);
        self.known_from.set(Some(now));
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

/// The endpoint to call now: the better of two drawn at random from those that are not in `tried`. One in trouble is chosen when none is in none, or when it is due
/// for a probe, which only a first try is; `harmless` says that a call which is never answered does no harm. `None` when all were tried. Allocates nothing.
pub fn pick<'a, T: Balanced>(endpoints: &'a [Rc<T>], tried: &[Rc<T>], harmless: bool, now: Instant, rng: &mut Rng) -> Option<&'a Rc<T>> {
    let untried = |endpoint: &Rc<T>| !tried.iter().any(|tried| Rc::ptr_eq(tried, endpoint));
    let drawn = if tried.is_empty() {
        draw(endpoints.len(), |index| endpoints.get(index), rng)?
    } else {
        draw_of(endpoints, untried, rng)?
    };
    let trouble = |endpoint: &Rc<T>| endpoint.load().trouble.is_on(now);
    let chosen = match drawn.map(trouble) {
        [false, false] => drawn,
        troubled => {
            for (endpoint, _) in drawn.iter().zip(troubled).filter(|(_, troubled)| *troubled) {
                if tried.is_empty() && endpoint.load().trouble.is_due(now, harmless) {
                    return Some(endpoint);
                }
                endpoint.load().trouble.pass_over();
            }
            draw_of(endpoints, |endpoint| untried(endpoint) && !trouble(endpoint), rng).unwrap_or(drawn)
        }
    };
    let [first, second] = chosen;
    Some(if second.load().cost(now) < first.load().cost(now) {
        second
    } else {
        first
    })
}

/// Two at random of those that `fit`; one twice when it is the only one.
fn draw_of<'a, T>(endpoints: &'a [Rc<T>], fit: impl Fn(&Rc<T>) -> bool, rng: &mut Rng) -> Option<[&'a Rc<T>; 2]> {
    let fitting = || endpoints.iter().filter(|endpoint| fit(endpoint));
    draw(fitting().count(), |index| fitting().nth(index), rng)
}

/// Two at random of `count`; one twice when it is the only one.
fn draw<'a, T>(count: usize, at: impl Fn(usize) -> Option<&'a Rc<T>>, rng: &mut Rng) -> Option<[&'a Rc<T>; 2]> {
    if count < 2 {
        return at(0).map(|only| [only, only]);
    }
    let first = rng.below(count);
    let second = rng.below(count - 1);
    Some([at(first)?, at(if second < first { second } else { second + 1 })?])
}

/// A call under way. It counts from [`Call::start`] until it is dropped; dropped without an outcome it was cancelled.
#[derive(Debug)]
pub struct Call<T: Balanced> {
    endpoint: Rc<T>,
    started: Instant,
    probe: Option<Instant>,
    recorded: Cell<Option<Outcome>>,
}

impl<T: Balanced> Call<T> {
    /// Starts a call to `endpoint`; `harmless` as for [`pick`].
    pub fn start(endpoint: Rc<T>, harmless: bool, now: Instant) -> Call<T> {
        let probe = endpoint.load().start(now, harmless);
        Call {
            endpoint,
            started: now,
            probe,
            recorded: Cell::new(None),
        }
    }

    /// The called endpoint.
    pub fn endpoint(&self) -> &Rc<T> {
        &self.endpoint
    }

    /// Since when the endpoint is in trouble, if the call finds out whether it still is: connections from before may lead nowhere.
    pub fn probes(&self) -> Option<Instant> {
        self.probe
    }

    /// Ends a call that only opened a connection: the next call to an endpoint in trouble finds out whether it answers, too.
    pub fn reached(self) {
        let trouble = &self.endpoint.load().trouble;
        if !trouble.is_on(Instant::now()) {
            trouble.withdrawn(self.started);
        }
        trouble.reached();
        // It is no measure of how long an answer takes.
        self.recorded.set(Some(Outcome::Declined));
    }

    /// Records how the call went; only the first time counts, except that a success may turn into a failure. May be told at the head of the response: the
    /// call counts as under way until it is dropped.
    pub fn record(&self, outcome: Outcome, now: Instant) {
        if let (None, _) | (Some(Outcome::Success), Outcome::Failure) = (self.recorded.get(), outcome) {
            self.endpoint.load().record(outcome, self.started, now);
            self.recorded.set(Some(outcome));
        }
    }
}

impl<T: Balanced> Drop for Call<T> {
    fn drop(&mut self) {
        if self.recorded.get().is_none() {
            self.record(Outcome::Cancelled, Instant::now());
        }
        let pending = &self.endpoint.load().pending;
        pending.set(pending.get() - 1);
    }
}
