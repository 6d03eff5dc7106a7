//! How much memory the sidecar may hold, what of it waits for somebody slow, and who has to let go when it grows short (docs/adr/0016).
//!
//! The allocator counts every byte in use, so nothing has to be charged when it is kept. What stands still says so by a [`Hold`], and can be ended by it. Below a
//! quarter of the limit only streams of HTTP/2 do that, whose windows may fill later. From five sixths on, holds of those who hold most are ended, or connections
//! that carry nothing if those take most of it, and at the limit nothing is read from connections until that has helped. New work is refused only when nothing is left
//! that could be ended.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use h2::FlowControl;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::errors;
use crate::http::Reply;
use crate::open;
use crate::sys;

/// Bytes of the heap. With the program itself and what the allocator loses between its blocks, the process stays below 128 MB.
const LIMIT: usize = 88 * 1024 * 1024;
/// Bytes that anything costs that stands still, beside what it keeps: its task, its stream or socket.
const LEAST: usize = 4 * 1024;
/// Bytes that a connection is taken to hold whose other side reads nothing at all while more is written: nobody counts what waits in its protocol.
const DEAF: usize = 1024 * 1024;
/// Who has stood still for less than this is ended last: readers pause, and a busy connection is slow for a moment.
const MOMENT: Duration = Duration::from_millis(100);
/// Pause after something was ended, in which tasks let go.
const ROUND: Duration = Duration::from_millis(2);
/// Rounds for which the tasks of holds that were ended are waited for. Before they have let go it is not known who else has to.
const LETTING_GO: u32 = 50;
/// Rounds without anything to end after which the sidecar refuses new work instead.
const VAIN_ROUNDS: u32 = 50;

static HIGHEST: AtomicUsize = AtomicUsize::new(LIMIT);

thread_local! {
    static STATE: State = State::default();
}

#[derive(Default)]
struct State {
    next: Cell<u64>,
    holds: RefCell<BTreeMap<u64, Entry>>,
    /// Who waits to read.
    parked: RefCell<Vec<Waker>>,
    pressed: Rc<Notify>,
    /// Somebody ends holds when memory is short.
    kept: Cell<bool>,
    /// Nothing was left to end.
    exhausted: Cell<bool>,
}

/// Changes the limit.
pub fn set_limit(bytes: usize) {
    HIGHEST.store(bytes, Relaxed);
}

/// The limit.
pub fn limit() -> usize {
    HIGHEST.load(Relaxed)
}

/// From here on holds are ended.
fn short() -> usize {
    let limit = limit();
    limit - limit / 6
}

/// Whether so much is in use that what stands still is noted.
#[inline]
pub fn is_watched() -> bool {
    sys::heap() >= limit() / 4
}

/// Whether so much is in use that nothing is kept only in case that it may be of use.
#[inline]
pub fn is_tight() -> bool {
    sys::heap() >= limit() / 2
}

/// Why new work is refused, if it is.
#[inline]
pub fn refusal() -> Option<Reply> {
    if sys::heap() < short() { None } else { refusal_when_short() }
}

#[cold]
fn refusal_when_short() -> Option<Reply> {
    STATE.with(|state| {
        state.pressed.notify_one();
        state.exhausted.get().then(|| {
            let message = format!(
                "the sidecar holds {} MB for its connections, as much as it may; try again later",
                sys::heap() >> 20
            );
            Reply::new(503, errors::OUT_OF_MEMORY, message)
        })
    })
}

/// Ready when there is room to read more into; until then the task is woken for it.
#[inline]
pub fn poll_room(context: &mut Context<'_>) -> Poll<()> {
    if sys::heap() < short() {
        Poll::Ready(())
    } else {
        poll_room_when_short(context)
    }
}

#[cold]
fn poll_room_when_short(context: &mut Context<'_>) -> Poll<()> {
    STATE.with(|state| {
        state.pressed.notify_one();
        if sys::heap() < limit() || !state.kept.get() || state.exhausted.get() {
            return Poll::Ready(());
        }
        state.parked.borrow_mut().push(context.waker().clone());
        Poll::Pending
    })
}

