//! Turns: one thread serves all connections. When many have much to do at once, each does a slice of it at a time, in order, and small messages go in between.
//!
//! Bytes that are read are what work is measured by; what costs more than its bytes say counts as more. While little was done since the giver of turns last ran,
//! nobody waits: the giver is a task as others are, so that is one round of those that are ready. Then a connection may read a message; a stream of bytes, a step of a
//! handshake and a flood of requests wait for their turn, of which some are given in each round.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// What is done in a round before anybody waits, bytes.
const ROUND: usize = 64 * 1024;
/// What a connection reads in a turn, bytes.
const SLICE: usize = 32 * 1024;
/// What it may read without one while others wait, bytes.
const MESSAGE: usize = 4 * 1024;
/// What a step of a handshake counts as, bytes. It takes a fraction of a millisecond.
const STEP: usize = SLICE;
/// What a request of HTTP/2 counts as, bytes: its head may be a handful.
const REQUEST: usize = 2 * 1024;
/// Requests that a connection begins at once while others wait.
const REQUESTS: u32 = 8;

/// What a turn is for. One of each kind is given in a round.
#[derive(Clone, Copy)]
enum Kind {
    /// A slice of a stream of bytes or of requests; whoever waits longest is next.
    Slice,
    /// A step of a handshake; whoever came last is next, so that handshakes are finished rather than begun, and a flood of them keeps itself waiting.
    Step,
}

thread_local! {
    static DONE: Cell<usize> = const { Cell::new(0) };
    static WAITING: RefCell<[VecDeque<Rc<Asked>>; 2]> = const { RefCell::new([VecDeque::new(), VecDeque::new()]) };
    /// Whether somebody gives turns. Otherwise nobody waits for one.
    static GIVES: Cell<bool> = const { Cell::new(false) };
    /// Wakes the giver while it has nothing to do.
    static GIVER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// A turn that was asked for.
#[derive(Debug)]
struct Asked {
    given: Cell<bool>,
    waker: RefCell<Waker>,
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
            if busy() || WAITING.with_borrow(|queues| queues.iter().any(|queue| !queue.is_empty())) {
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
    WAITING.with_borrow_mut(|[slices, steps]| {
        give_one(|| slices.pop_front());
        give_one(|| steps.pop_back());
    });
}

/// Gives a turn to the next one that is still there.
fn give_one(mut next: impl FnMut() -> Option<Rc<Asked>>) {
    while let Some(asked) = next() {
        if Rc::strong_count(&asked) > 1 {
            asked.given.set(true);
            asked.waker.borrow().wake_by_ref();
            return;
        }
    }
}

/// Ready when the turn has come that is asked for in `asked`.
fn poll_turn(kind: Kind, asked: &mut Option<Rc<Asked>>, context: &mut Context<'_>) -> Poll<()> {
    let Some(waiting) = asked else {
        let waiting = Rc::new(Asked {
            given: Cell::new(false),
            waker: RefCell::new(context.waker().clone()),
        });
        WAITING.with_borrow_mut(|queues| queues[kind as usize].push_back(waiting.clone()));
        *asked = Some(waiting);
        return Poll::Pending;
    };
    if waiting.given.get() {
        *asked = None;
        return Poll::Ready(());
    }
    waiting.waker.borrow_mut().clone_from(context.waker());
    Poll::Pending
}

/// What a connection reads while much is done.
#[derive(Debug)]
pub struct Reading {
    /// Bytes that it may read without a turn, or in this one.
    left: usize,
    asked: Option<Rc<Asked>>,
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
            ready!(poll_turn(Kind::Slice, &mut self.asked, context));
            self.left = SLICE;
        }
        Poll::Ready(self.left)
    }

    /// Notes what was read.
    pub fn read(&mut self, count: usize) {
        self.left -= count;
    }

    /// Notes that there is nothing to be read: what came was a message, unless it took more than one may.
    pub fn drained(&mut self) {
        if self.left > 0 {
            self.left = MESSAGE;
        }
    }
}

/// Ready when a connection may begin another request: `begun` are those that it began since it had none to begin.
pub async fn request(begun: u32) {
    spend(REQUEST);
    if begun >= REQUESTS && busy() {
        let mut asked = None;
        poll_fn(|context| poll_turn(Kind::Slice, &mut asked, context)).await;
    }
}

/// Runs a handshake, which is costly at each of its steps.
pub async fn handshake<F: Future>(handshake: F) -> F::Output {
    let mut handshake = pin!(handshake);
    let mut asked = None;
    poll_fn(|context| {
        if asked.is_some() || busy() {
            ready!(poll_turn(Kind::Step, &mut asked, context));
        }
        spend(STEP);
        handshake.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
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
        handshake(async {}).await;
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
    async fn of_handshakes_that_wait_the_last_is_next_and_those_given_up_are_passed_over() {
        GIVES.set(true);
        spend(ROUND);
        let log = RefCell::new(Vec::new());
        let log = &log;
        let mut handshakes: Vec<_> = (1..=4)
            .map(|number| Box::pin(handshake(async move { log.borrow_mut().push(number) })))
            .collect();
        poll_fn(|context| {
            for handshake in &mut handshakes {
                assert!(handshake.as_mut().poll(context).is_pending());
            }
            handshakes.pop();
            while !handshakes.is_empty() {
                next_round();
                spend(ROUND);
                handshakes.retain_mut(|handshake| handshake.as_mut().poll(context).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(*log.borrow(), [3, 2, 1]);
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
