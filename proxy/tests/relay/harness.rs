//! A relay between a client that the test writes and endpoints that the test plays.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use weft_proxy::buffer::Buffer;
use weft_proxy::http::{AddedField, Attempt, Edits, Outcome, Reply, RequestView, ResponseView};
use weft_proxy::http1::{Acquired, Finished, Handler, Role, relay};

/// The endpoints' side of the handler, and what it was told.
pub struct Endpoints {
    pub role: Cell<Role>,
    pub edits: RefCell<Rc<Edits>>,
    pub response_edits: RefCell<Rc<Edits>>,
    /// Answers the next request instead of routing it.
    pub refuse: RefCell<Option<Reply>>,
    /// Answers the next acquisition.
    pub unreachable: RefCell<Option<Reply>>,
    pub begun: RefCell<Vec<String>>,
    pub finished: RefCell<Vec<Outcome>>,
    pub refused: RefCell<Vec<&'static str>>,
    /// What could be read of the refused heads.
    pub refused_heads: RefCell<Vec<String>>,
    /// Number of fields of each answer.
    pub answered: RefCell<Vec<usize>>,
    pub idle: RefCell<Vec<DuplexStream>>,
    /// The endpoints are sidecars, of which so many others can be asked.
    pub sidecars: Cell<Option<usize>>,
    /// Statuses of heads, and codes with which a sidecar sent the request elsewhere.
    pub heard: RefCell<Vec<String>>,
    /// Connections that were given up and must look broken.
    pub broken: Cell<usize>,
    draining: Cell<bool>,
    drain: Notify,
    dialled: mpsc::UnboundedSender<DuplexStream>,
}

pub struct Shared(pub Rc<Endpoints>);

pub struct Call {
    edits: Rc<Edits>,
    response_edits: Rc<Edits>,
}

impl Handler for Shared {
    type Upstream = DuplexStream;
    type Call = Call;

    fn role(&self) -> Role {
        self.0.role.get()
    }

    fn begin(&self, head: &impl RequestView, _started: Instant) -> Result<Call, Reply> {
        self.0
            .begun
            .borrow_mut()
            .push(format!("{} {} {}", head.method(), head.authority(), head.path()));
        match self.0.refuse.take() {
            Some(reply) => Err(reply),
            None => Ok(Call {
                edits: self.0.edits.borrow().clone(),
                response_edits: self.0.response_edits.borrow().clone(),
            }),
        }
    }

    fn edits<'a>(&'a self, call: &'a Call) -> &'a Edits {
        &call.edits
    }

    async fn acquire(&self, _call: &mut Call, attempt: Attempt) -> Result<Acquired<DuplexStream>, Reply> {
        if let Some(reply) = self.0.unreachable.take() {
            return Err(reply);
        }
        if attempt == Attempt::First
            && let Some(upstream) = self.0.idle.borrow_mut().pop()
        {
            return Ok(Acquired { upstream, reused: true });
        }
        let (upstream, endpoint) = duplex(16 * 1024);
        self.0.dialled.send(endpoint).expect("the test waits for connections");
        Ok(Acquired { upstream, reused: false })
    }

    fn leads_to_sidecar(&self, _call: &Call) -> bool {
        self.0.sidecars.get().is_some()
    }

    fn elsewhere(&self, _call: &mut Call, code: &'static str) -> bool {
        self.0.heard.borrow_mut().push(code.to_owned());
        let others = self.0.sidecars.get().unwrap_or(0);
        self.0.sidecars.set(Some(others.saturating_sub(1)));
        others > 0
    }

    fn release(&self, _call: &Call, upstream: DuplexStream) {
        self.0.idle.borrow_mut().push(upstream);
    }

    fn broken(&self, _upstream: DuplexStream) {
        self.0.broken.set(self.0.broken.get() + 1);
    }

    fn finish(&self, _call: Call, outcome: Outcome) {
        self.0.finished.borrow_mut().push(outcome);
    }

    fn answered<'a>(&'a self, call: &'a Call, head: &impl ResponseView) -> Option<&'a Edits> {
        self.0.answered.borrow_mut().push(head.fields().count());
        self.0.heard.borrow_mut().push(head.status().to_string());
        Some(&call.response_edits)
    }

    fn refused(&self, head: &impl RequestView, reply: &Reply) {
        self.0.refused_heads.borrow_mut().push(format!("{} {}", head.method(), head.path()));
        self.0.refused.borrow_mut().push(reply.code);
    }

