//! What is written to a client, watched for streams that h2 resets by itself: it tells nobody of them, and each may have cost a program a request while its client paid
//! nothing ("MadeYouReset", CVE-2025-8671).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const FRAME_HEAD: usize = 9;
const RST_STREAM: u8 = 3;

/// A connection to a client.
pub(super) struct Watched<S> {
    stream: S,
    frames: Frames,
    /// Streams that were reset for what came on them.
    resets: Rc<Cell<u32>>,
}

impl<S> Watched<S> {
    /// Watches `stream` and counts into `resets`.
    pub(super) fn new(stream: S, resets: Rc<Cell<u32>>) -> Watched<S> {
        let frames = Frames::default();
        Watched { stream, frames, resets }
    }

    fn look(&mut self, bytes: &[u8]) {
        let found = self.frames.pass(bytes);
        if found > 0 {
            self.resets.set(self.resets.get() + found);
        }
    }
}

/// Where frames begin, and which are resets.
#[derive(Default)]
struct Frames {
    /// The head of a frame, and the reason that follows that of a reset.
    head: [u8; FRAME_HEAD + 4],
    have: usize,
    /// Bytes of a payload that are still to come.
    left: usize,
}

impl Frames {
    /// Counts the resets for a broken protocol in what is written next.
    fn pass(&mut self, mut bytes: &[u8]) -> u32 {
        let mut found = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                (self.left, bytes) = (self.left - skipped, &bytes[skipped..]);
                continue;
            }
            let wanted = if self.have < FRAME_HEAD { FRAME_HEAD } else { self.head.len() };
            let taken = (wanted - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            (self.have, bytes) = (self.have + taken, &bytes[taken..]);
            if self.have == self.head.len() {
                let [.., a, b, c, d] = self.head;
                found += u32::from(is_for_what_came(Reason::from(u32::from_be_bytes([a, b, c, d]))));
                self.have = 0;
            } else if self.have == FRAME_HEAD && self.head[3] != RST_STREAM {
                let [a, b, c, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.have = 0;
            }
        }
        found
    }
}

/// Whether a stream is reset for this reason when what came on it breaks the protocol. Late frames of streams that were closed before, and streams beyond the number
/// that may be open, happen to honest clients and cost nobody anything.
pub(super) fn is_for_what_came(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PROTOCOL_ERROR | Reason::FLOW_CONTROL_ERROR | Reason::FRAME_SIZE_ERROR | Reason::COMPRESSION_ERROR
    )
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.look(&bytes[..count]);
        }
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(mut left)) = written {
            for slice in slices {
                let part = left.min(slice.len());
                self.look(&slice[..part]);
                left -= part;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 1];
        frame.extend(payload);
        frame
    }

    #[test]
    fn resets_are_found_however_the_bytes_are_cut() {
        let reset = |reason: u8| frame(RST_STREAM, &[0, 0, 0, reason]);
        let written = [
            frame(4, b""),
            frame(1, b"head"),
            reset(1),
            frame(0, &reset(1)),
            reset(8),
            reset(7),
            reset(5),
            reset(3),
            frame(0, b""),
        ]
        .concat();
        for size in 1..=written.len() {
            let mut frames = Frames::default();
            let found: u32 = written.chunks(size).map(|part| frames.pass(part)).sum();
            assert_eq!(found, 2, "in pieces of {size}");
        }
    }
}
