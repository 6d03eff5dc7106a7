//! Events on their way to the controller, which may be slower than they are.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use prost::Message;
use tokio::sync::Notify;

use crate::proto::TapEvent;

/// Events that wait at a time, and their bytes.
const MAX_EVENTS: usize = 1_024;
const MAX_BYTES: usize = 1024 * 1024;

/// A bounded queue of events.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: RefCell<VecDeque<(TapEvent, usize)>>,
    bytes: Cell<usize>,
    ready: Notify,
}

impl Outbox {
    /// Puts an event in. False when there is no room.
    pub fn push(&self, event: TapEvent) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let length = event.encoded_len();
        if waiting.len() >= MAX_EVENTS || self.bytes.get() + length > MAX_BYTES {
            return false;
        }
        self.bytes.set(self.bytes.get() + length);
        waiting.push_back((event, length));
        self.ready.notify_one();
        true
    }

    /// The oldest event, once there is one.
    pub async fn next(&self) -> TapEvent {
        loop {
            if let Some((event, length)) = self.waiting.borrow_mut().pop_front() {
                self.bytes.set(self.bytes.get() - length);
                return event;
            }
            self.ready.notified().await;
        }
    }

    /// Throws away what waits.
    pub fn clear(&self) {
        self.waiting.take();
        self.bytes.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: usize) -> TapEvent {
        TapEvent {
            path: "a".repeat(path),
            ..TapEvent::default()
        }
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_events_and_again_when_some_went() {
        let outbox = Outbox::default();
        for _ in 0..MAX_EVENTS {
            assert!(outbox.push(event(1)));
        }
        assert!(!outbox.push(event(1)));
        outbox.next().await;
        assert!(outbox.push(event(1)));
        outbox.clear();
        assert!(outbox.push(event(7)));
        assert_eq!(outbox.next().await.path.len(), 7);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, outbox.next()).await.is_err());
    }

    #[test]
    fn there_is_room_for_so_many_bytes() {
        let outbox = Outbox::default();
        assert!(outbox.push(event(MAX_BYTES / 2)));
        assert!(!outbox.push(event(MAX_BYTES / 2)));
        assert!(outbox.push(event(MAX_BYTES / 4)));
    }
}