    fn draining(&self) -> bool {
        self.0.draining.get()
    }

    async fn drain_started(&self) {
        while !self.0.draining.get() {
            self.0.drain.notified().await;
        }
    }
}

/// One relay under test.
pub struct Harness<C = DuplexStream> {
    pub endpoints: Rc<Endpoints>,
    pub client: C,
    pub relay: JoinHandle<Finished<C>>,
    pub dialled: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Harness {
    pub fn start() -> Self {
        Self::start_with(b"")
    }

    /// With bytes that detection has read already.
    pub fn start_with(initial: &[u8]) -> Self {
        let (client, server) = duplex(16 * 1024);
        Self::between(client, server, initial)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client
            .write_all(bytes.as_ref())
            .await
            .expect("the relay takes what the client sends");
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + 'static> Harness<C> {
    pub fn between(client: C, server: C, initial: &[u8]) -> Self {
        let (sender, dialled) = mpsc::unbounded_channel();
        let endpoints = Rc::new(Endpoints {
            role: Cell::new(Role::Transparent),
            edits: RefCell::default(),
            response_edits: RefCell::default(),
            refuse: RefCell::default(),
            unreachable: RefCell::default(),
            begun: RefCell::default(),
            finished: RefCell::default(),
            refused: RefCell::default(),
            refused_heads: RefCell::default(),
            answered: RefCell::default(),
            idle: RefCell::default(),
            sidecars: Cell::new(None),
            heard: RefCell::default(),
            broken: Cell::new(0),
            draining: Cell::new(false),
            drain: Notify::new(),
            dialled: sender,
        });
        let shared = Shared(endpoints.clone());
        let initial = Buffer::from(initial);
        let relay = spawn_local(async move { relay(server, initial, &shared).await });
        Self {
            endpoints,
            client,
            relay,
            dialled,
        }
    }

    /// The endpoint's end of the next connection that the relay dials.
    pub async fn dialled(&mut self) -> DuplexStream {
        self.dialled.recv().await.expect("the relay dials an endpoint")
    }

    pub fn edits(&self, drop: &'static [&'static str], add: &[(&'static str, &str)]) {
        *self.endpoints.edits.borrow_mut() = Rc::new(edits(drop, add));
    }

    /// What changes in answers.
    pub fn response_edits(&self, drop: &'static [&'static str], add: &[(&'static str, &str)]) {
        *self.endpoints.response_edits.borrow_mut() = Rc::new(edits(drop, add));
    }

    pub fn drain(&self) {
        self.endpoints.draining.set(true);
        self.endpoints.drain.notify_one();
    }

    /// How the calls ended so far.
    pub fn finished(&self) -> Vec<Outcome> {
        self.endpoints.finished.borrow().clone()
    }

    /// The only call's outcome, once the relay has ended.
    pub async fn outcome(self) -> Outcome {
        assert!(!matches!(
            self.relay.await.expect("the relay does not panic"),
            Finished::Connect { .. }
        ));
        let finished = self.endpoints.finished.borrow();
        assert_eq!(finished.len(), 1, "each call is finished once");
        finished[0]
    }
}

/// Reads exactly the expected text.
pub async fn expect<R: AsyncRead + Unpin>(from: &mut R, expected: impl AsRef<[u8]>) {
    let expected = expected.as_ref();
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let mut piece = vec![0; expected.len() - got.len()];
        let count = from.read(&mut piece).await.expect("readable");
        if count == 0 {
            break;
        }
        got.extend(&piece[..count]);
    }
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
}

/// Reads to the end and gives the text.
pub async fn rest<R: AsyncRead + Unpin>(from: &mut R) -> String {
    let mut got = Vec::new();
    from.read_to_end(&mut got).await.expect("readable to its end");
    String::from_utf8_lossy(&got).into_owned()
}

pub async fn write<W: AsyncWrite + Unpin>(to: &mut W, bytes: impl AsRef<[u8]>) {
    to.write_all(bytes.as_ref()).await.expect("writable");
}

/// Runs a test with time that passes only while everything waits.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let test: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(test);
    LocalSet::new().block_on(&runtime, test);
}

fn edits(drop: &'static [&'static str], add: &[(&'static str, &str)]) -> Edits {
    let add = add.iter().map(|(name, value)| AddedField::new(name, value).expect("a valid field"));
    Edits {
        drop,
        add: add.collect(),
        ..Edits::default()
    }
}
