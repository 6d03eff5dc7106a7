//! How long questions wait for a controller that does not answer.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// How long a question waits that somebody outside the mesh can answer, from when the controller fell silent.
const OTHERS: Duration = Duration::from_secs(1);
/// How long a question waits that only the mesh can answer. Programs ask again or give up after 5 s.
const OURS: Duration = Duration::from_secs(4);
/// How long after the controller fell silent such questions are waited for at all.
const OURS_AT_ALL: Duration = Duration::from_secs(10);
/// How long a question waits in any case while the connection is there: one answer that did not come is no proof that no other will.
const LEAST: Duration = Duration::from_millis(50);

/// Since when the controller owes an answer. Only what falls within the first moments of a silence is waited for, so that it does not delay every question.
#[derive(Debug)]
pub(super) struct Silence {
    since: Cell<Option<Instant>>,
    connected: Cell<bool>,
}

impl Silence {
    /// Before the first connection.
    pub fn new() -> Silence {
        Silence {
            since: Cell::new(Some(Instant::now())),
            connected: Cell::new(false),
        }
    }

    /// Something came from the controller.
    pub fn ended(&self) {
        self.since.set(None);
        self.connected.set(true);
    }

    /// The connection was lost.
    pub fn disconnected(&self) {
        self.connected.set(false);
        self.began();
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// Until when a question waits that is asked now. `ours`: only the mesh can answer it.
    pub fn deadline(&self, ours: bool) -> Instant {
        let (now, since) = (Instant::now(), self.began());
        let patient = if ours {
            (now + OURS).min(since + OURS_AT_ALL)
        } else {
            since + OTHERS
        };
        if self.connected.get() { patient.max(now + LEAST) } else { patient }
    }

    fn began(&self) -> Instant {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    async fn after(silence: &Silence, ms: u64) -> (u128, u128) {
        advance(Duration::from_millis(ms)).await;
        let waits = |ours| silence.deadline(ours).saturating_duration_since(Instant::now()).as_millis();
        (waits(false), waits(true))
    }

    #[tokio::test(start_paused = true)]
    async fn a_sidecar_that_was_just_started_waits_for_its_first_connection_but_not_for_ever() {
        let silence = Silence::new();
        assert_eq!(after(&silence, 300).await, (700, 4_000));
        assert_eq!(after(&silence, 5_700).await, (0, 4_000));
        assert_eq!(after(&silence, 3_000).await, (0, 1_000));
        assert_eq!(after(&silence, 3_600_000).await, (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_stands_still_is_waited_for_once_not_by_each_question() {
        let silence = Silence::new();
        silence.ended();
        assert_eq!(
            after(&silence, 60_000).await,
            (1_000, 4_000),
            "the silence begins with the question"
        );
        assert_eq!(after(&silence, 1_000).await, (50, 4_000));
        assert_eq!(after(&silence, 60_000).await, (50, 50));
        silence.ended();
        assert_eq!(after(&silence, 0).await, (1_000, 4_000), "it answered again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_lost_comes_back_within_moments_or_is_not_waited_for() {
        let silence = Silence::new();
        silence.ended();
        silence.disconnected();
        assert_eq!(after(&silence, 200).await, (800, 4_000));
        assert_eq!(after(&silence, 9_000).await, (0, 800));
        silence.disconnected();
        assert_eq!(after(&silence, 60_000).await, (0, 0), "what is lost already is not lost again");
    }
}
