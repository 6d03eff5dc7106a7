//! Requests as people watch them. While nobody does, one flag is read for each request and nothing else is done.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::errors;
use crate::http::{Outcome, Reply, RequestView};
use crate::metrics::{Direction, Labels, Traffic};
use crate::proto::{self, TapDropped, TapStart};

mod budget;
mod filter;
mod observed;
mod outbox;
mod redact;
mod shown;
#[cfg(test)]
mod tests;

use budget::Budget;
use observed::Watched;
pub use observed::{Connection, Observed};
use outbox::Outbox;

/// Taps at a time.
const MAX_TAPS: usize = 16;
/// Events a second of a tap that does not say how many.
const DEFAULT_RATE: u32 = 100;

/// The taps that run.
#[derive(Debug, Default)]
pub struct Taps {
    watched: Cell<bool>,
    running: RefCell<Vec<Rc<Tap>>>,
    outbox: Rc<Outbox>,
}

/// One tap.
#[derive(Debug)]
struct Tap {
    wanted: TapStart,
    budget: Budget,
    dropped: Cell<u64>,
    ended: Cell<bool>,
    outbox: Rc<Outbox>,
}

impl Taps {
    /// Whether anybody watches.
    pub fn watched(&self) -> bool {
        self.watched.get()
    }

    /// Starts a tap, in place of one with the same id. What cannot run is answered by why not.
    pub fn start(&self, wanted: TapStart) -> Result<(), TapDropped> {
        self.stop(wanted.tap_id);
        let mut running = self.running.borrow_mut();
        if running.len() >= MAX_TAPS {
            return Err(TapDropped {
                tap_id: wanted.tap_id,
                events: 0,
                error: errors::TOO_MANY_TAPS.into(),
            });
        }
        let rate = match wanted.max_events_per_second {
            0 => DEFAULT_RATE,
            rate => rate,
        };
        running.push(Rc::new(Tap {
            wanted,
            budget: Budget::new(rate, Instant::now()),
            dropped: Cell::new(0),
            ended: Cell::new(false),
            outbox: self.outbox.clone(),
        }));
        self.watched.set(true);
        Ok(())
    }

    /// Ends a tap.
    pub fn stop(&self, tap_id: u64) {
        let mut running = self.running.borrow_mut();
        running.retain(|tap| {
            let stays = tap.wanted.tap_id != tap_id;
            tap.ended.set(!stays);
            stays
        });
        self.watched.set(!running.is_empty());
    }

    /// Ends all taps.
    pub fn clear(&self) {
        for tap in self.running.take() {
            tap.ended.set(true);
        }
        self.watched.set(false);
        self.outbox.clear();
    }

    /// The next event to send, once there is one.
    pub async fn next(&self) -> proto::TapEvent {
        self.outbox.next().await
    }

    /// Takes the numbers of requests that were not sent since the last call.
    pub fn take_dropped(&self) -> Vec<TapDropped> {
        let running = self.running.borrow();
        let dropped = running.iter().map(|tap| TapDropped {
            tap_id: tap.wanted.tap_id,
            events: tap.dropped.take(),
            error: String::new(),
        });
        dropped.filter(|dropped| dropped.events > 0).collect()
    }

    /// Looks at a request that begins; None when nobody wants it.
    pub(crate) fn begin(&self, direction: Direction, head: &impl RequestView, started: Instant) -> Option<Box<Watched>> {
        if !self.watched.get() {
            return None;
        }
        self.watch(direction, Some(head), started)
    }

    /// Shows a request that was refused before it began.
    pub fn refused(&self, labels: &Labels, head: &impl RequestView, reply: &Reply) {
        if let Some(watched) = self.begin(labels.direction, head, Instant::now()) {
            let outcome = Outcome {
                status: reply.status,
                error: Some(reply.code),
                ..Outcome::default()
            };
            watched.finish(labels, "", &outcome);
        }
    }

    /// Counts an opaque connection's bytes for `traffic`, and shows it at its end. `endpoint` is the id of the called one; empty for connections that come in.
    pub fn connection<'a>(&self, traffic: &'a Traffic, endpoint: &str) -> Connection<'a> {
        let watched = match self.watched.get() {
            true => self.watch::<Never>(traffic.labels().direction, None, Instant::now()),
            false => None,
        };
        Connection::new(traffic, watched, endpoint)
    }

    /// Shows an opaque connection that could not be carried.
    pub fn unconnected(&self, traffic: &Traffic, code: &'static str) {
        if self.watched.get()
            && let Some(watched) = self.watch::<Never>(traffic.labels().direction, None, Instant::now())
        {
            let outcome = Outcome {
                error: Some(code),
                ..Outcome::default()
            };
            watched.finish(traffic.labels(), "", &outcome);
        }
    }

    #[cold]
    #[inline(never)]
    fn watch<H: RequestView>(&self, direction: Direction, head: Option<&H>, started: Instant) -> Option<Box<Watched>> {
        let running = self.running.borrow();
        let wanting: Vec<_> = running
            .iter()
            .filter(|tap| filter::direction(&tap.wanted, direction))
            .filter(|tap| head.map_or_else(|| filter::connections(&tap.wanted), |head| filter::head(&tap.wanted, head)))
            .map(|tap| (tap.clone(), tap.budget.has_room(started)))
            .collect();
        (!wanting.is_empty()).then(|| Box::new(Watched::new(wanting, head, started)))
    }
}

/// The head of what has none.
enum Never {}

impl RequestView for Never {
    fn method(&self) -> &str {
        match *self {}
    }
    fn path(&self) -> &str {
        match *self {}
    }
    fn authority(&self) -> &str {
        match *self {}
    }
    fn field(&self, _name: &str) -> Option<&[u8]> {
        match *self {}
    }
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        std::iter::empty()
    }
}
