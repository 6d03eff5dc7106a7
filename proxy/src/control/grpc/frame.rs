//! gRPC's framing: a byte that says whether the message is compressed, its length in four bytes, and the message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::Status;

/// Largest message, bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

const PREFIX: usize = 5;

/// Frames a message.
pub(super) fn encode(message: &impl Message) -> Result<Bytes, Status> {
    let size = message.encoded_len();
    if size > MAX_MESSAGE {
        return Err(too_large(size));
    }
    let mut framed = BytesMut::with_capacity(PREFIX + size);
    framed.put_u8(0);
    framed.put_u32(size as u32);
    message
        .encode(&mut framed)
        .map_err(|error| Status::new(Status::INTERNAL, error.to_string()))?;
    Ok(framed.freeze())
}

/// Takes the first message out of `buffer` once all of it is there.
pub(super) fn decode<M: Message + Default>(buffer: &mut BytesMut) -> Result<Option<M>, Status> {
    let Some(mut prefix) = buffer.get(..PREFIX) else { return Ok(None) };
    let compressed = prefix.get_u8();
    let size = prefix.get_u32() as usize;
    if compressed != 0 {
        return Err(Status::new(
            Status::INTERNAL,
            "the controller compressed a message though nobody offered that",
        ));
    }
    if size > MAX_MESSAGE {
        return Err(too_large(size));
    }
    if buffer.len() < PREFIX + size {
        return Ok(None);
    }
    buffer.advance(PREFIX);
    let message = buffer.split_to(size).freeze();
    if buffer.is_empty() {
        // Lets go of the memory of a large message.
        *buffer = BytesMut::new();
    }
    M::decode(message)
        .map(Some)
        .map_err(|error| Status::new(Status::INTERNAL, format!("the controller sent an unreadable message: {error}")))
}

fn too_large(size: usize) -> Status {
    Status::new(
        Status::RESOURCE_EXHAUSTED,
        format!("a message of {size} bytes is larger than {MAX_MESSAGE}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Rejection, Update};
    use proptest::prelude::*;

    fn rejection(reason: &str) -> Rejection {
        Rejection {
            held: "e1".into(),
            reason: reason.into(),
            ..Rejection::default()
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_bytes_are_cut(reasons in proptest::collection::vec(".{0,40}", 0..6), cut in 1usize..50) {
            let bytes: Vec<u8> = reasons.iter().flat_map(|reason| encode(&rejection(reason)).unwrap()).collect();
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(message) = decode::<Rejection>(&mut buffer).unwrap() {
                    seen.push(message.reason);
                }
            }
            prop_assert_eq!(seen, reasons);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(Update { .. })) = decode(&mut buffer) {}
            prop_assert!(buffer.len() <= bytes.len());
        }
    }

    #[test]
    fn a_message_that_announces_more_than_the_limit_is_refused_at_its_prefix() {
        let mut buffer = BytesMut::from(&[0, 0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(decode::<Update>(&mut buffer).unwrap_err().code, Status::RESOURCE_EXHAUSTED);
    }

    #[test]
    fn a_compressed_message_is_refused() {
        let mut buffer = BytesMut::from(&[1, 0, 0, 0, 0][..]);
        assert_eq!(decode::<Update>(&mut buffer).unwrap_err().code, Status::INTERNAL);
    }

    #[test]
    fn a_message_over_the_limit_is_not_sent() {
        assert_eq!(
            encode(&rejection(&"x".repeat(MAX_MESSAGE))).unwrap_err().code,
            Status::RESOURCE_EXHAUSTED
        );
    }
}
