//! The start of a request's body, kept until the server has taken notice of the request, so that it can be sent again when it has not.

use std::cell::Cell;

use bytes::Bytes;
use http::HeaderMap;

use super::carry::Piece;

/// Bytes kept of one body; a longer one cannot be sent again.
const LIMIT: usize = 64 * 1024;
/// Bytes kept of all bodies of a thread.
const TOTAL_LIMIT: usize = 8 * 1024 * 1024;

thread_local! {
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

/// What was read of a body so far, if it is little.
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// How the body ended, once it has: perhaps with trailers.
    end: Option<Option<HeaderMap>>,
    whole: bool,
}

impl Kept {
    /// Nothing was read yet.
    pub(super) const fn new() -> Kept {
        Kept {
            bytes: Vec::new(),
            end: None,
            whole: true,
        }
    }

    /// Whether all that was read is here, so that the body can be sent from its start.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Remembers what was read next.
    pub(super) fn add(&mut self, piece: &Piece) {
        if !self.whole {
            return;
        }
        match piece {
            Piece::Data(data, last) => {
                let total = TOTAL.get() + data.len();
                if self.bytes.len() + data.len() > LIMIT || total > TOTAL_LIMIT {
                    return self.forget();
                }
                TOTAL.set(total);
                self.bytes.extend_from_slice(data);
                if *last {
                    self.end = Some(None);
                }
            }
            Piece::Trailers(trailers) => self.end = Some(Some(trailers.clone())),
            Piece::End => self.end = Some(None),
        }
    }

    /// Gives up sending the body again.
    pub(super) fn forget(&mut self) {
        self.whole = false;
        TOTAL.set(TOTAL.get() - self.bytes.len());
        (self.bytes, self.end) = (Vec::new(), None);
    }

    /// What was read so far, to be sent again, and whether it is all of the body.
    pub(super) fn pieces(&self) -> (Vec<Piece>, bool) {
        let mut pieces = Vec::new();
        if !self.bytes.is_empty() {
            pieces.push(Piece::Data(Bytes::copy_from_slice(&self.bytes), matches!(self.end, Some(None))));
        }
        match &self.end {
            Some(Some(trailers)) => pieces.push(Piece::Trailers(trailers.clone())),
            Some(None) if self.bytes.is_empty() => pieces.push(Piece::End),
            _ => {}
        }
        (pieces, self.end.is_some())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(length: usize, last: bool) -> Piece {
        Piece::Data(vec![7; length].into(), last)
    }

    #[test]
    fn a_body_is_sent_again_as_it_ended() {
        let mut kept = Kept::new();
        assert!(matches!(kept.pieces(), (pieces, false) if pieces.is_empty()));
        kept.add(&data(3, false));
        kept.add(&data(4, false));
        assert!(matches!(kept.pieces().0.as_slice(), [Piece::Data(bytes, false)] if bytes.len() == 7));
        kept.add(&Piece::Trailers(HeaderMap::new()));
        assert!(matches!(kept.pieces(), (pieces, true) if matches!(pieces[..], [Piece::Data(_, false), Piece::Trailers(_)])));
        let mut kept = Kept::new();
        kept.add(&data(3, true));
        assert!(matches!(kept.pieces(), (pieces, true) if matches!(pieces[..], [Piece::Data(_, true)])));
        let mut kept = Kept::new();
        kept.add(&Piece::End);
        assert!(matches!(kept.pieces(), (pieces, true) if matches!(pieces[..], [Piece::End])));
    }

    #[test]
    fn neither_one_long_body_nor_many_short_ones_are_kept() {
        let mut kept = Kept::new();
        kept.add(&data(LIMIT, false));
        assert!(kept.is_whole());
        kept.add(&data(1, false));
        assert!(!kept.is_whole());
        let many: Vec<Kept> = (0..TOTAL_LIMIT / LIMIT + 1)
            .map(|_| {
                let mut kept = Kept::new();
                kept.add(&data(LIMIT, false));
                kept
            })
            .collect();
        assert_eq!(many.iter().filter(|kept| !kept.is_whole()).count(), 1);
        drop(many);
        assert_eq!(TOTAL.get(), 0);
    }
}
