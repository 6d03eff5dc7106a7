//! Netlink: messages made of nested attributes, sent to the kernel and acknowledged one by one.

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// `NLM_F_REQUEST`: every message to the kernel has it.
pub const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: the kernel answers with success or an error.
pub const ACK: u16 = 0x4;
/// `NLM_F_CREATE`: make it if it is not there.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: put it after its siblings.
pub const APPEND: u16 = 0x800;

const HEADER: usize = 16;
const ERROR: u16 = 2;
const NESTED: u16 = 0x8000;
const ALIGNMENT: usize = 4;

/// One message, built from its front to its end.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
    flags: u16,
    /// What it does, for an error's text.
    purpose: &'static str,
}

impl Message {
    /// An empty message of a protocol's `kind`.
    pub fn new(purpose: &'static str, kind: u16, flags: u16) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        Message { bytes, flags, purpose }
    }

    /// Adds the fixed part that follows the header.
    pub fn fixed(mut self, bytes: &[u8]) -> Message {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    /// Adds an attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Message {
        let length = 4 + value.len() as u16;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    /// Adds an attribute that consists of attributes.
    pub fn nested(mut self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        let mut filled = fill(self);
        let length = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        filled
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// The bytes on the wire.
    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// Why a request failed: what it was to do, and the kernel's answer.
#[derive(Debug)]
pub struct Refusal {
    /// What was tried.
    pub step: &'static str,
    /// The kernel's answer.
    pub error: io::Error,
}

/// Sends `messages` at once and waits until the kernel has acknowledged each that asks for it. The first error ends the wait.
pub fn request(protocol: SockProtocol, messages: Vec<Message>) -> Result<(), Refusal> {
    let first = messages.first().map_or("talk to the kernel", |message| message.purpose);
    let plain = |error: io::Error| Refusal { step: first, error };
    let socket = open(protocol).map_err(plain)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(5)).map_err(|error| plain(error.into()))?;
    let purposes: Vec<&'static str> = messages.iter().map(|message| message.purpose).collect();
    let mut pending = messages.iter().filter(|message| message.flags & ACK != 0).count();
    let bytes: Vec<u8> = messages
        .into_iter()
        .zip(0..)
        .flat_map(|(message, sequence)| message.finish(sequence))
        .collect();
    send(socket.as_raw_fd(), &bytes, MsgFlags::empty()).map_err(|error| plain(error.into()))?;
    let mut buffer = vec![0; 32 * 1024];
    while pending > 0 {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).map_err(|error| plain(error.into()))?;
        for answer in answers(&buffer[..length]) {
            if answer.code != 0 {
                let step = purposes.get(answer.sequence as usize).copied().unwrap_or(first);
                return Err(Refusal {
                    step,
                    error: io::Error::from_raw_os_error(-answer.code),
                });
            }
            pending = pending.saturating_sub(1);
        }
    }
    Ok(())
}

/// A netlink socket of the network namespace that this process is in.
pub fn open(protocol: SockProtocol) -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?)
}

#[derive(Debug, PartialEq)]
struct Answer {
    sequence: u32,
    /// 0, or a negative error number.
    code: i32,
}

/// The acknowledgements and errors among the messages in `bytes`.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|slice| slice.try_into().ok())
            .map(u32::from_ne_bytes)
    };
    let mut found = Vec::new();
    while let (Some(length), Some(kind_and_flags), Some(sequence)) = (word(bytes, 0), bytes.get(4..6), word(bytes, 8)) {
        if kind_and_flags == ERROR.to_ne_bytes()
            && let Some(code) = word(bytes, HEADER)
        {
            found.push(Answer {
                sequence,
                code: code as i32,
            });
        }
        let next = (length as usize).max(HEADER).next_multiple_of(ALIGNMENT);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_padded_and_nested_ones_count_their_content() {
        let bytes = Message::new("test", 16, ACK)
            .fixed(&[1, 2, 3, 4])
            .nested(2, |m| m.attribute(1, b"lo\0"))
            .finish(7);
        let mut expected = Vec::new();
        expected.extend(32u32.to_ne_bytes());
        expected.extend(16u16.to_ne_bytes());
        expected.extend(5u16.to_ne_bytes());
        expected.extend(7u32.to_ne_bytes());
        expected.extend(0u32.to_ne_bytes());
        expected.extend([1, 2, 3, 4]);
        expected.extend(12u16.to_ne_bytes());
        expected.extend(0x8002u16.to_ne_bytes());
        expected.extend(7u16.to_ne_bytes());
        expected.extend(1u16.to_ne_bytes());
        expected.extend(b"lo\0\0");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn answers_keep_their_sequence_and_code() {
        let answer = |sequence: u32, code: i32| {
            let mut message = Message::new("test", ERROR, 0).fixed(&code.to_ne_bytes());
            message = message.fixed(&[0; 16]);
            message.finish(sequence)
        };
        let bytes = [answer(1, 0), answer(2, -1)].concat();
        assert_eq!(answers(&bytes), [Answer { sequence: 1, code: 0 }, Answer { sequence: 2, code: -1 }]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_or_an_endless_loop(bytes: Vec<u8>) {
            answers(&bytes);
        }
    }
}
