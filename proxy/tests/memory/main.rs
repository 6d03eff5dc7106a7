//! What stands still is bounded together, whoever made it stand still and by what protocol. Each test sets the limit of the process, so they take turns.

#[allow(dead_code)] // Other tests use the rest of it.
#[path = "../http2/harness.rs"]
mod http2_harness;
#[allow(dead_code)]
#[path = "../relay/harness.rs"]
mod relay_harness;

mod http1;
mod http2;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use weft_proxy::budget::{self, Account, Cost, Hold};
use weft_proxy::sys::heap;

const MEGABYTE: usize = 1024 * 1024;

static TURN: Mutex<()> = Mutex::new(());

/// The memory of the process while a test has its turn.
pub struct Memory {
    start: usize,
    limit: usize,
    most: Rc<Cell<usize>>,
    /// What was ended.
    pub ended: Rc<Cell<usize>>,
    tasks: [JoinHandle<()>; 2],
    _turn: MutexGuard<'static, ()>,
}

impl Memory {
    /// Lets the process have `room` more bytes than it has now.
    pub fn with_room(room: usize) -> Memory {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let start = heap();
        budget::set_limit(start + room);
        let (most, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let watching = most.clone();
        let watch = spawn_local(async move {
            loop {
                watching.set(watching.get().max(heap()));
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        });
        let counting = ended.clone();
        let keep = spawn_local(budget::keep(move |ended| counting.set(counting.get() + ended)));
        Memory {
            start,
            limit: start + room,
            most,
            ended,
            tasks: [watch, keep],
            _turn: turn,
        }
    }

    /// Asserts that the limit held, but for what was on its way when it was reached.
    pub fn kept_its_limit(&self) {
        let (most, limit) = (self.most.get(), self.limit);
        assert!(most <= limit + MEGABYTE, "{} KB above {} KB", (most - limit) >> 10, limit >> 10);
        assert!(most >= limit / 2, "it was not put to the test");
    }

    /// Waits until what was taken since the start is back.
    pub async fn is_given_back(&self) {
        for _ in 0..10_000 {
            // Some buffers are kept for the next ones.
            if heap() < self.start + MEGABYTE {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} KB are still held", (heap() - self.start) >> 10);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        budget::set_limit(usize::MAX / 2);
    }
}

#[test]
fn nobody_who_holds_little_has_to_let_go_while_those_who_hold_much_are_still_at_it() {
    relay_harness::run(async {
        let memory = Memory::with_room(8 * MEGABYTE);
        let small = Hold::new(Account::new(), Cost::Bytes(1_000));
        let kept = vec![1_u8; 9 * MEGABYTE];
        let large = Hold::new(Account::new(), Cost::Bytes(kept.len()));
        large.lost().await;
        // On a busy machine tasks need a while to let go.
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop((kept, large));
        memory.is_given_back().await;
        while memory.ended.get() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((memory.ended.get(), small.is_lost()), (1, false));
    });
}
