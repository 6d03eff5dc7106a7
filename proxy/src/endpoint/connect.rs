//! Opening a connection to an endpoint, and why there is none.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;

use super::Endpoint;
use crate::budget;
use crate::metrics::{ConnectionGuard, Traffic};
use crate::open;
use crate::own_ports::LeadsHere;
use crate::path::Path;
use crate::standing::Side;
use crate::stream::{self, Stream};
use crate::tls::{Destination, Inside, Lane, PeerIdentity, Tls};

/// Limit for a TCP connection to a peer.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Limit for the TLS handshake that follows.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Limit for the peer's word that the program took the connection.
const PROGRAM_LIMIT: Duration = Duration::from_secs(5);
/// What a sidecar says first on a connection for opaque bytes: its program took the connection. Any other byte: it does not answer, and the connection ends.
pub const PROGRAM_ANSWERS: u8 = b'+';
/// The program does not answer.
pub const PROGRAM_DOES_NOT_ANSWER: u8 = b'-';
impl Endpoint {
    /// Opens a connection, and waits for its program when it is for opaque bytes.
    pub(super) async fn dial(&self, tls: &Tls, lane: Lane, inside: Inside) -> Result<Stream, ConnectError> {
        let mut stream = self.open(tls, lane, inside).await?;
        if inside == Inside::Tcp && self.has_sidecar() {
            let answer = tokio::time::timeout(PROGRAM_LIMIT, stream.read_u8()).await;
            match answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten() {
                Ok(PROGRAM_ANSWERS) => {}
                Ok(_) => return Err(ConnectError::Program),
                Err(error) => return Err(ConnectError::connect(error)),
            }
        }
        Ok(stream)
    }

    async fn open(&self, tls: &Tls, lane: Lane, inside: Inside) -> Result<Stream, ConnectError> {
        if !self.has_sidecar() {
            let target = self
                .ports
                .iter()
                .find(|(service_port, _)| *service_port == lane.port)
                .map_or(lane.port, |(_, target)| *target);
            return Ok(stream::dial(SocketAddr::new(self.address, target), CONNECT_LIMIT)
                .await
                .map_err(ConnectError::connect)?
                .into());
        }
        let tcp = stream::dial_peer(SocketAddr::new(self.address, self.inbound_port), CONNECT_LIMIT)
            .await
            .map_err(ConnectError::connect)?;
        // Thousands that begin at once would take more than there is, before any of them could be ended.
        poll_fn(budget::poll_room).await;
        let name = Destination::server_name(lane, &self.service, &self.namespace)
            .ok_or_else(|| ConnectError::handshake(io::Error::other("the service's name is no DNS name")))?;
        let handshake = TlsConnector::from(tls.client(inside)).connect(name, tcp);
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, handshake)
            .await
            .map_err(|_| ConnectError::handshake(io::ErrorKind::TimedOut.into()))?
            .map_err(ConnectError::handshake)?;
        let session = stream.get_ref().1;
        let proven = session.peer_certificates().and_then(|chain| PeerIdentity::of(chain.first()?));
        match proven {
            Some(peer) if self.identities.contains(&peer.id) => {}
            other => {
                let proven = other.map(|peer| peer.id);
                return Err(ConnectError::Identity {
                    expected: self.identities.join(" or "),
                    proven,
                });
            }
        }
        if Inside::from_alpn(session.alpn_protocol()) != Some(inside) {
            return Err(ConnectError::handshake(io::Error::other(
                "the peer does not speak the protocol that was offered",
            )));
        }
        let entered = tls.enter(stream.get_ref().0, session.peer_certificates(), Side::Caller, inside);
        let live = entered.and_then(Result::ok).ok_or_else(|| {
            let message = "the endpoint's certificate was revoked, as its workload was removed";
            ConnectError::handshake(io::Error::other(message))
        })?;
        Ok(Stream::authenticated(tokio_rustls::TlsStream::Client(stream), live))
    }
}

/// Why no connection to an endpoint could be had.
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// TCP: refused, unreachable, timed out.
    Connect(Rc<io::Error>),
    /// TLS or the protocol inside could not be agreed.
    Handshake(Rc<io::Error>),
    /// The endpoint's sidecar says that its program does not answer.
    Program,
    /// The peer is somebody else.
    Identity {
        /// SPIFFE ID of the endpoint.
        expected: String,
        /// SPIFFE ID of whoever answered.
        proven: Option<String>,
    },
}

impl ConnectError {
    pub(super) fn connect(error: io::Error) -> ConnectError {
        ConnectError::Connect(Rc::new(error))
    }

    pub(super) fn handshake(error: io::Error) -> ConnectError {
        ConnectError::Handshake(Rc::new(error))
    }

    /// Whether the reason lies here: there is no socket to connect with.
    pub fn is_own(&self) -> bool {
        matches!(self, ConnectError::Connect(error) if open::is_shortage(error))
    }

    /// Whether nobody is there, or somebody else, so that others who want a connection at this moment fare no better.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            ConnectError::Connect(_) => !self.is_own(),
            ConnectError::Handshake(error) => error.kind() == io::ErrorKind::TimedOut,
            ConnectError::Identity { .. } => true,
            ConnectError::Program => false,
        }
    }

    pub(super) fn sidecar_ends() -> ConnectError {
        ConnectError::connect(io::Error::other("the sidecar ends"))
    }

    /// The stable code, as in docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            ConnectError::Connect(error) if LeadsHere::is(error) => crate::errors::LOOP,
            _ if self.is_own() => crate::errors::OUT_OF_DESCRIPTORS,
            ConnectError::Connect(_) | ConnectError::Program => crate::errors::CONNECT_FAILED,
            ConnectError::Handshake(_) => crate::errors::HANDSHAKE_FAILED,
            ConnectError::Identity { .. } => crate::errors::WRONG_IDENTITY,
        }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConnectError::Connect(error) => write!(out, "no connection: {error}"),
            ConnectError::Program => write!(out, "its program does not answer"),
            ConnectError::Handshake(error) => write!(out, "no TLS session: {error}"),
            ConnectError::Identity { expected, proven } => {
                write!(
                    out,
                    "expected {expected}, but {} answered",
                    proven.as_deref().unwrap_or("somebody without an identity")
                )
            }
        }
    }
}

/// A counted connection to a peer.
#[derive(Debug)]
pub struct PeerStream {
    /// The connection.
    pub stream: Stream,
    /// Counts it while it is open.
    pub counted: ConnectionGuard,
    /// Whether it carried a request before, so that it may have been closed meanwhile.
    pub is_reused: bool,
    path: Path,
}

impl PeerStream {
    /// A connection that is counted until it is dropped.
    pub fn new(stream: Stream, traffic: &Rc<Traffic>) -> PeerStream {
        PeerStream {
            stream,
            counted: traffic.connection(),
            is_reused: false,
            path: Path::default(),
        }
    }

    /// The counters of the connection.
    pub fn traffic(&self) -> &Rc<Traffic> {
        self.counted.traffic()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let PeerStream { stream, path, .. } = &mut *self;
        match Pin::new(&mut *stream).poll_read(context, buffer) {
            Poll::Pending => path.poll_lost(context, stream.tcp()).map(Err),
            read => read,
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.path.wrote();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.path.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
