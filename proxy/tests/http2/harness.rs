//! The proxy's part for one client connection, between a client and servers that a test plays with the h2 crate.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use weft_proxy::http::{Edits, Outcome, Reply, RequestView, ResponseView};
use weft_proxy::http2::{self, Connections, Handler, Lease};

/// The servers' side of the handler, and what it was told.
pub struct Servers {
    connections: Connections<Reply>,
    dialled: mpsc::UnboundedSender<DuplexStream>,
    pub finished: RefCell<Vec<Outcome>>,
    pub refused: RefCell<Vec<&'static str>>,
    edits: Edits,
    pub response_edits: OnceCell<Edits>,
    learns: Cell<bool>,
    /// The servers are sidecars, of which so many others can be asked.
    pub others: Cell<Option<usize>>,
}

pub struct Shared(pub Rc<Servers>);

impl Shared {
    async fn lease(&self) -> Result<Lease, Reply> {
        let open = || {
            let (near, far) = duplex(64 * 1024);
            self.0.dialled.send(far).expect("the test waits for connections");
            async {
                let opened = http2::client(near).await;
                opened.map_err(|error| Reply::new(503, "UNREACHABLE", error.to_string()))
            }
        };
        self.0.connections.acquire(None, open).await
    }
}

impl Handler for Shared {
    type Call = ();

    async fn takes_extended_connect(&self) -> bool {
        self.0.learns.get() && self.lease().await.is_ok_and(|lease| lease.takes_extended_connect())
    }

    fn begin(&self, _head: &impl RequestView, _started: Instant) -> Result<(), Reply> {
        Ok(())
    }

    fn edits<'a>(&'a self, _call: &'a ()) -> &'a Edits {
        &self.0.edits
    }

    async fn acquire(&self, _call: &mut ()) -> Result<Lease, Reply> {
        self.lease().await
    }

    fn leads_to_sidecar(&self, _call: &()) -> bool {
        self.0.others.get().is_some()
    }

    fn elsewhere(&self, _call: &mut (), _code: &'static str) -> bool {
        let others = self.0.others.get().unwrap_or(0);
        self.0.others.set(Some(others.saturating_sub(1)));
        others > 0
    }

    fn lost(&self, _call: &mut ()) {}

    fn finish(&self, _call: (), outcome: Outcome) {
        self.0.finished.borrow_mut().push(outcome);
    }

    fn answered<'a>(&'a self, _call: &'a (), _head: &impl ResponseView) -> Option<&'a Edits> {
        self.0.response_edits.get()
    }

    fn refused(&self, _head: &impl RequestView, reply: &Reply) {
        self.0.refused.borrow_mut().push(reply.code);
    }

    async fn drain_started(&self) {
        std::future::pending().await
    }
}

/// One proxy under test.
pub struct Harness {
    pub servers: Rc<Servers>,
    dialled: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Harness {
    /// With a raw client connection, of which nothing was sent.
    pub fn raw() -> (Harness, DuplexStream) {
        Harness::new(false)
    }

    fn new(learns: bool) -> (Harness, DuplexStream) {
        let (client, near) = duplex(64 * 1024);
        let (sender, dialled) = mpsc::unbounded_channel();
        let servers = Rc::new(Servers {
            connections: Connections::default(),
            dialled: sender,
            finished: RefCell::default(),
            refused: RefCell::default(),
            edits: Edits {
                drop: &["weft-*"],
                ..Edits::default()
            },
            response_edits: OnceCell::new(),
            learns: Cell::new(learns),
            others: Cell::new(None),
        });
        let shared = Rc::new(Shared(servers.clone()));
        spawn_local(http2::serve(near, shared));
        (Harness { servers, dialled }, client)
    }

    /// With a client that takes `window` bytes of a stream before it reads.
    pub async fn with_window(window: u32) -> (Harness, SendRequest<Bytes>) {
        let (harness, client) = Harness::new(false);
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(1 << 30);
        let (sender, connection) = builder.handshake(client).await.expect("a server");
        spawn_local(async move { drop(connection.await) });
        (harness, sender)
    }

    pub async fn start() -> (Harness, SendRequest<Bytes>) {
        Harness::with_window(65_535).await
    }

    /// With a server that is there from the first, so that the client can be told what it takes.
    pub async fn learning(server: h2::server::Builder) -> (SendRequest<Bytes>, Connection<DuplexStream, Bytes>) {
        let (mut harness, client) = Harness::new(true);
        let served = harness.dialled_with(server);
        let (client, served) = tokio::join!(h2::client::handshake(client), served);
        let (mut sender, connection) = client.expect("a server");
        spawn_local(async move { drop(connection.await) });
        sender = sender.ready().await.expect("a connection");
        (sender, served)
    }

    /// The server's end of the next connection that the proxy dials.
    pub async fn dialled(&mut self) -> Connection<DuplexStream, Bytes> {
        self.dialled_with(h2::server::Builder::new()).await
    }

    /// The same, with nothing read from it yet.
    pub async fn dialled_raw(&mut self) -> DuplexStream {
        self.dialled.recv().await.expect("the proxy dials a server")
    }

    async fn dialled_with(&mut self, builder: h2::server::Builder) -> Connection<DuplexStream, Bytes> {
        let stream = self.dialled_raw().await;
        builder.handshake(stream).await.expect("a client")
    }

    /// The only call's outcome, once it is finished.
    pub async fn outcome(&self) -> Outcome {
        while self.servers.finished.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.servers.finished.borrow().len(), 1, "each call is finished once");
        self.servers.finished.borrow()[0]
    }
}

/// One request that a server took.
pub type Taken = (Request<RecvStream>, SendResponse<Bytes>);

/// Takes the next request; the connection goes on in a task of its own.
pub async fn take(mut connection: Connection<DuplexStream, Bytes>) -> Taken {
    let taken = connection.accept().await.expect("a request").expect("a connection");
    spawn_local(async move { while connection.accept().await.is_some() {} });
    taken
}

/// A request for `/`.
pub fn request(method: &str) -> Request<()> {
    Request::builder().method(method).uri("http://users/").body(()).expect("valid")
}

/// A response with nothing but its status.
pub fn response(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).expect("valid")
}

/// Reads a stream to its end, giving the windows back, and gives the trailers too.
pub async fn rest(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        bytes.extend_from_slice(&chunk);
        stream.flow_control().release_capacity(chunk.len()).expect("it was received");
    }
    Ok((bytes, stream.trailers().await?))
}

/// Sends bytes as the other side takes them.
pub async fn send(stream: &mut SendStream<Bytes>, bytes: &[u8], end: bool) {
    let mut bytes = Bytes::copy_from_slice(bytes);
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx))
            .await
            .expect("open")
            .expect("open");
        let part = bytes.split_to(room.min(bytes.len()));
        stream.send_data(part, end && bytes.is_empty()).expect("open");
    }
}

/// Runs a test with virtual time, which moves on when everybody waits.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}
