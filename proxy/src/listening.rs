//! Finds the TCP ports that the application listens on, by asking its network namespace (sock_diag, linux/inet_diag.h).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv, send};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::log::log;

/// Time between two looks while the application starts, and later.
const EARLY: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_millis(500);
/// Looks that count as early: five seconds.
const EARLY_LOOKS: u32 = 100;

/// Limit for the kernel's answer, which takes microseconds unless it is lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IPPROTO_TCP: u8 = 6;
const STATE_LISTEN: u32 = 1 << 10;
const HEADER: usize = 16;
/// Offset of the source port in an inet_diag_msg: family, state, timer, retransmits, then the port in network order.
const SOURCE_PORT: usize = HEADER + 4;

/// Watches the ports on which the application accepts connections from its sidecar, for the life of the sidecar. `is_applications` leaves out the ports of others
/// in the same network, such as the sidecar's own. While they cannot be read, the last ones hold; `unreadable` is told why, and with an empty text when they can again.
pub async fn watch(
    socket: &AsyncFd<OwnedFd>,
    is_applications: impl Fn(u16) -> bool,
    ports: watch::Sender<Vec<u16>>,
    unreadable: impl Fn(&str),
) -> Infallible {
    // Of AF_INET and AF_INET6.
    let mut read = [BTreeSet::new(), BTreeSet::new()];
    let (mut looks, mut sequence, mut told) = (0u32, 0u32, String::new());
    loop {
        let mut trouble = String::new();
        for (found, family) in read.iter_mut().zip([2, 10]) {
            sequence = sequence.wrapping_add(1);
            let answer = timeout(ANSWER_LIMIT, dump(socket, family, sequence)).await;
            match answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten() {
                Ok(fresh) => *found = fresh,
                Err(error) => trouble = error.to_string(),
            }
        }
        if trouble != told {
            match trouble.as_str() {
                "" => log!("the application's listening ports can be read again"),
                error => {
                    log!("the application's listening ports cannot be read: {error}; the last ones that were read hold until they can")
                }
            }
            unreadable(&trouble);
            told = trouble;
        }
        let all: BTreeSet<u16> = read.iter().flatten().copied().collect();
        let found: Vec<u16> = all.into_iter().filter(|port| is_applications(*port)).collect();
        ports.send_if_modified(|known| {
            // The first look is news whatever it finds.
            let changed = looks == 0 || *known != found;
            *known = found;
            changed
        });
        looks = looks.saturating_add(1);
        tokio::time::sleep(if looks < EARLY_LOOKS { EARLY } else { LATER }).await;
    }
}

/// The listening ports of one family. What is left of the answer to an earlier question, which has another number, is passed over.
async fn dump(socket: &AsyncFd<OwnedFd>, family: u8, sequence: u32) -> io::Result<BTreeSet<u16>> {
    send(socket.get_ref().as_raw_fd(), &request(family, sequence), MsgFlags::MSG_DONTWAIT)?;
    let mut found = BTreeSet::new();
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        let mut readable = socket.readable().await?;
        let received = readable.try_io(|socket| Ok(recv(socket.get_ref().as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?));
        match received {
            Ok(length) => {
                let length = length?;
                if length == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if collect(&buffer[..length], sequence, &mut found)? {
                    return Ok(found);
                }
            }
            Err(_would_block) => {}
        }
    }
}

