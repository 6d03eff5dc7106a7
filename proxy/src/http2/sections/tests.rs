use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::io::{AsyncWriteExt, duplex};

use super::*;
use crate::http2::huffman::tests::{encoded, text};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Some of the static table.
const STATIC: [(usize, &[u8], &[u8]); 6] = [
    (1, b":authority", b""),
    (2, b":method", b"GET"),
    (4, b":path", b"/"),
    (6, b":scheme", b"http"),
    (8, b":status", b"200"),
    (54, b"server", b""),
];

type Pair = (Vec<u8>, Vec<u8>);

/// How a field is written, as far as there is a choice.
#[derive(Clone, Debug)]
struct Way {
    /// With an index, if there is one of the field or of its name.
    by_index: bool,
    first_byte: u8,
    codes: (bool, bool),
    /// Bytes after numbers that change nothing.
    trailing: usize,
    /// A limit of the table that comes before.
    limit: Option<usize>,
}

fn way() -> impl Strategy<Value = Way> {
    let limit = proptest::option::weighted(0.1, prop_oneof![0..=200usize, Just(4096)]);
    (
        any::<bool>(),
        select(&[0x40, 0x40, 0, 0x10][..]),
        any::<(bool, bool)>(),
        0..=1usize,
        limit,
    )
        .prop_map(|(by_index, first_byte, codes, trailing, limit)| Way {
            by_index,
            first_byte,
            codes,
            trailing,
            limit,
        })
}

/// Writes fields, and keeps the table whole.
#[derive(Default)]
struct Encoder {
    table: VecDeque<Pair>,
    limit: Option<usize>,
    out: Vec<u8>,
}

impl Encoder {
    fn number(&mut self, first_byte: u8, mask: usize, number: usize, trailing: usize) {
        if number < mask {
            return self.out.push(first_byte | number as u8);
        }
        self.out.push(first_byte | mask as u8);
        let mut left = number - mask;
        while left > 0x7f {
            self.out.push(0x80 | (left & 0x7f) as u8);
            left >>= 7;
        }
        self.out.push(left as u8 | if trailing > 0 { 0x80 } else { 0 });
        self.out.extend((0..trailing).map(|_| 0));
    }

    fn text(&mut self, text: &[u8], is_coded: bool, trailing: usize) {
        let written = if is_coded { encoded(text) } else { text.to_vec() };
        self.number(u8::from(is_coded) << 7, 0x7f, written.len(), trailing);
        self.out.extend(written);
    }

    fn index(&self, is_it: impl Fn(&[u8], &[u8]) -> bool) -> Option<usize> {
        let known = STATIC.iter().find(|(_, name, value)| is_it(name, value)).map(|(index, ..)| *index);
        known.or_else(|| Some(62 + self.table.iter().position(|(name, value)| is_it(name, value))?))
    }

    fn field(&mut self, (name, value): &Pair, way: &Way, is_first: bool) {
        if let (Some(limit), true) = (way.limit, is_first) {
            self.number(0x20, 0x1f, limit, way.trailing);
            self.limit = Some(limit);
            self.evict(0);
        }
        if let (Some(index), true) = (self.index(|n, v| (n, v) == (name, value)), way.by_index) {
            return self.number(0x80, 0x7f, index, way.trailing);
        }
        let mask = if way.first_byte == 0x40 { 0x3f } else { 0x0f };
        let index = self.index(|n, _| n == name).filter(|_| way.by_index).unwrap_or(0);
        self.number(way.first_byte, mask, index, way.trailing);
        if index == 0 {
            self.text(name, way.codes.0, way.trailing);
        }
        self.text(value, way.codes.1, way.trailing);
        if way.first_byte == 0x40 {
            let size = 32 + name.len() + value.len();
            self.evict(size);
            if size <= self.limit.unwrap_or(4096) {
                self.table.push_front((name.clone(), value.clone()));
            }
        }
    }

    fn evict(&mut self, wanted: usize) {
        let size = |table: &VecDeque<Pair>| table.iter().map(|(name, value)| 32 + name.len() + value.len()).sum::<usize>();
        while size(&self.table) + wanted > self.limit.unwrap_or(4096) && self.table.pop_back().is_some() {}
    }
}

/// How a section is made into frames.
#[derive(Clone, Debug)]
struct Cuts {
    at: Vec<Index>,
    padding: Option<u8>,
    priority: bool,
}

