//! The connections that others opened to this sidecar: who holds how many, what each does and when it did something last. When room runs short the idlest
//! end, so that somebody who holds many open keeps nobody else out; what says nothing or waits for nobody ends after a while anyway.
//!
//! What carries a request only sets cells here. Everything else happens when a connection begins or ends, and once a second.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

mod connection;
mod room;
mod shed;
mod trouble;

use crate::metrics::Protocol;
use crate::sidecar::Sidecar;
use connection::Going;
use room::room;
use trouble::Trouble;

pub use connection::{Connection, Group};
pub use room::{OutOfDescriptors, is_shortage, made};

/// The longest that is waited for a connection that was asked to end.
const ENDING_LIMIT: Duration = Duration::from_secs(10);
/// For the first byte in either direction.
const SILENT_LIMIT: Duration = Duration::from_secs(300);
/// For the next request of an HTTP/2 connection. (HTTP/1 has its own, `http1::LIMITS`.)
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// For the next byte, once one side of a connection has ended.
const HALF_CLOSED_LIMIT: Duration = Duration::from_secs(1_800);
/// Time between two looks at all connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    /// Milliseconds since this thread's first connection, as of the last one that began or the last sweep: close enough, and free.
    static NOW: Cell<u64> = const { Cell::new(0) };
    static REGISTRY: Registry = Registry::new();
}

/// All connections of this thread, which is all of this sidecar.
struct Registry {
    started: Instant,
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Those of them that were not told to go.
    staying: Cell<usize>,
    groups: RefCell<Vec<Rc<Group>>>,
    trouble: RefCell<Trouble>,
}

impl Registry {
    fn new() -> Registry {
        Registry {
            started: Instant::now(),
            connections: RefCell::default(),
            staying: Cell::default(),
            groups: RefCell::default(),
            trouble: RefCell::default(),
        }
    }

    fn tick(&self) {
        NOW.set(self.started.elapsed().as_millis() as u64);
    }

    fn group(&self, name: &str) -> Rc<Group> {
        let mut groups = self.groups.borrow_mut();
        if let Some(known) = groups.iter().find(|group| group.name == name) {
            return known.clone();
        }
        groups.retain(|group| Rc::strong_count(group) > 1);
        let fresh = Rc::new(Group {
            name: name.to_owned(),
            open: Cell::new(0),
        });
        groups.push(fresh.clone());
        fresh
    }

    fn add(&self, group: &Rc<Group>) -> Guard {
        let mut connections = self.connections.borrow_mut();
        group.open.set(group.open.get() + 1);
        self.staying.set(self.staying.get() + 1);
        let connection = Rc::new(Connection::new(group.clone(), connections.len()));
        connections.push(connection.clone());
        Guard(connection)
    }

    fn remove(&self, connection: &Connection) {
        self.count_out(connection);
        let mut connections = self.connections.borrow_mut();
        let place = connection.place.get();
        connections.swap_remove(place);
        if let Some(moved) = connections.get(place) {
            moved.place.set(place);
        }
    }

    /// A connection that goes leaves room at once, though its task has yet to end.
    fn count_out(&self, connection: &Connection) {
        if !connection.is_ending() {
            self.staying.set(self.staying.get() - 1);
            let group = connection.group.borrow();
            group.open.set(group.open.get() - 1);
        }
    }

    /// Asks a connection to end.
    fn end(&self, connection: &Connection) {
        self.count_out(connection);
        connection.going.set(Going::Asked);
        // Its client gets time to notice.
        connection.active.set(NOW.get());
        if let Some(waker) = connection.waiting.take() {
            waker.wake();
        }
    }

    /// Ends a connection at once: in order when it is idle, else so that its end is not taken for one.
    fn cut(&self, connection: &Connection) {
        self.count_out(connection);
        connection.going.set(if connection.is_idle() { Going::Closed } else { Going::Cut });
        if let Some(task) = connection.task.get() {
            task.abort();
        }
    }

    fn sweep_all(&self) {
        self.tick();
        for connection in &*self.connections.borrow() {
            self.sweep(connection);
        }
    }

    /// Ends a connection if what it waits for took too long.
    fn sweep(&self, connection: &Connection) {
        let quiet = connection.quiet();
        let idle = connection.requests.get() == 0;
        match connection.going.get() {
            Going::Closed | Going::Cut => {}
            Going::Asked if idle && quiet > ENDING_LIMIT => self.cut(connection),
            _ if connection.half_closed.get() && quiet > HALF_CLOSED_LIMIT => self.cut(connection),
            Going::Asked => {}
            Going::Stays if !connection.spoke.get() && quiet > SILENT_LIMIT => self.cut(connection),
            Going::Stays if idle && connection.carries.get() == Some(Protocol::Http2) && quiet > IDLE_LIMIT => self.end(connection),
            Going::Stays => {}
        }
    }
}

/// Keeps a connection among the known ones until it is dropped.
#[derive(Debug)]
pub struct Guard(Rc<Connection>);

impl Guard {
    /// The connection.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // At the end of a thread the list may be gone already.
        let _ = REGISTRY.try_with(|registry| registry.remove(&self.0));
    }
}

/// The group of this name.
pub fn group(name: &str) -> Rc<Group> {
    REGISTRY.with(|registry| registry.group(name))
}

/// Takes a new connection in; the idlest of the others end for it if it must be. None when there is no room even so.
pub fn enter(group: &Rc<Group>, socket: &impl AsRawFd) -> Option<Guard> {
    REGISTRY.with(|registry| {
        registry.tick();
        let number = socket.as_raw_fd() as usize;
        if number >= room().descriptors {
            registry.shed();
        }
        let has_room = registry.make_room(group) && number < room().accepted;
        if !has_room {
            registry.trouble.borrow_mut().turned_away += 1;
        }
        has_room.then(|| registry.add(group))
    })
}

/// Names the task that serves a connection, by which it is ended.
pub fn served_by(connection: &Connection, task: AbortHandle) {
    // It is set once, right after the task began.
    let _ = connection.task.set(task);
}

/// Notes that a socket could not be had. Some of the idlest connections end.
pub fn starved(reason: String) {
    REGISTRY.with(|registry| {
        registry.tick();
        registry.shed();
        let mut trouble = registry.trouble.borrow_mut();
        trouble.starved += 1;
        trouble.reason = reason;
    });
}

/// Ends some of the connections that carry nothing, if all of those may take as much as `bytes`, and says how many.
pub fn end_spare(bytes: usize) -> usize {
    REGISTRY.with(|registry| {
        registry.tick();
        registry.lighten(bytes, |connection| connection.is_idle() && !connection.is_ending())
    })
}

/// Ends some of the idlest connections whatever they carry, if all may take as much as `bytes`, and says how many.
pub fn end_any(bytes: usize) -> usize {
    REGISTRY.with(|registry| {
        registry.tick();
        registry.lighten(bytes, |connection| !connection.is_ending())
    })
}

/// Connections that are open.
pub fn open() -> usize {
    REGISTRY.with(|registry| registry.connections.borrow().len())
}

/// Ends what waits too long, and tells of trouble, for as long as the sidecar runs.
pub async fn watch(sidecar: &Sidecar) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        REGISTRY.with(|registry| {
            registry.sweep_all();
            trouble::tell(&registry.trouble, sidecar);
        });
    }
}

#[cfg(test)]
mod tests;
