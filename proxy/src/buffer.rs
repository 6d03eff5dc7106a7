//! Buffers that a connection holds only while bytes are in them.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::budget::{self, Account, Cost, Hold};

/// Size of a buffer in bytes, unless its bytes need more.
pub const BUFFER_SIZE: usize = 16 * 1024;

/// Bytes that a connection may keep beside a buffer that stands still: what TLS could not send.
const BESIDE: usize = 32 * 1024;

/// Spare buffers that a thread keeps; what is given back beyond it is freed.
const SPARE_LIMIT: usize = 32;

thread_local! {
    /// The one that was given back last: nearly always the next to be taken, and cheaper than the list.
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Memory of `BUFFER_SIZE`, initialised.
fn take_memory() -> Vec<u8> {
    let last = LAST.take();
    if !last.is_empty() {
        return last;
    }
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; BUFFER_SIZE])
}

fn give_memory(memory: Vec<u8>) {
    if memory.len() != BUFFER_SIZE {
        return;
    }
    // At the end of a thread its spare buffers may be gone already.
    let Ok(previous) = LAST.try_with(|last| last.replace(memory)) else {
        return;
    };
    if !previous.is_empty() {
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_LIMIT {
                spare.push(previous);
            }
        });
    }
}

/// Bytes between two connections. It takes memory from its thread's spare buffers when bytes come and gives it back with the last of them.
#[derive(Default)]
pub struct Buffer {
    /// Empty, or initialised to its full length, so that reads need no `unsafe`.
    memory: Vec<u8>,
    start: usize,
    end: usize,
    /// Notes that its bytes stand still while memory is not plenty.
    hold: Option<Box<Hold>>,
}

impl Buffer {
    /// An empty buffer, which holds no memory.
    pub const fn new() -> Self {
        Self {
            memory: Vec::new(),
            start: 0,
            end: 0,
            hold: None,
        }
    }

    /// The bytes in it.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Number of bytes in it.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte is in it.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that can be appended before it must grow.
    pub fn room(&self) -> usize {
        self.memory.len().max(BUFFER_SIZE) - self.end
    }

    /// Removes the first `count` bytes; with the last one the memory goes back.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.clear();
        }
    }

    /// Removes all bytes and gives the memory back.
    pub fn clear(&mut self) {
        if self.memory.is_empty() {
            return;
        }
        (self.start, self.end) = (0, 0);
        if self.hold.is_some() {
            self.hold = None;
        }
        give_memory(std::mem::take(&mut self.memory));
    }

    /// Holds no more memory than its bytes need, for bytes that stay for a while.
    pub fn shrink(&mut self) {
        if self.memory.len() == BUFFER_SIZE && self.len() < BUFFER_SIZE / 2 && !self.is_empty() {
            let exact = self.bytes().to_vec();
            self.clear();
            (self.end, self.memory) = (exact.len(), exact);
        }
    }

    /// Appends bytes and grows as needed.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        if end > self.memory.len() {
            return self.grow_and_extend(bytes);
        }
        self.memory[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    #[cold]
    fn grow_and_extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.extend(bytes);
    }

    /// Makes room for `count` more bytes.
    pub fn reserve(&mut self, count: usize) {
        if self.memory.is_empty() {
            self.memory = take_memory();
        }
        if self.memory.len() - self.end >= count {
            return;
        }
        if self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let needed = self.end + count;
        if needed > self.memory.len() {
            self.memory.resize(needed.next_power_of_two(), 0);
            // It is noted again, as what it is now.
            self.hold = None;
        }
    }

    /// Reads once into what room there is, at least one byte's; `Ok(0)` is the end of the stream. Nothing read, nothing held.
    pub fn poll_fill<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<usize>> {
        if budget::poll_room(cx).is_pending() {
            return self.poll_held(cx).map(Err);
        }
        self.reserve(1);
        let mut room = ReadBuf::new(&mut self.memory[self.end..]);
        let result = Pin::new(reader).poll_read(cx, &mut room);
        let count = room.filled().len();
        self.end += count;
        if self.is_empty() {
            self.clear();
        }
        if result.is_pending() {
            return self.poll_held(cx).map(Err);
        }
        ready!(result)?;
        Poll::Ready(Ok(count))
    }

    /// Ready when what is in it has to go, since memory is short.
    #[inline]
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.is_empty() || self.hold.is_none() && !budget::is_watched() {
            return Poll::Pending;
        }
        self.poll_hold(cx)
    }

    #[cold]
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let cost = self.memory.len() + BESIDE;
        let hold = self
            .hold
            .get_or_insert_with(|| Box::new(Hold::new(Account::new(), Cost::Bytes(cost))));
        hold.poll_lost(cx).map(|()| budget::out_of_memory())
    }

    /// Writes the first `limit` bytes until none is left; what was written is consumed.
    pub fn poll_drain<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, writer: &mut W, mut limit: usize) -> Poll<io::Result<()>> {
        while limit > 0 {
            let count = match Pin::new(&mut *writer).poll_write(cx, &self.bytes()[..limit]) {
                Poll::Ready(written) => written?,
                Poll::Pending => return self.poll_held(cx).map(Err),
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(count);
            limit -= count;
        }
        Poll::Ready(Ok(()))
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::new();
        if !bytes.is_empty() {
            buffer.extend(bytes);
        }
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrunk_buffer_has_its_bytes_and_takes_more() {
        let mut buffer = Buffer::from(&b"some"[..]);
        buffer.shrink();
        assert_eq!((buffer.bytes(), buffer.memory.len()), (&b"some"[..], 4));
        buffer.extend(b" more");
        assert_eq!(buffer.bytes(), b"some more");
        buffer.consume(9);
        assert!(buffer.is_empty());
    }
}
