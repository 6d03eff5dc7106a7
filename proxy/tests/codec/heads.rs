//! Short ways to parse.

use weft_proxy::http::RequestView;
use weft_proxy::http1::body::Framing;
use weft_proxy::http1::error::HeadError;
use weft_proxy::http1::fields::Fields;
use weft_proxy::http1::request::{Form, RequestHead, Version};
use weft_proxy::http1::response::{Asked, Next, ResponseHead};

/// What a request's head says, free of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub length: usize,
    pub method: String,
    pub form: Form,
    pub authority: String,
    pub path: String,
    pub version: Version,
    pub framing: Framing,
    pub persistent: bool,
    pub upgrade: bool,
    pub expects_continue: bool,
    pub fields: Vec<(String, Vec<u8>)>,
}

/// Parses a request's head; None when it is not complete.
pub fn request(bytes: &[u8]) -> Result<Option<Request>, HeadError> {
    let mut fields = Fields::default();
    let Some(head) = RequestHead::parse(bytes, &mut fields)? else {
        return Ok(None);
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("names are ASCII");
    Ok(Some(Request {
        length: head.bytes().len(),
        method: head.method().to_owned(),
        form: head.form(),
        authority: head.authority().to_owned(),
        path: head.path().to_owned(),
        version: head.version(),
        framing: head.framing(),
        persistent: head.persistent(),
        upgrade: head.upgrade(),
        expects_continue: head.expects_continue(),
        fields: head
            .fields()
            .iter()
            .map(|f| (text(f.name.of(head.bytes())), f.value.of(head.bytes()).to_vec()))
            .collect(),
    }))
}

/// Parses a request's head that must be complete and right.
pub fn accepted(bytes: &[u8]) -> Request {
    let shown = String::from_utf8_lossy(bytes).into_owned();
    request(bytes)
        .unwrap_or_else(|error| panic!("{shown:?}: {error:?}"))
        .unwrap_or_else(|| panic!("{shown:?}: incomplete"))
}

/// Parses a response's head.
pub fn response(bytes: &[u8], asked: Asked) -> Result<Option<(u16, Next, bool)>, HeadError> {
    let mut fields = Fields::default();
    Ok(ResponseHead::parse(bytes, &mut fields, asked)?.map(|head| (head.status(), head.next(), head.persistent())))
}
