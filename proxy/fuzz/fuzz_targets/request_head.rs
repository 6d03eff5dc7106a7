//! A request's head gets one verdict however it is cut, and what leaves after rewriting is read as the same request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proxy::buffer::Buffer;
use weft_proxy::http::{AddedField, Edits, RequestView};
use weft_proxy::http1::Role;
use weft_proxy::http1::fields::Fields;
use weft_proxy::http1::request::RequestHead;
use weft_proxy::http1::rewrite;

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (cut, at_proxy, bytes) = input;
    let (mut fields, mut early) = (Fields::default(), Fields::default());
    let whole = RequestHead::parse(bytes, &mut fields);
    let part = RequestHead::parse(&bytes[..bytes.len().min(cut as usize)], &mut early);
    match (&part, &whole) {
        (Ok(None), _) => {}
        (Ok(Some(part)), Ok(Some(whole))) => assert_eq!(part.bytes(), whole.bytes()),
        (Err(part), Err(whole)) => assert_eq!(part, whole),
        _ => panic!("the verdict changed as more came"),
    }
    let Ok(Some(head)) = whole else { return };

    let role = if at_proxy { Role::Proxy } else { Role::Transparent };
    let edits = Edits {
        drop: &["weft-*"],
        add: AddedField::new("weft-client-id", "me").into_iter().collect(),
        ..Edits::default()
    };
    let mut out = Buffer::new();
    rewrite::request(&head, role, &edits, &mut out);
    let mut fields = Fields::default();
    match RequestHead::parse(out.bytes(), &mut fields) {
        Ok(Some(next)) => {
            assert_eq!(next.bytes().len(), out.len());
            assert_eq!(
                (next.method(), next.path(), next.authority()),
                (head.method(), head.path(), head.authority())
            );
            assert_eq!(
                (next.framing(), next.version(), next.upgrade()),
                (head.framing(), head.version(), head.upgrade())
            );
            assert_eq!(next.field("weft-client-id"), Some(&b"me"[..]));
            assert_eq!(next.field("keep-alive"), None);
        }
        // Our fields may be the ones beyond the limit.
        Err(_) => assert!(head.fields().iter().count() > 95 || out.len() > 60 * 1024),
        Ok(None) => panic!("an incomplete head left"),
    }
});
