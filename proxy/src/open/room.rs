//! How much there is room for, by the limit of open descriptors.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// Connections that are taken in at most, however many descriptors there may be: each takes memory, too.
const MOST: usize = 8_192;
/// Of all descriptors a quarter, within these bounds, is for the sidecar's own sockets: listeners, the controller, DNS.
const RESERVE: (usize, usize) = (48, 320);

/// What the limit of open descriptors allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Descriptors from this number on are for the sidecar's own sockets. The kernel gives the lowest free number, so this says how many are open.
    pub descriptors: usize,
    /// Connections that are taken in. Each may need another one onwards.
    pub connections: usize,
    /// Those of one group.
    pub group: usize,
    /// From this number on a connection that was accepted is not kept, even while others end for it.
    pub accepted: usize,
}

impl Room {
    /// With so many descriptors.
    pub fn of(limit: usize) -> Room {
        let reserve = (limit / 4).clamp(RESERVE.0, RESERVE.1);
        let descriptors = limit.saturating_sub(reserve);
        let connections = (descriptors / 2).clamp(1, MOST);
        Room {
            descriptors,
            connections,
            group: (connections * 3 / 4).max(1),
            accepted: descriptors.saturating_add(reserve / 4),
        }
    }
}

thread_local! {
    static ROOM: Cell<Room> = Cell::new(Room::of(
        getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX)),
    ));
}

pub(super) fn room() -> Room {
    ROOM.get()
}

/// Pretends that the limit is so high.
#[cfg(test)]
pub(super) fn limit(descriptors: usize) {
    ROOM.set(Room::of(descriptors));
}

/// There is no room for another connection: the rest of the descriptors is for the sidecar's own sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfDescriptors;

impl fmt::Display for OutOfDescriptors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "this sidecar has too many connections open for its limit of open files ({})",
            crate::errors::OUT_OF_DESCRIPTORS
        )
    }
}

impl std::error::Error for OutOfDescriptors {}

/// Whether an error says that this machine or process has no socket to give, and nothing of whoever was to be reached.
pub fn is_shortage(error: &io::Error) -> bool {
    const SHORTAGES: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    match error.raw_os_error() {
        Some(number) => SHORTAGES.contains(&Errno::from_raw(number)),
        None => error.get_ref().is_some_and(|inner| inner.is::<OutOfDescriptors>()),
    }
}

/// A socket that was just made, for a connection onwards. When there is no room for it, some of the idlest connections end.
pub fn made<S: AsRawFd>(socket: io::Result<S>) -> io::Result<S> {
    let socket = socket.inspect_err(|error| super::starved(error.to_string()))?;
    if (socket.as_raw_fd() as usize) < ROOM.get().descriptors {
        return Ok(socket);
    }
    super::starved(OutOfDescriptors.to_string());
    Err(io::Error::other(OutOfDescriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_for_the_sidecars_own_sockets_whatever_the_limit() {
        let cases = [
            (128, 80, 40),
            (1_024, 768, 384),
            (20_000, 19_680, MOST),
            (usize::MAX, usize::MAX - RESERVE.1, MOST),
        ];
        for (limit, descriptors, connections) in cases {
            let room = Room::of(limit);
            assert_eq!((room.descriptors, room.connections), (descriptors, connections), "of {limit}");
            assert_eq!(room.group, connections * 3 / 4);
        }
        assert_eq!(Room::of(20).connections, 1);
    }

    #[test]
    fn a_socket_beyond_the_room_is_not_used_and_nobody_else_is_blamed_for_it() {
        limit(128);
        let error = made(Ok(81)).unwrap_err();
        assert!(
            is_shortage(&error) && error.to_string().contains("WEFT-P-OUT-OF-DESCRIPTORS"),
            "{error}"
        );
        assert_eq!(made(Ok(79)).unwrap(), 79);
        let error = made::<i32>(Err(Errno::EMFILE.into())).unwrap_err();
        assert!(is_shortage(&error));
        for other in [Errno::ECONNREFUSED, Errno::ETIMEDOUT] {
            assert!(!is_shortage(&other.into()));
        }
        assert!(!is_shortage(&io::Error::other("the sidecar ends")));
    }
}
