//! Streams that cannot be passed on because the other side does not read. Each holds up to a window of bytes here and one on its way out, so there are never very
//! many of them that stand still for long.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Stalled streams of a thread at a time: 32 MiB if all of them fill what they may.
const MAX: usize = 256;
/// With one more, the one that stalled first gives way, if it has stood still for this long: readers pause, and a busy connection is slow for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// By number, so that the oldest come first.
    static STALLED: RefCell<BTreeMap<u64, Stalled>> = const { RefCell::new(BTreeMap::new()) };
}

#[derive(Clone)]
struct Stalled {
    since: Instant,
    lost: Rc<Notify>,
}

/// One stream's place among the stalled ones, until it is dropped.
pub(super) struct Stall {
    number: u64,
    lost: Rc<Notify>,
}

impl Stall {
    /// Takes a place. When there are too many, the oldest loses its own.
    pub(super) fn begin() -> Stall {
        let number = NEXT.replace(NEXT.get() + 1);
        let own = Stalled {
            since: Instant::now(),
            lost: Rc::default(),
        };
        let lost = own.lost.clone();
        STALLED.with_borrow_mut(|stalled| {
            if stalled.len() >= MAX
                && let Some(oldest) = stalled.first_entry()
                && oldest.get().since.elapsed() >= PATIENCE
            {
                oldest.remove().lost.notify_one();
            }
            stalled.insert(number, own);
        });
        Stall { number, lost }
    }

    /// Resolves when the place went to another.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // At the end of a thread the list may be gone already.
        let _ = STALLED.try_with(|stalled| stalled.borrow_mut().remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_lost(stall: &Stall) -> bool {
        tokio::time::timeout(Duration::ZERO, stall.lost()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stood_still_for_long_gives_way_when_there_are_too_many() {
        let mut stalls: Vec<_> = (0..MAX + 5).map(|_| Stall::begin()).collect();
        assert!(!is_lost(&stalls[0]).await, "none has stood still for long");
        tokio::time::advance(PATIENCE).await;
        stalls.push(Stall::begin());
        assert!(is_lost(&stalls[0]).await);
        assert!(!is_lost(&stalls[1]).await);
        stalls.clear();
        STALLED.with_borrow(|stalled| assert!(stalled.is_empty()));
    }
}
