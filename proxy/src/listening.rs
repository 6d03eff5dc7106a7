//! Finds the TCP ports that the application listens on, by asking its network namespace (sock_diag, linux/inet_diag.h).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv, send};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::sys;

/// Time between two looks while the application starts, and later.
const EARLY: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_millis(500);
/// Looks that count as early: five seconds.
const EARLY_LOOKS: u32 = 100;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IPPROTO_TCP: u8 = 6;
const STATE_LISTEN: u32 = 1 << 10;
const HEADER: usize = 16;
/// Offset of the source port in an inet_diag_msg: family, state, timer, retransmits, then the port in network order.
const SOURCE_PORT: usize = HEADER + 4;

/// Watches the ports on which the application accepts connections from its sidecar, for the life of the sidecar. `is_applications` leaves out the
/// ports of others in the same network, such as the sidecar's own.
pub async fn watch(socket: OwnedFd, is_applications: impl Fn(u16) -> bool, ports: watch::Sender<Vec<u16>>) -> io::Result<()> {
    let socket = sys::readiness(socket)?;
    let mut looks = 0u32;
    loop {
        let mut found = BTreeSet::new();
        // AF_INET, AF_INET6.
        for family in [2, 10] {
            dump(&socket, family, &mut found).await?;
        }
        let found: Vec<u16> = found.into_iter().filter(|port| is_applications(*port)).collect();
        ports.send_if_modified(|known| {
            let changed = *known != found;
            *known = found;
            changed
        });
        looks = looks.saturating_add(1);
        tokio::time::sleep(if looks < EARLY_LOOKS { EARLY } else { LATER }).await;
    }
}

async fn dump(socket: &AsyncFd<OwnedFd>, family: u8, found: &mut BTreeSet<u16>) -> io::Result<()> {
    send(socket.get_ref().as_raw_fd(), &request(family), MsgFlags::MSG_DONTWAIT)?;
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        let mut readable = socket.readable().await?;
        let received = readable.try_io(|socket| Ok(recv(socket.get_ref().as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?));
        match received {
            Ok(length) => {
                if collect(&buffer[..length?], found) {
                    return Ok(());
                }
            }
            Err(_would_block) => {}
        }
    }
}

/// A dump of all listening TCP sockets of one family.
fn request(family: u8) -> [u8; 72] {
    let mut message = [0; 72];
    message[0..4].copy_from_slice(&72u32.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    message[HEADER] = family;
    message[HEADER + 1] = IPPROTO_TCP;
    message[HEADER + 4..HEADER + 8].copy_from_slice(&STATE_LISTEN.to_ne_bytes());
    message
}

/// Adds the ports of one received buffer. True when the dump is complete.
fn collect(mut messages: &[u8], found: &mut BTreeSet<u16>) -> bool {
    while let Some(header) = messages.get(..HEADER) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        if kind == NLMSG_DONE || kind == NLMSG_ERROR || length < HEADER {
            return true;
        }
        if let (SOCK_DIAG_BY_FAMILY, Some(message)) = (kind, messages.get(..length))
            && let Some(port) = message.get(SOURCE_PORT..SOURCE_PORT + 2)
        {
            found.insert(u16::from_be_bytes([port[0], port[1]]));
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    use std::net::TcpListener;

    #[tokio::test]
    async fn ports_come_and_go_with_their_listeners() {
        let diag = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )
        .unwrap();
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let (v4_port, v6_port, own_port) = (port(&v4), port(&v6), port(&own));
        let (sender, mut ports) = watch::channel(Vec::new());
        let looking = watch(diag, |port| port != own_port, sender);
        let expectations = async {
            let both = ports
                .wait_for(|ports| ports.contains(&v4_port) && ports.contains(&v6_port))
                .await
                .unwrap()
                .clone();
            assert!(!both.contains(&own_port), "the sidecar's own port is not the application's");
            drop(v4);
            ports
                .wait_for(|ports| !ports.contains(&v4_port) && ports.contains(&v6_port))
                .await
                .unwrap();
        };
        tokio::select! {
            ended = looking => panic!("{ended:?}"),
            () = expectations => {}
        }
    }
}
