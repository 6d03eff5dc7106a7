//! Clients that reset most of what they begin cost a server its work while they pay nothing ("rapid reset", CVE-2023-44487).

use std::time::{Duration, Instant};

use crate::errors;
use crate::http::Reply;

/// Requests after which a client is judged, again and again.
const SAMPLE: u32 = 500;
/// A request that the client reset within this time, before any answer, was reset early.
const EARLY: Duration = Duration::from_secs(1);

/// How the client of one connection behaves.
#[derive(Debug, Default)]
pub(super) struct Manners {
    begun: u32,
    reset_early: u32,
    bad: bool,
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
        (self.begun, self.reset_early) = (1, 0);
        self.bad.then(|| Reply::new(429, errors::RESET_FLOOD, message))
    }

    /// Counts a request that the client reset before any answer.
    pub(super) fn reset(&mut self, started: Instant) {
        self.reset_early += u32::from(started.elapsed() < EARLY);
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
}
