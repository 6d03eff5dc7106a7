use super::*;
use crate::proto::update::Content;

const USERS: &str = "users.default";

fn endpoint(id: &str, port: u32) -> proto::Endpoint {
    proto::Endpoint {
        id: id.into(),
        addresses: vec!["127.0.0.1".into()],
        inbound_port: port,
        identities: vec!["spiffe://weft.local/ns/default/sa/users".into()],
        ports: vec![proto::EndpointPort {
            service_port: 80,
            target_port: 8080,
        }],
    }
}

fn update(kind: ResourceType, name: &str, version: &str, base: &str, content: Content) -> proto::Update {
    proto::Update {
        resource: Some(ResourceVersion {
            r#type: kind.into(),
            name: name.into(),
            version: version.into(),
        }),
        base: base.into(),
        content: Some(content),
    }
}

fn service(version: &str) -> proto::Update {
    let service = proto::Service {
        addresses: vec!["198.18.0.1".into()],
        ports: vec![proto::ServicePort { port: 80, protocol: 0 }],
    };
    update(ResourceType::Service, USERS, version, "", Content::Service(service))
}

fn endpoints(version: &str, base: &str, told: &[(&str, u32)], removed: &[&str]) -> proto::Update {
    let endpoints = proto::Endpoints {
        endpoints: told.iter().map(|(id, port)| endpoint(id, *port)).collect(),
        removed: removed.iter().map(|id| id.to_string()).collect(),
    };
    update(ResourceType::Endpoints, USERS, version, base, Content::Endpoints(endpoints))
}

fn routes(version: &str, weight: u32) -> proto::Update {
    let backend = proto::Backend {
        weight,
        service: USERS.into(),
        port: 80,
        ..proto::Backend::default()
    };
    let rule = proto::RouteRule {
        route: "default/users".into(),
        backends: vec![backend],
        ..proto::RouteRule::default()
    };
    let routes = proto::Routes {
        kind: proto::RoutesKind::Http.into(),
        rules: vec![rule],
        matches: vec![proto::RouteMatch::default()],
    };
    update(ResourceType::Routes, "users.default:80", version, "", Content::Routes(routes))
}

fn alias(alias: &str, service: &str) -> proto::Alias {
    proto::Alias {
        alias: alias.into(),
        service: service.into(),
        routed_ports: Vec::new(),
    }
}

fn held(services: &Services) -> Vec<String> {
    let mut ids: Vec<_> = services
        .endpoints(USERS)
        .unwrap()
        .iter()
        .map(|endpoint| endpoint.id.clone())
        .collect();
    ids.sort();
    ids
}

/// What the controller answers who asks for `users`.
fn answer(services: &Services) {
    services.update(&service("s1")).unwrap();
    services.update(&endpoints("e1", "", &[("a", 1)], &[])).unwrap();
    services.lead(&alias("users", USERS)).unwrap();
}

fn followed() -> (Rc<Services>, mpsc::Receiver<Wish>) {
    let (services, mut wishes) = Services::new("default");
    services.follow("users").unwrap();
    assert_eq!(wishes.try_recv().unwrap(), Wish::Resolve("users".into()));
    (services, wishes)
}

#[test]
fn differences_add_and_remove_and_a_whole_update_replaces() {
    let (services, _wishes) = followed();
    services.update(&endpoints("e1", "", &[("a", 1), ("b", 2)], &[])).unwrap();
    services.update(&endpoints("e2", "e1", &[("c", 3)], &["a"])).unwrap();
    assert_eq!(held(&services), ["b", "c"]);
    let resource = services.update(&endpoints("e3", "", &[("d", 4)], &[])).unwrap();
    assert_eq!(held(&services), ["d"]);
    assert_eq!(services.held(), [resource], "it is what a new stream begins with");
}

