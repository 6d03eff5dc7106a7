//! What is accepted here, httparse accepts, and reads alike.
#![no_main]

use httparse::Status;
use libfuzzer_sys::fuzz_target;
use weft_proxy::http::RequestView;
use weft_proxy::http1::fields::Fields;
use weft_proxy::http1::request::{RequestHead, Version};
use weft_proxy::http1::response::{Asked, ResponseHead};

fuzz_target!(|bytes: &[u8]| {
    let (mut fields, mut theirs) = (Fields::default(), [httparse::EMPTY_HEADER; 100]);
    if let Ok(Some(head)) = RequestHead::parse(bytes, &mut fields) {
        let mut request = httparse::Request::new(&mut theirs);
        assert_eq!(request.parse(bytes), Ok(Status::Complete(head.bytes().len())));
        assert_eq!((request.method, request.path), (Some(head.method()), Some(head.target())));
        assert_eq!(request.version, Some(minor(head.version())));
        same(head.fields(), head.bytes(), request.headers);
    }

    let (mut fields, mut theirs) = (Fields::default(), [httparse::EMPTY_HEADER; 100]);
    if let Ok(Some(head)) = ResponseHead::parse(bytes, &mut fields, Asked::default()) {
        let mut response = httparse::Response::new(&mut theirs);
        assert_eq!(response.parse(bytes), Ok(Status::Complete(head.bytes().len())));
        assert_eq!(
            (response.code, response.version),
            (Some(head.status()), Some(minor(head.version())))
        );
        same(head.fields(), head.bytes(), response.headers);
    }
});

fn minor(version: Version) -> u8 {
    match version {
        Version::Http10 => 0,
        Version::Http11 => 1,
    }
}

fn same(ours: &Fields, head: &[u8], theirs: &[httparse::Header<'_>]) {
    assert_eq!(ours.iter().count(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!((ours.name.of(head), ours.value.of(head)), (theirs.name.as_bytes(), theirs.value));
    }
}
