//! A chunked body ends where a naive decoder says, in whatever pieces it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proxy::http1::body::{BodyTracker, Framing};
use weft_proxy::http1::error::BodyError;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = track(bytes, bytes.len().max(1));
    assert_eq!(track(bytes, size.max(1) as usize), whole);
    if let Ok((consumed, true, payload)) = whole {
        assert_eq!(decode(bytes), Some((consumed, payload)));
    }
});

fn track(bytes: &[u8], piece: usize) -> Result<(usize, bool, u64), BodyError> {
    let mut tracker = BodyTracker::new(Framing::Chunked);
    let mut consumed = 0;
    for piece in bytes.chunks(piece) {
        consumed += tracker.advance(piece)?.consumed;
    }
    Ok((consumed, tracker.done(), tracker.payload()))
}

/// Reads the body line by line: where it ends, and how many bytes of payload it has.
fn decode(body: &[u8]) -> Option<(usize, u64)> {
    let line = |from: usize| {
        let length = body[from..].windows(2).position(|two| two == b"\r\n")?;
        Some((&body[from..from + length], from + length + 2))
    };
    let (mut at, mut payload) = (0, 0);
    loop {
        let (text, data) = line(at)?;
        let size = str::from_utf8(text.split(|&b| b == b';').next()?).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at = data;
        if size == 0 {
            break;
        }
        payload += size as u64;
        let end = at.checked_add(size)?;
        if body.get(end..end.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let (text, next) = line(at)?;
        at = next;
        if text.is_empty() {
            return Some((at, payload));
        }
    }
}