#[test]
fn a_difference_to_what_is_not_held_is_refused_with_what_is() {
    let (services, _wishes) = followed();
    let lost = endpoints("e3", "e2", &[("b", 2)], &[]);
    assert_eq!(services.update(&lost).unwrap_err().held, "");
    services.update(&endpoints("e1", "", &[("a", 1)], &[])).unwrap();
    let rejection = services.update(&lost).unwrap_err();
    assert_eq!((rejection.held.as_str(), rejection.rejected), ("e1", lost.resource));
    assert!(rejection.reason.contains("\"e2\""), "{}", rejection.reason);
    assert_eq!(held(&services), ["a"]);
}

#[test]
fn aliases_share_what_they_lead_to_and_it_is_held_until_the_controller_takes_it_back() {
    let (services, _wishes) = followed();
    answer(&services);
    services.follow("users.default").unwrap();
    services.lead(&alias("users.default", USERS)).unwrap();
    let of = |name: &str| services.follow(name).unwrap().leads().unwrap().service.clone();
    assert_eq!((of("users"), of("users.default")), (USERS.to_owned(), USERS.to_owned()));
    assert_eq!(services.held().len(), 2);
    services.lead(&alias("users", "")).unwrap();
    assert!(services.follow("users").unwrap().leads().is_none());
    for kind in [ResourceType::Service, ResourceType::Endpoints] {
        services.remove(&proto::Removal {
            r#type: kind.into(),
            name: USERS.into(),
        });
    }
    assert_eq!(services.held(), []);
    assert!(services.service(USERS).is_none() && services.endpoints(USERS).is_none());
}

#[test]
fn every_change_makes_another_generation() {
    let (services, _wishes) = followed();
    let mut before = services.generation();
    let mut is_another = |what: &str| {
        assert_ne!(
            std::mem::replace(&mut before, services.generation()),
            services.generation(),
            "{what}"
        );
    };
    services.update(&service("s1")).unwrap();
    is_another("a resource");
    services.lead(&alias("users", USERS)).unwrap();
    is_another("an alias");
    services.remove(&proto::Removal {
        r#type: ResourceType::Service.into(),
        name: USERS.into(),
    });
    is_another("a removal");
    services.update(&service("")).unwrap_err();
    assert_eq!(before, services.generation(), "what is refused changes nothing");
}

#[test]
fn very_many_names_that_do_not_exist_keep_out_no_service() {
    let (services, mut wishes) = followed();
    answer(&services);
    for number in 0..MAX_ALIASES * 2 {
        services.follow(&format!("no-such-{number}")).unwrap();
    }
    assert_eq!(services.resume().len(), MAX_ALIASES);
    assert_eq!(held(&services), ["a"]);
    let gone = std::iter::from_fn(|| wishes.try_recv().ok()).filter(|wish| matches!(wish, Wish::Release(_)));
    assert_eq!(gone.count(), MAX_ALIASES + 1);
}

#[test]
fn a_name_that_can_be_none_is_not_asked_for() {
    let (services, mut wishes) = followed();
    assert!(services.follow(&"a".repeat(MAX_NAME + 1)).is_none());
    assert!(wishes.try_recv().is_err());
    assert_eq!(services.resume().len(), 1, "nor on a new stream");
    assert!(services.follow(&"a".repeat(MAX_NAME)).is_some());
}

#[test]
fn an_endpoint_keeps_what_was_learned_until_it_moves() {
    let (services, _wishes) = followed();
    let first = || services.endpoints(USERS).unwrap()[0].clone();
    services.update(&endpoints("e1", "", &[("a", 1)], &[])).unwrap();
    let before = first();
    services.update(&endpoints("e2", "", &[("a", 1)], &[])).unwrap();
    assert!(Rc::ptr_eq(&before, &first()), "it is told whole again");
    services.update(&endpoints("e3", "e2", &[("b", 2)], &[])).unwrap();
    assert!(Rc::ptr_eq(&before, &first()), "another comes");
    services.update(&endpoints("e4", "e3", &[("a", 9)], &["b"])).unwrap();
    assert!(!Rc::ptr_eq(&before, &first()));
}

