//! Properties of picking, and simulations in virtual time that drive the real code with seeded arrivals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

/// How an endpoint answers a call at a time: after how long, and how.
type Behaviour = fn(seconds: f64, rng: &mut Rng) -> (f64, Outcome);

struct Endpoint {
    load: Load,
    behaviour: Behaviour,
}

impl Balanced for Endpoint {
    fn load(&self) -> &Load {
        &self.load
    }
}

fn endpoint(behaviour: Behaviour) -> Rc<Endpoint> {
    Rc::new(Endpoint {
        load: Load::default(),
        behaviour,
    })
}

/// A number from an exponential distribution.
fn exponential(mean: f64, rng: &mut Rng) -> f64 {
    -mean * (1.0 - rng.unit()).ln()
}

fn succeed_in(mean: f64, rng: &mut Rng) -> (f64, Outcome) {
    (exponential(mean, rng), Outcome::Success)
}

/// One simulated call: when it started (seconds), whom it went to, and how many calls that endpoint then had under way.
struct Pick {
    at: f64,
    endpoint: usize,
    pending: u32,
}

/// Calls at random times, `rate` a second, for `seconds`.
fn simulate(endpoints: &[Rc<Endpoint>], rate: f64, seconds: f64, seed: u64) -> Vec<Pick> {
    let (mut rng, start) = (Rng::from_seed(seed), Instant::now());
    let instant = |seconds: f64| start + Duration::from_secs_f64(seconds);
    let mut under_way: Vec<Option<(Call<Endpoint>, Outcome)>> = Vec::new();
    let mut ends = BinaryHeap::new();
    let mut picks = Vec::new();
    let mut now = 0.0;
    while now < seconds {
        while ends.peek().is_some_and(|&Reverse((end, _))| end <= instant(now)) {
            let Some(Reverse((end, call))) = ends.pop() else { break };
            let (call, outcome): (Call<_>, _) = Option::take(&mut under_way[call]).unwrap();
            call.record(outcome, end);
        }
        let picked = pick(endpoints, &[], true, instant(now), &mut rng).unwrap();
        let (latency, outcome) = (picked.behaviour)(now, &mut rng);
        ends.push(Reverse((instant(now + latency), under_way.len())));
        under_way.push(Some((Call::start(picked.clone(), true, instant(now)), outcome)));
        let index = endpoints.iter().position(|endpoint| Rc::ptr_eq(endpoint, picked)).unwrap();
        picks.push(Pick {
            at: now,
            endpoint: index,
            pending: picked.load.pending(),
        });
        now += exponential(1.0 / rate, &mut rng);
    }
    picks
}

/// The part of the calls from `from` to `to` seconds that went to an endpoint.
fn share(picks: &[Pick], endpoint: usize, from: f64, to: f64) -> f64 {
    let span: Vec<_> = picks.iter().filter(|pick| (from..to).contains(&pick.at)).collect();
    span.iter().filter(|pick| pick.endpoint == endpoint).count() as f64 / span.len() as f64
}

fn in_each_of_some_worlds(check: impl Fn(u64)) {
    (1..=8).for_each(check);
}

#[test]
fn equal_endpoints_get_within_a_tenth_of_the_same() {
    in_each_of_some_worlds(|seed| {
        let endpoints: Vec<_> = (0..10).map(|_| endpoint(|_, rng| succeed_in(0.010, rng))).collect();
        let picks = simulate(&endpoints, 1_000.0, 120.0, seed);
        for index in 0..10 {
            let share = share(&picks, index, 0.0, 120.0);
            assert!((0.09..0.11).contains(&share), "seed {seed}: endpoint {index} got {share}");
        }
    });
}

#[test]
fn an_endpoint_ten_times_slower_gets_less_than_a_fifth_of_its_share() {
    in_each_of_some_worlds(|seed| {
        let mut endpoints: Vec<_> = (0..3).map(|_| endpoint(|_, rng| succeed_in(0.010, rng))).collect();
        endpoints.push(endpoint(|_, rng| succeed_in(0.100, rng)));
        let picks = simulate(&endpoints, 400.0, 60.0, seed);
        let share = share(&picks, 3, 0.0, 60.0);
        assert!(share < 0.05, "seed {seed}: {share}");
    });
}

