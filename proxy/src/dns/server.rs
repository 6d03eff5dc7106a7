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
const MAX_OUTSTANDING: usize = 256;
/// TCP connections at a time; what comes beyond waits for one to end.
const MAX_CONNECTIONS: usize = 64;
/// Time that a TCP connection may take for its next query, or for taking an answer.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Largest query over UDP. Programs send some dozens of bytes.
const MAX_QUERY: usize = 4096;
/// Pause after a socket failed, so that trouble that lasts does not spin.
const TROUBLE_PAUSE: Duration = Duration::from_millis(100);

/// The addresses of mesh names.
#[allow(async_fn_in_trait)] // Everything stays on one thread: there is no Send to promise.
pub trait MeshNames {
    /// The address of the service with this name, in small letters and without the trailing dot. `None` when the mesh has none: the host's
    /// resolvers are asked then. Answers in bounded time.
    async fn resolve(&self, name: &str) -> Option<Ipv4Addr>;
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

    /// Whether a name such as `_grpc_config.users` asks for more about a service of the mesh. There is nothing, and no resolver outside knows better.
    async fn describes_a_service(&self, name: &str) -> bool {
        match names::described(name) {
            Some(service) if names::candidate(service) => self.names.resolve(service).await.is_some(),
            _ => false,
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
        if query.class == CLASS_IN
            && names::candidate(&query.name)
            && let Some(address) = self.names.resolve(&query.name).await
        {
            return Some(match query.kind {
                TYPE_A | TYPE_ANY => query.answer_address(address),
                _ => query.answer(Code::NoError),
            });
        }
        if names::only_here(&query.name) || self.describes_a_service(&query.name).await {
            return Some(query.answer(Code::NxDomain));
        }
        Some(
            self.resolvers
                .ask(&query, transport)
                .await
                .unwrap_or_else(|| query.answer(Code::ServFail)),
        )
    }
}
