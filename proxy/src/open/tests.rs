//! Connections without sockets: what ends when there are too many, and what ends by itself.

use tokio::task::LocalSet;
use tokio::time::advance;

use super::*;

/// A limit of open files with room for 40 connections, 30 of them of one group.
const FEW: usize = 128;

/// A connection that carries `what`, and did something just now.
fn connect(group: &Rc<Group>, what: Option<Protocol>) -> Option<Guard> {
    let entered = enter(group, &0)?;
    let connection = entered.connection();
    let task = tokio::task::spawn_local(std::future::pending::<()>());
    served_by(connection, task.abort_handle());
    if let Some(what) = what {
        connection.carries(what);
        connection.moved();
    }
    Some(entered)
}

fn connects(group: &Rc<Group>, what: Option<Protocol>, count: usize) -> Vec<Guard> {
    (0..count).map(|_| connect(group, what).unwrap()).collect()
}

fn going(connections: &[Guard]) -> Vec<Going> {
    connections.iter().map(|guard| guard.connection().going.get()).collect()
}

async fn pass(time: Duration) {
    advance(time).await;
    REGISTRY.with(Registry::sweep_all);
}

async fn on_one_thread(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn with_too_many_connections_the_idlest_goes_first_and_one_that_works_last() {
    on_one_thread(async {
        room::limit(FEW);
        let (one, other) = (group("one"), group("other"));
        let working = connect(&one, Some(Protocol::Http1)).unwrap();
        working.connection().request_began();
        let bytes = connect(&one, Some(Protocol::Tcp)).unwrap();
        let idle = connect(&one, Some(Protocol::Http1)).unwrap();
        let stalled = connect(&one, Some(Protocol::Http1)).unwrap();
        stalled.connection().request_began();
        stalled.connection().awaits_client(true);
        let silent = connect(&one, None).unwrap();
        let _others = connects(&other, Some(Protocol::Http1), 15);
        pass(Duration::from_secs(2)).await;
        let all = [silent, stalled, idle, bytes, working];
        let mut fresh = connects(&one, Some(Protocol::Http1), 20);
        let asked = [Going::Stays; 5];
        assert_eq!(going(&all), asked, "there was room");
        let order = [
            [Going::Cut, Going::Stays, Going::Stays, Going::Stays, Going::Stays],
            [Going::Cut, Going::Cut, Going::Stays, Going::Stays, Going::Stays],
            [Going::Cut, Going::Cut, Going::Closed, Going::Stays, Going::Stays],
        ];
        for expected in order {
            fresh.push(connect(&one, Some(Protocol::Http1)).unwrap());
            assert_eq!(going(&all), expected);
        }
        // Those are as quiet as each other, and go before one that is active.
        fresh.extend(connects(&one, Some(Protocol::Http1), 2));
        assert_eq!(going(&all)[3..], [Going::Cut; 2]);
        assert!(connect(&one, Some(Protocol::Http1)).is_none(), "all others did something just now");
        assert!(going(&fresh).iter().all(|going| *going == Going::Stays));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_has_most_pays_and_nobody_gets_more_than_a_share() {
    on_one_thread(async {
        room::limit(FEW);
        let (greedy, modest) = (group("greedy"), group("modest"));
        let idle = connects(&modest, Some(Protocol::Http1), 9);
        pass(Duration::from_secs(60)).await;
        let many = connects(&greedy, Some(Protocol::Tcp), 30);
        pass(Duration::from_secs(2)).await;
        let more = connects(&greedy, Some(Protocol::Tcp), 5);
        assert_eq!(going(&many).iter().filter(|going| **going == Going::Cut).count(), 5);
        let newcomers = connects(&modest, Some(Protocol::Http1), 5);
        assert_eq!(going(&many).iter().filter(|going| **going == Going::Cut).count(), 9);
        for kept in [idle, more, newcomers] {
            assert!(going(&kept).iter().all(|going| *going == Going::Stays));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn those_that_never_said_anything_give_way_however_fast_others_come() {
    on_one_thread(async {
        room::limit(FEW);
        let group = group("program");
        let silent: Vec<Guard> = connects(&group, None, 500);
        assert_eq!(going(&silent).iter().filter(|going| **going == Going::Stays).count(), 30);
        let polite = connect(&group, Some(Protocol::Http1)).unwrap();
        let _more = connects(&group, None, 500);
        assert_eq!(polite.connection().going.get(), Going::Stays);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_leaves_its_place_once() {
    on_one_thread(async {
        room::limit(FEW);
        let group = group("program");
        let mut connections = connects(&group, None, 35);
        assert_eq!((group.open.get(), open()), (30, 35), "five of them have yet to end");
        connections.drain(..20);
        assert_eq!((group.open.get(), open()), (15, 15));
        connections.clear();
        assert_eq!((group.open.get(), open()), (0, 0));
        REGISTRY.with(|registry| assert_eq!(registry.staying.get(), 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_ends_and_what_waits_for_a_server_stays() {
    on_one_thread(async {
        let group = group("program");
        let silent = connect(&group, None).unwrap();
        let half = connect(&group, Some(Protocol::Tcp)).unwrap();
        half.connection().half_closed();
        let idle_http2 = connect(&group, Some(Protocol::Http2)).unwrap();
        let stream = connect(&group, Some(Protocol::Http2)).unwrap();
        stream.connection().request_began();
        let poll = connect(&group, Some(Protocol::Http1)).unwrap();
        poll.connection().request_began();
        let database = connect(&group, Some(Protocol::Tcp)).unwrap();
        let all = [silent, half, idle_http2, stream, poll, database];
        pass(SILENT_LIMIT).await;
        assert_eq!(going(&all), [Going::Stays; 6]);
        pass(Duration::from_secs(1)).await;
        assert_eq!(going(&all)[..2], [Going::Cut, Going::Stays]);
        pass(IDLE_LIMIT - SILENT_LIMIT).await;
        assert_eq!(going(&all)[2], Going::Asked, "its client learns first");
        pass(ENDING_LIMIT + Duration::from_secs(1)).await;
        assert_eq!(going(&all)[2], Going::Closed);
        pass(HALF_CLOSED_LIMIT).await;
        assert_eq!(going(&all)[1], Going::Cut);
        pass(Duration::from_secs(86_400)).await;
        assert_eq!(going(&all)[3..], [Going::Stays; 3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_connections_that_carry_nothing_go_if_they_take_much_and_no_others() {
    on_one_thread(async {
        room::limit(20_000);
        let (one, other) = (group("one"), group("other"));
        let busy = connects(&one, Some(Protocol::Http2), 200);
        busy.iter().for_each(|guard| guard.connection().request_began());
        let few = connects(&other, Some(Protocol::Http2), 32);
        let many = connects(&one, Some(Protocol::Http2), 64);
        pass(Duration::from_secs(2)).await;
        assert_eq!(end_spare(4 * 1024 * 1024), 0, "they take less");
        assert_eq!(end_spare(3 * 1024 * 1024), 2);
        let ended = |guards: &[Guard]| going(guards).iter().filter(|going| **going != Going::Stays).count();
        assert_eq!((ended(&busy), ended(&few), ended(&many)), (0, 0, 2));
        drop((few, many));
        assert_eq!(
            (end_spare(1), end_any(7 * 1024 * 1024)),
            (0, 0),
            "they carry requests, and take less"
        );
        assert_eq!((end_any(6 * 1024 * 1024), ended(&busy)), (6, 6));
    })
    .await;
}
