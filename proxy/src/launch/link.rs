//! What the two launcher processes say to each other.

use crate::bootstrap::Role;
use crate::launch::failure::Failure;
use crate::launch::obstacle::Obstacle;
use crate::seqpacket::Seqpacket;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// To the process inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToInside {
    /// Start the program.
    Start,
    /// The process outside got this signal from that process.
    Signal {
        /// Its number.
        number: i32,
        /// Its sender, by which a signal that the whole process group got is recognised.
        sender: i32,
        /// How long ago it came: it may have been held back.
        age: Duration,
    },
}

/// From the process inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromInside {
    /// The namespaces are prepared; the descriptors of these roles are attached.
    Opened(Vec<Role>),
    /// They cannot be had.
    Obstructed(Obstacle),
    /// The program runs, as this process.
    Started(i32),
    /// The program could not be started; the exit code that says so.
    NotStarted(u8, Failure),
    /// The program ended with this exit code.
    Exited(u8),
    /// The program was ended by this signal.
    Killed(i32),
}

/// One end of the socket between the two.
#[derive(Debug)]
pub struct Link(Seqpacket);

impl Link {
    /// The ends outside and inside.
    pub fn pair() -> io::Result<(Link, Link)> {
        let (outside, inside) = Seqpacket::pair()?;
        Ok((Link(outside), Link(inside)))
    }

    /// See [`Seqpacket::set_nonblocking`].
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Sends to the process inside.
    pub fn send_in(&self, message: &ToInside) -> io::Result<()> {
        let text = match message {
            ToInside::Start => "start".to_owned(),
            ToInside::Signal { number, sender, age } => format!("signal\n{number}\n{sender}\n{}", age.as_millis()),
        };
        self.0.send(text.as_bytes(), &[])
    }

    /// The next message to the process inside; `None` when the process outside is gone.
    pub fn receive_in(&self) -> io::Result<Option<ToInside>> {
        let Some((text, _)) = self.receive()? else { return Ok(None) };
        match text.split('\n').collect::<Vec<_>>()[..] {
            ["start"] => Ok(Some(ToInside::Start)),
            ["signal", number, sender, age] => Ok(Some(ToInside::Signal {
                number: parse(number)?,
                sender: parse(sender)?,
                age: Duration::from_millis(parse(age)?),
            })),
            _ => Err(unknown(&text)),
        }
    }

    /// Sends to the process outside.
    pub fn send_out(&self, message: &FromInside, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let line = |text: &str| text.replace('\n', " ");
        let text = match message {
            FromInside::Opened(roles) => {
                let names: Vec<String> = roles.iter().map(Role::to_string).collect();
                format!("opened\n{}", names.join(","))
            }
            FromInside::Obstructed(Obstacle { cause, remedy }) => format!("obstructed\n{}\n{}", line(cause), line(remedy)),
            FromInside::Started(pid) => format!("started\n{pid}"),
            FromInside::NotStarted(exit, Failure { code, message, hint }) => {
                format!("not started\n{exit}\n{code}\n{}\n{}", line(message), line(hint))
            }
            FromInside::Exited(code) => format!("exited\n{code}"),
            FromInside::Killed(signal) => format!("killed\n{signal}"),
        };
        self.0.send(text.as_bytes(), descriptors)
    }

    /// The next message to the process outside, with its descriptors; `None` when the process inside is gone.
    pub fn receive_out(&self) -> io::Result<Option<(FromInside, Vec<OwnedFd>)>> {
        let Some((text, descriptors)) = self.receive()? else {
            return Ok(None);
        };
        let message = match text.split('\n').collect::<Vec<_>>()[..] {
            ["opened", ""] => FromInside::Opened(Vec::new()),
            ["opened", roles] => FromInside::Opened(roles.split(',').map(str::parse).collect::<io::Result<_>>()?),
            ["obstructed", cause, remedy] => FromInside::Obstructed(Obstacle {
                cause: cause.to_owned(),
                remedy: remedy.to_owned(),
            }),
            ["started", pid] => FromInside::Started(parse(pid)?),
            ["not started", exit, code, message, hint] => FromInside::NotStarted(parse(exit)?, Failure::new(code, message, hint)),
            ["exited", code] => FromInside::Exited(parse(code)?),
            ["killed", signal] => FromInside::Killed(parse(signal)?),
            _ => return Err(unknown(&text)),
        };
        Ok(Some((message, descriptors)))
    }

    fn receive(&self) -> io::Result<Option<(String, Vec<OwnedFd>)>> {
        let Some((bytes, descriptors)) = self.0.receive()? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| unknown("bytes that are not UTF-8"))?;
        Ok(Some((text, descriptors)))
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| unknown(text))
}

fn unknown(text: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unknown message between the launcher's processes: {text:?}"),
    )
}

impl From<OwnedFd> for Link {
    fn from(descriptor: OwnedFd) -> Link {
        Link(descriptor.into())
    }
}

impl From<Link> for OwnedFd {
    fn from(link: Link) -> OwnedFd {
        link.0.into()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_arrives_as_it_was_sent() {
        let (outside, inside) = Link::pair().unwrap();
        let signal = ToInside::Signal {
            number: 15,
            sender: 4711,
            age: Duration::from_millis(3_999),
        };
        for message in [ToInside::Start, signal] {
            outside.send_in(&message).unwrap();
            assert_eq!(inside.receive_in().unwrap(), Some(message));
        }
        let messages = [
            FromInside::Opened(Vec::new()),
            FromInside::Opened(vec![Role::Outbound4, Role::Diag]),
            FromInside::Obstructed(Obstacle {
                cause: "no".into(),
                remedy: "ask".into(),
            }),
            FromInside::Started(12),
            FromInside::NotStarted(127, Failure::new("WEFT-L-PROGRAM-NOT-FOUND", "a", "")),
            FromInside::Exited(3),
            FromInside::Killed(9),
        ];
        for message in messages {
            inside.send_out(&message, &[]).unwrap();
            assert_eq!(outside.receive_out().unwrap().unwrap().0, message);
        }
        drop(inside);
        assert!(outside.receive_out().unwrap().is_none());
    }

    #[test]
    fn a_line_break_in_a_text_does_not_break_the_message() {
        let (outside, inside) = Link::pair().unwrap();
        let failure = Failure::new("WEFT-L-X", "a\nb", "c");
        inside.send_out(&FromInside::NotStarted(126, failure), &[]).unwrap();
        let expected = FromInside::NotStarted(126, Failure::new("WEFT-L-X", "a b", "c"));
        assert_eq!(outside.receive_out().unwrap().unwrap().0, expected);
    }
}
