//! What holds for any input: pieces make no difference, nothing is lost, and nothing is accepted that a known parser refuses.

use proptest::collection::vec;
use proptest::prelude::*;
use weft_proxy::buffer::Buffer;
use weft_proxy::http::{AddedField, Edits};
use weft_proxy::http1::Role;
use weft_proxy::http1::body::{BodyTracker, Framing};
use weft_proxy::http1::error::BodyError;
use weft_proxy::http1::fields::Fields;
use weft_proxy::http1::request::RequestHead;
use weft_proxy::http1::rewrite;

use crate::heads::{accepted, request};

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => ("[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}", "[ -~\t]{0,40}").prop_map(|(name, value)| format!("{name}:{value}\r\n")),
        1 => Just("Connection: close, x-hop\r\n".to_owned()),
        1 => Just("Keep-Alive: 5\r\n".to_owned()),
        1 => Just("X-Hop: 1\r\n".to_owned()),
        1 => Just("Content-Length: 12\r\n".to_owned()),
        1 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
    ]
}

prop_compose! {
    /// Mostly right, with fields that may clash.
    fn head()(before in prop_oneof![9 => Just(""), 1 => Just("\r\n")], method in "[A-Z]{1,7}", path in "/[!-\"$-~]{0,60}", fields in vec(field(), 0..12)) -> Vec<u8> {
        format!("{before}{method} {path} HTTP/1.1\r\nHost: a\r\n{}\r\n", fields.concat()).into_bytes()
    }
}

prop_compose! {
    /// Right ones with a few bytes changed.
    fn damaged()(mut bytes in head(), changes in vec((any::<prop::sample::Index>(), prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), any::<u8>()]), 0..4)) -> Vec<u8> {
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    }
}

fn chunked_body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = vec(any::<u8>(), 1..40).prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
    let last = prop::sample::select(vec!["0\r\n\r\n", "0\r\nx-a: b\r\n\r\n", "00;x\r\n\r\n"]);
    (vec(chunk, 0..6), last, vec(any::<u8>(), 0..8)).prop_map(|(chunks, last, after)| [&chunks.concat(), last.as_bytes(), &after].concat())
}

/// A decoder that reads the whole body by the grammar, one line after another: where it ends and how many bytes of payload it has.
fn naive(body: &[u8]) -> Option<(usize, u64)> {
    let line = |from: usize| {
        body[from..]
            .windows(2)
            .position(|two| two == b"\r\n")
            .map(|n| (&body[from..from + n], from + n + 2))
    };
    let (mut at, mut payload) = (0, 0);
    loop {
        let (text, data) = line(at)?;
        let size = text.split(|&b| b == b';').next()?;
        let size = usize::from_str_radix(str::from_utf8(size).ok()?, 16).ok()?;
        at = data;
        if size == 0 {
            break;
        }
        payload += size as u64;
        if body.get(at + size..at + size + 2)? != b"\r\n" {
            return None;
        }
        at += size + 2;
    }
    loop {
        let (text, next) = line(at)?;
        at = next;
        if text.is_empty() {
            return Some((at, payload));
        }
    }
}

fn track(body: &[u8], cuts: &[prop::sample::Index]) -> Result<(usize, bool, u64), BodyError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([body.len()]).collect();
    cuts.sort_unstable();
    let (mut tracker, mut from, mut consumed) = (BodyTracker::new(Framing::Chunked), 0, 0);
    for cut in cuts {
        consumed += tracker.advance(&body[from..cut])?.consumed;
        from = cut;
    }
    Ok((consumed, tracker.done(), tracker.payload()))
}

type NamedValues = Vec<(String, Vec<u8>)>;

/// Length of the head and the fields that httparse finds, or None when it refuses.
fn httparse(bytes: &[u8]) -> Option<(usize, NamedValues)> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Some((
            length,
            parsed
                .headers
                .iter()
                .map(|field| (field.name.to_owned(), field.value.to_vec()))
                .collect(),
        )),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_verdict_never_changes_as_more_of_a_head_comes(bytes in damaged()) {
        let mut verdict = None;
        for end in 0..=bytes.len() {
            let now = request(&bytes[..end]);
            match &verdict {
                None if now != Ok(None) => verdict = Some(now),
                None => {}
                Some(earlier) => prop_assert_eq!(&now, earlier, "after {} bytes", end),
            }
        }
    }

    #[test]
    fn what_is_accepted_httparse_accepts_and_reads_alike(bytes in damaged()) {
        if let Ok(Some(ours)) = request(&bytes) {
            let theirs = httparse(&bytes);
            prop_assert_eq!(theirs, Some((ours.length, ours.fields)));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200), cuts in vec(any::<prop::sample::Index>(), 0..4)) {
        let _ = request(&bytes);
        let _ = track(&bytes, &cuts);
    }

    #[test]
    fn rewriting_keeps_every_field_that_is_not_for_this_hop_and_adds_ours(bytes in head()) {
        let mut fields = Fields::default();
        let Ok(Some(head)) = RequestHead::parse(&bytes, &mut fields) else { return Ok(()) };
        let edits = Edits { drop: &["weft-*"], add: [AddedField::new("weft-client", "me").expect("valid")].into(), ..Edits::default() };
        let mut out = Buffer::new();
        rewrite::request(&head, Role::Transparent, &edits, &mut out);
        let before = accepted(&bytes);
        let after = accepted(out.bytes());
        prop_assert_eq!(after.length, out.len());
        prop_assert_eq!((&after.method, &after.path, &after.authority, after.framing), (&before.method, &before.path, &before.authority, before.framing));
        let stays = |name: &str| {
            let name = name.to_ascii_lowercase();
            let hop = matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "te" | "upgrade");
            let nominated = before.fields.iter().any(|(n, v)| n.eq_ignore_ascii_case("connection")
                && String::from_utf8_lossy(v).split(',').any(|option| option.trim().eq_ignore_ascii_case(&name)));
            let ours = name.starts_with("weft-");
            !hop && !ours && (!nominated || matches!(name.as_str(), "host" | "content-length" | "transfer-encoding"))
        };
        let mut expected: Vec<_> = before.fields.iter().filter(|(name, _)| stays(name)).cloned().collect();
        expected.push(("weft-client".to_owned(), b"me".to_vec()));
        let got: Vec<_> = after.fields.into_iter().filter(|(name, _)| !matches!(name.as_str(), "connection" | "te")).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn a_chunked_body_ends_where_a_naive_decoder_says_whatever_pieces_it_comes_in(
        body in chunked_body(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let expected = naive(&body).map(|(end, payload)| (end, true, payload));
        prop_assert_eq!(track(&body, &cuts).ok(), expected);
    }

    #[test]
    fn a_damaged_chunked_body_gets_one_verdict_whatever_pieces_it_comes_in(
        mut body in chunked_body(),
        change in (any::<prop::sample::Index>(), any::<u8>()),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let at = change.0.index(body.len());
        body[at] = change.1;
        prop_assert_eq!(track(&body, &cuts), track(&body, &[]));
    }
}
