//! The host's resolvers, asked for everything that is not the mesh's.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use std::os::unix::fs::MetadataExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::message::{self, Query};

/// Time that one resolver has.
const LIMIT: Duration = Duration::from_secs(2);

/// At most this many resolvers are asked, as in glibc.
const MAX_SERVERS: usize = 3;

/// What a query came over, and is passed on over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// The resolvers that `resolv.conf` names. The file is read again when it changes.
#[derive(Debug)]
pub struct Resolvers {
    path: PathBuf,
    port: u16,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Change time, inode and size of the file that was read.
    version: Option<(SystemTime, u64, u64)>,
    servers: Rc<[SocketAddr]>,
}

impl Resolvers {
    /// The resolvers in the file at `path`, "/etc/resolv.conf" everywhere but in tests. `port` is 53 but there.
    pub fn new(path: PathBuf, port: u16) -> Resolvers {
        Resolvers {
            path,
            port,
            known: RefCell::default(),
        }
    }

    /// Passes a query on unchanged to one resolver after the other until one knows something. `None` when none answers.
    pub(super) async fn ask(&self, query: &Query<'_>, transport: Transport) -> Option<Vec<u8>> {
        let mut failure = None;
        for &server in self.servers().iter() {
            let answer = async {
                match transport {
                    Transport::Udp => ask_over_udp(query, server).await,
                    Transport::Tcp => ask_over_tcp(query, server).await,
                }
            };
            match tokio::time::timeout(LIMIT, answer).await {
                Ok(Ok(answer)) if message::is_failure(&answer) => failure = Some(answer),
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        failure
    }

    fn servers(&self) -> Rc<[SocketAddr]> {
        let mut known = self.known.borrow_mut();
        // A file that cannot be read just now leaves what is known as it is.
        if let Ok(file) = fs::metadata(&self.path)
            && let version = file.modified().ok().map(|time| (time, file.ino(), file.len()))
            && (version.is_none() || version != known.version)
            && let Ok(text) = fs::read(&self.path)
        {
            let text = String::from_utf8_lossy(&text);
            let servers = nameservers(&text)
                .take(MAX_SERVERS)
                .map(|(address, scope)| socket_address(address, scope, self.port));
            *known = Known {
                version,
                servers: servers.collect(),
            };
        }
        known.servers.clone()
    }
}

/// The addresses in a `resolv.conf`, with their scope.
fn nameservers(text: &str) -> impl Iterator<Item = (IpAddr, u32)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = (words.next()? == "nameserver").then(|| words.next())??;
        match address.split_once('%') {
            None => Some((address.parse().ok()?, 0)),
            Some((address, scope)) => Some((address.parse().ok()?, scope_id(scope)?)),
        }
    })
}

fn scope_id(scope: &str) -> Option<u32> {
    scope.parse().ok().or_else(|| nix::net::if_::if_nametoindex(scope).ok())
}

fn socket_address(address: IpAddr, scope: u32, port: u16) -> SocketAddr {
    match address {
        IpAddr::V4(address) => SocketAddr::new(address.into(), port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope).into(),
    }
}

/// A fresh socket for every query: its port is as random as the kernel makes it, and nobody but the resolver is heard.
async fn ask_over_udp(query: &Query<'_>, server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query.bytes()).await?;
    // One byte more shows that an answer was longer.
    let mut answer = vec![0; query.udp_size() + 1];
    loop {
        let size = socket.recv(&mut answer).await?;
        if query.is_answered_by(&answer[..size]) {
            if size == answer.len() {
                return Ok(query.answer_truncated());
            }
            answer.truncate(size);
            return Ok(answer);
        }
    }
}

async fn ask_over_tcp(query: &Query<'_>, server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, query.bytes()).await?;
    let answer = read_message(&mut stream).await?;
    match query.is_answered_by(&answer) {
        true => Ok(answer),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Reads one message behind its length.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message behind its length, in one piece.
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let size = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&size.to_be_bytes(), message].concat()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_does() {
        let text = "# a comment\nsearch example.com\nnameserver 10.0.0.1 # why\n\tnameserver\t::1\nnameserver fe80::1%2\nnameserver nonsense\nnameserver\noptions edns0\n";
        let servers: Vec<_> = nameservers(text).collect();
        assert_eq!(
            servers,
            [
                ("10.0.0.1".parse().unwrap(), 0),
                ("::1".parse().unwrap(), 0),
                ("fe80::1".parse().unwrap(), 2)
            ]
        );
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_leaves_what_was_known() {
        let path = std::env::temp_dir().join(format!("weft-resolv-{}", std::process::id()));
        let resolvers = Resolvers::new(path.clone(), 53);
        assert!(resolvers.servers().is_empty());
        fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        assert_eq!(*resolvers.servers(), ["10.0.0.1:53".parse().unwrap()]);
        fs::write(&path, "nameserver 10.0.0.22\nnameserver ::1\n").unwrap();
        assert_eq!(*resolvers.servers(), ["10.0.0.22:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        fs::remove_file(&path).unwrap();
        assert_eq!(resolvers.servers().len(), 2);
    }
}
