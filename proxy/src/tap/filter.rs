//! What a tap wants. Pure.

use crate::http::RequestView;
use crate::metrics::{Direction, Labels};
use crate::proto::{self, TapStart};

/// The highest status where none is named.
const HIGHEST_STATUS: u32 = 999;

/// Whether traffic of a direction is wanted.
pub fn direction(wanted: &TapStart, direction: Direction) -> bool {
    wanted.direction() == proto::Direction::Unspecified || wanted.direction() == direction.to_proto()
}

/// Whether opaque connections can be wanted: they have nothing but two ends.
pub fn connections(wanted: &TapStart) -> bool {
    wanted.method.is_empty() && wanted.path_prefix.is_empty() && wanted.fields.is_empty()
}

/// Whether a request can be wanted for its head.
pub fn head(wanted: &TapStart, head: &impl RequestView) -> bool {
    (wanted.method.is_empty() || wanted.method == head.method())
        && head.path().starts_with(&wanted.path_prefix)
        && wanted.fields.iter().all(|field| has_field(field, head))
}

fn has_field(wanted: &proto::FieldMatch, head: &impl RequestView) -> bool {
    head.fields().any(|(name, value)| {
        name.eq_ignore_ascii_case(wanted.name.as_bytes()) && wanted.value.as_ref().is_none_or(|wanted| wanted.as_bytes() == value)
    })
}

/// Whether it is wanted for how it ended, and with whom.
pub fn end(wanted: &TapStart, labels: &Labels, status: u16) -> bool {
    let highest = match wanted.max_status {
        0 => HIGHEST_STATUS,
        status => status,
    };
    (wanted.peers.is_empty() || wanted.peers.contains(&labels.peer)) && (wanted.min_status..=highest).contains(&status.into())
}
