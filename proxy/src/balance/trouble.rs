//! Endpoints that do not answer. One that was called and stays silent, or that cannot be reached, gets a probe now and then while another is in no trouble.
//!
//! A probe is an ordinary call, so there are few: at most one in [`PROBE_INTERVAL`], and, but for the first, one in about [`PROBE_SHARE`] calls or in
//! [`PROBE_LATEST`], whichever is sooner. So what a caller of few requests risks is few of them. A silent endpoint may have seen what it never answers, so its
//! probes are calls that do no harm when they are lost; one that would is risked only when there was none of those for [`PROBE_LATEST`].

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Time without any answer after which an endpoint that was called is silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(1);

/// Least time between two probes.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Times that an endpoint is drawn and passed over between two probes, unless [`PROBE_LATEST`] has passed.
pub const PROBE_SHARE: u32 = 100;

/// Time after which a probe is due, however few the calls.
pub const PROBE_LATEST: Duration = Duration::from_secs(10);

/// How an endpoint does in the eyes of one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It never answered, and nothing is wrong yet.
    New,
    /// It answers.
    Answering,
    /// It was called and stopped answering.
    Silent,
    /// No connection could be had, or it broke before an answer.
    Unreachable,
}

/// Whether an endpoint is in trouble.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Start of the first call since it was last heard.
    unanswered: Cell<Option<Instant>>,
    /// Since when it could not be reached.
    unreachable: Cell<Option<Instant>>,
    heard_at: Cell<Option<Instant>>,
    started_at: Cell<Option<Instant>>,
    /// Times that it was passed over since the last probe; the first probe need not wait.
    passed_over: Cell<u32>,
}

impl Default for Trouble {
    fn default() -> Trouble {
        Trouble {
            unanswered: Cell::new(None),
            unreachable: Cell::new(None),
            heard_at: Cell::new(None),
            started_at: Cell::new(None),
            passed_over: Cell::new(PROBE_SHARE),
        }
    }
}

impl Trouble {
    pub fn state(&self, now: Instant) -> State {
        match (self.unreachable.get(), self.heard_at.get()) {
            (Some(_), _) => State::Unreachable,
            _ if self.is_on(now) => State::Silent,
            (None, None) => State::New,
            (None, Some(_)) => State::Answering,
        }
    }

    /// When it last answered.
    pub fn heard_at(&self) -> Option<Instant> {
        self.heard_at.get()
    }

    /// Whether it is silent or unreachable.
    pub fn is_on(&self, now: Instant) -> bool {
        self.unreachable.get().is_some() || self.unanswered.get().is_some_and(|since| passed(since, now, SILENT_AFTER))
    }

    /// Whether it is in trouble and may be probed, by a call that is `harmless` when it is lost, or not.
    pub fn is_due(&self, now: Instant, harmless: bool) -> bool {
        let wait = if self.passed_over.get() >= PROBE_SHARE && (harmless || self.unreachable.get().is_some()) {
            PROBE_INTERVAL
        } else {
            PROBE_LATEST
        };
        self.is_on(now) && self.started_at.get().is_none_or(|at| passed(at, now, wait))
    }

    /// Notes that another was chosen instead.
    pub fn pass_over(&self) {
        self.passed_over.set(self.passed_over.get().saturating_add(1));
    }

    /// Notes a call. When it is a probe: since when the endpoint is in trouble.
    pub fn start(&self, now: Instant, harmless: bool) -> Option<Instant> {
        let probe = self
            .unreachable
            .get()
            .or(self.unanswered.get())
            .filter(|_| self.is_due(now, harmless));
        if self.is_on(now) {
            self.passed_over.set(0);
        }
        self.started_at.set(Some(now));
        if self.unanswered.get().is_none() {
            self.unanswered.set(Some(now));
        }
        probe
    }

    /// Forgets a call that began at `started` and did not wait for an answer.
    pub fn withdrawn(&self, started: Instant) {
        if self.unanswered.get() == Some(started) {
            self.unanswered.set(None);
        }
    }

    /// Notes that it can be reached again: a probe is due now.
    pub fn reached(&self) {
        self.started_at.set(None);
        self.passed_over.set(PROBE_SHARE);
    }

    /// Notes an answer. True when it ended a trouble.
    pub fn heard(&self, now: Instant) -> bool {
        let was_on = self.is_on(now);
        self.unanswered.set(None);
        self.unreachable.set(None);
        self.heard_at.set(Some(now));
        self.passed_over.set(PROBE_SHARE);
        was_on
    }

    /// Notes that it could not be reached.
    pub fn unreachable(&self, now: Instant) {
        if self.unreachable.get().is_none() {
            self.unreachable.set(Some(now));
        }
    }
}

fn passed(since: Instant, now: Instant, time: Duration) -> bool {
    now.saturating_duration_since(since) >= time
}
