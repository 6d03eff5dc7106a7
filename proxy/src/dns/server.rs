//! Serves DNS on sockets that were made in the program's namespace.

#[cfg(test)]
mod tests;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message::{self, CLASS_IN, Code, TYPE_A, TYPE_ANY};
use super::names;
use super::resolvers::{Resolvers, Transport, read_message, write_message};

/// Queries that are answered at a time; what comes beyond gets SERVFAIL.
const MAX_OUTSTANDING: usize = 1_024;
/// TCP connections at a time; what comes beyond waits for one to end.
const MAX_CONNECTIONS: usize = 64;
/// Time that a TCP connection may take for its next query, or for taking an answer.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Largest query over UDP. Programs send some dozens of bytes.
const MAX_QUERY: usize = 4096;
/// Pause after a socket failed, so that trouble that lasts does not spin.
const TROUBLE_PAUSE: Duration = Duration::from_millis(100);

/// What the mesh says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The address of the service with this name.
    Address(Ipv4Addr),
    /// The service with this name has no address.
    NoAddress,
    /// The mesh has none: the host's resolvers are asked.
    NoService,
    /// The controller does not answer. The host's resolvers are asked only where the name is not `ours`, and what they do not know may exist still.
    Unanswered {
        /// Whether the name can be the mesh's only.
        ours: bool,
    },
}

/// The addresses of mesh names.
#[allow(async_fn_in_trait)] // Everything stays on one thread: there is no Send to promise.
pub trait MeshNames {
    /// What is known of this name, in small letters and without the trailing dot. Answers in bounded time.
    async fn resolve(&self, name: &str) -> Lookup;
}

/// Answers the program's DNS questions.
#[derive(Debug)]
pub struct Server<N> {
    names: N,
    resolvers: Resolvers,
    outstanding: Semaphore,
    connections: Arc<Semaphore>,
    idle_limit: Duration,
}

impl<N: MeshNames + 'static> Server<N> {
    /// A server for mesh names from `names` and all others from `resolvers`.
    pub fn new(names: N, resolvers: Resolvers) -> Rc<Server<N>> {
        Rc::new(Server {
            names,
            resolvers,
            outstanding: Semaphore::new(MAX_OUTSTANDING),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            idle_limit: IDLE_LIMIT,
        })
    }

    /// Serves a UDP socket. Ends with an error when it is none.
    pub async fn serve_udp(self: Rc<Self>, socket: OwnedFd) -> io::Result<()> {
        let socket = std::net::UdpSocket::from(socket);
        socket.set_nonblocking(true)?;
        let socket = Rc::new(UdpSocket::from_std(socket)?);
        let mut buffer = vec![0; MAX_QUERY];
        let mut queries = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = queries.join_next() => {}
                received = socket.recv_from(&mut buffer) => match received {
                    Ok((size, from)) => {
                        let (server, socket, query) = (self.clone(), socket.clone(), buffer[..size].to_vec());
                        queries.spawn_local(async move {
                            if let Some(answer) = server.answer(&query, Transport::Udp).await {
                                // Whoever asked is gone if this fails.
                                let _ = socket.send_to(&answer, from).await;
                            }
                        });
                    }
                    Err(_) => tokio::time::sleep(TROUBLE_PAUSE).await,
                },
            }
        }
    }

    /// Serves a TCP listener. Ends with an error when it is none.
    pub async fn serve_tcp(self: Rc<Self>, listener: OwnedFd) -> io::Result<()> {
        let listener = std::net::TcpListener::from(listener);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let place = self.connections.clone().acquire_owned().await;
                        let server = self.clone();
                        connections.spawn_local(async move {
                            server.serve_connection(stream).await;
                            drop(place);
                        });
                    }
                    Err(_) => tokio::time::sleep(TROUBLE_PAUSE).await,
                },
            }
        }
    }

    /// Answers one query after the other until the program closes, is idle or sends what is no query.
    async fn serve_connection(&self, mut stream: TcpStream) {
        while let Ok(Ok(query)) = timeout(self.idle_limit, read_message(&mut stream)).await {
            let Some(answer) = self.answer(&query, Transport::Tcp).await else {
                return;
            };
            let Ok(Ok(())) = timeout(self.idle_limit, write_message(&mut stream, &answer)).await else {
                return;
            };
        }
    }

    /// What is known of the service of which a name such as `_grpc_config.users` asks for more.
    async fn described(&self, name: &str) -> Lookup {
        match names::described(name) {
            Some(service) if names::candidate(service) => self.names.resolve(service).await,
            _ => Lookup::NoService,
        }
    }

    async fn answer(&self, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let query = match message::parse(bytes) {
            Ok(query) => query,
            Err(malformed) => return malformed.answer(bytes),
        };
        let Ok(_place) = self.outstanding.try_acquire() else {
            return Some(query.answer(Code::ServFail));
        };
        if names::own_reverse(&query.name) {
            return Some(query.answer(Code::NxDomain));
        }
        let mut unanswered = false;
        if query.class == CLASS_IN && names::candidate(&query.name) {
            match self.names.resolve(&query.name).await {
                Lookup::Address(address) => {
                    return Some(match query.kind {
                        TYPE_A | TYPE_ANY => query.answer_address(address),
                        _ => query.answer(Code::NoError),
                    });
                }
                Lookup::NoAddress => return Some(query.answer(Code::NoError)),
                Lookup::NoService => {}
                Lookup::Unanswered { ours: true } => return Some(query.answer(Code::ServFail)),
                Lookup::Unanswered { ours: false } => unanswered = true,
            }
        }
        if names::only_here(&query.name) {
            return Some(query.answer(Code::NxDomain));
        }
        match self.described(&query.name).await {
            // There is nothing more about a service of the mesh, and no resolver outside knows better.
            Lookup::Address(_) | Lookup::NoAddress => return Some(query.answer(Code::NxDomain)),
            Lookup::NoService => {}
            Lookup::Unanswered { ours: true } => return Some(query.answer(Code::ServFail)),
            Lookup::Unanswered { ours: false } => unanswered = true,
        }
        let answer = self.resolvers.ask(&query, transport).await;
        // That nobody outside has the name does not mean that the mesh has not.
        let known = answer.filter(|answer| !(unanswered && message::denies(answer)));
        Some(known.unwrap_or_else(|| query.answer(Code::ServFail)))
    }
}
