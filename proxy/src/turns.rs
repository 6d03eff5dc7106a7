//! Turns: one thread serves all connections. When many have much to do at once, each does a slice of it at a time, in order, and small messages go in between.
//!
//! Bytes that are read are what work is measured by; what costs more than its bytes say counts as more. While little was done since the giver of turns last ran,
//! nobody waits: the giver is a task as others are, so that is one round of those that are ready. Then a connection may read a message; a stream of bytes and a flood of
//! requests wait for their turn, of which one is given in each round.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

/// What is done in a round before anybody waits, bytes.
const ROUND: usize = 64 * 1024;
/// What a connection reads in a turn, bytes.
const SLICE: usize = 32 * 1024;
/// What it may read without one while others wait, bytes.
const MESSAGE: usize = 4 * 1024;
/// What a request of HTTP/2 counts as, bytes: its head may be a handful.
const REQUEST: usize = 2 * 1024;
/// Requests that a connection begins at once while others wait.
const REQUESTS: u32 = 8;

thread_local! {
    static DONE: Cell<usize> = const { Cell::new(0) };
    static WAITING: RefCell<Waiting> = const { RefCell::new(Waiting { next: 0, queue: BTreeMap::new() }) };
    /// Whether somebody gives turns. Otherwise nobody waits for one.
    static GIVES: Cell<bool> = const { Cell::new(false) };
    /// Wakes the giver while it has nothing to do.
    static GIVER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Who waits for a turn, by the number under which it was asked for.
struct Waiting {
    next: u64,
    queue: BTreeMap<u64, Waker>,
}

/// A turn that was asked for. It was given when nobody waits under its number any more. Nothing is left of one that is dropped: a waker keeps the memory of its task.
#[derive(Debug)]
struct Asked(u64);

impl Asked {
    fn new(waker: Waker) -> Asked {
        WAITING.with_borrow_mut(|waiting| {
            let number = waiting.next;
            waiting.next += 1;
            waiting.queue.insert(number, waker);
            Asked(number)
        })
    }

    /// Whether it was given; otherwise `waker` is woken when it is.
    fn is_given(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        // What was replaced is dropped afterwards: that may end a task, which may wait as well.
        let replaced = WAITING.with_borrow_mut(|waiting| {
            let waits = waiting.queue.get_mut(&self.0)?;
            Some(std::mem::replace(waits, waker))
        });
        replaced.is_none()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // At the end of the thread there is nothing to take it from.
        let waker = WAITING.try_with(|waiting| waiting.borrow_mut().queue.remove(&self.0));
        drop(waker);
    }
}

/// Notes what is done.
#[inline]
pub fn spend(cost: usize) {
    let done = DONE.get() + cost;
    DONE.set(done);
    if done >= ROUND {
        wake_giver();
    }
}

/// Whether much was done in this round, so that it is by turns that more is done.
#[inline]
pub fn busy() -> bool {
    DONE.get() >= ROUND
}

#[cold]
fn wake_giver() {
    if !GIVES.get() {
        DONE.set(0);
    } else if let Some(giver) = GIVER.take() {
        giver.wake();
    }
}

/// Gives turns.
pub async fn give() {
    GIVES.set(true);
    loop {
        poll_fn(|context| {
            if busy() || WAITING.with_borrow(|waiting| !waiting.queue.is_empty()) {
                return Poll::Ready(());
            }
            GIVER.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        next_round();
        tokio::task::yield_now().await;
    }
}

fn next_round() {
    DONE.set(0);
    let next = WAITING.with_borrow_mut(|waiting| waiting.queue.pop_first());
    if let Some((_, waker)) = next {
        waker.wake();
    }
}

/// Ready when the turn has come that is asked for in `asked`.
fn poll_turn(asked: &mut Option<Box<Asked>>, context: &mut Context<'_>) -> Poll<()> {
    match asked {
        None => *asked = Some(Box::new(Asked::new(context.waker().clone()))),
        Some(waiting) if waiting.is_given(context.waker()) => {
            *asked = None;
            return Poll::Ready(());
        }
        Some(_) => {}
    }
    Poll::Pending
}

/// What a connection reads while much is done.
#[derive(Debug)]
pub struct Reading {
    /// Bytes that it may read without a turn, or in this one.
    left: usize,
    /// Boxed, since every connection has the place and few wait.
    asked: Option<Box<Asked>>,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading {
            left: MESSAGE,
            asked: None,
        }
    }
}

impl Reading {
    /// Ready when it may read, with how many bytes.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        if self.left == 0 {
            ready!(poll_turn(&mut self.asked, context));
            self.left = SLICE;
        }
        Poll::Ready(self.left)
    }

    /// Notes what was read.
    pub fn read(&mut self, count: usize) {
        self.left -= count;
    }

    /// Notes that there is nothing to be read: what came was a message, and so is what comes next, until it is more than that.
    pub fn drained(&mut self) {
        *self = Reading::default();
    }
}

