//! The words of a first line, as far as it matters for whether some server takes it for a request.

/// The words of a first line after its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    /// Two, or three for all that follow a space.
    pub count: u8,
    /// The method and the target's form make a request of HTTP/0.9.
    pub is_request: bool,
    /// A protocol's name and version was seen, such as `RTSP/1.0`.
    pub is_other: bool,
    /// So many capitals make up the present word so far; None when something else is in it.
    capitals: Option<u8>,
    /// Between words.
    is_blank: bool,
}

impl Words {
    /// The target begins.
    pub fn begin(method: &Word, byte: u8) -> Words {
        let words = Words {
            count: 2,
            is_request: byte == b'/' && method.is_method(),
            is_other: false,
            capitals: Some(0),
            is_blank: false,
        };
        words.then(method, b' ', byte)
    }

    /// One more byte.
    pub fn then(mut self, method: &Word, previous: u8, byte: u8) -> Words {
        if is_blank(byte) {
            // Some servers part words by spaces only.
            self.is_blank |= byte == b' ';
            return self;
        }
        if self.is_blank {
            (self.count, self.is_blank, self.capitals) = (3, false, Some(0));
        }
        match byte {
            b'/' if self.capitals >= Some(2) => {
                self.is_other = true;
                self.is_request &= self.count == 2;
            }
            b'/' if previous == b'/' => self.is_request |= self.count == 2 && method.is_method(),
            _ => {}
        }
        let capitals = self.capitals.filter(|_| byte.is_ascii_uppercase());
        self.capitals = capitals.map(|count| count.saturating_add(1));
        self
    }
}

/// As much of a word as is asked of it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Word {
    start: [u8; 6],
    length: u8,
    /// Capitals at its end.
    capitals: u8,
    has_small: bool,
    has_invisible: bool,
}

impl Word {
    pub fn push(&mut self, byte: u8) {
        if let Some(slot) = self.start.get_mut(usize::from(self.length)) {
            *slot = byte;
            self.length += 1;
        }
        self.capitals = if byte.is_ascii_uppercase() {
            self.capitals.saturating_add(1)
        } else {
            0
        };
        self.has_small |= byte.is_ascii_lowercase();
        self.has_invisible |= !byte.is_ascii_graphic();
    }

    /// Whether it is this one, of less than six bytes.
    pub fn is(&self, text: &[u8]) -> bool {
        &self.start[..usize::from(self.length)] == text
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Visible bytes and no small letters: servers that take HTTP/0.9 take such words for methods.
    pub fn is_plain(&self) -> bool {
        !self.has_small && !self.has_invisible
    }

    /// Some server takes it for a method of HTTP/0.9. Among other bytes three capitals in a row are no chance.
    pub fn is_method(&self) -> bool {
        self.is_plain() || self.capitals >= 3
    }
}

/// Whether some server takes a byte for a blank: Python's `split` does all of these.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c | 0x1c..=0x1f | 0x85 | 0xa0)
}
