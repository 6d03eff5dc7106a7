use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::http::ResponseView;
use crate::metrics::{Metrics, Protocol, RouteLabel};
use crate::proto::{FieldMatch, TapEvent};

type Pairs = Vec<(String, Vec<u8>)>;

/// A head, of a request or a response.
#[derive(Debug, Default, Clone)]
struct Head {
    method: String,
    authority: String,
    path: String,
    fields: Pairs,
}

impl RequestView for Head {
    fn method(&self) -> &str {
        &self.method
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn field(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
    }
}

impl ResponseView for Head {
    fn status(&self) -> u16 {
        200
    }
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        RequestView::fields(self)
    }
}

fn get(path: &str) -> Head {
    Head {
        method: "GET".into(),
        authority: "users".into(),
        path: path.into(),
        fields: vec![("Accept".into(), b"*/*".to_vec()), ("X-Tenant".into(), b"blue".to_vec())],
    }
}

/// Taps, and what happens on one route.
struct Scene {
    taps: Taps,
    metrics: Rc<Metrics>,
    traffic: Rc<Traffic>,
}

impl Scene {
    fn new() -> Scene {
        let metrics = Rc::<Metrics>::default();
        let traffic = metrics.traffic(Labels {
            direction: Direction::Outbound,
            peer: "users.default".into(),
            identity: "spiffe://weft.local/ns/default/sa/users".into(),
            port: 80,
            protocol: Protocol::Http1,
            anonymous: false,
        });
        Scene {
            taps: Taps::default(),
            metrics,
            traffic,
        }
    }

    fn tapped(wanted: TapStart) -> Scene {
        let scene = Scene::new();
        scene.taps.start(TapStart { tap_id: 7, ..wanted }).unwrap();
        scene
    }

    fn begin(&self, head: &Head) -> Observed {
        let started = Instant::now();
        Observed::new(
            self.metrics.begin(Direction::Outbound, &head.method, started),
            self.taps.begin(Direction::Outbound, head, started),
        )
    }

    /// A request that is answered with a status.
    fn request(&self, head: &Head, status: u16) {
        let observed = self.begin(head);
        if status > 0 {
            observed.answered("w-1", head);
        }
        self.end(observed, status);
    }

    fn end(&self, observed: Observed, status: u16) {
        let outcome = Outcome {
            status,
            attempts: 1,
            request_bytes: 3,
            response_bytes: 4,
            ..Outcome::default()
        };
        observed.finish(&self.traffic, RouteLabel::DEFAULT, &outcome);
    }

