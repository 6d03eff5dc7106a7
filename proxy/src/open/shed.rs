//! Which connections end when there are too many.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::room::room;
use super::{Connection, Group, Registry};
use crate::metrics::Protocol;

/// A connection that did something within this time does not end for another one.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same for one that waits for an answer, or carries bytes of which nobody knows what they wait for.
const WORKING_PATIENCE: Duration = Duration::from_millis(250);
/// By then whoever has something to say has begun, also on a busy machine.
const SILENCE: Duration = Duration::from_secs(1);
/// Of so many connections one ends beyond what is needed, so that they are not gone through again for each that comes.
const AT_ONCE: usize = 32;

/// Bytes that a connection takes while nothing waits on it, with TLS and what it needs onwards. HTTP/2 keeps its buffers.
fn cost(connection: &Connection) -> usize {
    1024 * match connection.carries.get() {
        Some(Protocol::Http2) => 32,
        Some(Protocol::Http1) => 12,
        Some(Protocol::Tcp) | None => 16,
    }
}

/// How little would be lost with a connection: its quiet milliseconds, times more the less it is in the middle of something. None when it is too active to end.
fn idleness(connection: &Connection) -> Option<u64> {
    let quiet = connection.quiet();
    let (patience, weight) = if !connection.spoke.get() {
        // Nothing of it is known, not even that there is somebody.
        (Duration::ZERO, if quiet < SILENCE { 1 } else { 64 })
    } else if connection.awaited.get() {
        (PATIENCE, 16)
    } else if connection.carries.get().is_none() {
        (PATIENCE, 8)
    } else if connection.is_idle() {
        (PATIENCE, 4)
    } else {
        (WORKING_PATIENCE, 1)
    };
    (quiet >= patience && !connection.is_ending()).then_some((quiet.as_millis() as u64 + 1) * weight)
}

impl Registry {
    /// Whether there is room for another connection of `group`, after the idlest ended if it must be.
    pub(super) fn make_room(&self, group: &Rc<Group>) -> bool {
        let room = room();
        if group.open.get() >= room.group {
            return self.end_idlest(group);
        }
        if self.staying.get() < room.connections {
            return true;
        }
        self.shed()
    }

    /// Ends some connections of whoever has most.
    pub(super) fn shed(&self) -> bool {
        let largest = self.groups.borrow().iter().max_by_key(|group| group.open.get()).cloned();
        largest.is_some_and(|largest| self.end_idlest(&largest))
    }

    /// Ends some of the idlest of those connections that `may_end`, of whoever has most of them, if they may take as much as `bytes` together. Says how many.
    pub(super) fn lighten(&self, bytes: usize, may_end: impl Fn(&Connection) -> bool) -> usize {
        let mut costs = HashMap::<*const Group, (usize, Rc<Group>)>::new();
        for connection in self.connections.borrow().iter().filter(|connection| may_end(connection)) {
            let group = connection.group.borrow();
            costs.entry(Rc::as_ptr(&group)).or_insert_with(|| (0, group.clone())).0 += cost(connection);
        }
        let all: usize = costs.values().map(|(cost, _)| cost).sum();
        let most = costs.into_values().max_by_key(|(cost, _)| *cost).filter(|_| all >= bytes);
        most.map_or(0, |(_, group)| self.cut_idlest(&group, may_end))
    }

    /// Ends the idlest connections of a group, some at once. False when each does something.
    fn end_idlest(&self, group: &Rc<Group>) -> bool {
        let count = self.cut_idlest(group, |_| true);
        self.trouble.borrow_mut().ended += count as u64;
        count > 0
    }

    fn cut_idlest(&self, group: &Rc<Group>, may_end: impl Fn(&Connection) -> bool) -> usize {
        let connections = self.connections.borrow();
        let of_group = |connection: &&Rc<Connection>| Rc::ptr_eq(&connection.group.borrow(), group);
        let mut idle: Vec<(u64, &Rc<Connection>)> = connections
            .iter()
            .filter(of_group)
            .filter(|connection| may_end(connection))
            .filter_map(|connection| Some((idleness(connection)?, connection)))
            .collect();
        if idle.is_empty() {
            return 0;
        }
        let count = (idle.len() / AT_ONCE).max(1);
        idle.select_nth_unstable_by_key(count - 1, |(idleness, _)| Reverse(*idleness));
        // Nobody is asked: who does not answer would hold the room for longer than there is time.
        idle[..count].iter().for_each(|(_, connection)| self.cut(connection));
        count
    }
}
