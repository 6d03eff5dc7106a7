//! Where a body ends. Bodies pass on as they came, framing included, so the tracker only looks.

use super::error::BodyError;
use super::scan;
use crate::head::belongs_in_head;

/// Most bytes of the line before a chunk, its size and extensions.
pub const CHUNK_LINE_LIMIT: u16 = 256;

/// Most bytes of all trailer fields.
pub const TRAILER_LIMIT: u16 = 8 * 1024;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the chunk of size zero and its trailers.
    Chunked,
    /// With the connection; only responses.
    UntilClose,
}

/// What `advance` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So many bytes belong to the body; all of them unless it is done.
    pub consumed: usize,
    /// Whether the body ends with them.
    pub done: bool,
}

/// Follows a body through whatever pieces it comes in.
#[derive(Clone, Debug)]
pub struct BodyTracker {
    state: State,
    payload: u64,
}

#[derive(Clone, Debug)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    Chunked(Chunked),
}

impl BodyTracker {
    /// A tracker for a body that begins now.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::UntilClose => State::UntilClose,
            Framing::Chunked => State::Chunked(Chunked::default()),
        };
        Self { state, payload: 0 }
    }

    /// Payload bytes so far, without framing.
    pub fn payload(&self) -> u64 {
        self.payload
    }

    /// Whether anything of the body came.
    pub fn begun(&self) -> bool {
        self.payload > 0 || matches!(&self.state, State::Chunked(chunked) if chunked.step != Step::SizeStart)
    }

    /// Whether the next byte begins something: a chunk.
    pub fn between_chunks(&self) -> bool {
        matches!(&self.state, State::Chunked(chunked) if chunked.step == Step::SizeStart)
    }

    /// Whether the body has ended.
    pub fn done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Looks at the bytes that follow those of the last call.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Progress, BodyError> {
        let consumed = match &mut self.state {
            State::Done => 0,
            State::UntilClose => {
                self.payload += bytes.len() as u64;
                bytes.len()
            }
            State::Length(left) => {
                let count = clamp(*left, bytes.len());
                *left -= count as u64;
                self.payload += count as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                count
            }
            State::Chunked(chunked) => {
                let consumed = chunked.advance(bytes, &mut self.payload)?;
                if chunked.step == Step::Done {
                    self.state = State::Done;
                }
                consumed
            }
        };
        Ok(Progress {
            consumed,
            done: self.done(),
        })
    }

    /// Whether the end of the connection is a right end for the body. Afterwards it is done.
    pub fn ends_with_connection(&mut self) -> bool {
        let ends = matches!(self.state, State::UntilClose | State::Done);
        self.state = State::Done;
        ends
    }
}

fn clamp(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// The chunked coding (RFC 9112, section 7.1), without what the RFC tolerates for the sake of old senders: blanks around sizes, bare line feeds.
#[derive(Clone, Debug, Default)]
struct Chunked {
    step: Step,
    /// Of the chunk: its size while that is read, then what is left of it.
    left: u64,
    /// Bytes of the present chunk's line, or of the trailers.
    line: u16,
    name: TrailerName,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    SizeStart,
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl Chunked {
    fn advance(&mut self, bytes: &[u8], payload: &mut u64) -> Result<usize, BodyError> {
        let mut at = 0;
        while at < bytes.len() && self.step != Step::Done {
            if self.step == Step::Data {
                let count = clamp(self.left, bytes.len() - at);
                self.left -= count as u64;
                *payload += count as u64;
                at += count;
                if self.left == 0 {
                    self.step = Step::DataReturn;
                }
            } else {
                self.step = self.next(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// The step after one byte of framing.
    fn next(&mut self, byte: u8) -> Result<Step, BodyError> {
        match (self.step, byte) {
            (Step::SizeStart | Step::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.step == Step::SizeStart {
                    (self.left, self.line) = (0, 0);
                }
                self.line += 1;
                if self.line > 15 {
                    return Err(BodyError::ChunkSize);
                }
                self.left = self.left << 4 | u64::from(hex(byte));
                Ok(Step::Size)
            }
            (Step::Size, b';') => Ok(Step::Extension),
            (Step::Size | Step::Extension, b'\r') => Ok(Step::SizeLineFeed),
            (Step::SizeStart | Step::Size, _) => Err(BodyError::ChunkSize),
            (Step::Extension, byte) if scan::is_value(byte) && self.line < CHUNK_LINE_LIMIT => {
                self.line += 1;
                Ok(Step::Extension)
            }
            (Step::Extension, _) => Err(BodyError::ChunkExtension),
            (Step::SizeLineFeed, b'\n') if self.left > 0 => Ok(Step::Data),
            (Step::SizeLineFeed, b'\n') => {
                self.line = 0;
                Ok(Step::TrailerStart)
            }
            (Step::DataReturn, b'\r') => Ok(Step::DataLineFeed),
            (Step::DataLineFeed, b'\n') => Ok(Step::SizeStart),
            (Step::SizeLineFeed | Step::DataReturn | Step::DataLineFeed, _) => Err(BodyError::ChunkEnd),
            _ => self.trailer(byte),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<Step, BodyError> {
        self.line += 1;
        if self.line > TRAILER_LIMIT {
            return Err(BodyError::TrailersTooLarge);
        }
        match (self.step, byte) {
            (Step::TrailerStart, b'\r') => Ok(Step::LastLineFeed),
            (Step::TrailerStart, byte) if scan::is_token(byte) => {
                self.name = TrailerName::default();
                self.name.push(byte);
                Ok(Step::TrailerName)
            }
            (Step::TrailerName, byte) if scan::is_token(byte) => {
                self.name.push(byte);
                Ok(Step::TrailerName)
            }
            (Step::TrailerName, b':') if self.name.forbidden() => Err(BodyError::TrailerForbidden),
            (Step::TrailerName, b':') => Ok(Step::TrailerValue),
            (Step::TrailerValue, b'\r') => Ok(Step::TrailerLineFeed),
            (Step::TrailerValue, byte) if scan::is_value(byte) => Ok(Step::TrailerValue),
            (Step::TrailerLineFeed, b'\n') => Ok(Step::TrailerStart),
            (Step::LastLineFeed, b'\n') => Ok(Step::Done),
            _ => Err(BodyError::Trailer),
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// As much of a trailer field's name as tells whether it is forbidden.
#[derive(Clone, Debug, Default)]
struct TrailerName {
    start: [u8; 20],
    length: u8,
}

impl TrailerName {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.start.get_mut(self.length as usize) {
            *slot = byte;
            self.length += 1;
        }
    }

    fn forbidden(&self) -> bool {
        belongs_in_head(&self.start[..self.length as usize])
    }
}