#[test]
fn an_endpoint_that_fails_fast_attracts_no_traffic() {
    in_each_of_some_worlds(|seed| {
        let mut endpoints: Vec<_> = (0..3).map(|_| endpoint(|_, rng| succeed_in(0.010, rng))).collect();
        endpoints.push(endpoint(|_, _| (0.000_1, Outcome::Failure)));
        let picks = simulate(&endpoints, 400.0, 60.0, seed);
        let share = share(&picks, 3, 0.0, 60.0);
        assert!(share < 0.001, "seed {seed}: {share}");
    });
}

#[test]
fn endpoints_that_all_fail_a_little_stay_balanced_at_every_moment() {
    in_each_of_some_worlds(|seed| {
        let flaky: Behaviour = |_, rng| match rng.below(50) {
            0 => (0.001, Outcome::Failure),
            _ => succeed_in(0.010, rng),
        };
        let endpoints: Vec<_> = (0..4).map(|_| endpoint(flaky)).collect();
        let picks = simulate(&endpoints, 1_000.0, 120.0, seed);
        let most = picks.iter().map(|pick| pick.pending).max().unwrap();
        assert!(most <= 20, "seed {seed}: {most} calls at once, where 2.5 are to be expected");
        for index in 0..4 {
            let share = share(&picks, index, 0.0, 120.0);
            assert!((0.2..0.3).contains(&share), "seed {seed}: endpoint {index} got {share}");
        }
    });
}

/// Seconds from `from` until an endpoint of two gets at least a quarter of the calls of 10 seconds.
fn recovery(picks: &[Pick], endpoint: usize, from: f64) -> f64 {
    (0..)
        .map(|wait| wait as f64 / 2.0)
        .find(|wait| share(picks, endpoint, from + wait, from + wait + 10.0) >= 0.25)
        .unwrap()
}

#[test]
fn an_endpoint_that_stops_failing_is_called_within_10_seconds_and_in_full_use_within_20() {
    in_each_of_some_worlds(|seed| {
        let mut endpoints = vec![endpoint(|_, rng| succeed_in(0.001, rng))];
        endpoints.push(endpoint(|at, rng| match at {
            10.0..40.0 => (0.000_1, Outcome::Failure),
            _ => succeed_in(0.001, rng),
        }));
        let picks = simulate(&endpoints, 200.0, 120.0, seed);
        let failed = share(&picks, 1, 10.0, 40.0);
        assert!(failed < 0.01, "seed {seed}: {failed} of the calls went to it while it failed");
        let called = picks.iter().any(|pick| pick.endpoint == 1 && (40.0..50.0).contains(&pick.at));
        let time = recovery(&picks, 1, 40.0);
        assert!(called && time <= 20.0, "seed {seed}: {time} s");
    });
}

#[test]
fn an_endpoint_that_stops_being_slow_is_in_use_again_within_a_minute() {
    in_each_of_some_worlds(|seed| {
        let mut endpoints = vec![endpoint(|_, rng| succeed_in(0.001, rng))];
        endpoints.push(endpoint(|at, rng| succeed_in(if at < 20.0 { 0.100 } else { 0.001 }, rng)));
        let picks = simulate(&endpoints, 200.0, 200.0, seed);
        let time = recovery(&picks, 1, 20.0);
        assert!(time <= 60.0, "seed {seed}: {time} s");
    });
}

/// An endpoint of three that hangs from second 10 to 40: what it was asked then is answered at 40.
fn hangs(at: f64, rng: &mut Rng) -> (f64, Outcome) {
    match at {
        10.0..40.0 => (40.0 - at + rng.unit() / 100.0, Outcome::Success),
        _ => succeed_in(0.001, rng),
    }
}

