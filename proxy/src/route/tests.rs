use proptest::prelude::*;

use super::*;
use crate::balance::Rng;
use crate::proto;

/// A request's head.
struct Head<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a [(&'a str, &'a str)],
}

impl RequestView for Head<'_> {
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.target
    }
    fn authority(&self) -> &str {
        "users.default"
    }
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_bytes())
    }
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

fn get(target: &str) -> Head<'_> {
    Head {
        method: "GET",
        target,
        fields: &[],
    }
}

fn field(name: &str, value: &str) -> proto::Field {
    proto::Field {
        name: name.into(),
        value: value.into(),
    }
}

fn exact(path: &str) -> proto::RouteMatch {
    let exact = proto::path_match::Match::Exact(path.into());
    proto::RouteMatch {
        path: Some(proto::PathMatch { r#match: Some(exact) }),
        ..proto::RouteMatch::default()
    }
}

fn prefix(path: &str) -> proto::RouteMatch {
    let prefix = proto::path_match::Match::Prefix(path.into());
    proto::RouteMatch {
        path: Some(proto::PathMatch { r#match: Some(prefix) }),
        ..proto::RouteMatch::default()
    }
}

fn backend(service: &str, weight: u32) -> proto::Backend {
    proto::Backend {
        weight,
        service: service.into(),
        port: 80,
        ..proto::Backend::default()
    }
}

fn rule(backends: Vec<proto::Backend>) -> proto::RouteRule {
    proto::RouteRule {
        route: "default/users".into(),
        backends,
        ..proto::RouteRule::default()
    }
}

/// Routes with a rule for each match, in order.
fn routes(matches: Vec<proto::RouteMatch>) -> Routes {
    let told = proto::Routes {
        kind: proto::RoutesKind::Http.into(),
        rules: matches.iter().map(|_| rule(vec![backend("users.default", 1)])).collect(),
        matches: matches
            .into_iter()
            .enumerate()
            .map(|(place, each)| proto::RouteMatch {
                rule: place as u32,
                ..each
            })
            .collect(),
    };
    Routes::from_proto(&told).unwrap()
}

/// Whether a request is what one match says.
fn holds(wanted: proto::RouteMatch, head: &Head<'_>) -> bool {
    routes(vec![wanted]).decide(head) == Decision::Rule(0)
}

#[test]
fn the_first_match_that_holds_decides() {
    let routes = routes(vec![exact("/a/b"), prefix("/a"), prefix("/a"), prefix("/b")]);
    for (target, expected) in [
        ("/a/b", Decision::Rule(0)),
        ("/a/b?c", Decision::Rule(0)),
        ("/a/b/", Decision::Rule(1)),
        ("/b", Decision::Rule(3)),
        ("/c", Decision::None),
    ] {
        assert_eq!(routes.decide(&get(target)), expected, "{target}");
    }
}

#[test]
fn a_prefix_is_one_of_segments_and_the_query_is_no_part_of_the_path() {
    for (wanted, target, expected) in [
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a", "/a/b", true),
        ("/a", "/a?b", true),
        ("/a", "/ab", false),
        ("/a", "/", false),
        ("/a", "/?/a", false),
        ("/a/", "/a", true),
        ("/a/", "/a/b", true),
        ("/a/", "/ab", false),
        ("/", "/", true),
        ("/", "/a", true),
        ("/", "*", true),
        ("/", "", true),
        ("/%7Ea", "/%7Ea/b", true),
    ] {
        assert_eq!(holds(prefix(wanted), &get(target)), expected, "{wanted} {target}");
    }
    assert!(holds(exact("/a"), &get("/a?b=c")) && !holds(exact("/a"), &get("/a/")) && !holds(exact("/a"), &get("/A")));
}

#[test]
fn what_programs_read_differently_is_no_way_around_a_match() {
    let routes = routes(vec![prefix("/admin"), prefix("/public"), exact("/a%20b")]);
    for target in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public\\..\\..\\admin",
        "//admin",
        "/./admin",
        "/%61dmin",
        "/admin%2f..%2fpublic",
        "/x/../public",
        "/other/..//public",
        "/a%2520b/../a%20b",
    ] {
        assert_eq!(routes.decide(&get(target)), Decision::Ambiguous, "{target}");
    }
    for (target, expected) in [
        ("/public//a", Decision::Rule(1)),
        ("/public/a%2fb", Decision::Rule(1)),
        ("/public/.well-known", Decision::Rule(1)),
        ("/public/a/../b", Decision::Rule(1)),
        ("/public?/../admin", Decision::Rule(1)),
        ("/a%20b", Decision::Rule(2)),
        ("/x//y", Decision::None),
    ] {
        assert_eq!(routes.decide(&get(target)), expected, "{target}");
    }
}

#[test]
fn methods_fields_and_parameters_must_all_be_there() {
    let method = proto::RouteMatch {
        method: "POST".into(),
        ..proto::RouteMatch::default()
    };
    assert!(!holds(method.clone(), &get("/")));
    assert!(holds(
        method,
        &Head {
            method: "POST",
            ..get("/")
        }
    ));

    let with = |headers: Vec<proto::Field>| proto::RouteMatch {
        headers,
        ..proto::RouteMatch::default()
    };
    let sent = Head {
        fields: &[("X-Tier", "gold"), ("x-a", "1"), ("X-A", "2"), ("x-none", "")],
        ..get("/")
    };
    assert!(holds(
        with(vec![field("x-tier", "gold"), field("x-a", "1, 2"), field("x-none", "")]),
        &sent
    ));
    assert!(holds(with(vec![field("host", "users.default")]), &sent));
    for (name, value) in [
        ("x-tier", "silver"),
        ("x-tier", "Gold"),
        ("x-tier", "gol"),
        ("x-tier", "golden"),
        ("x-a", "1"),
        ("x-a", "1, 2, "),
        ("x-a", "1,2"),
        ("x-b", ""),
        ("host", "other"),
    ] {
        assert!(
            !holds(with(vec![field("x-tier", "gold"), field(name, value)]), &sent),
            "{name}: {value}"
        );
    }

    let asked = |name: &str, value: &str| proto::RouteMatch {
        query_params: vec![field(name, value)],
        ..proto::RouteMatch::default()
    };
    for (name, value, expected) in [
        ("a", "1", true),
        ("a", "2", false),
        ("b", "", true),
        ("c", "x=y", true),
        ("d", "%41", true),
        ("d", "A", false),
        ("e", "", false),
    ] {
        assert_eq!(
            holds(asked(name, value), &get("/?a=1&a=2&b&c=x=y&d=%41")),
            expected,
            "{name}={value}"
        );
    }
}

#[test]
fn calls_of_grpc_are_known_by_service_and_method() {
    let call = |service: &str, method: &str| proto::RouteMatch {
        grpc_service: service.into(),
        grpc_method: method.into(),
        ..proto::RouteMatch::default()
    };
    for (service, method, target, expected) in [
        ("shop.Cart", "Add", "/shop.Cart/Add", true),
        ("shop.Cart", "", "/shop.Cart/Add", true),
        ("", "Add", "/shop.Cart/Add", true),
        ("shop.Cart", "Add", "/shop.Cart/Remove", false),
        ("shop.Cart", "", "/shop.Cart2/Add", false),
        ("shop.Cart", "", "/shop.Cart", false),
        ("shop.Cart", "", "/shop.Cart/Add/more", false),
        ("", "Add", "/a/b/Add", false),
        ("", "", "/any/thing/at/all", true),
    ] {
        assert_eq!(holds(call(service, method), &get(target)), expected, "{service}/{method} {target}");
    }
}

#[test]
fn a_rule_that_leads_nowhere_says_which_and_why() {
    let failing = proto::Backend {
        weight: 1,
        failure: "RefNotPermitted".into(),
        ..proto::Backend::default()
    };
    let mut told = proto::Routes {
        kind: proto::RoutesKind::Grpc.into(),
        rules: vec![rule(Vec::new()), rule(vec![failing])],
        matches: Vec::new(),
    };
    told.rules[0].failure = "BackendNotFound".into();
    told.rules[1].index = 1;
    let routes = Routes::from_proto(&told).unwrap();
    let [empty, failing] = routes.rules() else { panic!("two rules") };
    assert_eq!(
        (empty.draw(&mut Rng::from_seed(1)), failing.draw(&mut Rng::from_seed(1))),
        (None, Some(0))
    );
    let reply = empty.refusal(None);
    assert_eq!((reply.status, reply.code), (500, errors::NO_BACKEND));
    assert!(reply.message.contains("rule 0 of the route default/users") && reply.message.contains("BackendNotFound"));
    let reply = failing.refusal(failing.backends.first());
    assert!(reply.message.contains("rule 1 of the route default/users") && reply.message.contains("RefNotPermitted"));
}

#[test]
fn routes_that_make_no_sense_are_refused_with_the_reason() {
    let good = || proto::Routes {
        kind: proto::RoutesKind::Http.into(),
        rules: vec![rule(vec![backend("users.default", 1)])],
        matches: vec![exact("/a")],
    };
    assert!(Routes::from_proto(&good()).is_ok());
    let set = |name: &str, value: &str| {
        Some(proto::HeaderChanges {
            set: vec![field(name, value)],
            ..proto::HeaderChanges::default()
        })
    };
    type Change<'a> = &'a dyn Fn(&mut proto::Routes);
    let cases: [(Change<'_>, &str); 26] = [
        (&|told| told.kind = 0, "kind"),
        (&|told| told.kind = 9, "kind"),
        (&|told| told.matches[0].rule = 1, "no rule 1"),
        (&|told| told.matches[0].path = Some(proto::PathMatch { r#match: None }), "not known"),
        (&|told| told.matches[0] = exact("a"), "slash"),
        (&|told| told.matches[0].grpc_service = "a".into(), "gRPC"),
        (&|told| told.matches[0].method = "GET /".into(), "method"),
        (&|told| told.matches[0].headers = vec![field("X-A", "")], "lower case"),
        (&|told| told.rules[0].route.clear(), "name"),
        (&|told| told.rules[0].backends.clear(), "no backend"),
        (&|told| told.rules[0].backends[0].weight = 0, "weight 0"),
        (&|told| told.rules[0].backends[0].port = 0, "0 is no port"),
        (&|told| told.rules[0].backends[0].service.clear(), "no word"),
        (&|told| told.rules[0].request_headers = set("X-A", "b"), "lower case"),
        (&|told| told.rules[0].request_headers = set(":path", "/"), "lower case"),
        (&|told| told.rules[0].request_headers = set("x-a", "b\r\nc: d"), "printable"),
        (&|told| told.rules[0].request_headers = set("x-a", " b"), "printable"),
        (&|told| told.rules[0].request_headers = set("x-a", &"b".repeat(20_000)), "bytes"),
        (&|told| told.rules[0].request_headers = set("host", "a"), "identity"),
        (&|told| told.rules[0].request_headers = set("content-length", "1"), "framing"),
        (&|told| told.rules[0].request_headers = set("content_length", "1"), "framing"),
        (
            &|told| told.rules[0].response_headers = set("transfer-encoding", "chunked"),
            "framing",
        ),
        (&|told| told.rules[0].response_headers = set("connection", "x"), "hops"),
        (
            &|told| told.rules[0].backends[0].request_headers = set("weft-client-id", "spiffe://a"),
            "identity",
        ),
        (
            &|told| told.rules[0].backends[0].request_headers = set("weft_client_id", "spiffe://a"),
            "identity",
        ),
        (
            &|told| {
                told.rules[0].request_headers = Some(proto::HeaderChanges {
                    remove: vec!["te".into()],
                    ..proto::HeaderChanges::default()
                });
            },
            "hops",
        ),
    ];
    for (change, expected) in cases {
        let mut told = good();
        change(&mut told);
        let reason = Routes::from_proto(&told).unwrap_err();
        assert!(reason.contains(expected), "{reason} lacks {expected}");
    }
}

/// What is left of fields after edits, in order.
fn edited<'a>(edits: &'a Edits, fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = fields.iter().copied().filter(|(name, _)| !edits.drops(name.as_bytes()));
    kept.chain(edits.add.iter().map(|field| (field.name(), field.value()))).collect()
}

#[test]
fn fields_are_removed_then_set_then_added_by_the_rule_and_then_by_its_backend_and_back_again() {
    let changes = |remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]| {
        let fields = |fields: &[(&str, &str)]| fields.iter().map(|(name, value)| field(name, value)).collect();
        Some(proto::HeaderChanges {
            remove: remove.iter().map(|name| name.to_string()).collect(),
            set: fields(set),
            add: fields(add),
        })
    };
    let of_rule = changes(&["a"], &[("b", "rule")], &[("c", "rule"), ("d", "rule")]);
    let of_backend = changes(&["c"], &[("b", "backend")], &[("a", "backend"), ("d", "backend")]);
    let told = proto::Routes {
        kind: proto::RoutesKind::Http.into(),
        rules: vec![proto::RouteRule {
            request_headers: of_rule.clone(),
            response_headers: of_rule,
            ..rule(vec![proto::Backend {
                request_headers: of_backend.clone(),
                response_headers: of_backend,
                ..backend("users.default", 1)
            }])
        }],
        matches: Vec::new(),
    };
    let routes = Routes::from_proto(&told).unwrap();
    let backend = &routes.rules()[0].backends[0];
    let sent = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("weft-client-id", "me")];
    assert_eq!(
        edited(&backend.request, &sent),
        [
            ("d", "4"),
            ("e", "5"),
            ("d", "rule"),
            ("b", "backend"),
            ("a", "backend"),
            ("d", "backend")
        ]
    );
    let answered = &sent[..5];
    assert_eq!(
        edited(&backend.response, answered),
        [
            ("d", "4"),
            ("e", "5"),
            ("d", "backend"),
            ("b", "rule"),
            ("c", "rule"),
            ("d", "rule")
        ]
    );
}

#[test]
fn removed_fields_are_removed_in_every_spelling_that_programs_take_for_theirs() {
    let told = proto::Routes {
        kind: proto::RoutesKind::Http.into(),
        rules: vec![proto::RouteRule {
            request_headers: Some(proto::HeaderChanges {
                remove: vec!["x_is-admin".into()],
                ..proto::HeaderChanges::default()
            }),
            ..rule(vec![backend("users.default", 1)])
        }],
        matches: Vec::new(),
    };
    let routes = Routes::from_proto(&told).unwrap();
    let edits = &routes.rules()[0].backends[0].request;
    for name in ["x_is-admin", "X-Is-Admin", "x.is_admin"] {
        assert!(edits.drops(name.as_bytes()), "{name}");
    }
    assert!(!edits.drops(b"x-is-admins"));
}

proptest! {
    #[test]
    fn the_order_of_matches_is_kept(wanted in proptest::collection::vec("(/[ab]{1,2}){0,3}", 1..8), target in "(/[ab]{1,2}){0,4}") {
        let told: Vec<_> = wanted.iter().map(|path| format!("/{}", path.trim_start_matches('/'))).collect();
        let target = format!("/{}", target.trim_start_matches('/'));
        let segments = |path: &str| path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let expected = told.iter().position(|path| segments(&target).starts_with(&segments(path)));
        let decided = routes(told.iter().map(|path| prefix(path)).collect()).decide(&get(&target));
        prop_assert_eq!(decided, expected.map_or(Decision::None, Decision::Rule));
    }

    #[test]
    fn requests_are_shared_by_weight(weights in proptest::collection::vec(1u32..1_000, 1..6), seed: u64) {
        const DRAWS: usize = 20_000;
        let backends = weights.iter().map(|weight| backend("users.default", *weight)).collect();
        let told = proto::Routes { kind: proto::RoutesKind::Http.into(), rules: vec![rule(backends)], matches: Vec::new() };
        let routes = Routes::from_proto(&told).unwrap();
        let (mut rng, mut counts) = (Rng::from_seed(seed), vec![0usize; weights.len()]);
        for _ in 0..DRAWS {
            counts[routes.rules()[0].draw(&mut rng).unwrap()] += 1;
        }
        let sum: u32 = weights.iter().sum();
        for (weight, count) in weights.iter().zip(counts) {
            let (expected, found) = (f64::from(*weight) / f64::from(sum), count as f64 / DRAWS as f64);
            prop_assert!((expected - found).abs() < 0.025, "{} of {}: {}", weight, sum, found);
        }
    }

    #[test]
    fn whatever_is_sent_is_decided_and_no_program_reads_it_as_something_else(target in "/[ab./%2fe\\\\?]{0,16}") {
        let routes = routes(vec![prefix("/a"), exact("/b"), prefix("/a/b")]);
        let decided = routes.decide(&get(&target));
        if decided != Decision::Ambiguous {
            let (path, _) = path::split(&target);
            for reading in path::READINGS {
                let mut read = Vec::new();
                reading.read(path.as_bytes(), &mut read);
                let is_a = read.starts_with(b"/a/") || read == b"/a";
                prop_assert_eq!(is_a, decided == Decision::Rule(0));
                prop_assert_eq!(read == b"/b", decided == Decision::Rule(1));
            }
        }
    }
}
