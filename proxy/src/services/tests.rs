use super::*;

fn endpoint(id: &str, port: u32) -> proto::Endpoint {
    proto::Endpoint {
        id: id.into(),
        address: "127.0.0.1".into(),
        inbound_port: port,
        identity: "spiffe://weft.local/ns/default/sa/users".into(),
        ports: vec![proto::EndpointPort {
            service_port: 80,
            target_port: 8080,
        }],
    }
}

fn update(revision: u64, full: bool, added: &[(&str, u32)], removed: &[&str]) -> proto::ServiceUpdate {
    proto::ServiceUpdate {
        subscription: "users".into(),
        revision,
        full,
        found: true,
        namespace: "default".into(),
        service: "users".into(),
        virtual_address: "198.18.0.1".into(),
        ports: vec![proto::ServicePort { port: 80, protocol: 0 }],
        endpoints_added: added.iter().map(|(id, port)| endpoint(id, *port)).collect(),
        endpoints_removed: removed.iter().map(|id| id.to_string()).collect(),
    }
}

fn held(services: &Services) -> Vec<String> {
    let service = services.subscribe("users").unwrap().service().unwrap();
    let mut ids: Vec<_> = service.endpoints.iter().map(|endpoint| endpoint.id.clone()).collect();
    ids.sort();
    ids
}

fn subscribed() -> (Rc<Services>, mpsc::Receiver<Wish>) {
    let (services, mut wishes) = Services::new("default");
    services.subscribe("users").unwrap();
    assert_eq!(wishes.try_recv().unwrap(), Wish::Subscribe("users".into(), 0));
    (services, wishes)
}

#[test]
fn differences_add_and_remove_and_a_full_update_replaces() {
    let (services, _wishes) = subscribed();
    services.update(update(1, true, &[("a", 1), ("b", 2)], &[])).unwrap();
    services.update(update(2, false, &[("c", 3)], &["a"])).unwrap();
    assert_eq!(held(&services), ["b", "c"]);
    services.update(update(3, true, &[("d", 4)], &[])).unwrap();
    assert_eq!(held(&services), ["d"]);
    assert_eq!(services.resume(), [("users".to_owned(), 3)]);
}

#[test]
fn very_many_names_that_do_not_exist_keep_out_no_service() {
    let (services, mut wishes) = subscribed();
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
    for number in 0..MAX_SUBSCRIPTIONS * 2 {
        services.subscribe(&format!("no-such-{number}")).unwrap();
    }
    assert_eq!(services.resume().len(), MAX_SUBSCRIPTIONS);
    assert_eq!(held(&services), ["a"]);
    let gone = std::iter::from_fn(|| wishes.try_recv().ok()).filter(|wish| matches!(wish, Wish::Unsubscribe(_)));
    assert_eq!(gone.count(), MAX_SUBSCRIPTIONS + 1);
}

#[test]
fn a_name_that_can_be_none_is_not_asked_for() {
    let (services, mut wishes) = subscribed();
    assert!(services.subscribe(&"a".repeat(MAX_NAME + 1)).is_none());
    assert!(wishes.try_recv().is_err());
    assert_eq!(services.resume().len(), 1, "nor on a new stream");
    assert!(services.subscribe(&"a".repeat(MAX_NAME)).is_some());
}

#[test]
fn an_endpoint_keeps_what_was_learned_until_it_moves() {
    let (services, _wishes) = subscribed();
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
    let before = services.subscribe("users").unwrap().service().unwrap().endpoints[0].clone();
    services.update(update(2, true, &[("a", 1)], &[])).unwrap();
    assert!(Rc::ptr_eq(
        &before,
        &services.subscribe("users").unwrap().service().unwrap().endpoints[0]
    ));
    services.update(update(3, false, &[("a", 9)], &[])).unwrap();
    assert!(!Rc::ptr_eq(
        &before,
        &services.subscribe("users").unwrap().service().unwrap().endpoints[0]
    ));
}

#[test]
fn an_update_that_makes_no_sense_is_refused_and_what_was_held_stays() {
    let (services, mut wishes) = subscribed();
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
    let mut bad = update(2, false, &[("b", 70_000)], &[]);
    let reason = services.update(bad.clone()).unwrap_err();
    assert!(reason.contains("70000"), "{reason}");
    assert!(matches!(wishes.try_recv().unwrap(), Wish::Reject(name, 2, _) if name == "users"));
    bad.endpoints_added[0].inbound_port = 0;
    assert!(services.update(bad).unwrap_err().contains("identity"));
    assert_eq!(held(&services), ["a"]);
}

#[test]
fn a_lost_update_is_found_by_the_digest_and_asked_for_anew() {
    let (services, mut wishes) = subscribed();
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
    let good = proto::Digest {
        subscription: "users".into(),
        revision: 1,
        endpoint_count: 1,
        endpoint_hash: fnv1a(b"a"),
    };
    assert!(services.verify(&good));
    assert!(!services.verify(&proto::Digest {
        revision: 2,
        endpoint_count: 2,
        endpoint_hash: fnv1a(b"a") ^ fnv1a(b"b"),
        ..good
    }));
    assert_eq!(wishes.try_recv().unwrap(), Wish::Subscribe("users".into(), 0));
}

#[test]
fn hashes_are_fnv_1a() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
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
        services.update(update(1, true, &[("a", 1)], &[])).unwrap();
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
    let (services, _wishes) = subscribed();
    services.heard();
    assert_eq!(asked(&services, "example.com").await.0, 1_000);
    for name in ["example.org", "example.net", "a.example"] {
        let (took, found) = asked(&services, name).await;
        assert!(
            took <= 50 && matches!(found, Found::Unanswered { ours: false }),
            "{name}: {took} ms"
        );
    }
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
    services.heard();
    assert!(matches!(asked(&services, "users").await, (0, Found::Service(_))));
    assert_eq!(asked(&services, "example.info").await.0, 1_000, "it is trusted to answer again");
}

#[tokio::test(start_paused = true)]
async fn while_the_controller_is_away_a_service_is_found_by_all_that_it_is_called() {
    let (services, _wishes) = subscribed();
    services.heard();
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
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
    let (services, _wishes) = subscribed();
    let elsewhere = proto::ServiceUpdate {
        namespace: "prod".into(),
        ..update(1, true, &[("a", 1)], &[])
    };
    services.update(elsewhere).unwrap();
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
    let (services, mut wishes) = subscribed();
    services.update(update(1, true, &[("a", 1)], &[])).unwrap();
    for number in 0..10 * MAX_WISHES {
        services.subscribe(&format!("no-such-{number}"));
    }
    let waiting = std::iter::from_fn(|| wishes.try_recv().ok()).count();
    assert!(waiting <= MAX_WISHES, "{waiting} wishes wait");
    assert_eq!(held(&services), ["a"]);
    assert!(services.subscribe("no-such-service").is_some(), "there is room again");
}
