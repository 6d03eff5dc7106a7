//! A response's head gets one verdict however it is cut, and what leaves after rewriting is read as the same response.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proxy::buffer::Buffer;
use weft_proxy::http1::fields::Fields;
use weft_proxy::http1::response::{Asked, ResponseHead};
use weft_proxy::http1::rewrite::{self, Keep, Source};

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (cut, asked, bytes) = input;
    let keep = [Keep::Silent, Keep::Said, Keep::Close][asked as usize % 3];
    let asked = Asked {
        head: asked & 4 != 0,
        connect: asked & 8 != 0,
        upgrade: asked & 16 != 0,
    };
    let (mut fields, mut early) = (Fields::default(), Fields::default());
    let whole = ResponseHead::parse(bytes, &mut fields, asked);
    let part = ResponseHead::parse(&bytes[..bytes.len().min(cut as usize)], &mut early, asked);
    match (&part, &whole) {
        (Ok(None), _) => {}
        (Ok(Some(part)), Ok(Some(whole))) => assert_eq!(part.bytes(), whole.bytes()),
        // A line that cannot become a status line is refused before it is known what else is wrong with it.
        (Err(_), Err(_)) => {}
        _ => panic!("the verdict changed as more came"),
    }
    let Ok(Some(head)) = whole else { return };

    let mut out = Buffer::new();
    rewrite::response(&head, Source::Sidecar, keep, None, &mut out);
    let mut fields = Fields::default();
    match ResponseHead::parse(out.bytes(), &mut fields, asked) {
        Ok(Some(next)) => {
            assert_eq!(next.bytes().len(), out.len());
            assert_eq!((next.status(), next.next()), (head.status(), head.next()));
            assert_eq!(next.persistent(), keep != Keep::Close);
        }
        // Our field may be the one beyond the limit.
        Err(_) => assert!(head.fields().iter().count() > 98 || out.len() > 60 * 1024),
        Ok(None) => panic!("an incomplete head left"),
    }
});
