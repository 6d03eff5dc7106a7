//! Before the program is told to end, it is withdrawn: calls go to other instances from then on, and those under way get a moment to finish.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::errors;
use crate::http::Reply;
use crate::metrics::{Direction, Metrics};

/// How long calls under way may hold up the program's signal. Streams that never end must not hold it for long.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether calls are under way.
const LOOK: Duration = Duration::from_millis(5);
/// A program that goes on after its signal is called again after this time.
const LASTS: Duration = Duration::from_secs(30);

/// Whether the program takes calls.
#[derive(Debug, Default)]
pub struct Withdrawal(Cell<Option<Instant>>);

impl Withdrawal {
    /// Withdraws the program for [`LASTS`].
    pub fn begin(&self) {
        self.0.set(Some(Instant::now()));
    }

    /// Whether the program is withdrawn.
    pub fn is_on(&self) -> bool {
        self.0.get().is_some_and(|since| since.elapsed() < LASTS)
    }

    /// The answer to a call of a program that is withdrawn, by which the caller's sidecar knows that nothing reached it.
    pub fn check(&self, service: &str) -> Result<(), Reply> {
        if !self.is_on() {
            return Ok(());
        }
        let message = format!("the program behind {service} was told to end and takes no more calls");
        Err(Reply::new(503, errors::CONNECT_FAILED, message))
    }
}

/// Waits until no request to the program is under way, at most [`PATIENCE`].
pub async fn idle(metrics: &Metrics) {
    let idle = async {
        while metrics.in_flight(Direction::Inbound) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    // Who is still there after that is cut off, or not, by the program.
    let _ = tokio::time::timeout(PATIENCE, idle).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_goes_on_after_its_signal_is_called_again() {
        let withdrawal = Withdrawal::default();
        assert!(withdrawal.check("users").is_ok());
        withdrawal.begin();
        let reply = withdrawal.check("users").expect_err("withdrawn");
        assert_eq!((reply.status, reply.code), (503, errors::CONNECT_FAILED));
        withdrawal.0.set(Instant::now().checked_sub(LASTS));
        assert!(withdrawal.check("users").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_under_way_are_waited_for_but_not_for_ever() {
        let metrics = std::rc::Rc::new(Metrics::default());
        let _outbound = metrics.begin(Direction::Outbound, "GET", Instant::now());
        let begin = tokio::time::Instant::now();
        idle(&metrics).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        let _endless = metrics.begin(Direction::Inbound, "GET", Instant::now());
        idle(&metrics).await;
        assert_eq!(begin.elapsed(), PATIENCE);
    }
}
