//! Secrets in heads: names stay, values go.

use std::borrow::Cow;

/// What stands for a secret.
pub const REDACTED: &str = "(redacted)";

/// Parts of names whose values are secrets, in names without hyphens and underscores.
const SECRET_PARTS: [&str; 22] = [
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
    "sessid",
    "saml",
    "credential",
    "signature",
    "assertion",
    "jwt",
    "csrf",
    "xsrf",
];
/// Words of names whose values are secrets: between hyphens, underscores and digits, or each with a capital.
const SECRET_WORDS: [&str; 11] = ["auth", "key", "sig", "pass", "pw", "pin", "otp", "sid", "dpop", "bearer", "ticket"];
/// Fields that only look like it.
const OPEN_FIELDS: [&str; 6] = [
    "access-control-allow-credentials",
    "idempotency-key",
    "sec-websocket-key",
    "surrogate-key",
    "www-authenticate",
    "proxy-authenticate",
];
/// How values, and those in lists, begin that are credentials wherever they stand.
const SECRET_STARTS: [&str; 6] = ["bearer ", "basic ", "digest ", "negotiate ", "ntlm ", "eyj"];
/// How a JSON Web Token begins: `{"` in base64.
const TOKEN_START: &str = "eyJ";
/// Addresses within addresses are percent-encoded once more each; what is encoded more often than so is hidden.
const MAX_NESTED: u8 = 3;

/// The value of a field as everybody may see it.
pub fn field<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    let is_credential = || {
        let begins = |item: &str| SECRET_STARTS.iter().any(|start| starts_with(item.trim_start(), start));
        value.split([',', ';']).any(begins)
    };
    if !OPEN_FIELDS.contains(&name) && (is_secret(name.as_bytes()) || is_credential()) {
        return REDACTED.into();
    }
    uri(value)
}

/// A text with what is secret in the addresses within hidden, also in those that are percent-encoded there: user information, the values of parameters with
/// secret names, and JSON Web Tokens.
pub fn uri(text: &str) -> Cow<'_, str> {
    nested(text, MAX_NESTED)
}

fn nested(text: &str, depth: u8) -> Cow<'_, str> {
    if !text.contains(['=', '@', '%']) && !text.contains(TOKEN_START) {
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
            Some((name, value)) if !value.is_empty() && is_secret_encoded(name) => {
                out.push_str(name);
                out.push('=');
                out.push_str(REDACTED);
            }
            Some((name, value)) => {
                push_segments(name, depth, &mut out);
                out.push('=');
                push_segments(value, depth, &mut out);
            }
            None => push_segments(body, depth, &mut out),
        }
        out.push_str(end);
    }
    out.into()
}

/// Adds a text without those of its segments that hide a secret.
fn push_segments(text: &str, depth: u8, out: &mut String) {
    for piece in text.split_inclusive('/') {
        let segment = piece.strip_suffix('/').unwrap_or(piece);
        out.push_str(if hides_secret(segment, depth) { REDACTED } else { segment });
        out.push_str(&piece[segment.len()..]);
    }
}

fn hides_secret(segment: &str, depth: u8) -> bool {
    if segment.starts_with(TOKEN_START) && segment.contains('.') {
        return true;
    }
    if !segment.contains('%') {
        return false;
    }
    let plain = decoded(segment);
    let plain = String::from_utf8_lossy(&plain);
    match depth.checked_sub(1) {
        Some(depth) => nested(&plain, depth) != plain,
        None => plain != segment,
    }
}

/// Whether a parameter's name, however often it is percent-encoded, names a secret.
fn is_secret_encoded(name: &str) -> bool {
    let mut name = decoded(name);
    for _ in 0..MAX_NESTED {
        name = decoded(&String::from_utf8_lossy(&name));
    }
    is_secret(&name)
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
    let letters = |byte: &&u8| byte.is_ascii_alphanumeric();
    let squeezed: Vec<u8> = name.iter().filter(letters).map(u8::to_ascii_lowercase).collect();
    let same_word =
        |a: &u8, b: &u8| a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && !(a.is_ascii_lowercase() && b.is_ascii_uppercase());
    let has_part = SECRET_PARTS
        .iter()
        .any(|part| squeezed.windows(part.len()).any(|window| window == part.as_bytes()));
    has_part
        || name
            .chunk_by(same_word)
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
            "x-auth0",
            "x-bearer",
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
        assert_eq!(field("x-forwarded", "a=b; Bearer abc"), REDACTED);
        assert_eq!(field("x-forwarded", "a, basic abc"), REDACTED);
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
            (
                "/a?PHPSESSID=abc&userPass=abc&pw=abc",
                "/a?PHPSESSID=(redacted)&userPass=(redacted)&pw=(redacted)",
            ),
            (
                "/a?signingKey=abc&monkey=abc&keyboard=abc",
                "/a?signingKey=(redacted)&monkey=abc&keyboard=abc",
            ),
            ("/a?SAMLResponse=abc&ticket=abc", "/a?SAMLResponse=(redacted)&ticket=(redacted)"),
            (
                "/verify/eyJhbGciOi.eyJzdWIi.abc/b?c=eyJhbGciOi.e.abc",
                "/verify/(redacted)/b?c=(redacted)",
            ),
            ("/a?to=https%3A%2F%2Fme%3Apw%40users%2Fb&c=d%20e", "/a?to=(redacted)&c=d%20e"),
            ("/a?to=%2Fb%3Faccess_token%3Dabc", "/a?to=(redacted)"),
            ("/fetch/https:%2f%2fme:pw@users/b%2Fc", "/fetch/(redacted)/b%2Fc"),
            ("/a?token%3Dabc", "/a?(redacted)"),
            ("/a?t%256fken=abc", "/a?t%256fken=(redacted)"),
            ("/a?to=%252Fb%253Ftoken%253Dabc", "/a?to=(redacted)"),
            ("/a?to=%252525252520", "/a?to=(redacted)"),
            ("/100%/%zz/%e4", "/100%/%zz/%e4"),
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
        fn a_secret_in_an_encoded_address_is_never_left(
            address in "(https?://HIDDEN[a-z]{0,3}@host/|/a[?&](token|apiKey|sig)=HIDDEN[a-z]{0,3})", times in 1usize..7, before in "/[a-z]{0,5}([?][a-z]{1,3}=)?",
        ) {
            let encode = |text: String| text.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            }).collect::<String>();
            let text = (0..times).fold(address, |text, _| encode(text));
            let shown = uri(&format!("{before}{text}")).into_owned();
            prop_assert!(!shown.contains("HIDDEN"), "{}", shown);
        }

        #[test]
        fn any_text_is_taken(text in "\\PC*", name in "\\PC{0,12}") {
            let _ = (uri(&text), field(&name, &text), authority(&text));
        }
    }
}