/// Ready when a connection may begin another request: `begun` are those that it began since it had none to begin.
pub async fn request(begun: u32) {
    spend(REQUEST);
    if begun >= REQUESTS && busy() {
        let mut asked = None;
        poll_fn(|context| poll_turn(&mut asked, context)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::rc::Rc;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    /// Reads as fast as it may and notes each read with `name`.
    async fn stream(name: char, reads: usize, log: Rc<RefCell<String>>) {
        let mut reading = Reading::default();
        for _ in 0..reads {
            if busy() {
                poll_fn(|context| reading.poll(context)).await;
                reading.read(reading.left);
            }
            spend(SLICE);
            log.borrow_mut().push(name);
        }
    }

    async fn with_giver(test: impl Future<Output = ()>) {
        let tasks = LocalSet::new();
        tasks.spawn_local(give());
        tasks.run_until(test).await;
    }

    #[tokio::test]
    async fn where_nobody_gives_turns_nobody_waits() {
        stream('a', 100, Rc::default()).await;
        request(1_000).await;
    }

    #[tokio::test]
    async fn streams_take_turns() {
        with_giver(async {
            let log = Rc::new(RefCell::new(String::new()));
            let tasks = ['a', 'b', 'c'].map(|name| spawn_local(stream(name, 20, log.clone())));
            for task in tasks {
                task.await.unwrap();
            }
            // In a turn a stream does what a round allows to anybody, and a slice.
            let log = log.borrow();
            assert_eq!(log.len(), 60);
            for reads in log.as_bytes()[..50].windows(7) {
                let all = ['a', 'b', 'c'].iter().all(|name| reads.contains(&(*name as u8)));
                assert!(all, "{log}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_message_passes_those_that_wait() {
        with_giver(async {
            let log = Rc::new(RefCell::new(String::new()));
            for name in ['a', 'b', 'c', 'd'] {
                spawn_local(stream(name, 1_000, log.clone()));
            }
            while log.borrow().len() < 10 {
                yield_now().await;
            }
            spend(ROUND);
            let mut reading = Reading::default();
            let limit = poll_fn(|context| Poll::Ready(reading.poll(context))).await;
            assert_eq!(limit, Poll::Ready(MESSAGE));
            reading.read(100);
            reading.drained();
            let limit = poll_fn(|context| Poll::Ready(reading.poll(context))).await;
            assert_eq!(limit, Poll::Ready(MESSAGE));
            reading.read(MESSAGE);
            let after = poll_fn(|context| Poll::Ready(reading.poll(context))).await;
            assert_eq!(after, Poll::Pending);
        })
        .await;
    }

    #[tokio::test]
    async fn nothing_is_kept_of_whoever_does_not_wait_any_more() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: std::sync::Arc<Self>) {}
        }
        GIVES.set(true);
        let task = std::sync::Arc::new(Task);
        let waker = Waker::from(task.clone());
        let mut context = Context::from_waker(&waker);
        for _ in 0..100 {
            spend(ROUND);
            assert!(Box::pin(request(REQUESTS)).as_mut().poll(&mut context).is_pending());
            let mut reading = Reading::default();
            reading.read(MESSAGE);
            assert!(reading.poll(&mut context).is_pending());
            reading.drained();
        }
        assert!(WAITING.with_borrow(|waiting| waiting.queue.is_empty()));
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&task), 1);
    }

    #[tokio::test]
    async fn requests_that_come_at_once_wait_while_much_is_done_but_for_the_first_ones() {
        with_giver(async {
            yield_now().await;
            spend(ROUND);
            let mut waited = Vec::new();
            for begun in 1..=REQUESTS {
                let mut request = pin!(request(begun));
                waited.push(poll_fn(|context| Poll::Ready(request.as_mut().poll(context).is_pending())).await);
            }
            let mut expected = vec![false; REQUESTS as usize - 1];
            expected.push(true);
            assert_eq!(waited, expected);
        })
        .await;
    }
}
