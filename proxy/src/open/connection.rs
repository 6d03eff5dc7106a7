//! One connection that others opened, and what is known of it. What carries its bytes and requests only sets cells.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::NOW;
use crate::metrics::Protocol;

/// Connections that come from one side: through one listener, or from one peer.
#[derive(Debug)]
pub struct Group {
    pub(super) name: String,
    pub(super) open: Cell<usize>,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Connection {
    pub(super) group: RefCell<Rc<Group>>,
    pub(super) place: Cell<usize>,
    pub(super) task: OnceCell<AbortHandle>,
    /// Once it is known.
    pub(super) carries: Cell<Option<Protocol>>,
    /// Requests under way.
    pub(super) requests: Cell<u32>,
    /// The client began something and has to go on, or does not take what it asked for.
    pub(super) awaited: Cell<bool>,
    pub(super) spoke: Cell<bool>,
    pub(super) half_closed: Cell<bool>,
    /// The last time that bytes went through, by `NOW`.
    pub(super) active: Cell<u64>,
    pub(super) going: Cell<Going>,
    /// Who is told when it is asked to end.
    pub(super) waiting: RefCell<Option<Waker>>,
}

/// Whether a connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Going {
    #[default]
    Stays,
    /// It was asked to: what is idle ends at once, what carries requests after those under way.
    Asked,
    /// At once; it carries nothing.
    Closed,
    /// At once, with whatever it carries.
    Cut,
}

impl Connection {
    pub(super) fn new(group: Rc<Group>, place: usize) -> Connection {
        Connection {
            group: RefCell::new(group),
            place: Cell::new(place),
            task: OnceCell::new(),
            carries: Cell::default(),
            requests: Cell::default(),
            awaited: Cell::default(),
            spoke: Cell::default(),
            half_closed: Cell::default(),
            active: Cell::new(NOW.get()),
            going: Cell::default(),
            waiting: RefCell::default(),
        }
    }

    /// Bytes came from the client or went to it.
    pub fn moved(&self) {
        self.active.set(NOW.get());
        self.spoke.set(true);
    }

    /// One side has ended.
    pub fn half_closed(&self) {
        self.half_closed.set(true);
    }

    /// Says what it carries.
    pub fn carries(&self, what: Protocol) {
        self.carries.set(Some(what));
    }

    /// A request began.
    pub fn request_began(&self) {
        self.requests.set(self.requests.get() + 1);
        self.awaited.set(false);
    }

    /// A request ended.
    pub fn request_ended(&self) {
        self.requests.set(self.requests.get().saturating_sub(1));
        self.awaited.set(false);
    }

    /// Whether it is the client that has to go on: with its request, or with taking the answer.
    pub fn awaits_client(&self, awaited: bool) {
        self.awaited.set(awaited);
    }

    /// Whether it was asked to end.
    pub fn is_ending(&self) -> bool {
        self.going.get() != Going::Stays
    }

    /// Resolves when it is asked to end, or with `other`. One task waits for it.
    pub async fn ending_or(&self, other: impl Future<Output = ()>) {
        let mut other = pin!(other);
        poll_fn(|context| {
            if self.is_ending() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waiting = Some(context.waker().clone());
            }
            drop(waiting);
            other.as_mut().poll(context)
        })
        .await;
    }

    /// Whether it ends in the middle of what it carries.
    pub fn is_cut(&self) -> bool {
        self.going.get() == Going::Cut
    }

    /// From now on it belongs to this group: its peer is known.
    pub fn join(&self, group: Rc<Group>) {
        if self.is_ending() {
            self.group.replace(group);
            return;
        }
        group.open.set(group.open.get() + 1);
        let before = self.group.replace(group);
        before.open.set(before.open.get() - 1);
    }

    /// How long nothing went through.
    pub(super) fn quiet(&self) -> Duration {
        Duration::from_millis(NOW.get().saturating_sub(self.active.get()))
    }

    /// Between two requests.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.carries.get(), Some(Protocol::Http1 | Protocol::Http2)) && self.requests.get() == 0 && !self.awaited.get()
    }
}