/// As [`hangs`], but its callers give up after half a second.
fn hangs_and_is_given_up(at: f64, rng: &mut Rng) -> (f64, Outcome) {
    match at {
        10.0..40.0 => (0.5, Outcome::Cancelled),
        _ => succeed_in(0.001, rng),
    }
}

/// It is not there from second 10 to 40.
fn is_away(at: f64, rng: &mut Rng) -> (f64, Outcome) {
    match at {
        10.0..40.0 => (0.000_1, Outcome::Unreachable),
        _ => succeed_in(0.001, rng),
    }
}

const AWAY: [Behaviour; 3] = [hangs, hangs_and_is_given_up, is_away];

fn calls(picks: &[Pick], endpoint: usize, from: f64, to: f64) -> usize {
    picks
        .iter()
        .filter(|pick| pick.endpoint == endpoint && (from..to).contains(&pick.at))
        .count()
}

#[test]
fn an_endpoint_in_trouble_gets_at_most_one_call_a_second_while_another_answers() {
    for others in 1..=4 {
        for behaviour in AWAY {
            in_each_of_some_worlds(|seed| {
                let mut endpoints: Vec<_> = (0..others).map(|_| endpoint(|_, rng| succeed_in(0.001, rng))).collect();
                endpoints.push(endpoint(behaviour));
                let picks = simulate(&endpoints, 300.0, 40.0, seed);
                for from in 11..39 {
                    let from = f64::from(from);
                    let calls = calls(&picks, others, from, from + 1.0);
                    assert!(calls <= 1, "seed {seed}, {others} others: {calls} from second {from}");
                }
                let probes = calls(&picks, others, 11.0, 40.0);
                assert!(probes >= 12, "seed {seed}, {others} others: it was probed {probes} times only");
            });
        }
    }
}

#[test]
fn an_endpoint_that_is_out_of_trouble_is_in_full_use_within_2_seconds() {
    for behaviour in AWAY {
        in_each_of_some_worlds(|seed| {
            let mut endpoints: Vec<_> = (0..2).map(|_| endpoint(|_, rng| succeed_in(0.001, rng))).collect();
            endpoints.push(endpoint(behaviour));
            let picks = simulate(&endpoints, 300.0, 60.0, seed);
            let share = share(&picks, 2, 42.0, 52.0);
            assert!((0.2..0.5).contains(&share), "seed {seed}: {share}");
        });
    }
}

#[test]
fn few_calls_risk_few_probes() {
    for behaviour in AWAY {
        in_each_of_some_worlds(|seed| {
            let endpoints = [endpoint(|_, rng| succeed_in(0.001, rng)), endpoint(behaviour)];
            let picks = simulate(&endpoints, 2.0, 40.0, seed);
            let probes = calls(&picks, 1, 12.0, 40.0);
            assert!((1..=4).contains(&probes), "seed {seed}: {probes}");
        });
    }
}

#[test]
fn when_all_are_in_trouble_all_are_called_alike() {
    in_each_of_some_worlds(|seed| {
        for behaviour in AWAY {
            let endpoints: Vec<_> = (0..3).map(|_| endpoint(behaviour)).collect();
            let picks = simulate(&endpoints, 300.0, 38.0, seed);
            for index in 0..3 {
                let share = share(&picks, index, 15.0, 38.0);
                assert!((0.2..0.47).contains(&share), "seed {seed}: endpoint {index} got {share}");
            }
        }
    });
}

#[test]
fn endpoints_that_are_slow_by_nature_stay_balanced() {
    for rate in [1.0, 10.0, 100.0] {
        in_each_of_some_worlds(|seed| {
            let endpoints: Vec<_> = (0..3)
                .map(|_| endpoint(|_, rng| (4.0 + 2.0 * rng.unit(), Outcome::Success)))
                .collect();
            let picks = simulate(&endpoints, rate, 300.0, seed);
            for index in 0..3 {
                let share = share(&picks, index, 30.0, 300.0);
                assert!((0.2..0.47).contains(&share), "seed {seed}, {rate}/s: endpoint {index} got {share}");
            }
            let most = picks.iter().map(|pick| pick.pending).max().unwrap();
            let even = rate * 5.0 / 3.0;
            assert!(
                f64::from(most) <= 3.0 * even + 6.0,
                "seed {seed}, {rate}/s: {most} at once, {even} on average"
            );
        });
    }
}

