//! Connections between sidecars that are open, and what they stand on: the certificates of both sides, and the roots of those. They end when that does.
//!
//! Nothing is asked for a request. Who carries a connection is told when it is over: HTTP takes no new requests on it then, and what is under way gets a moment;
//! bytes are cut off at once. In the end the socket is shut down, whoever reads or writes it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{Shutdown, shutdown};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use crate::certificate::Term;
use crate::log::log;
use crate::proto;

/// Time that what is under way gets to finish on a connection that is over.
pub const GRACE: Duration = Duration::from_secs(5);
/// Time for all sidecars to get certificates from another root before connections that stand on a withdrawn one are over.
const SETTLE: Duration = Duration::from_secs(10);
/// The caller stops to use a connection so long before a certificate expires, so that no request meets the callee's end of it.
const CALLER_FIRST_MS: i64 = 2_000;
/// Longest time between two looks at the clock on the wall, which also goes on while the machine is suspended.
const LOOK: Duration = Duration::from_secs(10);

/// A root certificate.
pub type Anchor = Rc<CertificateDer<'static>>;

/// Whom to trust, at some revision.
#[derive(Debug, Default)]
pub struct Trust {
    /// Of a newer one it is higher.
    pub revision: u64,
    /// The roots.
    pub anchors: Vec<Anchor>,
    revoked: HashSet<u64>,
}

impl Trust {
    /// What the controller said.
    pub fn from_proto(bundle: &proto::TrustBundle) -> Trust {
        let anchors = bundle.anchors.iter().map(|der| Rc::new(CertificateDer::from(der.to_vec())));
        Trust {
            revision: bundle.revision,
            anchors: anchors.collect(),
            revoked: bundle.revocations.iter().map(|revocation| revocation.serial_prefix).collect(),
        }
    }
}

#[cfg(test)]
impl Trust {
    /// The same with these workloads revoked.
    pub fn with_revoked(&self, serial_prefixes: [u64; 2]) -> Trust {
        Trust {
            revision: self.revision + 1,
            anchors: self.anchors.clone(),
            revoked: serial_prefixes.into(),
        }
    }
}

/// What one side of a connection proved: its certificate's term and the root that the certificate was verified by.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Its end and its workload.
    pub term: Term,
    /// The root.
    pub anchor: Anchor,
}

/// Which side of a connection this sidecar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It opened the connection.
    Caller,
    /// It accepted the connection.
    Callee,
}

/// The peer's certificate was revoked.
#[derive(Debug)]
pub struct Revoked;

/// All connections between this sidecar and others.
#[derive(Debug, Default)]
pub struct LiveConnections {
    trust: RefCell<Rc<Trust>>,
    open: RefCell<BTreeMap<u64, Rc<Standing>>>,
    next: Cell<u64>,
    changed: Notify,
}

/// One connection, and what it stands on.
#[derive(Debug)]
pub struct Standing {
    socket: RawFd,
    is_bytes: bool,
    /// When the first of the certificates expires, milliseconds since 1970.
    expires_ms: i64,
    proofs: [Proof; 2],
    /// When it is over although no certificate expires.
    doomed: Cell<Option<Instant>>,
    over: Cell<Option<Instant>>,
    told: Notify,
}

impl Standing {
    /// Whether it takes no new requests.
    pub fn is_over(&self) -> bool {
        self.over.get().is_some()
    }

    /// Resolves at the next news: that it takes no new requests any more, or that the sidecar ends. News from after this call counts.
    pub fn news(&self) -> Notified<'_> {
        self.told.notified()
    }

    /// When it is over by what is trusted now; None: when a certificate expires.
    fn doom(&self, trust: &Trust, now: Instant) -> Option<Instant> {
        if self.proofs.iter().any(|proof| trust.revoked.contains(&proof.term.serial_prefix)) {
            return Some(now);
        }
        let withdrawn = self.proofs.iter().any(|proof| !trust.anchors.contains(&proof.anchor));
        let settled = now + SETTLE;
        withdrawn.then(|| self.doomed.get().map_or(settled, |doomed| doomed.min(settled)))
    }

    /// Cuts it off. Whoever reads or writes it sees it end.
    fn close(&self) {
        // One that is closed already needs nothing more.
        let _ = shutdown(self.socket, Shutdown::Both);
    }
}

#[cfg(test)]
impl Standing {
    /// Whose certificates they are.
    pub fn serial_prefixes(&self) -> [u64; 2] {
        [0, 1].map(|side: usize| self.proofs[side].term.serial_prefix)
    }

    /// Ends it now.
    pub fn end(&self) {
        self.over.set(Some(Instant::now()));
    }
}

