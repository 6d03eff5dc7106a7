//! Heads and trailers of HTTP/2 are found alike however the bytes are cut, whatever they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proxy::http2::sections::{Section, Sections};

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

fn found(bytes: &[u8], piece: usize) -> (Vec<Section>, bool) {
    let (mut sections, mut found) = (Sections::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        sections.read(piece, |section| found.push(section));
    }
    (found, sections.is_lost())
}

fuzz_target!(|input: (u8, Vec<(bool, u8, Vec<u8>)>, &[u8])| {
    let (piece, frames, rest) = input;
    let mut bytes = Vec::new();
    for (goes_on, flags, payload) in frames {
        let length = (payload.len() as u32).to_be_bytes();
        bytes.extend(&length[1..]);
        bytes.extend([if goes_on { CONTINUATION } else { HEADERS }, flags, 0, 0, 0, 1]);
        bytes.extend(payload);
    }
    bytes.extend(rest);
    assert_eq!(found(&bytes, piece.max(1) as usize), found(&bytes, bytes.len().max(1)));
});