#[test]
fn an_endpoint_fifty_times_slower_is_not_in_the_slowest_hundredth_after_5_seconds() {
    for latency in [0.002, 0.010, 0.040] {
        in_each_of_some_worlds(|seed| {
            let slow: Behaviour = match latency {
                0.002 => |_, rng| succeed_in(0.100, rng),
                0.010 => |_, rng| succeed_in(0.500, rng),
                _ => |_, rng| succeed_in(2.0, rng),
            };
            let normal: Behaviour = match latency {
                0.002 => |_, rng| succeed_in(0.002, rng),
                0.010 => |_, rng| succeed_in(0.010, rng),
                _ => |_, rng| succeed_in(0.040, rng),
            };
            let endpoints = [endpoint(normal), endpoint(normal), endpoint(slow)];
            let picks = simulate(&endpoints, 300.0, 65.0, seed);
            let share = share(&picks, 2, 5.0, 65.0);
            assert!(share < 0.008, "seed {seed}, {latency} s: {share}");
        });
    }
}

#[test]
fn one_call_that_is_given_up_early_costs_a_healthy_endpoint_nothing_but_a_probes_wait() {
    let now = Instant::now();
    let at = |milliseconds| now + Duration::from_millis(milliseconds);
    let endpoints = [endpoint(|_, _| unreachable!()), endpoint(|_, _| unreachable!())];
    for endpoint in &endpoints {
        Call::start(endpoint.clone(), true, now).record(Outcome::Success, at(1));
    }
    Call::start(endpoints[0].clone(), true, at(10)).record(Outcome::Cancelled, at(20));
    assert_eq!(endpoints[0].load.state(at(900)), State::Answering);
    assert_eq!(endpoints[0].load.state(at(1_100)), State::Silent);
    let probe = pick(&endpoints, &[], true, at(1_100), &mut Rng::from_seed(1)).unwrap();
    assert!(Rc::ptr_eq(probe, &endpoints[0]), "it is probed at once");
    let probe = Call::start(probe.clone(), true, at(1_100));
    assert_eq!(
        probe.probes(),
        Some(at(10)),
        "over a connection that was not there before the trouble"
    );
    probe.record(Outcome::Success, at(1_101));
    assert_eq!(endpoints[0].load.state(at(1_101)), State::Answering);
}

#[test]
fn a_call_that_asked_for_no_answer_did_not_wait_for_one_or_was_declined_leaves_an_endpoint_as_it_was() {
    let now = Instant::now();
    let at = |milliseconds| now + Duration::from_millis(milliseconds);
    let endpoint = endpoint(|_, _| unreachable!());
    Call::start(endpoint.clone(), true, now).record(Outcome::Success, at(200));
    let before = (endpoint.load.latency(at(200)), endpoint.load.failures(at(200)));
    let unchanged = || {
        assert_eq!((endpoint.load.latency(at(200)), endpoint.load.failures(at(200))), before);
        assert_eq!(endpoint.load.state(at(10_000)), State::Answering);
    };
    Call::start(endpoint.clone(), true, at(200)).reached();
    unchanged();
    Call::start(endpoint.clone(), true, at(200)).record(Outcome::Cancelled, at(210));
    unchanged();
    Call::start(endpoint.clone(), true, at(200)).record(Outcome::Declined, at(201));
    unchanged();
}

#[test]
fn a_success_may_turn_into_a_failure_and_nothing_else_changes_what_was_recorded() {
    let now = Instant::now();
    let endpoint = endpoint(|_, _| unreachable!());
    let at = |milliseconds| now + Duration::from_millis(milliseconds);
    let call = Call::start(endpoint.clone(), true, now);
    call.record(Outcome::Success, at(5));
    call.record(Outcome::Cancelled, at(10));
    call.record(Outcome::Success, at(400));
    assert_eq!((endpoint.load.latency.get(), endpoint.load.failures.get()), (0.005, 0.0));
    call.record(Outcome::Failure, at(1_000));
    assert!(endpoint.load.failures.get() > 0.5);
}