/// For whom memory is held: one client's connection. Whoever holds most has to let go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account(u64);

impl Account {
    /// One of its own.
    pub fn new() -> Account {
        Account(number())
    }
}

impl Default for Account {
    fn default() -> Account {
        Account::new()
    }
}

fn number() -> u64 {
    STATE.with(|state| {
        state.next.set(state.next.get() + 1);
        state.next.get()
    })
}

/// How much something that stands still keeps, beside [`LEAST`].
pub enum Cost {
    /// So many bytes.
    Bytes(usize),
    /// What came of a stream of HTTP/2 and was not passed on, now or later.
    Window(FlowControl),
}

impl Cost {
    fn bytes(&self) -> usize {
        let kept = match self {
            Cost::Bytes(bytes) => *bytes,
            Cost::Window(window) => window.used_capacity(),
        };
        LEAST + kept
    }
}

struct Entry {
    account: Account,
    since: Instant,
    cost: Cost,
    lost: Rc<Lost>,
}

#[derive(Default)]
struct Lost {
    is_lost: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Lost {
    fn lose(&self) {
        self.is_lost.set(true);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

/// Something that stands still and keeps memory meanwhile. When memory is short it may be ended.
pub struct Hold {
    number: u64,
    lost: Rc<Lost>,
}

impl Hold {
    /// Notes that something stands still, until it is dropped.
    pub fn new(account: Account, cost: Cost) -> Hold {
        let lost = Rc::new(Lost::default());
        let entry = Entry {
            account,
            since: Instant::now(),
            cost,
            lost: lost.clone(),
        };
        let number = number();
        STATE.with(|state| state.holds.borrow_mut().insert(number, entry));
        Hold { number, lost }
    }

    /// Whether it has to end.
    pub fn is_lost(&self) -> bool {
        self.lost.is_lost.get()
    }

    /// Ready when it has to end; until then the task is woken for it.
    pub fn poll_lost(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_lost() {
            return Poll::Ready(());
        }
        let mut waiting = self.lost.waiting.borrow_mut();
        if !waiting.as_ref().is_some_and(|waiting| waiting.will_wake(context.waker())) {
            *waiting = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Resolves when it has to end.
    pub async fn lost(&self) {
        poll_fn(|context| self.poll_lost(context)).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // At the end of a thread the table may be gone already.
        let entry = STATE.try_with(|state| state.holds.borrow_mut().remove(&self.number));
        drop(entry);
    }
}

/// Runs a future that may have to wait, during which `cost` is held. None when it has to end.
pub async fn holding<F: Future>(account: Account, cost: impl FnOnce() -> Cost, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let (mut cost, mut hold) = (Some(cost), None);
    poll_fn(|context| {
        if let Poll::Ready(done) = future.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        if let Some(cost) = cost.take() {
            hold = Some(Hold::new(account, cost()));
        }
        hold.as_ref().map_or(Poll::Pending, |hold| hold.poll_lost(context)).map(|()| None)
    })
    .await
}

/// A connection for a protocol that keeps what it cannot send. When its other side reads nothing while memory is short, the connection ends.
pub struct Careful<S> {
    io: S,
    account: Account,
    hold: Option<Hold>,
}

impl<S> Careful<S> {
    /// A connection of which nothing waits.
    pub fn new(io: S, account: Account) -> Careful<S> {
        Careful { io, account, hold: None }
    }

    fn wrote(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.hold.is_some() {
                self.hold = None;
            }
            return written;
        }
        self.stuck(context)
    }

    #[cold]
    fn stuck(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.hold.is_none() && is_watched() {
            self.hold = Some(Hold::new(self.account, Cost::Bytes(DEAF)));
        }
        match &self.hold {
            Some(hold) => hold.poll_lost(context).map(|()| Err(out_of_memory())),
            None => Poll::Pending,
        }
    }
}

/// How a connection fails that has to end because memory is short.
pub fn out_of_memory() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, errors::OUT_OF_MEMORY)
}

impl<S: AsyncRead + Unpin> AsyncRead for Careful<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(poll_room(context));
        if self.hold.as_ref().is_some_and(Hold::is_lost) {
            return Poll::Ready(Err(out_of_memory()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Careful<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Ends holds while memory is short, and wakes those who wait to read. `told` hears how many were ended; 0 when none was left although memory is short.
pub async fn keep(told: impl Fn(usize)) {
    let pressed = STATE.with(|state| {
        state.kept.set(true);
        state.pressed.clone()
    });
    let mut vain = 0;
    loop {
        if sys::heap() < short() {
            vain = 0;
            STATE.with(|state| state.exhausted.set(false));
            unpark();
            pressed.notified().await;
            continue;
        }
        // Very many connections that carry nothing go before what somebody waits for, and others after it. The heap may differ now: other threads use it, too.
        let much = limit() / 2;
        let mut ended = open::end_spare(much);
        if ended == 0 {
            let holds = relieve(sys::heap().saturating_sub(short()) + limit() / 12);
            ended = holds.len();
            let mut rounds = 1;
            while rounds < LETTING_GO && holds.iter().any(|lost| Rc::strong_count(lost) > 1) {
                pause().await;
                rounds += 1;
            }
        }
        if ended == 0 {
            ended = open::end_any(much);
        }
        vain = if ended > 0 { 0 } else { vain + 1 };
        if vain == VAIN_ROUNDS {
            STATE.with(|state| state.exhausted.set(true));
        }
        if ended > 0 || vain == VAIN_ROUNDS {
            told(ended);
        }
        pause().await;
        if vain >= VAIN_ROUNDS {
            unpark();
        }
    }
}

/// Lets a round pass, after which there may be room for those who wait to read.
async fn pause() {
    tokio::time::sleep(ROUND).await;
    if sys::heap() < limit() {
        unpark();
    }
}

fn unpark() {
    let parked = STATE.with(|state| state.parked.take());
    parked.into_iter().for_each(Waker::wake);
}

/// Ends holds that keep `wanted` bytes together, if there are such, and returns them: first those of whoever holds most, to within a factor of two, and of these
/// the oldest.
fn relieve(wanted: usize) -> Vec<Rc<Lost>> {
    let now = Instant::now();
    let ended: Vec<Entry> = STATE.with(|state| {
        let mut holds = state.holds.borrow_mut();
        let costs: Vec<_> = holds.iter().map(|(number, hold)| (*number, hold.cost.bytes())).collect();
        let mut totals = HashMap::<Account, usize>::new();
        for (hold, (_, cost)) in holds.values().zip(&costs) {
            *totals.entry(hold.account).or_default() += cost;
        }
        let mut order: Vec<_> = holds
            .values()
            .zip(costs)
            .map(|(hold, (number, cost))| {
                let total = totals.get(&hold.account).copied().unwrap_or(1);
                (now - hold.since < MOMENT, Reverse(total.ilog2()), number, cost)
            })
            .collect();
        order.sort_unstable();
        let mut freed = 0;
        let chosen = order.into_iter().take_while(|(.., cost)| {
            let more = freed < wanted;
            freed += cost;
            more
        });
        chosen.filter_map(|(_, _, number, _)| holds.remove(&number)).collect()
    });
    let ended: Vec<_> = ended.into_iter().map(|entry| entry.lost).collect();
    ended.iter().for_each(|lost| lost.lose());
    ended
}

/// Gives memory back to the kernel that is free and still counted as the process's; seldom, and when it is much.
#[derive(Default)]
pub struct Tidy {
    /// What could not be given back the last time.
    left: Cell<usize>,
}

impl Tidy {
    /// Free memory that is not worth the work, bytes.
    const LITTLE: usize = 1024 * 1024;

    /// Looks whether there is much, and gives it back.
    pub fn up(&self) {
        let free = || sys::anonymous().saturating_sub(sys::heap());
        if free() > Self::LITTLE.max(self.left.get() + Self::LITTLE / 4) {
            sys::trim_heap();
            self.left.set(free());
        }
    }
}