    fn event(&self) -> Option<TapEvent> {
        let next = std::pin::pin!(self.taps.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match next.poll(&mut context) {
            std::task::Poll::Ready(event) => Some(event),
            std::task::Poll::Pending => None,
        }
    }

    fn events(&self) -> Vec<TapEvent> {
        std::iter::from_fn(|| self.event()).collect()
    }

    fn shows(&self, head: &Head, status: u16) -> bool {
        self.request(head, status);
        !self.events().is_empty()
    }
}

#[test]
fn an_event_says_what_was_asked_and_answered_by_whom_and_how_long_it_took() {
    let scene = Scene::tapped(TapStart {
        with_fields: true,
        ..TapStart::default()
    });
    scene.request(&get("/a?b=c"), 200);
    let event = scene.event().unwrap();
    assert_eq!((event.tap_id, event.direction()), (7, proto::Direction::Outbound));
    assert_eq!(event.peer.as_ref().unwrap().name, "users.default");
    assert_eq!(
        (event.endpoint.as_str(), event.port, event.protocol()),
        ("w-1", 80, proto::Protocol::Http1)
    );
    assert_eq!([&event.method, &event.authority, &event.path], ["GET", "users", "/a?b=c"]);
    assert_eq!((event.status, event.attempts, event.tls), (200, 1, true));
    assert_eq!((event.request_bytes, event.response_bytes), (3, 4));
    assert!(event.head_latency_us <= event.latency_us && event.start_us > 1_700_000_000_000_000);
    let fields: Vec<_> = event
        .request_fields
        .iter()
        .map(|field| (field.name.as_str(), field.value.as_str()))
        .collect();
    assert_eq!(fields, [("accept", "*/*"), ("x-tenant", "blue")]);
    assert_eq!(event.response_fields.len(), 2);
}

#[test]
fn a_tap_shows_only_what_it_wants() {
    let want = |wanted: TapStart, path: &str, status: u16| Scene::tapped(wanted).shows(&get(path), status);
    let all = TapStart::default;
    assert!(want(all(), "/", 0));
    assert!(want(
        TapStart {
            method: "GET".into(),
            ..all()
        },
        "/",
        200
    ));
    assert!(!want(
        TapStart {
            method: "POST".into(),
            ..all()
        },
        "/",
        200
    ));
    assert!(want(
        TapStart {
            path_prefix: "/a".into(),
            ..all()
        },
        "/ab",
        200
    ));
    assert!(!want(
        TapStart {
            path_prefix: "/a".into(),
            ..all()
        },
        "/b",
        200
    ));
    assert!(want(
        TapStart {
            peers: vec!["x.default".into(), "users.default".into()],
            ..all()
        },
        "/",
        200
    ));
    assert!(!want(
        TapStart {
            peers: vec!["x.default".into()],
            ..all()
        },
        "/",
        200
    ));
    assert!(want(TapStart { min_status: 500, ..all() }, "/", 503));
    assert!(!want(TapStart { min_status: 500, ..all() }, "/", 404));
    assert!(!want(
        TapStart {
            min_status: 400,
            max_status: 499,
            ..all()
        },
        "/",
        500
    ));
    assert!(!want(TapStart { min_status: 100, ..all() }, "/", 0));
    let outbound = proto::Direction::Outbound.into();
    assert!(want(
        TapStart {
            direction: outbound,
            ..all()
        },
        "/",
        200
    ));
    assert!(!want(
        TapStart {
            direction: proto::Direction::Inbound.into(),
            ..all()
        },
        "/",
        200
    ));
    let field = |name: &str, value: Option<&str>| FieldMatch {
        name: name.into(),
        value: value.map(Into::into),
    };
    assert!(want(
        TapStart {
            fields: vec![field("x-tenant", Some("blue")), field("accept", None)],
            ..all()
        },
        "/",
        200
    ));
    assert!(!want(
        TapStart {
            fields: vec![field("x-tenant", Some("red"))],
            ..all()
        },
        "/",
        200
    ));
    assert!(!want(
        TapStart {
            fields: vec![field("cookie", None)],
            ..all()
        },
        "/",
        200
    ));
}

#[test]
fn nothing_is_kept_of_requests_that_nobody_wants() {
    let scene = Scene::new();
    assert!(scene.taps.begin(Direction::Outbound, &get("/"), Instant::now()).is_none());
    scene
        .taps
        .start(TapStart {
            method: "POST".into(),
            ..TapStart::default()
        })
        .unwrap();
    assert!(scene.taps.begin(Direction::Outbound, &get("/"), Instant::now()).is_none());
    scene.request(&get("/"), 200);
    assert_eq!(scene.events(), []);
}

#[test]
fn requests_that_began_before_a_tap_or_end_after_it_are_not_shown() {
    let scene = Scene::new();
    let early = scene.begin(&get("/early"));
    scene
        .taps
        .start(TapStart {
            tap_id: 1,
            ..TapStart::default()
        })
        .unwrap();
    scene.end(early, 200);
    let late = scene.begin(&get("/late"));
    scene.taps.stop(1);
    scene
        .taps
        .start(TapStart {
            tap_id: 2,
            ..TapStart::default()
        })
        .unwrap();
    scene.end(late, 200);
    assert_eq!(scene.events(), []);
    scene.taps.clear();
    assert!(!scene.taps.watched() && !scene.shows(&get("/"), 200));
}

#[test]
fn each_tap_gets_its_own_event_with_what_it_asked_for() {
    let scene = Scene::tapped(TapStart::default());
    scene
        .taps
        .start(TapStart {
            tap_id: 8,
            with_fields: true,
            with_secrets: true,
            ..TapStart::default()
        })
        .unwrap();
    let mut head = get("/?token=abc");
    head.fields.push(("Cookie".into(), b"id=1".to_vec()));
    scene.request(&head, 200);
    let [open, secret] = &scene.events()[..] else {
        panic!("two events")
    };
    assert_eq!(
        (open.tap_id, open.path.as_str(), open.request_fields.len()),
        (7, "/?token=(redacted)", 0)
    );
    assert_eq!((secret.tap_id, secret.path.as_str()), (8, "/?token=abc"));
    assert_eq!(secret.request_fields[2].value, "id=1");
}

#[test]
fn what_is_beyond_the_rate_or_the_queue_is_counted() {
    let scene = Scene::tapped(TapStart {
        max_events_per_second: 5,
        ..TapStart::default()
    });
    for _ in 0..12 {
        scene.request(&get("/"), 200);
    }
    assert_eq!(scene.events().len(), 5);
    let [dropped] = &scene.taps.take_dropped()[..] else {
        panic!("one tap")
    };
    assert_eq!((dropped.tap_id, dropped.events, dropped.error.as_str()), (7, 7, ""));
    assert_eq!(scene.taps.take_dropped(), []);

    let scene = Scene::tapped(TapStart {
        max_events_per_second: 1_000_000,
        ..TapStart::default()
    });
    for _ in 0..3_000 {
        scene.request(&get("/"), 200);
    }
    let (sent, dropped) = (scene.events().len() as u64, scene.taps.take_dropped()[0].events);
    assert!(sent <= 1_024 && sent + dropped == 3_000, "{sent} + {dropped}");
}

#[test]
fn so_many_taps_run_and_one_more_is_told_why_not() {
    let scene = Scene::new();
    for tap_id in 1..=16 {
        scene
            .taps
            .start(TapStart {
                tap_id,
                ..TapStart::default()
            })
            .unwrap();
    }
    let refused = scene
        .taps
        .start(TapStart {
            tap_id: 17,
            ..TapStart::default()
        })
        .unwrap_err();
    assert_eq!((refused.tap_id, refused.error.as_str()), (17, errors::TOO_MANY_TAPS));
    scene
        .taps
        .start(TapStart {
            tap_id: 16,
            ..TapStart::default()
        })
        .unwrap();
    scene.request(&get("/"), 200);
    assert_eq!(scene.events().len(), 16);
}

#[test]
fn an_opaque_connection_is_shown_at_its_end_and_one_that_could_not_be_opened_with_its_reason() {
    let scene = Scene::tapped(TapStart::default());
    let connection = scene.taps.connection(&scene.traffic, "w-2");
    connection.count(10, 0);
    connection.count(0, 20);
    assert_eq!(scene.events(), []);
    drop(connection);
    let event = scene.event().unwrap();
    assert_eq!((event.method.as_str(), event.endpoint.as_str(), event.attempts), ("", "w-2", 1));
    assert_eq!((event.request_bytes, event.response_bytes, event.status), (10, 20, 0));
    scene.taps.unconnected(&scene.traffic, errors::CONNECT_FAILED);
    assert_eq!(scene.event().unwrap().error, errors::CONNECT_FAILED);

    let scene = Scene::tapped(TapStart {
        path_prefix: "/".into(),
        ..TapStart::default()
    });
    drop(scene.taps.connection(&scene.traffic, "w-2"));
    assert_eq!(scene.events(), []);
}

#[test]
fn a_request_that_was_refused_is_shown_with_the_reason() {
    let scene = Scene::tapped(TapStart::default());
    scene
        .taps
        .refused(scene.traffic.labels(), &get("/a b"), &Reply::new(400, "WEFT-P-X", "no"));
    let event = scene.event().unwrap();
    assert_eq!(
        (event.status, event.error.as_str(), event.path.as_str(), event.attempts),
        (400, "WEFT-P-X", "/a b", 0)
    );
}

#[test]
fn hostile_heads_are_bounded_and_text() {
    let scene = Scene::tapped(TapStart {
        with_fields: true,
        with_secrets: true,
        ..TapStart::default()
    });
    let mut head = Head {
        method: "M".repeat(60_000),
        authority: "ä".repeat(30_000),
        path: format!("/{}", "ä".repeat(30_000)),
        fields: vec![("x".into(), b"\x1b[31m\xff\0".to_vec()), ("y".into(), vec![0xff; 60_000])],
    };
    scene.request(&head, 200);
    let event = scene.event().unwrap();
    assert_eq!((event.method.len(), event.authority.len(), event.path.len()), (64, 256, 2_047));
    assert_eq!(event.request_fields[0].value, "\x1b[31m\u{fffd}\0");
    let bytes = |event: &TapEvent| {
        event
            .request_fields
            .iter()
            .map(|field| field.name.len() + field.value.len())
            .sum::<usize>()
    };
    assert!(bytes(&event) <= 8 * 1024);
    head.fields = (0..100).map(|n| (format!("x-{n}"), b"y".to_vec())).collect();
    scene.request(&head, 200);
    assert_eq!(scene.event().unwrap().request_fields.len(), 64);
}

#[test]
fn a_second_of_a_hundred_thousand_requests_costs_a_bounded_number_of_events() {
    let scene = Scene::tapped(TapStart::default());
    let started = Instant::now();
    for path in 0..100_000 {
        scene.request(&get(&format!("/{path}")), 200);
    }
    let most = 100 + (started.elapsed() + Duration::from_secs(1)).as_secs() as usize * 100;
    assert!(scene.events().len() <= most.min(1_024));
}

const SECRET: &str = "HIDDEN";

/// A field that holds the secret where it must not be seen.
fn secret_field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let named = (
        "(x-|)(authorization|api[-_]key|auth-token|client-secret|password|sessionid)|cookie|set-cookie|proxy-authorization",
        "[ -~]{0,20}",
    )
        .prop_map(|(name, around)| (name, format!("{around}{SECRET}{around}")));
    let address = (
        "(location|referer|x-original-url)",
        "(&access_token=|\\?api_key=|;sig=|#password=)",
        "(https:|)",
    )
        .prop_map(|(name, parameter, scheme)| (name, format!("{scheme}//u:{SECRET}@host/a?b=c{parameter}{SECRET}")));
    let bearer = "x-[a-f]{1,5}".prop_map(|name| (name, format!("Bearer {SECRET}")));
    // Wherever it is cut off.
    let padded = (prop_oneof![named, address], 0usize..9_000)
        .prop_map(|((name, value), padding)| (name, format!("{}/{value}", "a".repeat(padding))));
    (prop_oneof![4 => padded, 1 => bearer], any::<bool>())
        .prop_map(|((name, value), upper)| (if upper { name.to_ascii_uppercase() } else { name }, value.into_bytes()))
}

proptest! {
    #[test]
    fn no_secret_is_ever_in_an_event_unless_it_was_asked_for(
        fields in prop::collection::vec(secret_field(), 0..8),
        padding in 0usize..2_200,
        parameter in "(access_token|api_key|token|password|secret|sig)",
        with_fields in any::<bool>(),
    ) {
        let head = Head {
            method: "GET".into(),
            authority: format!("me:{SECRET}@users"),
            path: format!("/{}?{parameter}={SECRET}&to=http://u:{SECRET}@x/", "a".repeat(padding)),
            fields,
        };
        let scene = Scene::tapped(TapStart { with_fields, ..TapStart::default() });
        scene.request(&head, 200);
        scene.taps.refused(scene.traffic.labels(), &head, &Reply::new(400, "WEFT-P-X", "no"));
        let events = scene.events();
        prop_assert_eq!(events.len(), 2);
        for event in events {
            prop_assert!(!format!("{event:?}").contains(SECRET), "{event:?}");
        }
    }
}