#[test]
fn calls_given_up_early_do_not_make_an_endpoint_look_fast() {
    let now = Instant::now();
    let slow = endpoint(|_, _| unreachable!());
    let finish = |outcome, from, to| {
        Call::start(slow.clone(), true, now + Duration::from_millis(from)).record(outcome, now + Duration::from_millis(to))
    };
    finish(Outcome::Success, 0, 500);
    finish(Outcome::Cancelled, 500, 501);
    assert_eq!(slow.load.latency.get(), 0.5);
    finish(Outcome::Cancelled, 600, 1_400);
    assert_eq!(slow.load.latency.get(), 0.8, "a long wait counts though it was given up");
}

#[test]
fn a_call_dropped_without_an_outcome_counts_as_cancelled() {
    let endpoint = endpoint(|_, _| unreachable!());
    let call = Call::start(endpoint.clone(), true, Instant::now());
    assert_eq!(endpoint.load.pending(), 1);
    drop(call);
    assert_eq!((endpoint.load.pending(), endpoint.load.outcome_at.get().is_some()), (0, true));
}

#[test]
fn an_only_endpoint_is_always_picked() {
    let endpoints = [endpoint(|_, _| unreachable!())];
    let mut rng = Rng::from_seed(1);
    let mut now = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..100 {
        let picked = pick(&endpoints, &[], true, now, &mut rng).unwrap();
        calls.push(Call::start(picked.clone(), true, now));
        now += Duration::from_millis(3);
        let failed = Call::start(picked.clone(), true, now);
        failed.record(Outcome::Failure, now);
    }
    assert_eq!(endpoints[0].load.pending(), 100);
}

#[derive(Clone, Debug)]
struct Past {
    wait_ms: u64,
    took_ms: u64,
    outcome: Outcome,
}

fn past() -> impl Strategy<Value = Past> {
    let outcome = prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::Failure),
        Just(Outcome::Unreachable),
        Just(Outcome::Cancelled)
    ];
    (0..100_000u64, 0..100_000u64, outcome).prop_map(|(wait_ms, took_ms, outcome)| Past { wait_ms, took_ms, outcome })
}

/// An endpoint after some calls, and the time then.
fn lived(calls: &[Past], mut now: Instant) -> (Rc<Endpoint>, Instant) {
    let endpoint = endpoint(|_, _| unreachable!());
    for call in calls {
        now += Duration::from_millis(call.wait_ms);
        let under_way = Call::start(endpoint.clone(), true, now);
        now += Duration::from_millis(call.took_ms);
        under_way.record(call.outcome, now);
    }
    (endpoint, now)
}

