//! Which names are the mesh's. Names are without the trailing dot here, or with it, and in any case of letters.

use std::net::Ipv4Addr;

/// True when a service may have this name: `users`, `users.default`, or either with `.weft`.
pub fn candidate(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels = name.split('.').count();
    let weft = has_suffix(name, "weft");
    name.split('.').all(is_label)
        && (labels < 3 || (labels == 3 && weft))
        && !name.eq_ignore_ascii_case("localhost")
        && !has_suffix(name, "localhost")
}

/// The name below which a name with leading underscores says something of a service (RFC 8552): `users` for `_grpc_config.users` or `_http._tcp.users`.
pub fn described(name: &str) -> Option<&str> {
    let mut rest = name;
    while rest.starts_with('_') {
        rest = rest.split_once('.')?.1;
    }
    (rest.len() < name.len()).then_some(rest)
}

/// True for an address of the mesh's services, 198.18.0.0/16.
pub fn virtual_address(name: &str) -> bool {
    name.parse::<Ipv4Addr>()
        .is_ok_and(|address| matches!(address.octets(), [198, 18, _, _]))
}

/// True for everything under `.weft`: no resolver outside knows it, and none is asked.
pub fn only_here(name: &str) -> bool {
    has_suffix(name.strip_suffix('.').unwrap_or(name), "weft")
}

/// True for the reverse names of the mesh's own addresses, 198.18.0.0/15: no resolver outside knows them either.
pub fn own_reverse(name: &str) -> bool {
    let mut labels = name.strip_suffix('.').unwrap_or(name).rsplit('.');
    let mut next_is = |expected: &[&str]| {
        labels
            .next()
            .is_some_and(|label| expected.iter().any(|expected| label.eq_ignore_ascii_case(expected)))
    };
    next_is(&["arpa"]) && next_is(&["in-addr"]) && next_is(&["198"]) && next_is(&["18", "19"])
}

fn has_suffix(name: &str, last: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, label)| label.eq_ignore_ascii_case(last))
}

/// A DNS label as RFC 1123 has it.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_one_or_two_labels_and_may_end_in_weft() {
        for name in [
            "users",
            "users.default",
            "users.weft",
            "users.default.weft",
            "Users.WEFT.",
            "a-1",
            "weft",
        ] {
            assert!(candidate(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_asked_of_the_mesh() {
        let long = "x".repeat(64);
        for name in [
            "",
            ".",
            "www.example.com",
            "a.b.c.weft",
            "-a",
            "a-",
            "a_b",
            "a..b",
            "\\000",
            "localhost",
            "db.localhost",
            &long,
        ] {
            assert!(!candidate(name), "{name}");
        }
    }

    #[test]
    fn everything_under_weft_stays_here() {
        assert!(only_here("users.weft") && only_here("a.b.c.WEFT.") && only_here("_grpc.users.weft"));
        assert!(!only_here("weft") && !only_here("weft.dev") && !only_here("notweft"));
    }

    #[test]
    fn names_with_underscores_say_something_of_the_name_below() {
        for name in ["_grpc_config.users", "_http._tcp.users"] {
            assert_eq!(described(name), Some("users"), "{name}");
        }
        for name in ["users", "_", "_tcp", "a._tcp.users", ""] {
            assert_eq!(described(name), None, "{name}");
        }
    }

    #[test]
    fn reverse_names_of_the_meshs_addresses_are_known() {
        assert!(own_reverse("7.0.18.198.in-addr.arpa") && own_reverse("1.2.19.198.IN-ADDR.ARPA.") && own_reverse("18.198.in-addr.arpa"));
        assert!(!own_reverse("7.0.20.198.in-addr.arpa") && !own_reverse("198.in-addr.arpa") && !own_reverse("7.0.18.198.example.com"));
    }
}