#[cfg(test)]
impl LiveConnections {
    /// Takes in a connection that stands on nothing in particular.
    pub fn enter_for_test(self: &Rc<Self>, tcp: &TcpStream) -> Live {
        let term = Term {
            serial_prefix: 1,
            not_after: i64::MAX / 2_000,
        };
        let proof = Proof {
            term,
            anchor: Rc::new(CertificateDer::from(Vec::new())),
        };
        self.enter(tcp, [proof.clone(), proof], Side::Caller, false)
            .expect("nobody was revoked")
    }
}

/// A place among the live connections. It belongs to the connection's stream and goes before the socket does.
#[derive(Debug)]
pub struct Live {
    number: u64,
    standing: Rc<Standing>,
    all: Rc<LiveConnections>,
}

impl Live {
    /// What the connection stands on.
    pub fn standing(&self) -> &Rc<Standing> {
        &self.standing
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.all.open.borrow_mut().remove(&self.number);
    }
}

impl LiveConnections {
    /// Whom to trust now.
    pub fn trust(&self) -> Rc<Trust> {
        self.trust.borrow().clone()
    }

    /// Takes in a connection whose handshake is done. It must be a part of the stream: the socket outlives it.
    pub fn enter(self: &Rc<Self>, tcp: &TcpStream, proofs: [Proof; 2], side: Side, is_bytes: bool) -> Result<Live, Revoked> {
        let end = proofs[0].term.not_after.min(proofs[1].term.not_after).saturating_mul(1_000);
        let standing = Standing {
            socket: tcp.as_raw_fd(),
            is_bytes,
            expires_ms: if side == Side::Caller { end - CALLER_FIRST_MS } else { end },
            proofs,
            doomed: Cell::new(None),
            over: Cell::new(None),
            told: Notify::new(),
        };
        // What is trusted may have changed since the handshake began.
        let now = Instant::now();
        let doomed = standing.doom(&self.trust.borrow(), now);
        if doomed == Some(now) {
            return Err(Revoked);
        }
        standing.doomed.set(doomed);
        if doomed.is_some() || standing.expires_ms - milliseconds_now() < LOOK.as_millis() as i64 {
            self.changed.notify_one();
        }
        let (number, standing) = (self.next.replace(self.next.get() + 1), Rc::new(standing));
        self.open.borrow_mut().insert(number, standing.clone());
        Ok(Live {
            number,
            standing,
            all: self.clone(),
        })
    }

    /// Puts `trust` in force, for the connections that are open, too.
    pub fn replace(&self, trust: Trust) {
        let now = Instant::now();
        for standing in self.open.borrow().values() {
            standing.doomed.set(standing.doom(&trust, now));
        }
        self.trust.replace(Rc::new(trust));
        self.changed.notify_one();
    }

    /// Gives everybody who carries a connection the news that the sidecar ends.
    pub fn draining(&self) {
        for standing in self.open.borrow().values() {
            standing.told.notify_waiters();
        }
    }

