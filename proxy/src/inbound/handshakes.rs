//! Handshakes under way, of which there are never very many: each costs memory before anything is proven, and one that is meant takes milliseconds.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

/// Handshakes at a time. With one more the oldest ends, not the newest: whoever holds many open must not keep others out.
const MAX: usize = 512;

/// The handshakes under way, the oldest first.
#[derive(Debug, Default)]
pub struct Handshakes {
    under_way: RefCell<VecDeque<Rc<Notify>>>,
}

impl Handshakes {
    /// Takes a place, which ends when it is dropped, or when so many came after it.
    pub fn enter(&self) -> Place<'_> {
        let lost = Rc::new(Notify::new());
        let mut under_way = self.under_way.borrow_mut();
        if under_way.len() == MAX
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.notify_one();
        }
        under_way.push_back(lost.clone());
        Place { handshakes: self, lost }
    }
}

/// One handshake's place.
#[derive(Debug)]
pub struct Place<'a> {
    handshakes: &'a Handshakes,
    lost: Rc<Notify>,
}

impl Place<'_> {
    /// Resolves when the place went to another.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut under_way = self.handshakes.under_way.borrow_mut();
        if let Some(index) = under_way.iter().position(|other| Rc::ptr_eq(other, &self.lost)) {
            under_way.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_lost(place: &Place<'_>) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, place.lost()).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_gives_way_when_there_are_too_many() {
        let handshakes = Handshakes::default();
        let mut places: Vec<_> = (0..MAX).map(|_| handshakes.enter()).collect();
        assert!(!is_lost(&places[0]).await);
        places.push(handshakes.enter());
        places[0].lost().await;
        assert!(!is_lost(&places[1]).await);
        places.clear();
        assert!(handshakes.under_way.borrow().is_empty());
    }
}
