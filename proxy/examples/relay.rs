//! Carries HTTP between a port and a server, with no routing, counting or TLS around it: what `npm run bench -- --instructions` counts.
//!
//! `relay http1|http2 ADDRESS SERVER`

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use weft_proxy::buffer::Buffer;
use weft_proxy::http::{Attempt, Edits, Outcome, Reply, RequestView, ResponseView};
use weft_proxy::http1::{self, Acquired, Role};
use weft_proxy::http2::{self, Connections, Lease};

struct Server {
    address: SocketAddr,
    edits: Edits,
    idle: RefCell<Vec<TcpStream>>,
    http2: Connections<Reply>,
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Reply> {
    let connected = TcpStream::connect(address)
        .await
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
    connected.map_err(|error| Reply::new(503, "UNREACHABLE", error.to_string()))
}

impl http1::Handler for Server {
    type Upstream = TcpStream;
    type Call = ();

    fn role(&self) -> Role {
        Role::Transparent
    }

    fn begin(&self, _head: &impl RequestView, _started: Instant) -> Result<(), Reply> {
        Ok(())
    }

    fn edits<'a>(&'a self, _call: &'a ()) -> &'a Edits {
        &self.edits
    }

    async fn acquire(&self, _call: &mut (), _attempt: Attempt) -> Result<Acquired<TcpStream>, Reply> {
        let idle = self.idle.borrow_mut().pop();
        Ok(match idle {
            Some(upstream) => Acquired { upstream, reused: true },
            None => Acquired {
                upstream: Box::pin(connect(self.address)).await?,
                reused: false,
            },
        })
    }

    fn leads_to_sidecar(&self, _call: &()) -> bool {
        false
    }

    fn elsewhere(&self, _call: &mut (), _code: &'static str) -> bool {
        false
    }

    fn answered<'a>(&'a self, _call: &'a (), _head: &impl ResponseView) -> Option<&'a Edits> {
        None
    }

    fn release(&self, _call: &(), upstream: TcpStream) {
        self.idle.borrow_mut().push(upstream);
    }

    fn broken(&self, _upstream: TcpStream) {}

    fn finish(&self, _call: (), _outcome: Outcome) {}

    fn refused(&self, _head: &impl RequestView, _reply: &Reply) {}

    fn draining(&self) -> bool {
        false
    }

    fn drain_started(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

impl http2::Handler for Server {
    type Call = ();

    async fn takes_extended_connect(&self) -> bool {
        false
    }

    fn begin(&self, _head: &impl RequestView, _started: Instant) -> Result<(), Reply> {
        Ok(())
    }

    fn edits<'a>(&'a self, _call: &'a ()) -> &'a Edits {
        &self.edits
    }

    fn leads_to_sidecar(&self, _call: &()) -> bool {
        false
    }

    fn elsewhere(&self, _call: &mut (), _code: &'static str) -> bool {
        false
    }

    fn lost(&self, _call: &mut ()) {}

    async fn acquire(&self, _call: &mut ()) -> Result<Lease, Reply> {
        let open = || {
            let address = self.address;
            async move {
                let opened = http2::client(connect(address).await?).await;
                opened.map_err(|error| Reply::new(502, "NO_HTTP2", error.to_string()))
            }
        };
        self.http2.acquire(None, open).await
    }

    fn answered<'a>(&'a self, _call: &'a (), _head: &impl ResponseView) -> Option<&'a Edits> {
        None
    }

    fn finish(&self, _call: (), _outcome: Outcome) {}

    fn refused(&self, _head: &impl RequestView, _reply: &Reply) {}

    fn drain_started(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [protocol, address, server] = arguments.as_slice() else {
        return Err("usage: relay http1|http2 ADDRESS SERVER".into());
    };
    let server = Rc::new(Server {
        address: server.parse()?,
        edits: Edits {
            drop: &["weft-*"],
            ..Edits::default()
        },
        idle: RefCell::default(),
        http2: Connections::default(),
    });
    let is_http2 = protocol == "http2";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            let server = server.clone();
            spawn_local(async move {
                if is_http2 {
                    http2::serve(client, server).await;
                } else {
                    http1::relay(client, Buffer::new(), &*server).await;
                }
            });
        }
    })
}
