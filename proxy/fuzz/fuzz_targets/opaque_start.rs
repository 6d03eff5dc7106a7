//! Bytes get one verdict however they are cut; what was refused stays refused behind anything that stands before it; and no request that the strict codec reads passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proxy::http1::fields::Fields;
use weft_proxy::http1::request::RequestHead;
use weft_proxy::opaque::Start;

fn passes(pieces: &[&[u8]]) -> bool {
    let mut start = Start::default();
    pieces.iter().all(|piece| start.passes(piece)) && start.passes_end()
}

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (first, second, bytes) = input;
    let first = usize::from(first).min(bytes.len());
    let second = usize::from(second).clamp(first, bytes.len());
    let whole = passes(&[bytes]);
    assert_eq!(whole, passes(&[&bytes[..first], &bytes[first..second], &bytes[second..]]));

    let mut fields = Fields::default();
    if let Ok(Some(_)) = RequestHead::parse(bytes, &mut fields) {
        assert!(!whole, "a request passed");
    }
    if bytes.len() < 4096 {
        let version = b"GET / HTTP/1.1\r\n\r\n";
        assert!(!passes(&[bytes, version]), "a request passed behind something else");
    }
});
