//! Packets with descriptors attached, over a `SOCK_SEQPACKET` unix socket: how the mesh's processes on one machine talk.

use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair};
use std::io::{self, IoSlice, IoSliceMut};
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

    /// The next packet, or `None` when the other end is closed.
    pub fn receive(&self) -> io::Result<Option<Packet>> {
        loop {
            match self.receive_once() {
                // A reset is told once, before the packets that are still here: the other end closed without reading all of ours.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                other => return other?.map_or_else(|| Err(io::Error::new(io::ErrorKind::InvalidData, "a packet was cut short")), filled),
            }
        }
    }

    /// One `recvmsg`: the packet, or `None` when some of it did not fit.
    fn receive_once(&self) -> nix::Result<Option<Packet>> {
        let mut bytes = vec![0; MAX_BYTES];
        let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let mut descriptors = Vec::new();
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = part {
                descriptors.extend(sys::received(&numbers));
            }
        }
        let complete = !message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
        let length = message.bytes;
        bytes.truncate(length);
        Ok(complete.then_some((bytes, descriptors)))
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
}
