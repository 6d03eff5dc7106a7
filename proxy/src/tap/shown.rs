//! What is kept of a head until it is shown: bounded, text, and without its secrets unless they are wanted.

use std::borrow::Cow;

use super::redact;
use crate::http::RequestView;
use crate::proto::Field;

/// Bounds of what is shown, bytes.
const MAX_METHOD: usize = 64;
const MAX_AUTHORITY: usize = 256;
const MAX_PATH: usize = 2_048;
const MAX_FIELD_BYTES: usize = 8 * 1024;
/// And of the number of fields.
const MAX_FIELDS: usize = 64;

/// The head of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    pub method: String,
    pub authority: String,
    pub path: String,
    pub fields: Vec<Field>,
}

impl Shown {
    pub fn of(head: &impl RequestView, with_fields: bool, with_secrets: bool) -> Shown {
        let (authority, path) = match with_secrets {
            true => (head.authority().into(), head.path().into()),
            false => (redact::authority(head.authority()), redact::uri(head.path())),
        };
        Shown {
            method: start(head.method(), MAX_METHOD).into(),
            authority: start(&authority, MAX_AUTHORITY).into(),
            path: start(&path, MAX_PATH).into(),
            fields: if with_fields {
                fields(head.fields(), with_secrets)
            } else {
                Vec::new()
            },
        }
    }
}

/// Fields as they are shown; of one that is too long its start.
pub fn fields<'h>(fields: impl Iterator<Item = (&'h [u8], &'h [u8])>, with_secrets: bool) -> Vec<Field> {
    let mut room = MAX_FIELD_BYTES;
    let mut shown = Vec::new();
    for (name, value) in fields.take(MAX_FIELDS) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = String::from_utf8_lossy(value);
        let value = match with_secrets {
            true => Cow::Borrowed(&*value),
            false => redact::field(&name, &value),
        };
        let Some(left) = room.checked_sub(name.len()) else { break };
        let value = start(&value, left);
        room = left - value.len();
        shown.push(Field { value: value.into(), name });
    }
    shown
}

/// At most so many bytes of the start of a text.
fn start(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
