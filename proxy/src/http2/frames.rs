//! Where frames begin and end among bytes (RFC 9113, 4.1).

pub(super) const HEAD: usize = 9;

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const CONTINUATION: u8 = 9;

/// The frames of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of a head that did not come whole.
    have: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
}

/// A part of a frame's payload.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Whether the payload begins with this.
    pub(super) is_first: bool,
    pub(super) bytes: &'a [u8],
    /// Bytes of the payload that follow.
    pub(super) left: usize,
}

impl Frames {
    /// Frames after so many bytes that are none.
    pub(super) fn after(bytes: usize) -> Frames {
        Frames {
            left: bytes,
            ..Frames::default()
        }
    }

    /// Takes a whole frame from the front of what came, if there is one: its head and its payload. The way of nearly all.
    #[inline]
    pub(super) fn whole<'a>(&self, bytes: &mut &'a [u8]) -> Option<(&'a [u8; HEAD], &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        if self.left > 0 || self.have > 0 {
            return None;
        }
        let (payload, rest) = rest.split_at_checked(length(head))?;
        *bytes = rest;
        Some((head, payload))
    }

    /// Whether no frame is incomplete whose head has come.
    pub(super) fn is_between(&self) -> bool {
        self.left == 0
    }

    /// Takes the next piece from the front of what came, if there is one. Frames without a payload have one piece, too.
    #[inline]
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if bytes.is_empty() {
            return None;
        }
        let is_first = self.left == 0;
        if is_first {
            if let (0, Some((head, rest))) = (self.have, bytes.split_first_chunk()) {
                (self.head, *bytes) = (*head, rest);
            } else if !self.rest_of_head(bytes) {
                return None;
            }
            self.left = length(&self.head);
        }
        let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
        *bytes = rest;
        self.left -= piece.len();
        let [.., kind, flags, _, _, _, _] = self.head;
        Some(Piece {
            kind,
            flags,
            stream: stream(&self.head),
            is_first,
            bytes: piece,
            left: self.left,
        })
    }

    /// Takes bytes of a head that comes in pieces. True once it is whole.
    #[cold]
    fn rest_of_head(&mut self, bytes: &mut &[u8]) -> bool {
        let taken = (HEAD - self.have).min(bytes.len());
        let (head, rest) = bytes.split_at(taken);
        self.head[self.have..self.have + taken].copy_from_slice(head);
        *bytes = rest;
        self.have = (self.have + taken) % HEAD;
        self.have == 0
    }
}

fn length(head: &[u8; HEAD]) -> usize {
    let [a, b, c, d, ..] = *head;
    (u32::from_be_bytes([a, b, c, d]) >> 8) as usize
}

/// The stream's identifier in a frame's head.
pub(super) fn stream(head: &[u8; HEAD]) -> u32 {
    let [.., a, b, c, d] = *head;
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}