#[test]
fn an_update_that_makes_no_sense_is_refused_with_the_reason_and_what_was_held_stays() {
    let (services, _wishes) = followed();
    answer(&services);
    services.update(&routes("r1", 1)).unwrap();
    let changed = |mut update: proto::Update, change: &dyn Fn(&mut proto::Update)| {
        change(&mut update);
        update
    };
    let with_endpoint = |change: fn(&mut proto::Endpoint)| {
        let mut told = endpoint("b", 2);
        change(&mut told);
        let told = proto::Endpoints {
            endpoints: vec![told],
            removed: Vec::new(),
        };
        update(ResourceType::Endpoints, USERS, "e2", "e1", Content::Endpoints(told))
    };
    let with_service = |change: fn(&mut proto::Service)| {
        let mut told = proto::Service::default();
        change(&mut told);
        update(ResourceType::Service, USERS, "s2", "", Content::Service(told))
    };
    let cases = [
        (with_endpoint(|told| told.addresses.clear()), "no address"),
        (with_endpoint(|told| told.addresses[0] = "here".into()), "\"here\" is no IP address"),
        (with_endpoint(|told| told.inbound_port = 70_000), "70000"),
        (with_endpoint(|told| told.inbound_port = 0), "identities"),
        (with_endpoint(|told| told.identities.clear()), "identities"),
        (with_endpoint(|told| told.ports[0].target_port = 0), "0 is no port"),
        (endpoints("e2", "e1", &[("b", 1), ("b", 2)], &[]), "twice"),
        (with_service(|told| told.addresses.push("198.18".into())), "no IP address"),
        (
            with_service(|told| told.ports.push(proto::ServicePort { port: 0, protocol: 0 })),
            "0 is no port",
        ),
        (
            with_service(|told| told.ports.push(proto::ServicePort { port: 80, protocol: 9 })),
            "9 is no protocol",
        ),
        (changed(service("s2"), &|told| told.base = "s1".into()), "difference"),
        (changed(service("s2"), &|told| told.content = None), "content"),
        (changed(service("s2"), &|told| told.content = routes("r2", 1).content), "content"),
        (changed(service(""), &|_| {}), "version"),
        (
            changed(service("s2"), &|told| told.resource.as_mut().unwrap().r#type = 9),
            "9 is no type",
        ),
        (
            changed(service("s2"), &|told| told.resource.as_mut().unwrap().name = "users".into()),
            "canonical",
        ),
        (changed(service("s2"), &|told| told.resource = None), "no resource"),
        (routes("r2", 0), "weight 0"),
    ];
    let before = services.held();
    for (update, expected) in cases {
        let rejection = services.update(&update).unwrap_err();
        assert!(rejection.reason.contains(expected), "{} lacks {expected}", rejection.reason);
        assert_eq!(rejection.rejected, Some(update.resource.unwrap_or_default()));
    }
    assert_eq!(services.held(), before);
    assert_eq!(held(&services), ["a"]);
}

#[test]
fn an_alias_whose_ports_make_no_sense_leads_where_it_led() {
    let (services, _wishes) = followed();
    answer(&services);
    let mut told = alias("users", "other.default");
    told.routed_ports.push(proto::RoutedPort {
        port: 0,
        routes: "other.default:0".into(),
    });
    assert!(services.lead(&told).unwrap_err().contains("0 is no port"));
    assert_eq!(services.follow("users").unwrap().leads().unwrap().service, USERS);
}

/// A question that was answered after so many milliseconds, and how.
async fn asked(services: &Services, name: &str) -> (u128, Found) {
    let start = tokio::time::Instant::now();
    let found = services.find(name).await;
    (start.elapsed().as_millis(), found)
}

async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_program_whose_sidecar_was_just_started_waits_for_the_controllers_first_answer() {
    let (services, _wishes) = Services::new("default");
    let controller = async {
        wait(2_500).await;
        services.heard();
        wait(100).await;
        answer(&services);
    };
    let ((took, found), ()) = tokio::join!(asked(&services, "users"), controller);
    assert!(took == 2_600 && matches!(&found, Found::Service(_)), "{found:?} after {took} ms");
}

#[tokio::test(start_paused = true)]
async fn without_a_controller_only_the_first_questions_wait_and_none_is_denied() {
    let (services, _wishes) = Services::new("default");
    let unanswered = async |name: &str| match asked(&services, name).await {
        (took, Found::Unanswered { ours }) => (took, ours),
        (_, other) => panic!("{name}: {other:?}"),
    };
    assert_eq!(unanswered("example.com").await, (1_000, false));
    assert_eq!(unanswered("example.org").await, (0, false));
    for name in ["users", "users.default", "users.prod.weft"] {
        let (took, ours) = unanswered(name).await;
        assert!(ours && (1_000..=4_000).contains(&took), "{name}: {took} ms");
    }
    for name in ["users", "orders", "198.18.0.9", "a.DEFAULT"] {
        assert_eq!(unanswered(name).await, (0, true), "{name}");
    }
    assert_eq!(unanswered("users.prod").await, (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_stopped_delays_one_question_of_many() {
    let (services, _wishes) = followed();
    services.heard();
    assert_eq!(asked(&services, "example.com").await.0, 1_000);
    for name in ["example.org", "example.net", "a.example"] {
        let (took, found) = asked(&services, name).await;
        assert!(
            took <= 50 && matches!(found, Found::Unanswered { ours: false }),
            "{name}: {took} ms"
        );
    }
    answer(&services);
    services.heard();
    assert!(matches!(asked(&services, "users").await, (0, Found::Service(_))));
    assert_eq!(asked(&services, "example.info").await.0, 1_000, "it is trusted to answer again");
}

#[tokio::test(start_paused = true)]
async fn while_the_controller_is_away_a_service_is_found_by_all_that_it_is_called() {
    let (services, _wishes) = followed();
    services.heard();
    answer(&services);
    services.lost();
    for name in ["users", "users.default", "users.weft", "users.default.weft", "198.18.0.1"] {
        let (took, found) = asked(&services, name).await;
        assert!(took == 0 && matches!(found, Found::Service(_)), "{name}: {found:?} after {took} ms");
    }
    assert!(matches!(asked(&services, "users.prod").await.1, Found::Unanswered { ours: false }));
    assert!(matches!(asked(&services, "198.18.0.2").await.1, Found::Unanswered { ours: true }));
}

#[tokio::test(start_paused = true)]
async fn names_of_namespaces_that_exist_are_the_meshs_only() {
    let (services, _wishes) = followed();
    services.lead(&alias("users", "users.prod")).unwrap();
    for (name, expected) in [("orders.prod", true), ("orders.test", false)] {
        assert!(
            matches!(asked(&services, name).await.1, Found::Unanswered { ours } if ours == expected),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_be_no_service_is_not_asked_for() {
    let (services, mut wishes) = Services::new("default");
    services.heard();
    for name in ["www.example.com", "10.1.2.3", "198.19.0.1", "::1", "localhost", "a_b", ""] {
        assert!(matches!(asked(&services, name).await, (0, Found::Nothing)), "{name}");
    }
    assert!(wishes.try_recv().is_err());
}

#[test]
fn what_is_wished_for_while_nobody_listens_is_bounded_and_what_is_known_stays() {
    let (services, mut wishes) = followed();
    answer(&services);
    for number in 0..10 * MAX_WISHES {
        services.follow(&format!("no-such-{number}"));
    }
    let waiting = std::iter::from_fn(|| wishes.try_recv().ok()).count();
    assert!(waiting <= MAX_WISHES, "{waiting} wishes wait");
    assert_eq!(held(&services), ["a"]);
    assert!(services.follow("no-such-service").is_some(), "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_told_in_a_way_that_cannot_be_used_is_not_taken_for_none() {
    let (services, _wishes) = followed();
    services.heard();
    services.lead(&alias("users", USERS)).unwrap();
    assert!(matches!(asked(&services, "users").await.1, Found::Unanswered { ours: true }));
    answer(&services);
    assert!(matches!(asked(&services, "users").await, (0, Found::Service(_))));
}
