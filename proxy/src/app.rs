//! Connections to the application beside this sidecar.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;

use crate::seqpacket::Seqpacket;
use crate::stream;
use crate::sys;

/// Limit for a connection to the application: on one machine only a full backlog takes time.
const LIMIT: Duration = Duration::from_secs(2);
/// Sockets asked for at a time.
const BATCH: usize = 8;

/// How the application is reached.
#[derive(Debug)]
pub struct Application {
    address: Ipv4Addr,
    inside: Option<Inside>,
    /// Where each port was found listening.
    found: RefCell<HashMap<u16, IpAddr>>,
}

impl Application {
    /// An application with a network namespace of its own, whose sockets come through `maker`, and whose address there is `address`.
    pub fn in_namespace(address: Ipv4Addr, maker: Seqpacket) -> io::Result<Application> {
        maker.set_nonblocking(true)?;
        let inside = Inside {
            maker: Mutex::new(sys::readiness(maker)?),
            spare: RefCell::default(),
        };
        Ok(Application {
            address,
            inside: Some(inside),
            found: RefCell::default(),
        })
    }

    /// An application in the host's network.
    pub fn on_host(address: Ipv4Addr) -> Application {
        Application {
            address,
            inside: None,
            found: RefCell::default(),
        }
    }

    /// The application's own address in the mesh.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Connects to a port of the application, wherever it listens: IPv4 loopback, IPv6 loopback, or its own address. In a namespace the connection comes from
    /// `caller`, so that the application sees its real peer.
    pub async fn connect(&self, port: u16, caller: Option<Ipv4Addr>) -> io::Result<TcpStream> {
        let all = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(self.address),
        ];
        let known = self.found.borrow().get(&port).copied();
        let mut refused = None;
        for address in known.into_iter().chain(all.into_iter().filter(|address| Some(*address) != known)) {
            if self.inside.is_none() && address == IpAddr::V4(self.address) {
                continue;
            }
            match self.connect_to(SocketAddr::new(address, port), caller).await {
                Ok(tcp) => {
                    if known != Some(address) {
                        self.found.borrow_mut().insert(port, address);
                    }
                    return Ok(tcp);
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()))
    }

    /// Connects to an address of the application's network.
    pub async fn connect_to(&self, address: SocketAddr, caller: Option<Ipv4Addr>) -> io::Result<TcpStream> {
        let Some(inside) = &self.inside else {
            return stream::dial(address, LIMIT).await;
        };
        let socket = TcpSocket::from_std_stream(StdTcpStream::from(inside.take(address.is_ipv6()).await?));
        if let (Some(caller), true) = (caller, address.is_ipv4()) {
            // The port is chosen when connecting, so that one caller can have as many connections as there are ports for each target.
            setsockopt(&socket.as_fd(), sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(caller.into(), 0))?;
        }
        let tcp = tokio::time::timeout(LIMIT, socket.connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream::tune(&tcp);
        Ok(tcp)
    }
}

/// Unconnected sockets made in the application's network namespace.
#[derive(Debug)]
struct Inside {
    maker: Mutex<AsyncFd<Seqpacket>>,
    spare: RefCell<[Vec<OwnedFd>; 2]>,
}

impl Inside {
    async fn take(&self, v6: bool) -> io::Result<OwnedFd> {
        let pop = || self.spare.borrow_mut()[usize::from(v6)].pop();
        if let Some(socket) = pop() {
            return Ok(socket);
        }
        let maker = self.maker.lock().await;
        // Another task may have filled the spare ones while this one waited.
        if let Some(socket) = pop() {
            return Ok(socket);
        }
        let asked = tokio::time::timeout(LIMIT, ask(&maker, v6)).await;
        self.spare.borrow_mut()[usize::from(v6)] = asked.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        pop().ok_or_else(|| io::Error::other("the launcher made no socket"))
    }
}

async fn ask(maker: &AsyncFd<Seqpacket>, v6: bool) -> io::Result<Vec<OwnedFd>> {
    let question = format!("{} {BATCH}", if v6 { 6 } else { 4 });
    maker.get_ref().send(question.as_bytes(), &[])?;
    loop {
        let mut readable = maker.readable().await?;
        let answer = readable.try_io(|maker| maker.get_ref().receive());
        match answer {
            Ok(Ok(Some((text, sockets)))) if text == question.as_bytes() => return Ok(sockets),
            // The answer to a question whose asker gave up.
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Err(io::Error::other("the launcher is gone")),
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}
