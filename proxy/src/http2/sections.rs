//! Finds the field sections among the frames of one direction of a connection, as h2 reads them.

use super::frames::{self, CONTINUATION, Frames, HEADERS, PUSH_PROMISE, Piece};
use super::hpack::{Fields, Malformed, Said};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// A head or trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The stream's identifier.
    pub stream: u32,
    /// Whether the stream ends with it.
    pub ends_stream: bool,
    /// What its fields say.
    pub said: Said,
}

/// The sections of one direction of a connection.
#[derive(Debug, Default)]
pub struct Sections {
    frames: Frames,
    fields: Fields,
    /// The section that is being read.
    open: Option<Open>,
    /// What comes before the fields in a frame, and how much of it.
    lead: [u8; 6],
    lead_have: usize,
    lead_length: usize,
    padding: usize,
    is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    stream: u32,
    ends_stream: bool,
}

impl Sections {
    /// Those that follow so many bytes that are no frames.
    pub fn after(bytes: usize) -> Sections {
        Sections {
            frames: Frames::after(bytes),
            ..Sections::default()
        }
    }

    /// Reads what came next, and tells of each section that ends in it.
    #[inline]
    pub fn read(&mut self, mut bytes: &[u8], mut told: impl FnMut(Section)) {
        while !bytes.is_empty() {
            let section = match self.at_once(&mut bytes) {
                Some(section) => section,
                None => match self.frames.next(&mut bytes) {
                    Some(piece) => self.piece(piece),
                    None => return,
                },
            };
            match section {
                Ok(Some(section)) => told(section),
                Ok(None) => {}
                Err(Malformed) => self.is_lost = true,
            }
        }
    }

    /// Whether a frame came that h2 ends the connection for, and all of it. Nothing is known of what follows.
    pub fn is_lost(&self) -> bool {
        self.is_lost && self.frames.is_between()
    }

    /// Reads a frame that came whole and is a section, or no part of one. None when the next frame is another.
    #[inline]
    fn at_once(&mut self, bytes: &mut &[u8]) -> Option<Result<Option<Section>, Malformed>> {
        if self.is_lost || self.open.is_some() {
            return None;
        }
        let mut rest = *bytes;
        let (head, payload) = self.frames.whole(&mut rest)?;
        let [.., kind, flags, _, _, _, _] = *head;
        match kind {
            HEADERS if flags & (END_HEADERS | PADDED | PRIORITY) == END_HEADERS => {}
            HEADERS | CONTINUATION | PUSH_PROMISE => return None,
            _ => {
                *bytes = rest;
                return Some(Ok(None));
            }
        }
        *bytes = rest;
        let said = self.fields.read(payload).and_then(|()| self.fields.end());
        Some(said.map(|said| {
            Some(Section {
                stream: frames::stream(head),
                ends_stream: flags & END_STREAM != 0,
                said,
            })
        }))
    }

    fn piece(&mut self, piece: Piece<'_>) -> Result<Option<Section>, Malformed> {
        // Within a section nothing else may come.
        let is_section = matches!(piece.kind, HEADERS | CONTINUATION | PUSH_PROMISE);
        if self.is_lost || !is_section && self.open.is_none() {
            return Ok(None);
        }
        if piece.is_first {
            self.begin(&piece)?;
        }
        let Some(open) = self.open else { return Ok(None) };
        let mut bytes = piece.bytes;
        if self.lead_length > 0 {
            let Some(fields) = self.fields_of(&piece, open.stream)? else {
                return Ok(None);
            };
            bytes = fields;
        }
        self.fields.read(bytes)?;
        if piece.left > 0 || piece.flags & END_HEADERS == 0 {
            return Ok(None);
        }
        self.open = None;
        Ok(Some(Section {
            stream: open.stream,
            ends_stream: open.ends_stream,
            said: self.fields.end()?,
        }))
    }

    /// What of a piece is fields, once what comes before them is known.
    #[cold]
    fn fields_of<'a>(&mut self, piece: &Piece<'a>, stream: u32) -> Result<Option<&'a [u8]>, Malformed> {
        let mut bytes = piece.bytes;
        if self.lead_have < self.lead_length {
            let taken = (self.lead_length - self.lead_have).min(bytes.len());
            self.lead[self.lead_have..self.lead_have + taken].copy_from_slice(&bytes[..taken]);
            (self.lead_have, bytes) = (self.lead_have + taken, &bytes[taken..]);
            if self.lead_have < self.lead_length {
                return if piece.left == 0 { Err(Malformed) } else { Ok(None) };
            }
            if self.depends_on_itself(piece.flags, stream) {
                // h2 resets the stream and leaves out its fields, though they change the table.
                self.open = None;
                return Ok(None);
            }
            if piece.flags & PADDED != 0 {
                self.padding = self.lead[0].into();
            }
            if self.padding > bytes.len() + piece.left {
                return Err(Malformed);
            }
        }
        let length = (bytes.len() + piece.left).saturating_sub(self.padding);
        Ok(Some(&bytes[..length.min(bytes.len())]))
    }

    fn begin(&mut self, piece: &Piece<'_>) -> Result<(), Malformed> {
        (self.lead_have, self.lead_length, self.padding) = (0, 0, 0);
        match (piece.kind, self.open) {
            (HEADERS, None) => {
                self.lead_length = usize::from(piece.flags & PADDED != 0) + 5 * usize::from(piece.flags & PRIORITY != 0);
                self.open = Some(Open {
                    stream: piece.stream,
                    ends_stream: piece.flags & END_STREAM != 0,
                });
                Ok(())
            }
            (CONTINUATION, Some(open)) if open.stream == piece.stream => Ok(()),
            _ => Err(Malformed),
        }
    }

    fn depends_on_itself(&self, flags: u8, stream: u32) -> bool {
        let [.., a, b, c, d, _weight] = self.lead[..self.lead_length] else {
            return false;
        };
        flags & PRIORITY != 0 && u32::from_be_bytes([a & 0x7f, b, c, d]) == stream
    }
}

#[cfg(test)]
mod tests;
