//! Who opened a connection over the host's loopback. Without a namespace of its own, a workload's listeners for its program's calls can be dialled by every program
//! of the machine; only those of its own user may call as the workload, and no sidecar on behalf of another.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::unistd::geteuid;
use tokio::net::TcpStream;

/// The type of service of connections that a sidecar opens over the loopback on behalf of a program, by which another sidecar knows them. It means nothing else
/// there. Of the code points for local use (RFC 4594).
pub const BY_SIDECAR: u32 = 0xac;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;
const ANY_STATE: u32 = u32::MAX;
const INET_DIAG_TOS: u16 = 5;
const HEADER: usize = 16;
/// struct inet_diag_msg: family, state, timer, retransmits, the connection's id, five numbers.
const MESSAGE: usize = 72;

/// What the kernel says of the other end of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    user: u32,
    /// Zero when no process holds it any more. Then its user is not told either, and looks like root.
    inode: u32,
    type_of_service: u8,
}

/// Finds out who opens connections.
#[derive(Debug, Default)]
pub struct Openers(RefCell<Option<OwnedFd>>);

impl Openers {
    /// Whether a program of this process's own user opened a connection and holds it still. The error says what is wrong, as the end of a sentence.
    pub fn check(&self, tcp: &TcpStream) -> Result<(), String> {
        let other_end = || self.look_up(tcp.local_addr()?, tcp.peer_addr()?);
        let Socket {
            user,
            inode,
            type_of_service,
        } = other_end().map_err(|error| format!("who opened it cannot be told: {error}"))?;
        if inode == 0 {
            return Err("whoever opened it is gone".to_owned());
        }
        if user != geteuid().as_raw() {
            return Err(format!("user {user} opened it, and the workload is user {}'s", geteuid()));
        }
        if u32::from(type_of_service) == BY_SIDECAR {
            return Err("the sidecar of another workload opened it".to_owned());
        }
        Ok(())
    }

    /// The socket at the other end of a connection between two addresses of this machine.
    fn look_up(&self, near: SocketAddr, far: SocketAddr) -> io::Result<Socket> {
        let mut kept = self.0.borrow_mut();
        let diag = match &mut *kept {
            Some(diag) => diag,
            none => none.insert(socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::NetlinkSockDiag,
            )?),
        };
        let answered = ask(diag, near, far);
        if answered.is_err() {
            // An answer that was not read must not be taken for that to the next question.
            *kept = None;
        }
        answered
    }
}

/// The kernel answers while it is asked.
fn ask(diag: &OwnedFd, near: SocketAddr, far: SocketAddr) -> io::Result<Socket> {
    send(diag.as_raw_fd(), &question(near, far)?, MsgFlags::MSG_DONTWAIT)?;
    let mut buffer = [0u8; 1024];
    let length = recv(diag.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
    answer(&buffer[..length], near.port(), far.port())
}

/// Asks for one connection by its four numbers, seen from its far end.
fn question(near: SocketAddr, far: SocketAddr) -> io::Result<[u8; HEADER + 56]> {
    let mut message = [0; HEADER + 56];
    let length = message.len() as u32;
    message[0..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    let request = &mut message[HEADER..];
    request[1] = IPPROTO_TCP;
    request[2] = 1 << (INET_DIAG_TOS - 1);
    request[4..8].copy_from_slice(&ANY_STATE.to_ne_bytes());
    request[8..10].copy_from_slice(&far.port().to_be_bytes());
    request[10..12].copy_from_slice(&near.port().to_be_bytes());
    let (IpAddr::V4(far), IpAddr::V4(near)) = (far.ip().to_canonical(), near.ip().to_canonical()) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    request[0] = AddressFamily::Inet as u8;
    request[12..16].copy_from_slice(&far.octets());
    request[28..32].copy_from_slice(&near.octets());
    // No cookie is known.
    request[48..56].fill(0xff);
    Ok(message)
}

/// Reads the kernel's answer, which is about another socket when the connection is gone: one that listens on the same port.
fn answer(bytes: &[u8], near: u16, far: u16) -> io::Result<Socket> {
    let u16_at = |at: usize| bytes.get(at..at + 2).map_or(0, |two| u16::from_ne_bytes([two[0], two[1]]));
    let u32_at = |at: usize| {
        bytes
            .get(at..at + 4)
            .map_or(0, |four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
    };
    if u16_at(4) != SOCK_DIAG_BY_FAMILY || bytes.len() < HEADER + MESSAGE {
        return Err(io::Error::from_raw_os_error(u32_at(HEADER).cast_signed().saturating_neg()));
    }
    if [u16_at(HEADER + 4), u16_at(HEADER + 6)].map(u16::from_be) != [far, near] {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut attribute = HEADER + MESSAGE;
    while u16_at(attribute) >= 4 && u16_at(attribute + 2) != INET_DIAG_TOS {
        attribute += usize::from(u16_at(attribute)).next_multiple_of(4);
    }
    let type_of_service = match u16_at(attribute) {
        5.. => bytes.get(attribute + 4).copied(),
        _ => None,
    };
    Ok(Socket {
        user: u32_at(HEADER + MESSAGE - 8),
        inode: u32_at(HEADER + MESSAGE - 4),
        type_of_service: type_of_service.ok_or(io::ErrorKind::Unsupported)?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn accepted(listener: &TcpListener) -> TcpStream {
        listener.accept().await.unwrap().0
    }

    #[tokio::test]
    async fn a_program_of_the_same_user_is_known_as_long_as_it_holds_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let openers = Openers::default();
        let client = std::net::TcpStream::connect(address).unwrap();
        let near = accepted(&listener).await;
        assert_eq!(openers.check(&near), Ok(()));
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(openers.check(&near), Ok(()), "half-closed, it is there still");
        drop(client);
        assert!(openers.check(&near).is_err(), "closed, it is nobody's");
    }

    #[tokio::test]
    async fn a_connection_of_an_ipv6_socket_to_an_ipv4_address_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpSocket::new_v6().unwrap();
        let _client = client.connect(format!("[::ffff:127.0.0.1]:{port}").parse().unwrap()).await.unwrap();
        assert_eq!(Openers::default().check(&accepted(&listener).await), Ok(()));
    }

    #[tokio::test]
    async fn what_a_sidecar_dials_for_a_program_is_told_from_what_programs_dial() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _dialled = crate::stream::dial(address, Duration::from_secs(5)).await.unwrap();
        let refused = Openers::default().check(&accepted(&listener).await).unwrap_err();
        assert!(refused.contains("another workload"), "{refused}");
    }

    #[tokio::test]
    async fn an_answer_about_another_socket_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = SocketAddr::new("127.0.0.1".parse().unwrap(), 9);
        // Nobody has this connection, and the kernel names who listens on its far port.
        assert!(Openers::default().look_up(near, listener.local_addr().unwrap()).is_err());
    }
}
