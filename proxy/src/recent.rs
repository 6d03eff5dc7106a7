//! What went wrong lately, for those who ask why.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::log::log;
use crate::proto::HeldError;

/// Distinct errors that are kept.
const MAX_KEPT: usize = 32;
/// Bytes of a message.
const MAX_MESSAGE: usize = 256;

/// The latest errors, told apart by code and other end; the newest last.
#[derive(Debug, Default)]
pub struct Recent(RefCell<VecDeque<Happened>>);

/// Something that went wrong.
#[derive(Debug)]
struct Happened {
    code: &'static str,
    message: String,
    peer: String,
    count: u64,
    last: SystemTime,
}

impl Recent {
    /// Keeps an error and writes it to the log. `peer` is the other end as in the contract; empty when there is none.
    pub fn log(&self, code: &'static str, peer: &str, message: impl Display) {
        log!("{message} ({code})");
        self.keep(code, peer, message);
    }

    /// Keeps an error that may be too frequent for the log.
    pub fn keep(&self, code: &'static str, peer: &str, message: impl Display) {
        let mut kept = self.0.borrow_mut();
        let before = kept
            .iter()
            .position(|known| known.code == code && known.peer == peer)
            .and_then(|known| kept.remove(known));
        if kept.len() == MAX_KEPT {
            kept.pop_front();
        }
        let mut message = message.to_string();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        kept.push_back(Happened {
            code,
            message,
            peer: peer.to_owned(),
            count: before.map_or(0, |before| before.count) + 1,
            last: SystemTime::now(),
        });
    }

    /// As in the contract.
    pub fn to_proto(&self) -> Vec<HeldError> {
        let kept = self.0.borrow();
        kept.iter()
            .map(|happened| HeldError {
                code: happened.code.into(),
                message: happened.message.clone(),
                peer: happened.peer.clone(),
                count: happened.count,
                last_ms: milliseconds(happened.last),
            })
            .collect()
    }
}

/// As the contract counts time: milliseconds since 1970.
pub fn milliseconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(recent: &Recent) -> Vec<(String, String, u64)> {
        let errors = recent.to_proto().into_iter();
        errors.map(|error| (error.peer, error.message, error.count)).collect()
    }

    #[test]
    fn the_same_error_is_kept_once_and_counted_and_the_newest_is_last() {
        let recent = Recent::default();
        recent.keep("WEFT-P-A", "users.default", "first");
        recent.keep("WEFT-P-A", "web.default", "other");
        recent.keep("WEFT-P-A", "users.default", "second");
        assert_eq!(
            kept(&recent),
            [
                ("web.default".into(), "other".into(), 1),
                ("users.default".into(), "second".into(), 2)
            ]
        );
    }

    #[test]
    fn so_many_are_kept_and_their_messages_are_short() {
        let recent = Recent::default();
        for peer in 0..MAX_KEPT + 5 {
            recent.keep("WEFT-P-A", &peer.to_string(), "ä".repeat(MAX_MESSAGE));
        }
        let kept = kept(&recent);
        assert_eq!((kept.len(), kept[0].0.as_str()), (MAX_KEPT, "5"));
        assert!(kept.iter().all(|(_, message, _)| message.len() <= MAX_MESSAGE));
    }
}
