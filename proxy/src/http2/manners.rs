//! Clients that reset most of what they begin, or have it reset by breaking the protocol, cost a server its work while they pay nothing ("rapid reset",
//! CVE-2023-44487; "MadeYouReset", CVE-2025-8671).

use std::time::{Duration, Instant};

use h2::Reason;

use super::wire::is_for_what_came;
use crate::errors;
use crate::http::Reply;

/// Requests after which a client is judged, again and again.
const SAMPLE: u32 = 500;
/// A request that the client reset within this time, before any answer, was reset early.
const EARLY: Duration = Duration::from_secs(1);

/// Streams of so many requests that may be reset for what the client sent on them. Honest clients keep to the protocol.
const BROKEN: u32 = 20;

/// How the client of one connection behaves.
#[derive(Debug, Default)]
pub(super) struct Manners {
    begun: u32,
    reset_early: u32,
    broken: u32,
    /// Resets that were written for what came on a stream, and those of them that the other side asked for.
    written: u32,
    passed_on: u32,
    bad: bool,
}

/// What is to be done with a client that breaks the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Nothing.
    Lasts,
    /// It gets no more requests answered, for this reason.
    Ends(Reply),
    /// Its connection is ended: it goes on.
    Lost,
}

impl Manners {
    /// Counts a request. Once the client has reset more than half of the last ones, says why no more are taken from it.
    pub(super) fn begun(&mut self) -> Option<Reply> {
        if self.bad {
            return None;
        }
        if self.begun < SAMPLE {
            self.begun += 1;
            return None;
        }
        self.bad = self.reset_early > SAMPLE / 2;
        let message = format!(
            "{} of {SAMPLE} requests were reset by the client before they could be answered",
            self.reset_early
        );
        (self.begun, self.reset_early, self.broken) = (1, 0, 0);
        self.bad.then(|| Reply::new(429, errors::RESET_FLOOD, message))
    }

    /// Counts a request that the client reset before any answer, or that was refused before it was complete, which resets it, too.
    pub(super) fn reset(&mut self, started: Instant) {
        self.reset_early += u32::from(started.elapsed() < EARLY);
    }

    /// Notes that a stream is about to be reset as the other side wants it.
    pub(super) fn passes_on(&mut self, reason: Reason) {
        self.passed_on += u32::from(is_for_what_came(reason));
    }

    /// Whether more streams were reset than was known, of `written` in all.
    pub(super) fn knows(&self, written: u32) -> bool {
        self.written == written
    }

    /// Learns how many streams were reset for what came on them. Gives how many of them are news that no one passed on.
    pub(super) fn learn(&mut self, written: u32) -> (u32, Patience) {
        let news = written - self.written;
        self.written = written;
        let passed_on = news.min(self.passed_on);
        self.passed_on -= passed_on;
        let news = news - passed_on;
        self.broken += news;
        let patience = match self.broken {
            0..=BROKEN => Patience::Lasts,
            _ if !self.bad => {
                self.bad = true;
                let message = format!(
                    "{} of {SAMPLE} requests were reset for what the client sent after them",
                    self.broken
                );
                Patience::Ends(Reply::new(429, errors::RESET_FLOOD, message))
            }
            broken if broken > 2 * BROKEN => Patience::Lost,
            _ => Patience::Lasts,
        };
        (news, patience)
    }

    /// Whether no more requests are taken on the connection.
    pub(super) fn bad(&self) -> bool {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_resets_most_requests_at_once_is_turned_away_and_one_that_resets_half_is_not() {
        let turned_away_after = |resets_of_ten: u32| {
            let mut manners = Manners::default();
            (0..5 * SAMPLE).find(|number| {
                let verdict = manners.begun();
                if number % 10 < resets_of_ten {
                    manners.reset(Instant::now());
                }
                assert_eq!(verdict.is_some(), manners.bad());
                manners.bad()
            })
        };
        assert_eq!(turned_away_after(10), Some(SAMPLE));
        assert_eq!(turned_away_after(6), Some(SAMPLE));
        assert_eq!(turned_away_after(5), None);
    }

    #[test]
    fn a_client_that_breaks_the_protocol_on_many_streams_is_turned_away_and_ended_when_it_goes_on() {
        let mut manners = Manners::default();
        assert_eq!(manners.learn(BROKEN), (BROKEN, Patience::Lasts));
        assert!(manners.knows(BROKEN));
        let (news, patience) = manners.learn(BROKEN + 1);
        assert!(news == 1 && matches!(patience, Patience::Ends(_)) && manners.bad());
        assert_eq!(manners.learn(2 * BROKEN), (BROKEN - 1, Patience::Lasts));
        assert_eq!(manners.learn(2 * BROKEN + 1), (1, Patience::Lost));
    }

    #[test]
    fn resets_that_the_server_asked_for_are_not_the_clients() {
        let mut manners = Manners::default();
        for written in 1..=5 * BROKEN {
            manners.passes_on(Reason::PROTOCOL_ERROR);
            manners.passes_on(Reason::CANCEL);
            assert_eq!(manners.learn(written), (0, Patience::Lasts));
        }
        assert_eq!(manners.learn(5 * BROKEN + 1).0, 1);
    }

    #[test]
    fn a_few_broken_streams_now_and_then_are_forgotten() {
        let mut manners = Manners::default();
        for sample in 1..=10 {
            for _ in 0..SAMPLE {
                assert_eq!(manners.begun(), None);
            }
            assert_eq!(manners.learn(sample * BROKEN), (BROKEN, Patience::Lasts));
        }
    }
}
