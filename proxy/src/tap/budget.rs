//! How many events a tap may still send: a second's worth at once, and so many a second in the long run.

use std::cell::Cell;
use std::time::Instant;

/// The budget of one tap.
#[derive(Debug)]
pub struct Budget {
    per_second: f64,
    left: Cell<f64>,
    counted_at: Cell<Instant>,
}

impl Budget {
    /// A full one.
    pub fn new(per_second: u32, now: Instant) -> Budget {
        let per_second = f64::from(per_second);
        Budget {
            per_second,
            left: Cell::new(per_second),
            counted_at: Cell::new(now),
        }
    }

    /// Whether an event could be sent now.
    pub fn has_room(&self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.counted_at.get()).as_secs_f64() * self.per_second;
        self.counted_at.set(now.max(self.counted_at.get()));
        self.left.set((self.left.get() + earned).min(self.per_second));
        self.left.get() >= 1.0
    }

    /// Takes room for an event, if there is any.
    pub fn take(&self, now: Instant) -> bool {
        let has_room = self.has_room(now);
        if has_room {
            self.left.set(self.left.get() - 1.0);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_than_its_share_and_a_second_more(
            per_second in 1u32..50,
            pauses in prop::collection::vec(0u64..100, 1..300),
        ) {
            let start = Instant::now();
            let (budget, mut now, mut taken) = (Budget::new(per_second, start), start, 0);
            for pause in pauses {
                now += Duration::from_millis(pause);
                taken += u32::from(budget.take(now));
            }
            let most = f64::from(per_second) * (1.0 + (now - start).as_secs_f64());
            prop_assert!(f64::from(taken) <= most + 1e-6);
        }
    }

    #[test]
    fn what_was_used_comes_back_with_time() {
        let start = Instant::now();
        let budget = Budget::new(2, start);
        assert_eq!([budget.take(start), budget.take(start), budget.take(start)], [true, true, false]);
        assert!(!budget.has_room(start + Duration::from_millis(499)));
        assert!(budget.take(start + Duration::from_millis(501)));
        assert!(!budget.has_room(start), "time does not go back");
    }
}
