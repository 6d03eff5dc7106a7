//! Changes of fields as routes ask for them.

use http::HeaderName;

use crate::http::{AddedField, Edits, is_own, plain_byte};
use crate::proto::{Field, HeaderChanges};

/// Bytes that changes may add to a head.
const MAX_ADDED: usize = 16 * 1024;

/// Several changes, one after the other, as one. An error says what of them cannot be done.
pub(super) fn composed(changes: [&Option<HeaderChanges>; 2]) -> Result<Edits, String> {
    let (mut removed, mut added) = (Vec::new(), Vec::<AddedField>::new());
    for changes in changes.into_iter().flatten() {
        for name in changes.remove.iter().chain(changes.set.iter().map(|field| &field.name)) {
            check_name(name)?;
            added.retain(|field| field.name() != name);
            removed.push(plain(name));
        }
        for (place, field) in changes.set.iter().enumerate() {
            if changes.set[..place].iter().any(|before| before.name == field.name) {
                return Err(format!("{:?} is set twice", field.name));
            }
        }
        for field in changes.set.iter().chain(&changes.add) {
            added.push(added_field(field)?);
        }
    }
    removed.sort_unstable();
    removed.dedup();
    let bytes: usize = added.iter().map(|field| field.line().len()).sum();
    if bytes > MAX_ADDED {
        return Err(format!("{bytes} bytes of fields are added; at most {MAX_ADDED} are"));
    }
    Ok(Edits {
        drop: &[],
        remove: removed.into(),
        add: added.into(),
    })
}

fn added_field(Field { name, value }: &Field) -> Result<AddedField, String> {
    check_name(name)?;
    let has_blank = value.starts_with(' ') || value.ends_with(' ');
    let field = AddedField::new(name, value).filter(|_| !has_blank);
    field.ok_or_else(|| format!("the value of {name:?} is not printable ASCII without blanks around it"))
}

/// A name as all spellings of it are compared.
fn plain(name: &str) -> Box<str> {
    name.bytes().map(|byte| char::from(plain_byte(byte))).collect::<String>().into()
}

/// What decides framing, hops or identity is not for routes to change, in no spelling that some program takes for it.
fn check_name(name: &str) -> Result<(), String> {
    if HeaderName::from_lowercase(name.as_bytes()).is_err() {
        return Err(format!("{name:?} is no name of a field in lower case"));
    }
    const REFUSED: [&str; 13] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    if is_own(name.as_bytes()) || REFUSED.contains(&&*plain(name)) {
        return Err(format!(
            "{name:?} is not for routes to change: it decides framing, hops or identity"
        ));
    }
    Ok(())
}
