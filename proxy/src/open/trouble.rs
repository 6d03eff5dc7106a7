//! What is told when room runs short: once in a while, whatever an attack does.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::time::Instant;

use super::room::room;
use crate::errors;
use crate::sidecar::Sidecar;

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(10);

/// What happened since the last report.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    told: Option<Instant>,
    /// Connections that ended to make room.
    pub ended: u64,
    /// Connections that were turned away.
    pub turned_away: u64,
    /// Sockets that could not be had.
    pub starved: u64,
    /// Why the last of them could not.
    pub reason: String,
}

/// Tells the log, those who ask why, and the controller.
pub(super) fn tell(trouble: &RefCell<Trouble>, sidecar: &Sidecar) {
    let mut trouble = trouble.borrow_mut();
    let nothing = trouble.ended + trouble.turned_away + trouble.starved == 0;
    if nothing || trouble.told.is_some_and(|told| told.elapsed() < INTERVAL) {
        return;
    }
    let happened = std::mem::replace(
        &mut *trouble,
        Trouble {
            told: Some(Instant::now()),
            ..Trouble::default()
        },
    );
    drop(trouble);
    let tell = |code, message: String| {
        sidecar.recent.log(code, "", &message);
        sidecar.metrics.refused(code, IpAddr::V4(Ipv4Addr::LOCALHOST), message);
    };
    if happened.ended + happened.turned_away > 0 {
        let (ended, turned_away, most) = (happened.ended, happened.turned_away, room().connections);
        tell(
            errors::TOO_MANY_CONNECTIONS,
            format!(
                "of more than {most} connections, or of one caller's share, the {ended} idlest were ended and {turned_away} turned away"
            ),
        );
    }
    if happened.starved > 0 {
        let (count, reason) = (happened.starved, happened.reason);
        tell(
            errors::OUT_OF_DESCRIPTORS,
            format!("{count} sockets could not be had; the last: {reason}"),
        );
    }
}