    /// Ends connections when their time has come, for the life of the sidecar.
    pub async fn watch(self: Rc<Self>) {
        loop {
            let pause = self.sweep(milliseconds_now(), Instant::now());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Ends what is to end now, and says when to look again.
    fn sweep(&self, wall_ms: i64, now: Instant) -> Duration {
        let (mut ended, mut pause) = (0, LOOK);
        for standing in self.open.borrow().values() {
            if !standing.is_over() {
                let left = Duration::from_millis((standing.expires_ms - wall_ms).max(0) as u64);
                let left = standing
                    .doomed
                    .get()
                    .map_or(left, |doomed| left.min(doomed.saturating_duration_since(now)));
                if !left.is_zero() {
                    pause = pause.min(left);
                    continue;
                }
                standing.over.set(Some(now));
                standing.told.notify_waiters();
                ended += 1;
            }
            let grace = if standing.is_bytes { Duration::ZERO } else { GRACE };
            let left = standing
                .over
                .get()
                .map_or(grace, |over| (over + grace).saturating_duration_since(now));
            if left.is_zero() {
                standing.close();
            } else {
                pause = pause.min(left);
            }
        }
        if ended > 0 {
            log!("connections to other sidecars that end, as a certificate expired, was revoked or lost its root: {ended}");
        }
        pause
    }
}

fn milliseconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn anchor(name: u8) -> Anchor {
        Rc::new(CertificateDer::from(vec![name]))
    }

    fn proof(serial_prefix: u64, not_after: i64) -> Proof {
        let term = Term { serial_prefix, not_after };
        Proof { term, anchor: anchor(1) }
    }

    fn trust(revision: u64, anchors: &[u8], revoked: &[u64]) -> Trust {
        Trust {
            revision,
            anchors: anchors.iter().map(|name| anchor(*name)).collect(),
            revoked: revoked.iter().copied().collect(),
        }
    }

    struct Test {
        all: Rc<LiveConnections>,
        listener: TcpListener,
    }

    impl Test {
        async fn new() -> Test {
            let all = Rc::new(LiveConnections::default());
            all.replace(trust(1, &[1], &[]));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            Test { all, listener }
        }

        /// A connection of two workloads, 1 and 2, whose certificates end at the second 100 and at `not_after`; and its other end.
        async fn open(&self, side: Side, is_bytes: bool, not_after: i64) -> (Live, TcpStream, TcpStream) {
            let near = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = self.listener.accept().await.unwrap();
            let live = self.all.enter(&near, [proof(1, 100), proof(2, not_after)], side, is_bytes).unwrap();
            (live, near, far)
        }
    }

    async fn is_closed(far: &mut TcpStream) -> bool {
        let read = tokio::time::timeout(Duration::from_millis(20), far.read_u8());
        matches!(read.await, Ok(Err(_)))
    }

    #[tokio::test]
    async fn http_is_over_when_a_certificate_expires_and_closed_after_a_grace_and_bytes_are_closed_at_once() {
        let test = Test::new().await;
        let (http, _near, mut far) = test.open(Side::Callee, false, 90).await;
        let (_bytes, _near, mut bytes_far) = test.open(Side::Callee, true, 1_000).await;
        let start = Instant::now();
        assert_eq!(test.all.sweep(89_000, start), Duration::from_secs(1));
        assert!(!http.standing().is_over());
        let news = http.standing().news();
        assert_eq!(test.all.sweep(90_000, start), GRACE);
        news.await;
        assert!(http.standing().is_over());
        assert!(!is_closed(&mut far).await, "what is under way goes on");
        assert!(!is_closed(&mut bytes_far).await);
        test.all.sweep(95_000, start + GRACE);
        assert!(is_closed(&mut far).await);
        assert_eq!(
            test.all.sweep(100_000, start + GRACE),
            LOOK,
            "the other side's certificate ends, too"
        );
        assert!(is_closed(&mut bytes_far).await);
    }

    #[tokio::test]
    async fn who_carries_a_connection_hears_that_the_sidecar_ends() {
        let test = Test::new().await;
        let (http, _near, _far) = test.open(Side::Callee, false, 90).await;
        let news = http.standing().news();
        test.all.draining();
        news.await;
        assert!(!http.standing().is_over(), "it is not cut for that");
    }

    #[tokio::test]
    async fn the_caller_stops_to_use_a_connection_before_the_callee_ends_it() {
        let test = Test::new().await;
        let (caller, _near, _far) = test.open(Side::Caller, false, 90).await;
        let (callee, _near, _far) = test.open(Side::Callee, false, 90).await;
        test.all.sweep(88_000, Instant::now());
        assert!(caller.standing().is_over() && !callee.standing().is_over());
    }

    #[tokio::test]
    async fn connections_of_a_revoked_workload_end_and_no_new_ones_are_taken() {
        let test = Test::new().await;
        let (http, near, _far) = test.open(Side::Callee, false, 90).await;
        let (_bytes, _near, mut bytes_far) = test.open(Side::Caller, true, 90).await;
        test.all.replace(trust(2, &[1], &[7]));
        test.all.sweep(0, Instant::now());
        assert!(!http.standing().is_over(), "another one was revoked");
        test.all.replace(trust(3, &[1], &[7, 2]));
        test.all.sweep(0, Instant::now());
        assert!(http.standing().is_over());
        assert!(is_closed(&mut bytes_far).await);
        assert!(test.all.enter(&near, [proof(1, 100), proof(2, 90)], Side::Callee, false).is_err());
    }

    #[tokio::test]
    async fn connections_that_stand_on_a_withdrawn_root_end_once_others_have_had_time_to_follow() {
        let test = Test::new().await;
        let (http, _near, _far) = test.open(Side::Callee, false, 90).await;
        let start = Instant::now();
        test.all.replace(trust(2, &[1, 2], &[]));
        test.all.sweep(0, start + SETTLE * 2);
        assert!(!http.standing().is_over(), "another root beside it takes nothing away");
        test.all.replace(trust(3, &[2], &[]));
        let late = test.open(Side::Callee, true, 90).await;
        test.all.sweep(0, start + SETTLE - Duration::from_secs(1));
        assert!(!http.standing().is_over());
        test.all.replace(trust(4, &[2], &[9]));
        let later = Instant::now();
        test.all.sweep(0, later + SETTLE);
        assert!(http.standing().is_over() && late.0.standing().is_over());
    }

    #[tokio::test]
    async fn what_is_closed_is_forgotten_before_its_descriptor_goes_to_another() {
        let test = Test::new().await;
        let (live, near, _far) = test.open(Side::Callee, true, 90).await;
        let (other, _near, mut other_far) = test.open(Side::Callee, true, 1_000).await;
        drop((live, near));
        let (_, mut reused) = (test.all.sweep(95_000, Instant::now()), test.open(Side::Callee, true, 1_000).await);
        test.all.sweep(95_000, Instant::now());
        assert!(!is_closed(&mut reused.2).await && !is_closed(&mut other_far).await);
        drop((other, reused));
        assert!(test.all.open.borrow().is_empty());
    }
}
