//! Packets with descriptors attached, over a `SOCK_SEQPACKET` unix socket: how the mesh's processes on one machine talk.

use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Bytes that a packet may have.
pub const MAX_BYTES: usize = 32 * 1024;
/// Descriptors that a packet may carry; the kernel's own limit is 253.
pub const MAX_DESCRIPTORS: usize = 250;

/// One packet: its bytes, and the descriptors that came with it.
pub type Packet = (Vec<u8>, Vec<OwnedFd>);

/// One end of a socket that keeps packets whole.
#[derive(Debug)]
pub struct Seqpacket(OwnedFd);

impl Seqpacket {
    /// Two connected ends; both block and are closed in programs started later.
    pub fn pair() -> io::Result<(Seqpacket, Seqpacket)> {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Seqpacket(one), Seqpacket(other)))
    }

    /// Whether `send` and `receive` fail with `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        let flags = OFlag::from_bits_retain(fcntl(&self.0, FcntlArg::F_GETFL)?);
        let flags = if nonblocking {
            flags | OFlag::O_NONBLOCK
        } else {
            flags - OFlag::O_NONBLOCK
        };
        fcntl(&self.0, FcntlArg::F_SETFL(flags))?;
        Ok(())
    }

    /// Sends one packet. The descriptors stay open here.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.is_empty() || bytes.len() > MAX_BYTES || descriptors.len() > MAX_DESCRIPTORS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a packet has 1 to 32768 bytes and at most 250 descriptors",
            ));
        }
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let attached = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
        retry(|| sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(bytes)], attached, MsgFlags::MSG_NOSIGNAL, None))?;
        Ok(())
    }

    /// The next packet, or `None` when the other end is closed. One whose descriptors this process may not have (`RLIMIT_NOFILE`) is an error; those of them that
    /// had come are closed.
    pub fn receive(&self) -> io::Result<Option<Packet>> {
        let mut bytes = vec![0; MAX_BYTES];
        loop {
            match sys::receive(&self.0, &mut bytes, MAX_DESCRIPTORS) {
                // A reset is told once, before the packets that are still here: the other end closed without reading all of ours.
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionReset) => {}
                Err(error) => return Err(error),
                Ok(message) if !message.whole => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a packet was cut short: this process may open no more descriptors",
                    ));
                }
                Ok(message) => {
                    bytes.truncate(message.length);
                    return filled((bytes, message.descriptors));
                }
            }
        }
    }
}

/// No packet is empty, so an empty one is the end.
fn filled(packet: Packet) -> io::Result<Option<Packet>> {
    Ok((!packet.0.is_empty()).then_some(packet))
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

impl From<OwnedFd> for Seqpacket {
    fn from(descriptor: OwnedFd) -> Self {
        Seqpacket(descriptor)
    }
}

impl From<Seqpacket> for OwnedFd {
    fn from(socket: Seqpacket) -> Self {
        socket.0
    }
}

impl AsFd for Seqpacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Seqpacket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl sys::KeepsDescriptor for Seqpacket {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_whole_with_its_descriptors_in_order() {
        let (one, other) = Seqpacket::pair().unwrap();
        let (left, right) = Seqpacket::pair().unwrap();
        one.send(b"4 2", &[left.as_fd(), right.as_fd()]).unwrap();
        one.send(b"next", &[]).unwrap();
        let (bytes, descriptors) = other.receive().unwrap().unwrap();
        assert_eq!(bytes, b"4 2");
        let mut descriptors = descriptors.into_iter().map(Seqpacket::from);
        descriptors.next().unwrap().send(b"through", &[]).unwrap();
        assert_eq!(descriptors.next().unwrap().receive().unwrap().unwrap().0, b"through");
        assert!(descriptors.next().is_none());
        assert_eq!(other.receive().unwrap().unwrap().0, b"next");
    }

    #[test]
    fn the_other_end_closing_ends_the_packets() {
        let (one, other) = Seqpacket::pair().unwrap();
        drop(other);
        assert!(one.receive().unwrap().is_none());
        assert_eq!(one.send(b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn the_last_packet_arrives_though_its_sender_closed_without_reading_ours() {
        let (one, other) = Seqpacket::pair().unwrap();
        one.send(b"unread", &[]).unwrap();
        other.send(b"last words", &[]).unwrap();
        drop(other);
        assert_eq!(one.receive().unwrap().unwrap().0, b"last words");
        assert!(one.receive().unwrap().is_none());
    }

    #[test]
    fn without_blocking_an_empty_socket_would_block() {
        let (one, _other) = Seqpacket::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        assert_eq!(one.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_oversized_packet_is_refused_by_its_sender() {
        let (one, _other) = Seqpacket::pair().unwrap();
        assert_eq!(
            one.send(&vec![0; MAX_BYTES + 1], &[]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(one.send(b"", &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    /// Runs the test of this name in a process of its own, whose limits it may change. True in that process.
    fn alone(name: &str) -> bool {
        const MARK: &str = "WEFT_TEST_ALONE";
        if std::env::var_os(MARK).is_some_and(|marked| marked == name) {
            return true;
        }
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        let output = own.args(["--exact", name, "--nocapture"]).env(MARK, name).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        false
    }

    fn open_descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn descriptors_that_came_before_the_limit_are_closed_with_the_packet_that_they_came_with() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !alone("seqpacket::tests::descriptors_that_came_before_the_limit_are_closed_with_the_packet_that_they_came_with") {
            return;
        }
        let (one, other) = Seqpacket::pair().unwrap();
        let sent = std::fs::File::open("/dev/null").unwrap();
        one.send(b"4 16", &[sent.as_fd(); 16]).unwrap();
        one.send(b"4 1", &[sent.as_fd()]).unwrap();
        let before = open_descriptors();
        // Room for some of the sixteen.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, before as u64 + 5, hard).unwrap();
        assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(open_descriptors(), before);
        let (bytes, descriptors) = other.receive().unwrap().unwrap();
        assert_eq!((bytes.as_slice(), descriptors.len()), (&b"4 1"[..], 1));
    }
}