fn cuts() -> impl Strategy<Value = Cuts> {
    (vec(any::<Index>(), 0..3), any::<Option<u8>>(), any::<bool>()).prop_map(|(at, padding, priority)| Cuts { at, padding, priority })
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn frames(block: &[u8], stream: u32, flags: u8, cuts: &Cuts) -> Vec<u8> {
    let mut at: Vec<usize> = cuts.at.iter().map(|cut| cut.index(block.len() + 1)).collect();
    at.sort_unstable();
    at.push(block.len());
    let (mut out, mut from) = (Vec::new(), 0);
    for (number, to) in at.iter().enumerate() {
        let end = if number + 1 == at.len() { END_HEADERS } else { 0 };
        let part = &block[from..*to];
        from = *to;
        if number > 0 {
            out.extend(frame(CONTINUATION, end, stream, part));
            continue;
        }
        let (mut flags, mut payload) = (flags | end, Vec::new());
        if let Some(padding) = cuts.padding {
            flags |= PADDED;
            payload.push(padding);
        }
        if cuts.priority {
            flags |= PRIORITY;
            payload.extend([0, 0, 0, 0, 9]);
        }
        payload.extend(part);
        payload.extend(vec![b'#'; cuts.padding.unwrap_or(0).into()]);
        out.extend(frame(HEADERS, flags, stream, &payload));
    }
    out
}

/// What is found in bytes that come in pieces of a size.
fn found(bytes: &[u8], size: usize) -> (Vec<Section>, bool) {
    let (mut sections, mut found) = (Sections::after(24), Vec::new());
    for piece in bytes.chunks(size) {
        sections.read(piece, |section| found.push(section));
    }
    (found, sections.is_lost)
}

/// Fields as they come in any order, valid or not.
fn any_field() -> impl Strategy<Value = Pair> {
    let names: &[&[u8]] = &[
        b":path",
        b":authority",
        b":method",
        b":status",
        b":x",
        b":",
        b":paths",
        b"path",
        b"x",
        b"server",
        b":pat",
        b"",
    ];
    (
        select(names).prop_map(<[u8]>::to_vec),
        prop_oneof![text(20), text(700), Just(b"/a#b".to_vec())],
    )
}

proptest! {
    #[test]
    fn pseudo_fields_and_fragments_are_found_however_they_are_written_and_cut(
        messages in vec((vec((any_field(), way()), 0..12), any::<bool>(), cuts()), 1..8),
        size in 1..400usize,
    ) {
        let (mut encoder, mut bytes, mut expected) = (Encoder::default(), PREFACE.to_vec(), Vec::new());
        for (number, (fields, ends, cuts)) in (0..).zip(&messages) {
            for (place, (field, way)) in fields.iter().enumerate() {
                encoder.field(field, way, place == 0);
            }
            let stream = 2 * number + 1;
            bytes.extend(frames(&std::mem::take(&mut encoder.out), stream, u8::from(*ends), cuts));
            bytes.extend(frame(0, 0, stream, b"\0\0\x01\x01#"));
            let said = Said {
                pseudo: fields.iter().any(|((name, _), _)| name.starts_with(b":")),
                fragment: fields.iter().any(|((name, value), _)| name == b":path" && value.contains(&b'#')),
            };
            expected.push(Section { stream, ends_stream: *ends, said });
        }
        prop_assert_eq!(found(&bytes, size), (expected, false));
    }

    #[test]
    fn any_bytes_are_read_alike_however_they_are_cut(
        blocks in vec((vec(any::<u8>(), 0..100), cuts()), 0..10),
        noise in vec(any::<u8>(), 0..60),
        size in 1..40usize,
    ) {
        let mut bytes = PREFACE.to_vec();
        for (block, cuts) in blocks {
            bytes.extend(frames(&block, 1, 0, &cuts));
        }
        bytes.extend(noise);
        prop_assert_eq!(found(&bytes, size), found(&bytes, bytes.len()));
    }

    #[test]
    fn h2_reads_the_same(
        requests in vec((text(30), vec((0..30u8, prop_oneof![text(30), text(400)]), 0..8), vec(way(), 12), cuts()), 1..30),
    ) {
        let (mut encoder, mut bytes, mut sent) = (Encoder::default(), PREFACE.to_vec(), Vec::new());
        for (number, (path, fields, ways, cuts)) in (0..).zip(&requests) {
            let kept = |text: &[u8], is_kept: fn(u8) -> bool| text.iter().copied().filter(|byte| is_kept(*byte)).collect::<Vec<u8>>();
            // What is in no path would be refused for another reason.
            let path = [b"/".to_vec(), kept(path, |byte| byte.is_ascii_alphanumeric() || b"/?#&,;*!()'=-._~%+$:@".contains(&byte))].concat();
            let mut all: Vec<Pair> = vec![
                (b":method".to_vec(), b"GET".to_vec()),
                (b":scheme".to_vec(), b"http".to_vec()),
                (b":authority".to_vec(), b"a".to_vec()),
                (b":path".to_vec(), path.clone()),
            ];
            all.extend(fields.iter().map(|(name, value)| (format!("x-{name}").into_bytes(), kept(value, |byte| byte > b' '))));
            for (place, (field, way)) in all.iter().zip(ways).enumerate() {
                encoder.field(field, way, place == 0);
            }
            bytes.extend(frames(&std::mem::take(&mut encoder.out), 2 * number + 1, END_STREAM, cuts));
            sent.push((path, all.split_off(4)));
        }
        let (sections, _) = found(&bytes, 100);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let taken = runtime.block_on(take(bytes));
        prop_assert_eq!((taken.len(), sections.len()), (sent.len(), sent.len()));
        for ((taken, section), (path, fields)) in taken.iter().zip(sections).zip(sent) {
            let whole = path.split(|byte| *byte == b'#').next().map(<[u8]>::to_vec);
            prop_assert_eq!(taken.as_ref().map(|(path, _)| path.clone()), whole);
            prop_assert_eq!(section.said.fragment, path.contains(&b'#'));
            let mut fields = fields;
            fields.sort();
            prop_assert_eq!(taken.as_ref().map(|(_, fields)| fields.clone()), Some(fields));
        }
    }
}

/// The paths and fields, sorted, that h2 takes from a client that sends these bytes.
async fn take(bytes: Vec<u8>) -> Vec<Option<(Vec<u8>, Vec<Pair>)>> {
    let (mut client, server) = duplex(bytes.len() + 64 * 1024);
    client.write_all(&bytes).await.expect("room");
    let mut connection = h2::server::Builder::new().handshake::<_, Bytes>(server).await.expect("a client");
    let mut taken = Vec::new();
    // Time passes when h2 has nothing more to do.
    while let Ok(Some(Ok((request, _)))) = tokio::time::timeout(Duration::from_secs(1), connection.accept()).await {
        let path = request.uri().path_and_query().map(|path| path.as_str().as_bytes().to_vec());
        let pairs = request.headers().iter();
        let mut fields: Vec<Pair> = pairs
            .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        fields.sort();
        taken.push(path.map(|path| (path, fields)));
    }
    taken
}

#[test]
fn what_ends_a_connection_is_known() {
    let head = |block: &[u8]| frame(HEADERS, END_HEADERS, 1, block);
    let valid = head(b"\x82");
    for (what, wrong) in [
        ("an index beyond the table", head(b"\xbe")),
        ("an index of none", head(b"\x80")),
        ("a number without end", head(b"\xff\x80\x80\x80\x80\x01")),
        ("a table beyond its limit", head(b"\x3f\xe2\x1f")),
        ("half a field", head(b"\x04\x05/a")),
        (
            "more padding than payload",
            frame(HEADERS, END_HEADERS | PADDED, 1, b"\x03\x82\x86"),
        ),
        ("no room for the padding's length", frame(HEADERS, END_HEADERS | PADDED, 1, b"")),
        ("half a priority", frame(HEADERS, END_HEADERS | PRIORITY, 1, b"\0\0\0\0")),
        ("more of no head", frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
        ("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02\x82")),
        (
            "something within a head",
            [frame(HEADERS, 0, 1, b"\x82"), frame(0, 0, 1, b"")].concat(),
        ),
        (
            "more of another head",
            [frame(HEADERS, 0, 1, b"\x82"), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
        ),
    ] {
        let mut sections = Sections::default();
        let mut count = 0;
        sections.read(&valid, |_| count += 1);
        assert!(!sections.is_lost(), "{what}");
        sections.read(&wrong, |_| count += 1);
        assert!(sections.is_lost(), "{what}");
        sections.read(&valid, |_| count += 1);
        assert_eq!(count, 1, "{what}");
    }
}

#[test]
fn the_fields_of_a_stream_that_depends_on_itself_are_left_out_as_h2_does() {
    let mut sections = Sections::default();
    let fields = b"\x40\x05:path\x03/#a";
    let depends = [b"\0\0\0\x01\x09", &fields[..]].concat();
    let mut found = Vec::new();
    sections.read(&frame(HEADERS, END_HEADERS | PRIORITY, 1, &depends), |section| found.push(section));
    assert!(found.is_empty() && !sections.is_lost());
    sections.read(&frame(HEADERS, END_HEADERS, 3, b"\xbe"), |section| found.push(section));
    assert!(sections.is_lost(), "the table stayed empty");
}