proptest! {
    #[test]
    fn costs_are_finite_and_grow_with_the_calls_under_way(calls in proptest::collection::vec(past(), 0..20), later_ms in 0..1_000_000u64) {
        let (endpoint, now) = lived(&calls, Instant::now());
        let now = now + Duration::from_millis(later_ms);
        let mut cost = endpoint.load.cost(now);
        prop_assert!(cost.is_finite() && cost >= 0.0);
        let mut under_way = Vec::new();
        for _ in 0..5 {
            under_way.push(Call::start(endpoint.clone(), true, now));
            let more = endpoint.load.cost(now);
            prop_assert!(more >= cost);
            cost = more;
        }
        drop(under_way);
        prop_assert_eq!(endpoint.load.pending(), 0);
    }

    #[test]
    fn latency_stays_within_what_was_measured(calls in proptest::collection::vec(past(), 1..20)) {
        let (endpoint, _) = lived(&calls, Instant::now());
        let longest = calls.iter().map(|call| call.took_ms).max().unwrap_or(0) as f64 / 1_000.0;
        prop_assert!(endpoint.load.latency.get() <= longest + 1e-9);
        prop_assert!((0.0..=1.0).contains(&endpoint.load.failures.get()));
    }

    #[test]
    fn of_two_endpoints_the_cheaper_is_picked_unless_one_is_in_trouble(left in proptest::collection::vec(past(), 0..9), right in proptest::collection::vec(past(), 0..9), seed: u64) {
        let start = Instant::now();
        let ((left, left_end), (right, right_end)) = (lived(&left, start), lived(&right, start));
        let now = left_end.max(right_end);
        let endpoints = [left, right];
        let picked = pick(&endpoints, &[], true, now, &mut Rng::from_seed(seed)).unwrap();
        let trouble = |endpoint: &Rc<Endpoint>| endpoint.load.trouble.is_on(now);
        if endpoints.iter().any(|endpoint| trouble(endpoint) && endpoint.load.trouble.is_due(now, true)) {
            prop_assert!(trouble(picked) && picked.load.trouble.is_due(now, true));
            return Ok(());
        }
        if endpoints.iter().any(|endpoint| !trouble(endpoint)) {
            prop_assert!(!trouble(picked));
        }
        prop_assert!(endpoints.iter().all(|other| trouble(picked) != trouble(other) || picked.load.cost(now) <= other.load.cost(now)));
    }

    #[test]
    fn what_was_tried_is_not_picked_and_all_else_can_be(tried in proptest::collection::vec(any::<bool>(), 0..8), seed: u64) {
        let (mut rng, now) = (Rng::from_seed(seed), Instant::now());
        let endpoints: Vec<_> = tried.iter().map(|_| endpoint(|_, _| unreachable!())).collect();
        let excluded: Vec<_> = endpoints.iter().zip(&tried).filter(|(_, tried)| **tried).map(|(endpoint, _)| endpoint.clone()).collect();
        let mut seen = vec![false; tried.len()];
        for _ in 0..300 {
            if let Some(picked) = pick(&endpoints, &excluded, true, now, &mut rng) {
                seen[endpoints.iter().position(|endpoint| Rc::ptr_eq(endpoint, picked)).unwrap()] = true;
            }
        }
        prop_assert_eq!(seen, tried.iter().map(|tried| !tried).collect::<Vec<_>>());
    }
}

#[test]
fn a_silent_endpoint_is_probed_by_a_call_that_does_harm_when_lost_only_when_there_were_no_others() {
    let now = Instant::now();
    let at = |milliseconds| now + Duration::from_millis(milliseconds);
    let endpoints = [endpoint(|_, _| unreachable!()), endpoint(|_, _| unreachable!())];
    let silent = Call::start(endpoints[0].clone(), true, now);
    let calls = |from: u64, to: u64, harmless: bool| {
        let mut rng = Rng::from_seed(from);
        let picked = (from..to).map(|time| {
            let picked = pick(&endpoints, &[], harmless, at(time), &mut rng).unwrap();
            let call = Call::start(picked.clone(), harmless, at(time));
            if !Rc::ptr_eq(picked, &endpoints[0]) {
                call.record(Outcome::Success, at(time + 1));
            }
            usize::from(Rc::ptr_eq(picked, &endpoints[0]))
        });
        picked.sum::<usize>()
    };
    assert_eq!(calls(1_001, 9_999, false), 0);
    assert_eq!(calls(10_000, 19_999, false), 1);
    assert_eq!(calls(20_000, 21_000, true), 1);
    drop(silent);

    let away = [endpoint(|_, _| unreachable!()), endpoint(|_, _| unreachable!())];
    Call::start(away[0].clone(), false, now).record(Outcome::Unreachable, at(1));
    let probed = (2..2_000).filter(|time| {
        let picked = pick(&away, &[], false, at(*time), &mut Rng::from_seed(*time)).unwrap();
        let call = Call::start(picked.clone(), false, at(*time));
        let is_away = Rc::ptr_eq(picked, &away[0]);
        call.record(if is_away { Outcome::Unreachable } else { Outcome::Success }, at(time + 1));
        is_away
    });
    assert_eq!(probed.count(), 1, "nothing is lost with one that cannot be reached");
}
