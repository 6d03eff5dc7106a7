//! Connections to the application beside this sidecar.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;

use crate::open;
use crate::own_ports::{self, LeadsHere};
use crate::seqpacket::Seqpacket;
use crate::stream;
use crate::sys;

/// Limit for a connection to the application: on one machine only a full backlog takes time.
const LIMIT: Duration = Duration::from_secs(2);
/// Sockets asked for at a time.
const BATCH: usize = 8;
/// What questions and answers about IPv4 and IPv6 begin with.
const FAMILIES: [&str; 2] = ["4", "6"];

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
            asked: Default::default(),
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

    /// Connects to an address of the application's network, where the sidecar itself does not listen.
    pub async fn connect_to(&self, address: SocketAddr, caller: Option<Ipv4Addr>) -> io::Result<TcpStream> {
        let Some(inside) = &self.inside else {
            return stream::dial(address, LIMIT).await;
        };
        if own_ports::is_inside(address.port()) {
            return Err(LeadsHere(address).into());
        }
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
    /// By family, whether an answer is to come. It comes even if who asked gave up, so that the next one need not ask.
    asked: [Cell<bool>; 2],
}

impl Inside {
    async fn take(&self, v6: bool) -> io::Result<OwnedFd> {
        let family = usize::from(v6);
        if let Some(socket) = self.pop(family) {
            return Ok(socket);
        }
        let maker = self.maker.lock().await;
        tokio::time::timeout(LIMIT, self.ask(&maker, family))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    fn pop(&self, family: usize) -> Option<OwnedFd> {
        self.spare.borrow_mut()[family].pop()
    }

    async fn ask(&self, maker: &AsyncFd<Seqpacket>, family: usize) -> io::Result<OwnedFd> {
        loop {
            // Another task may have filled the spare ones while this one waited.
            if let Some(socket) = self.pop(family) {
                return Ok(socket);
            }
            if !self.asked[family].get() {
                let question = format!("{} {BATCH}", FAMILIES[family]);
                maker.get_ref().send(question.as_bytes(), &[])?;
                self.asked[family].set(true);
            }
            let mut readable = maker.readable().await?;
            match readable.try_io(|maker| maker.get_ref().receive()) {
                Ok(Ok(Some((text, sockets)))) => self.take_in(&text, sockets)?,
                Ok(Ok(None)) => return Err(io::Error::other("the launcher is gone")),
                Ok(Err(error)) => {
                    // An answer that was lost, to whichever question.
                    self.asked.iter().for_each(|asked| asked.set(false));
                    open::starved(error.to_string());
                    return Err(error);
                }
                Err(_would_block) => {}
            }
        }
    }

    /// Keeps the sockets of an answer, which repeats its question. One without any says why.
    fn take_in(&self, text: &[u8], sockets: Vec<OwnedFd>) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        let Some(family) = FAMILIES.iter().position(|family| text.starts_with(*family)) else {
            return Err(io::Error::other("the launcher's answer is unknown"));
        };
        self.asked[family].set(false);
        if sockets.is_empty() {
            let reason = format!("the launcher made no socket: {}", text.splitn(3, ' ').nth(2).unwrap_or_default());
            open::starved(reason.clone());
            return Err(io::Error::other(reason));
        }
        let usable: io::Result<Vec<OwnedFd>> = sockets.into_iter().map(|socket| open::made(Ok(socket))).collect();
        self.spare.borrow_mut()[family].extend(usable?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(maker: Seqpacket) -> Inside {
        maker.set_nonblocking(true).unwrap();
        Inside {
            maker: Mutex::new(sys::readiness(maker).unwrap()),
            spare: RefCell::default(),
            asked: Default::default(),
        }
    }

    fn answer(launcher: &Seqpacket, text: &str) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        launcher.send(text.as_bytes(), &[socket.as_fd(), socket.as_fd()]).unwrap();
    }

    fn question(launcher: &Seqpacket) -> Option<Vec<u8>> {
        launcher.set_nonblocking(true).unwrap();
        launcher.receive().ok().flatten().map(|(text, _)| text)
    }

    /// A request for a socket, dropped before it was answered.
    async fn give_up(inside: &Inside, v6: bool) {
        let asked = tokio::time::timeout(Duration::from_millis(1), inside.take(v6)).await;
        assert!(asked.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waited_for_serves_the_next_and_no_others_pile_up() {
        let (launcher, maker) = Seqpacket::pair().unwrap();
        let inside = inside(maker);
        for _ in 0..20 {
            give_up(&inside, false).await;
        }
        give_up(&inside, true).await;
        assert_eq!(question(&launcher).as_deref(), Some(&b"4 8"[..]));
        assert_eq!(question(&launcher).as_deref(), Some(&b"6 8"[..]));
        assert_eq!(question(&launcher), None, "one question of a family at a time");
        answer(&launcher, "4 8");
        answer(&launcher, "6 8");
        for v6 in [true, false, true, false] {
            inside.take(v6).await.unwrap();
        }
        assert_eq!(question(&launcher), None);
    }

    #[tokio::test]
    async fn a_launcher_that_made_no_sockets_says_why_and_is_asked_again() {
        let (launcher, maker) = Seqpacket::pair().unwrap();
        let inside = inside(maker);
        launcher.send(b"4 8 too many references", &[]).unwrap();
        let error = inside.take(false).await.unwrap_err();
        assert_eq!(error.to_string(), "the launcher made no socket: too many references");
        answer(&launcher, "4 8");
        inside.take(false).await.unwrap();
    }
}
