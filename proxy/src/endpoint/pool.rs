//! The connections of one lane to an endpoint: those of HTTP/1.1, of which each carries a request at a time, and those of HTTP/2.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connect::{ConnectError, PeerStream};
use super::line::Line;
use crate::http2::Connections;

/// Idle HTTP/1.1 connections are kept this long and up to this number for each port.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
const MAX_IDLE: usize = 1_024;
/// Of those that were idle for a moment so many are kept: the others were for a rush that is over.
pub(super) const SPARE_IDLE: usize = 4;
pub(super) const RUSH_LIMIT: Duration = Duration::from_secs(10);

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// HTTP/1.1 connections that carry nothing, and since when.
    pub(super) idle: Vec<(PeerStream, Instant)>,
    /// Those that are being opened; as many as requests wait for, or more.
    pub(super) opening: usize,
    waiting: Line<Result<PeerStream, ConnectError>>,
    pub(super) http2: Rc<Connections<ConnectError>>,
}

impl Pool {
    /// An idle HTTP/1.1 connection, the last one used first. With `trouble`, the time when the endpoint's trouble began: none from before it; those are closed.
    pub fn take_idle(&mut self, trouble: Option<Instant>) -> Option<PeerStream> {
        if let Some(trouble) = trouble {
            self.idle.retain(|(_, since)| *since > trouble);
        }
        while let Some((mut stream, _)) = self.idle.pop() {
            if !stream.stream.is_over() && stream.stream.is_quiet() {
                return Some(stream);
            }
        }
        None
    }

    /// Waits for an HTTP/1.1 connection; `known` says that the client gave one back before. Says whether one more has to be opened.
    pub fn wait(&mut self, known: bool) -> (oneshot::Receiver<Result<PeerStream, ConnectError>>, bool) {
        let waiting = self.waiting.join(known);
        let lacks = self.waiting.len() > self.opening;
        self.opening += usize::from(lacks);
        (waiting, lacks)
    }

    /// Gives up to open one of those that are not begun yet, if there are more than requests wait for.
    pub fn open_fewer(&mut self) -> bool {
        let surplus = self.opening > self.waiting.len();
        self.opening -= usize::from(surplus);
        surplus
    }

    /// Hands a connection that was opened, or the reason why there is none, to a request that waits.
    pub fn opened(&mut self, opened: Result<PeerStream, ConnectError>) {
        self.opening -= 1;
        if let Err(Ok(unwanted)) = self.waiting.give(opened) {
            self.keep(unwanted);
        }
    }

    /// Takes a connection back that carried a request: for one that waits and whose client gave one back before, too, or for whatever comes next. Those who may keep it wait
    /// for one that is opened.
    pub fn take_back(&mut self, mut stream: PeerStream) {
        if stream.stream.is_over() {
            return;
        }
        if !self.waiting.has_known() {
            return self.keep(stream);
        }
        stream.is_reused = true;
        if stream.stream.is_quiet()
            && let Err(Ok(unwanted)) = self.waiting.give_known(Ok(stream))
        {
            self.keep(unwanted);
        }
    }

    fn keep(&mut self, stream: PeerStream) {
        if self.idle.len() < MAX_IDLE {
            self.idle.push((stream, Instant::now()));
        }
    }

    /// Closes connections that were idle for long, and those that only a rush needed.
    pub fn sweep(&mut self) {
        // The last one used is taken first, so those in front are idle for longest.
        let mut surplus = self.idle.len().saturating_sub(SPARE_IDLE);
        self.idle.retain_mut(|(stream, since)| {
            let limit = if surplus > 0 { RUSH_LIMIT } else { IDLE_LIMIT };
            surplus = surplus.saturating_sub(1);
            since.elapsed() < limit && !stream.stream.is_over() && stream.stream.is_quiet()
        });
        self.idle.shrink_to_fit();
    }
}
