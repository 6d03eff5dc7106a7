//! Secrets in heads: names stay, values go.

use std::borrow::Cow;

/// What stands for a secret.
pub const REDACTED: &str = "(redacted)";

/// Parts of names whose values are secrets, in names without hyphens and underscores.
const SECRET_PARTS: [&str; 20] = [
    "authorization",
    "authentication",
    "cookie",
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "licensekey",
    "session",
    "credential",
    "signature",
    "assertion",
    "jwt",
    "csrf",
    "xsrf",
];
/// Words of names, between hyphens and underscores, whose values are secrets.
const SECRET_WORDS: [&str; 8] = ["auth", "key", "sig", "pass", "pin", "otp", "sid", "dpop"];
/// Fields that only look like it.
const OPEN_FIELDS: [&str; 6] = [
    "access-control-allow-credentials",
    "idempotency-key",
    "sec-websocket-key",
    "surrogate-key",
    "www-authenticate",
    "proxy-authenticate",
];
/// How values begin that are credentials wherever they stand.
const SECRET_STARTS: [&str; 6] = ["bearer ", "basic ", "digest ", "negotiate ", "ntlm ", "eyj"];

/// The value of a field as everybody may see it.
pub fn field<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    let is_credential = || SECRET_STARTS.iter().any(|start| starts_with(value.trim_start(), start));
    if !OPEN_FIELDS.contains(&name) && (is_secret(name.as_bytes()) || is_credential()) {
        return REDACTED.into();
    }
    uri(value)
}

/// A text with what is secret in the addresses within: user information, and the values of parameters with secret names.
pub fn uri(text: &str) -> Cow<'_, str> {
    if !text.contains(['=', '@']) {
        return text.into();
    }
    let text = without_users(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(part) = rest.split_inclusive(is_delimiter).next() {
        rest = &rest[part.len()..];
        let (body, end) = match part.chars().next_back().filter(|last| is_delimiter(*last)) {
            Some(last) => part.split_at(part.len() - last.len_utf8()),
            None => (part, ""),
        };
        match body.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(&decoded(name)) => {
                out.push_str(name);
                out.push('=');
                out.push_str(REDACTED);
            }
            _ => out.push_str(body),
        }
        out.push_str(end);
    }
    out.into()
}

/// An authority without its user information.
pub fn authority(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}").into(),
        None => text.into(),
    }
}

fn is_delimiter(character: char) -> bool {
    matches!(character, '?' | '&' | ';' | '#' | ',' | ' ' | '\t')
}

/// Takes the user information out of everything that follows `//`.
fn without_users(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(slashes) = rest.find("//") {
        let more = rest[slashes..].find(|c| c != '/').unwrap_or(rest.len() - slashes);
        let (before, after) = rest.split_at(slashes + more);
        out.push_str(before);
        let end = after.find(['/', '?', '#', ' ', '\t']).unwrap_or(after.len());
        out.push_str(&authority(&after[..end]));
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// Whether a value of this name is a secret.
fn is_secret(name: &[u8]) -> bool {
    let separator = |byte: &u8| !byte.is_ascii_alphanumeric();
    let squeezed: Vec<u8> = name.iter().filter(|byte| !separator(byte)).map(u8::to_ascii_lowercase).collect();
    let has_part = SECRET_PARTS
        .iter()
        .any(|part| squeezed.windows(part.len()).any(|window| window == part.as_bytes()));
    has_part
        || name
            .split(separator)
            .any(|word| SECRET_WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret.as_bytes())))
}

fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// A parameter's name without percent-encoding.
fn decoded(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.as_bytes();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        let code = rest
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        if code.is_some() {
            bytes = &rest[2..];
        }
        out.push(code.unwrap_or(*first));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_that_hold_secrets_are_known_by_their_names() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "x_api_key",
            "apikey",
            "x-auth-token",
            "x-auth",
            "x-amz-security-token",
            "x-csrf-token",
            "client-secret",
            "x-password",
            "phpsessionid",
            "x-goog-iap-jwt-assertion",
            "x-hub-signature-256",
            "private-token",
        ] {
            assert_eq!(field(name, "v"), REDACTED, "{name}");
        }
        for name in [
            "accept",
            "content-type",
            "x-author",
            "keep-alive",
            "sec-websocket-key",
            "user-agent",
            "x-request-id",
            "monkey",
            "idempotency-key",
            "access-control-allow-credentials",
        ] {
            assert_eq!(field(name, "v"), "v", "{name}");
        }
        assert_eq!(field("x-forwarded", "Bearer abc"), REDACTED);
        assert_eq!(field("www-authenticate", "Basic realm=\"x\""), "Basic realm=\"x\"");
    }

    #[test]
    fn addresses_keep_what_is_no_secret() {
        let cases = [
            ("/a?b=c", "/a?b=c"),
            ("/a?access_token=abc&b=c", "/a?access_token=(redacted)&b=c"),
            ("/a?b=c&API_KEY=abc#token=x", "/a?b=c&API_KEY=(redacted)#token=(redacted)"),
            ("/a?sig=a=b;c=d", "/a?sig=(redacted);c=d"),
            ("/a?%61ccess%5Ftoken=abc", "/a?%61ccess%5Ftoken=(redacted)"),
            ("/a?token=", "/a?token="),
            ("/token=1/b?c", "/token=(redacted)?c"),
            ("https://me:pw@users/a", "https://(redacted)@users/a"),
            (
                "<https://a@b@users/?password=x>; rel=next",
                "<https://(redacted)@users/?password=(redacted); rel=next",
            ),
            ("/mail?to=a@b", "/mail?to=a@b"),
            ("/a?to=//x@y/", "/a?to=//(redacted)@y/"),
            ("http:///x@y//", "http:///(redacted)@y//"),
            ("ä?ö=ü@", "ä?ö=ü@"),
        ];
        for (text, expected) in cases {
            assert_eq!(uri(text), expected, "{text}");
        }
        assert_eq!(authority("me:pw@users:80"), "(redacted)@users:80");
        assert_eq!(authority("users:80"), "users:80");
    }

    proptest! {
        #[test]
        fn the_value_of_a_secret_parameter_is_never_left(
            before in "[a-z0-9/=&?%@:;#ä.-]{0,20}[?&;#]",
            name in "(x_)?(access_token|api[-_]?key|password|secret|sig|%74oken)",
            after in "([&;# ,\"][ -~ä]{0,20})?",
        ) {
            let text = format!("{before}{name}=HIDDEN{after}");
            prop_assert!(!uri(&text).contains("HIDDEN"), "{}", uri(&text));
            prop_assert!(!field("location", &text).contains("HIDDEN"));
        }

        #[test]
        fn user_information_is_never_left(
            before in "[ -.:-~ä]{0,10}", user in "[A-Za-z0-9:@%.=;&,-]{0,9}", after in "[ -~ä]{0,20}",
        ) {
            let text = format!("{before}//HIDDEN{user}@host/{after}");
            prop_assert!(!uri(&text).contains("HIDDEN"), "{}", uri(&text));
        }

        #[test]
        fn any_text_is_taken(text in "\\PC*", name in "\\PC{0,12}") {
            let _ = (uri(&text), field(&name, &text), authority(&text));
        }
    }
}
