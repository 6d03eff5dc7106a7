//! Heads of requests: what routing sees of them, what is refused, and what changes on the way.

use h2::RecvStream;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use crate::http::{Edits, RequestView, ResponseView};
use crate::http1::error::HeadError;
use crate::http1::fields::FIELD_LIMIT;

/// The request with its fields edited, addressed as it came.
pub(super) fn edited(mut parts: http::request::Parts, edits: &Edits) -> Request<()> {
    drop_fields(&mut parts.headers, edits);
    for field in edits.add.iter() {
        if let Ok(value) = HeaderValue::from_str(field.value()) {
            parts.headers.insert(HeaderName::from_static(field.name()), value);
        }
    }
    if parts.uri.authority().is_none() {
        // Allowed by RFC 9113, 8.3.1, when Host is there; on the way on it becomes :authority.
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if let Ok(uri) = Uri::builder().scheme("http").authority(host).path_and_query(path).build() {
            parts.uri = uri;
        }
    }
    parts.version = Version::HTTP_2;
    Request::from_parts(parts, ())
}

pub(super) fn drop_fields(fields: &mut HeaderMap, edits: &Edits) {
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| edits.drops(name.as_str().as_bytes()))
        .cloned()
        .collect();
    for name in dropped {
        fields.remove(name);
    }
}

/// Refuses what the protocol allows and programs read in different ways (RFC 9113, 8.3.1), or in great numbers.
pub(super) fn checked(fields: &HeaderMap, uri: &Uri) -> Result<(), HeadError> {
    if fields.len() > FIELD_LIMIT {
        return Err(HeadError::TooManyFields);
    }
    // The same as for HTTP/1.1: who takes user information for the host, or the host for it, would see another request.
    let has_user = |host: &[u8]| host.contains(&b'@');
    if uri.authority().is_some_and(|authority| has_user(authority.as_str().as_bytes()))
        || fields.get_all(HOST).iter().any(|host| has_user(host.as_bytes()))
    {
        return Err(HeadError::HostInvalid);
    }
    let mut hosts = fields.get_all(HOST).iter();
    match (hosts.next(), hosts.next(), uri.authority()) {
        (Some(_), Some(_), _) => Err(HeadError::HostRepeated),
        (Some(host), None, Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            Err(HeadError::HostDiffers)
        }
        _ => Ok(()),
    }
}

/// A request's head for routing.
pub(super) struct View<'a> {
    request: &'a Request<RecvStream>,
}

impl<'a> View<'a> {
    pub(super) fn of(request: &'a Request<RecvStream>) -> View<'a> {
        View { request }
    }
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.request.method().as_str()
    }

    fn path(&self) -> &str {
        self.request.uri().path_and_query().map_or("", |path| path.as_str())
    }

    fn authority(&self) -> &str {
        let authority = self.request.uri().authority().map(|authority| authority.as_str());
        authority.or_else(|| self.request.headers().get(HOST)?.to_str().ok()).unwrap_or("")
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.request.headers().get(name).map(HeaderValue::as_bytes)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(self.request.headers())
    }
}

/// A response's head.
pub(super) struct Answer<'a>(pub(super) u16, pub(super) &'a HeaderMap);

impl ResponseView for Answer<'_> {
    fn status(&self) -> u16 {
        self.0
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(self.1)
    }
}

fn pairs(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_name_two_hosts_or_a_user_or_have_very_many_fields_are_refused() {
        let verdict = |authority: &str, hosts: &[&'static str], others: usize| {
            let mut fields = HeaderMap::new();
            for host in hosts {
                fields.append(HOST, HeaderValue::from_static(host));
            }
            for _ in 0..others {
                fields.append("x", HeaderValue::from_static("y"));
            }
            let uri = format!("{authority}/").parse().unwrap();
            checked(&fields, &uri).err()
        };
        assert_eq!(verdict("http://users", &[], FIELD_LIMIT), None);
        assert_eq!(verdict("http://users", &["Users"], 0), None);
        assert_eq!(verdict("", &["users"], 0), None);
        assert_eq!(verdict("http://users", &["orders"], 0), Some(HeadError::HostDiffers));
        assert_eq!(verdict("", &["users", "users"], 0), Some(HeadError::HostRepeated));
        assert_eq!(verdict("http://me@users", &[], 0), Some(HeadError::HostInvalid));
        assert_eq!(verdict("", &["me@users"], 0), Some(HeadError::HostInvalid));
        assert_eq!(verdict("http://users", &[], FIELD_LIMIT + 1), Some(HeadError::TooManyFields));
    }

    #[test]
    fn what_edits_drop_is_left_out_in_every_spelling() {
        let edits = Edits {
            drop: &["weft-*"],
            ..Edits::default()
        };
        let mut fields = HeaderMap::new();
        for name in ["weft-client-id", "weft_client_id", "x-weft"] {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static("me"));
        }
        drop_fields(&mut fields, &edits);
        assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-weft"]);
    }
}
