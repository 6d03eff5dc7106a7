//! The byte streams that the sidecar carries: plain TCP, or TLS over TCP.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsStream;

use crate::live::{self, Connection};

/// A connection to an application or a peer. Bytes read ahead by protocol detection come out first.
#[derive(Debug)]
pub struct Stream {
    read_ahead: Bytes,
    io: Io,
    /// What it is part of, if others opened that.
    part_of: Option<Rc<Connection>>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Stream {
            read_ahead: Bytes::new(),
            io: Io::Tcp(tcp),
            part_of: None,
        }
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(tls: TlsStream<TcpStream>) -> Self {
        Stream {
            read_ahead: Bytes::new(),
            io: Io::Tls(Box::new(tls)),
            part_of: None,
        }
    }
}

impl Stream {
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
            Io::Tls(tls) => tls.get_ref().0,
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
        Pin::new(self).poll_read(&mut context, &mut buffer).is_pending()
    }
}

/// Settings of every TCP connection that the sidecar makes or accepts: no delay of small writes, and probes that find a dead peer in about a minute.
pub fn tune(tcp: &TcpStream) {
    // These only fail on sockets that are already closed; the first read or write reports that.
    let _ = tcp.set_nodelay(true);
    let _ = setsockopt(&tcp.as_fd(), sockopt::KeepAlive, &true);
    let _ = setsockopt(&tcp.as_fd(), sockopt::TcpKeepIdle, &30);
    let _ = setsockopt(&tcp.as_fd(), sockopt::TcpKeepInterval, &10);
}

/// Opens a TCP connection. Errors: what the kernel says, `TimedOut` after `limit`, or that there is no room for it (`OutOfDescriptors`).
pub async fn dial(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let made = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = live::made(made)?;
    let tcp = tokio::time::timeout(limit, socket.connect(address))
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
        let read = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Io::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        };
        if let (Poll::Ready(Ok(())), Some(connection)) = (&read, &self.part_of) {
            if buffer.filled().len() > before {
                connection.moved();
            } else {
                connection.half_closed();
            }
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Io::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        };
        self.wrote(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(context, slices),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(context, slices),
        };
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Io::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(connection) = &self.part_of {
            connection.half_closed();
        }
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}