/// A dump of all listening TCP sockets of one family.
fn request(family: u8, sequence: u32) -> [u8; 72] {
    let mut message = [0; 72];
    message[0..4].copy_from_slice(&72u32.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message[HEADER] = family;
    message[HEADER + 1] = IPPROTO_TCP;
    message[HEADER + 4..HEADER + 8].copy_from_slice(&STATE_LISTEN.to_ne_bytes());
    message
}

/// Adds the ports of one received buffer. True when the dump is complete; an error when the kernel gave up.
fn collect(mut messages: &[u8], sequence: u32, found: &mut BTreeSet<u16>) -> io::Result<bool> {
    let number = |bytes: &[u8], at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map_or(0, u32::from_ne_bytes)
    };
    while let Some(header) = messages.get(..HEADER) {
        let length = number(header, 0) as usize;
        let Some(message) = messages.get(..length).filter(|_| length >= HEADER) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut short"));
        };
        if number(header, 8) == sequence {
            match u16::from_ne_bytes([header[4], header[5]]) {
                // Both begin with the negative of an error's number, which is 0 where all is well.
                NLMSG_ERROR | NLMSG_DONE => {
                    return match number(message, HEADER) as i32 {
                        0.. => Ok(true),
                        error => Err(io::Error::from_raw_os_error(error.saturating_neg())),
                    };
                }
                SOCK_DIAG_BY_FAMILY => {
                    if let Some(port) = message.get(SOURCE_PORT..SOURCE_PORT + 2) {
                        found.insert(u16::from_be_bytes([port[0], port[1]]));
                    }
                }
                _ => {}
            }
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    use std::cell::RefCell;
    use std::net::TcpListener;

    use crate::seqpacket::Seqpacket;
    use crate::sys;

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
        let diag = sys::readiness(diag).unwrap();
        let looking = watch(&diag, |port| port != own_port, sender, |trouble| panic!("{trouble}"));
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

    /// A kernel that the test plays: it answers each question with `answer`, told the question's number and family.
    async fn answer_as(kernel: &AsyncFd<Seqpacket>, answer: impl Fn(u32, u8) -> Vec<u8>) {
        loop {
            let mut readable = kernel.readable().await.unwrap();
            let Ok(question) = readable.try_io(|kernel| kernel.get_ref().receive()) else {
                continue;
            };
            let (question, _) = question.unwrap().unwrap();
            let sequence = u32::from_ne_bytes(question[8..12].try_into().unwrap());
            kernel.get_ref().send(&answer(sequence, question[HEADER]), &[]).unwrap();
        }
    }

    fn netlink(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        message
    }

    /// One listening port, from an answer with this number, and its end.
    fn listening(sequence: u32, port: u16) -> Vec<u8> {
        let mut body = [0; 8];
        body[4..6].copy_from_slice(&port.to_be_bytes());
        [
            netlink(SOCK_DIAG_BY_FAMILY, sequence, &body),
            netlink(NLMSG_DONE, sequence, &[0; 4]),
        ]
        .concat()
    }

    #[tokio::test]
    async fn trouble_with_reading_ports_passes_and_the_last_ones_hold_until_then() {
        let (kernel, diag) = Seqpacket::pair().unwrap();
        for end in [&kernel, &diag] {
            end.set_nonblocking(true).unwrap();
        }
        let kernel = sys::readiness(kernel).unwrap();
        let diag = sys::readiness(OwnedFd::from(diag)).unwrap();
        let (sender, mut ports) = watch::channel(Vec::new());
        let unreadable = RefCell::new(Vec::new());
        let (told, mut news) = watch::channel(());
        let looking = watch(
            &diag,
            |_| true,
            sender,
            |trouble| {
                unreadable.borrow_mut().push(trouble.to_owned());
                told.send_replace(());
            },
        );
        let refuse = |sequence, _| netlink(NLMSG_ERROR, sequence, &(-(nix::libc::ENOBUFS)).to_ne_bytes());
        let of_v4 = |port: u16| {
            move |sequence, family: u8| {
                if family == 2 {
                    listening(sequence, port)
                } else {
                    listening(sequence, 443)
                }
            }
        };
        let story = async {
            tokio::select! {
                () = answer_as(&kernel, of_v4(80)) => {}
                known = ports.wait_for(|ports| ports[..] == [80, 443]) => drop(known.unwrap()),
            }
            tokio::select! {
                () = answer_as(&kernel, refuse) => {}
                news = news.changed() => news.unwrap(),
            }
            assert_eq!(ports.borrow()[..], [80, 443], "the last ones hold");
            // An answer that comes late is of no use.
            let late = |sequence: u32, _| [listening(sequence.wrapping_sub(1), 9), listening(sequence, 8080)].concat();
            tokio::select! {
                () = answer_as(&kernel, late) => {}
                known = ports.wait_for(|ports| ports[..] == [8080]) => drop(known.unwrap()),
            }
        };
        tokio::select! {
            never = looking => match never {},
            () = story => {}
        }
        let told = unreadable.borrow();
        assert!(told[0].contains("buffer") && told[1].is_empty() && told.len() == 2, "{told:?}");
    }

    #[test]
    fn an_answer_that_is_cut_short_or_says_nothing_is_no_answer() {
        let collect = |bytes: &[u8]| collect(bytes, 7, &mut BTreeSet::new());
        let whole = listening(7, 80);
        assert!(matches!(collect(&whole), Ok(true)));
        assert!(collect(&whole[..20]).is_err());
        assert!(collect(&netlink(NLMSG_ERROR, 7, &(-1i32).to_ne_bytes())).is_err());
        assert!(matches!(collect(&netlink(NLMSG_ERROR, 6, &(-1i32).to_ne_bytes())), Ok(false)));
        assert!(collect(&[0; 32]).is_err());
    }
}
