//! Notices that a connection leads nowhere: what is written on it arrives no more, and nobody says so.
//!
//! The kernel retries for a quarter of an hour. Its own limit (`TCP_USER_TIMEOUT`) does not fit: it also ends connections whose other side lives and
//! merely does not read for a while, as behind a program that is busy.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::sys;

/// Time between looks at a connection on which something was written.
const LOOK: Duration = Duration::from_secs(1);
/// Times that the kernel sent the same bytes again, unanswered, after which the path counts as lost: 3 s at the least, as the waits double from 200 ms.
const LOST_RETRANSMITS: u8 = 4;

/// The way to a connection's other side.
#[derive(Debug, Default)]
pub struct Path {
    /// Something was written since the last look.
    written: bool,
    look: Option<Pin<Box<Sleep>>>,
}

impl Path {
    /// Notes that something was written.
    pub fn wrote(&mut self) {
        self.written = true;
    }

    /// Ready when the path is lost. To be asked while nothing can be read.
    pub fn poll_lost(&mut self, context: &mut Context<'_>, tcp: &TcpStream) -> Poll<io::Error> {
        while self.written {
            let look = self.look.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LOOK)));
            ready!(look.as_mut().poll(context));
            look.as_mut().reset(Instant::now() + LOOK);
            match sys::unanswered(tcp) {
                0 => self.written = false,
                LOST_RETRANSMITS.. => return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "what is sent does not arrive")),
                _ => {}
            }
        }
        Poll::Pending
    }
}
