//! What is read from and written to the other side of a connection, watched for what h2 tells nobody of.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::found::{Answers, Asked};
use super::frames::{Frames, RST_STREAM};
use super::sections::{Section, Sections};

/// Bytes that a client's frames come after (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// A connection.
pub(super) struct Watched<S, W> {
    stream: S,
    /// Boxed, since it moves with each step of the connection's start.
    sections: Box<Sections>,
    watch: W,
    /// Nothing more is read.
    is_over: bool,
}

/// Whoever watches a connection.
pub(super) trait Watch {
    /// Sees a head or trailers that were read. True when no more may be.
    fn read(&mut self, section: Section) -> bool;
    /// Sees what was written next.
    fn written(&mut self, bytes: &[u8]);
}

impl<S> Watched<S, Client> {
    /// Watches a connection to a client, and counts streams that are reset for what came on them.
    pub(super) fn client(stream: S, asked: Rc<Asked>, resets: Rc<Cell<u32>>) -> Self {
        let watch = Client {
            asked,
            resets: Resets::default(),
            count: resets,
        };
        Watched::new(stream, Sections::after(PREFACE), watch)
    }
}

impl<S> Watched<S, Server> {
    /// Watches a connection to a server.
    pub(super) fn server(stream: S, answers: Rc<Answers>) -> Self {
        Watched::new(stream, Sections::default(), Server(answers))
    }
}

impl<S, W> Watched<S, W> {
    fn new(stream: S, sections: Sections, watch: W) -> Self {
        Watched {
            stream,
            sections: Box::new(sections),
            watch,
            is_over: false,
        }
    }
}

/// Watches a client. h2 resets streams by itself, and tells nobody of them; each may have cost a program a request while its client paid nothing ("MadeYouReset",
/// CVE-2025-8671).
pub(super) struct Client {
    asked: Rc<Asked>,
    resets: Resets,
    count: Rc<Cell<u32>>,
}

impl Watch for Client {
    fn read(&mut self, section: Section) -> bool {
        self.asked.look(section)
    }

    fn written(&mut self, bytes: &[u8]) {
        let found = self.resets.pass(bytes);
        if found > 0 {
            self.count.set(self.count.get() + found);
        }
    }
}

/// Watches a server.
pub(super) struct Server(Rc<Answers>);

impl Watch for Server {
    fn read(&mut self, section: Section) -> bool {
        self.0.look(section);
        false
    }

    fn written(&mut self, _bytes: &[u8]) {}
}

/// Streams that are reset.
#[derive(Default)]
struct Resets {
    frames: Frames,
    reason: u32,
}

impl Resets {
    /// Counts the resets for a broken protocol in what is written next.
    fn pass(&mut self, mut bytes: &[u8]) -> u32 {
        let mut found = 0;
        while let Some(piece) = self.frames.next(&mut bytes) {
            if piece.kind == RST_STREAM {
                for byte in piece.bytes {
                    self.reason = self.reason << 8 | u32::from(*byte);
                }
                found += u32::from(piece.left == 0 && is_for_what_came(self.reason.into()));
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

impl<S: AsyncRead + Unpin, W: Watch + Unpin> AsyncRead for Watched<S, W> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // h2 ended the connection before; if it did not, nobody knows any more what it reads.
        if this.is_over || this.sections.is_lost() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            let Watched {
                sections, watch, is_over, ..
            } = this;
            sections.read(&buffer.filled()[before..], |section| *is_over |= watch.read(section));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, W: Watch + Unpin> AsyncWrite for Watched<S, W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.watch.written(&bytes[..count]);
        }
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(mut left)) = written {
            for slice in slices {
                let part = left.min(slice.len());
                self.watch.written(&slice[..part]);
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
            let mut resets = Resets::default();
            let found: u32 = written.chunks(size).map(|part| resets.pass(part)).sum();
            assert_eq!(found, 2, "in pieces of {size}");
        }
    }
}
