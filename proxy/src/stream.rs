//! The byte streams that the sidecar carries: plain TCP, or TLS over TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsStream;

use crate::open::{self, Connection};
use crate::standing::{Live, Standing};
use crate::turns::{self, Reading};
use crate::{opener, own_ports, sys};

/// A connection to an application or a peer. Bytes read ahead by protocol detection come out first.
#[derive(Debug)]
pub struct Stream {
    read_ahead: Bytes,
    io: Io,
    reading: Reading,
    /// What it is part of, if others opened that.
    part_of: Option<Rc<Connection>>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Tls(Box<Authenticated>),
}

/// A connection between two sidecars. Its place among the live ones goes before its socket does.
#[derive(Debug)]
struct Authenticated {
    live: Live,
    tls: TlsStream<TcpStream>,
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Stream {
            read_ahead: Bytes::new(),
            io: Io::Tcp(tcp),
            reading: Reading::default(),
            part_of: None,
        }
    }
}

impl Stream {
    /// A connection to another sidecar, whose place among the live ones is `live`.
    pub fn authenticated(tls: TlsStream<TcpStream>, live: Live) -> Stream {
        Stream {
            read_ahead: Bytes::new(),
            io: Io::Tls(Box::new(Authenticated { live, tls })),
            reading: Reading::default(),
            part_of: None,
        }
    }

    /// Makes it known as part of a connection that others opened: what goes through counts as life in that, and it breaks when that is cut.
    pub fn part_of(mut self, connection: &Rc<Connection>) -> Stream {
        self.part_of = Some(connection.clone());
        self
    }

    /// The connection that it is part of.
    pub fn connection(&self) -> Option<&Rc<Connection>> {
        self.part_of.as_ref()
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(_)), Some(connection)) = (&written, &self.part_of) {
            connection.moved();
        }
        written
    }

    /// What a connection to another sidecar stands on; None for any other.
    pub fn standing(&self) -> Option<&Rc<Standing>> {
        match &self.io {
            Io::Tcp(_) => None,
            Io::Tls(peer) => Some(peer.live.standing()),
        }
    }

    /// Whether it takes no new requests, since a certificate that it stands on is not valid any more.
    pub fn is_over(&self) -> bool {
        self.standing().is_some_and(|standing| standing.is_over())
    }

    /// Puts bytes that were already read in front of what the next reads return.
    pub fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.read_ahead.is_empty());
        self.read_ahead = bytes;
    }

    /// Bytes that were put in front and not read since.
    pub fn read_ahead(&self) -> &[u8] {
        &self.read_ahead
    }

    /// The TCP connection underneath.
    pub fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Tcp(tcp) => tcp,
            Io::Tls(peer) => peer.tls.get_ref().0,
        }
    }

    /// Makes the coming close a reset, so that the other side learns that the stream did not end in order.
    pub fn reset_on_close(&self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // A socket that is already gone needs no reset.
        let _ = setsockopt(&self.tcp().as_fd(), sockopt::Linger, &linger);
    }

    /// True when an idle pooled connection may carry another request: nothing arrived on it and it is not closed.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0u8; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(std::task::Waker::noop());
        self.read_ahead.is_empty() && self.poll_io(&mut context, &mut buffer).is_pending()
    }

    /// Reads what arrived.
    #[inline(always)]
    fn poll_io(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Io::Tls(peer) => Pin::new(&mut peer.tls).poll_read(context, buffer),
        };
        if read.is_pending() {
            self.reading.drained();
        }
        read
    }

    /// Reads what arrived while others have much to do, too.
    #[cold]
    fn poll_in_turn(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let limit = ready!(self.reading.poll(context)).min(buffer.remaining());
        let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        let read = self.poll_io(context, &mut limited);
        let count = limited.filled().len();
        buffer.advance(count);
        if read.is_ready() {
            self.reading.read(count);
        }
        read
    }
}

/// Bytes of a connection that the kernel takes before it can send them: what is slow to be read otherwise waits there by megabytes.
const UNSENT: u32 = 128 * 1024;

/// Settings of every TCP connection that the sidecar makes or accepts: no delay of small writes, little that waits in the kernel, and probes that find a dead peer
/// in about a minute.
pub fn tune(tcp: &TcpStream) {
    // These only fail on sockets that are already closed; the first read or write reports that.
    let _ = tcp.set_nodelay(true);
    let _ = sys::limit_unsent(tcp, UNSENT);
    let _ = setsockopt(&tcp.as_fd(), sockopt::KeepAlive, &true);
    let _ = setsockopt(&tcp.as_fd(), sockopt::TcpKeepIdle, &30);
    let _ = setsockopt(&tcp.as_fd(), sockopt::TcpKeepInterval, &10);
}

/// Opens a TCP connection that may lead anywhere but to this sidecar. Errors: what the kernel says, `LeadsHere`, `OutOfDescriptors`, or `TimedOut` after `limit`.
pub async fn dial(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    own_ports::refuse(address)?;
    match own_ports::reached(address.ip()) {
        IpAddr::V4(ip) if ip.is_loopback() => within(limit, connect_marked(SocketAddr::new(ip.into(), address.port()))).await,
        _ => within(limit, connect(address)).await,
    }
}

/// Connects over the loopback so that other sidecars know by whom it is done, and do not take the program behind this one for theirs.
async fn connect_marked(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = open::made(TcpSocket::new_v4())?;
    socket.set_tos_v4(opener::BY_SIDECAR)?;
    socket.connect(address).await
}

/// Opens a TCP connection to the sidecar of a peer, which may be this one. Errors as those of `dial`.
pub async fn dial_peer(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    own_ports::refuse_as_peer(address)?;
    within(limit, connect(address)).await
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let made = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    open::made(made)?.connect(address).await
}

async fn within(limit: Duration, connecting: impl Future<Output = io::Result<TcpStream>>) -> io::Result<TcpStream> {
    let tcp = tokio::time::timeout(limit, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    tune(&tcp);
    Ok(tcp)
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.part_of.as_ref().is_some_and(|connection| connection.is_cut()) {
            self.reset_on_close();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read_ahead.is_empty() {
            let count = self.read_ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.read_ahead[..count]);
            self.read_ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = if turns::busy() {
            self.poll_in_turn(context, buffer)
        } else {
            self.poll_io(context, buffer)
        };
        if matches!(read, Poll::Ready(Ok(()))) {
            let count = buffer.filled().len() - before;
            turns::spend(count);
            if let Some(connection) = &self.part_of {
                if count > 0 {
                    connection.moved();
                } else {
                    connection.half_closed();
                }
            }
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Io::Tls(peer) => Pin::new(&mut peer.tls).poll_write(context, bytes),
        };
        self.wrote(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(context, slices),
            Io::Tls(peer) => Pin::new(&mut peer.tls).poll_write_vectored(context, slices),
        };
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Io::Tls(peer) => Pin::new(&mut peer.tls).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(connection) = &self.part_of {
            connection.half_closed();
        }
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Io::Tls(peer) => Pin::new(&mut peer.tls).poll_shutdown(context),
        }
    }
}
