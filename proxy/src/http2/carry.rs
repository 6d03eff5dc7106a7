//! Data and trailers from one stream to another, as fast as the slower side.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use super::connections::Load;
use crate::budget::{Account, Cost, Hold};
use crate::http1::error::BodyError;

/// What a stream is made of after its head.
#[derive(Debug)]
pub(super) enum Piece {
    /// Data, and whether the stream ends with it.
    Data(Bytes, bool),
    /// The end, with trailers.
    Trailers(HeaderMap),
    /// The end, without.
    End,
}

/// Why carrying stopped early.
pub(super) enum Side {
    /// Where the data comes from failed.
    Source(h2::Error),
    /// What comes from there breaks the rules.
    Malformed(BodyError),
    /// Where it goes to failed.
    Sink(Reason),
    /// Where it goes to is not read, and memory is short.
    Slow,
}

/// The connection that a stream is part of, and whose memory it takes while it stands still.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) load: &'a Load,
    pub(super) account: Account,
}

/// Carries what comes from `source` to its end. `look` sees every piece before it is passed on, and may refuse it. A chunk's window is given back to the source only when the sink took it;
/// `owed` is what was not given back before.
pub(super) async fn carry(
    source: &mut RecvStream,
    sink: &mut SendStream<Bytes>,
    place: Place<'_>,
    owed: &Cell<usize>,
    mut look: impl FnMut(&mut Piece) -> Result<(), BodyError>,
) -> Result<(), Side> {
    loop {
        // Fails only when the source's stream is gone, which its next read reports.
        let _ = source.flow_control().release_capacity(owed.take());
        let mut piece = tokio::select! {
            biased;
            reset = poll_fn(|context| sink.poll_reset(context)) => return Err(Side::Sink(reset.unwrap_or(Reason::CANCEL))),
            piece = next(source) => piece?,
        };
        look(&mut piece).map_err(Side::Malformed)?;
        if let Piece::Data(chunk, _) = &piece {
            owed.set(chunk.len());
        }
        if pass(piece, sink, place, source).await? {
            return Ok(());
        }
    }
}

async fn next(source: &mut RecvStream) -> Result<Piece, Side> {
    match source.data().await {
        Some(Ok(chunk)) => Ok(Piece::Data(chunk, source.is_end_stream())),
        Some(Err(error)) => Err(Side::Source(error)),
        None => match source.trailers().await.map_err(Side::Source)? {
            Some(trailers) => Ok(Piece::Trailers(trailers)),
            None => Ok(Piece::End),
        },
    }
}

/// Passes one piece of `source` on and says whether it was the last.
pub(super) async fn pass(piece: Piece, sink: &mut SendStream<Bytes>, place: Place<'_>, source: &mut RecvStream) -> Result<bool, Side> {
    let failed = |error: h2::Error| Side::Sink(error.reason().unwrap_or(Reason::CANCEL));
    match piece {
        Piece::Data(mut chunk, last) => {
            while !chunk.is_empty() {
                let room = room(sink, chunk.len(), place, source).await?;
                let part = chunk.split_to(room);
                sink.send_data(part, last && chunk.is_empty()).map_err(failed)?;
                if chunk.is_empty() {
                    return Ok(last);
                }
            }
            if last {
                sink.send_data(chunk, true).map_err(failed)?;
            }
            Ok(last)
        }
        Piece::Trailers(trailers) => sink.send_trailers(trailers).map(|()| true).map_err(failed),
        Piece::End => sink.send_data(Bytes::new(), true).map(|()| true).map_err(failed),
    }
}

/// Waits until some of `wanted` bytes of `source` can be sent.
async fn room(sink: &mut SendStream<Bytes>, wanted: usize, place: Place<'_>, source: &mut RecvStream) -> Result<usize, Side> {
    sink.reserve_capacity(wanted);
    let capacity = match poll_fn(|context| Poll::Ready(sink.poll_capacity(context))).await {
        Poll::Ready(capacity) => capacity,
        Poll::Pending => {
            let hold = Hold::new(place.account, Cost::Window(source.flow_control().clone()));
            let _counted = place.load.stall();
            tokio::select! {
                biased;
                capacity = poll_fn(|context| sink.poll_capacity(context)) => capacity,
                () = hold.lost() => return Err(Side::Slow),
            }
        }
    };
    match capacity {
        Some(Ok(room)) => Ok(room.min(wanted)),
        Some(Err(error)) => Err(Side::Sink(error.reason().unwrap_or(Reason::CANCEL))),
        None => Err(Side::Sink(Reason::CANCEL)),
    }
}
