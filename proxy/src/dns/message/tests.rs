use super::*;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

/// A query as a program's resolver sends it.
pub(crate) fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend([kind, CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
    bytes
}

/// The same with an OPT record that announces a size and carries a cookie.
pub(crate) fn query_with_edns(id: u16, name: &str, kind: u16, size: u16) -> Vec<u8> {
    let mut bytes = query(id, name, kind);
    bytes[11] = 1;
    bytes.push(0);
    bytes.extend([TYPE_OPT, size, 0, 0, 12, 10, 8].into_iter().flat_map(u16::to_be_bytes));
    bytes.extend_from_slice(b"a cookie");
    bytes
}

#[test]
fn a_query_is_read() {
    let bytes = query(7, "Users.Default", TYPE_A);
    let query = parse(&bytes).unwrap();
    assert_eq!(
        (query.name.as_str(), query.kind, query.class, query.announced),
        ("users.default", TYPE_A, CLASS_IN, None)
    );
    assert_eq!((query.bytes(), query.udp_size()), (&bytes[..], 512));
}

#[test]
fn what_a_program_announces_is_read_and_bounded() {
    let size = |size| parse(&query_with_edns(7, "users", TYPE_A, size)).unwrap().udp_size();
    assert_eq!((size(1232), size(0), size(u16::MAX)), (1232, 512, 16 * 1024));
}

#[test]
fn additional_records_that_cannot_be_read_do_no_harm() {
    let mut bytes = query(7, "users", TYPE_A);
    bytes[10..12].copy_from_slice(&[0xff, 0xff]);
    bytes.extend_from_slice(&[3, b'a', b'b']);
    assert_eq!(parse(&bytes).unwrap().announced, None);
}

#[test]
fn an_answer_holds_the_question_and_the_address_byte_for_byte() {
    let bytes = query(0x1234, "Users", TYPE_A);
    let answer = parse(&bytes).unwrap().answer_address(Ipv4Addr::new(198, 18, 0, 7));
    let expected = [
        &b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0"[..], // id, flags, counts
        b"\x05Users\0\0\x01\0\x01",                   // the question, in the case that it came in
        b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04",      // name, type, class, TTL, length
        &[198, 18, 0, 7],
    ];
    assert_eq!(answer, expected.concat());
}

#[test]
fn an_answer_to_edns_speaks_edns() {
    let bytes = query_with_edns(1, "users", 28, 4096);
    let answer = parse(&bytes).unwrap().answer(Code::NoError);
    assert_eq!(answer[6..12], [0, 0, 0, 0, 0, 1], "no answers and one additional record");
    assert!(answer.ends_with(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn failures_carry_their_code_and_are_not_authoritative() {
    let bytes = query(1, "example.com", TYPE_A);
    let query = parse(&bytes).unwrap();
    assert_eq!(query.answer(Code::ServFail)[2..4], [0x81, 0x82]);
    assert_eq!(query.answer(Code::NxDomain)[2..4], [0x85, 0x83]);
    assert_eq!(query.answer_truncated()[2..4], [0x83, 0x80]);
}

#[test]
fn compression_in_the_question_is_refused() {
    let mut bytes = query(1, "", TYPE_A);
    bytes.splice(12..13, [0xc0, 12]);
    assert_eq!(parse(&bytes), Err(Malformed::Question));
}

#[test]
fn names_longer_than_the_standard_allows_are_refused() {
    let label = "x".repeat(63);
    let name = |last: usize| format!("{label}.{label}.{label}.{}", "x".repeat(last));
    assert!(parse(&query(1, &name(61), TYPE_A)).is_ok(), "255 bytes");
    assert_eq!(parse(&query(1, &name(62), TYPE_A)), Err(Malformed::Question));
}

#[test]
fn other_operations_are_answered_and_answers_are_not() {
    let mut update = query(0x0102, "users", TYPE_A);
    update[2] = 0x28;
    let malformed = parse(&update).unwrap_err();
    assert_eq!(malformed, Malformed::Operation);
    assert_eq!(malformed.answer(&update).unwrap(), [1, 2, 0xa8, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut answer = query(1, "users", TYPE_A);
    answer[2] |= RESPONSE;
    assert_eq!(parse(&answer).unwrap_err().answer(&answer), None);
}

#[test]
fn strange_bytes_in_a_name_are_written_as_numbers() {
    let bytes = query(1, "a b\u{e9}", TYPE_A);
    assert_eq!(parse(&bytes).unwrap().name, "a\\032b\\195\\169");
}

#[test]
fn only_an_answer_to_the_same_question_is_one() {
    let bytes = query(1, "example.com", TYPE_A);
    let asked = parse(&bytes).unwrap();
    let answer = |id, name, kind| parse(&query(id, name, kind)).unwrap().answer(Code::NoError);
    assert!(asked.is_answered_by(&answer(1, "EXAMPLE.com", TYPE_A)));
    assert!(!asked.is_answered_by(&answer(2, "example.com", TYPE_A)));
    assert!(!asked.is_answered_by(&answer(1, "example.org", TYPE_A)));
    assert!(!asked.is_answered_by(&answer(1, "example.com", 28)));
    assert!(!asked.is_answered_by(&bytes), "a query is no answer");
    assert!(
        asked.is_answered_by(&Malformed::Question.answer(&bytes).unwrap()),
        "a failure without the question"
    );
    assert!(
        !asked.is_answered_by(&[0, 1, RESPONSE, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "success without the question"
    );
}

/// Bytes that come close to a query: a good one with some bytes changed and the end cut off.
fn nearly_a_query() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6);
    ("[a-z]{1,9}(\\.[a-z]{1,9}){0,3}", changes, any::<usize>()).prop_map(|(name, changes, end)| {
        let mut bytes = query_with_edns(7, &name, TYPE_A, 1232);
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - end % 20);
        bytes
    })
}

/// Everything that is done with bytes from outside.
fn handle(bytes: &[u8]) {
    match parse(bytes) {
        Ok(query) => {
            let answer = query.answer_address(Ipv4Addr::LOCALHOST);
            assert!(query.is_answered_by(&answer));
            assert!(answer.len() <= 512);
            crate::dns::names::candidate(&query.name);
            crate::dns::names::own_reverse(&query.name);
        }
        Err(malformed) => assert!(malformed.answer(bytes).is_none_or(|answer| answer.len() == 12)),
    }
}

proptest! {
    #[test]
    fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        handle(&bytes);
    }

    #[test]
    fn damaged_queries_do_no_harm(bytes in nearly_a_query(), response in nearly_a_query()) {
        handle(&bytes);
        if let Ok(query) = parse(&bytes) {
            query.is_answered_by(&response);
        }
    }

    #[test]
    fn names_are_read_as_they_were_written(name in "[a-z0-9_-]{1,63}(\\.[a-z0-9_-]{1,63}){0,2}", id: u16, kind: u16) {
        let bytes = query(id, &name.to_ascii_uppercase(), kind);
        let query = parse(&bytes).unwrap();
        prop_assert_eq!((query.name.as_str(), query.kind), (name.as_str(), kind));
        prop_assert!(query.is_answered_by(&query.answer(Code::NoError)));
    }
}
