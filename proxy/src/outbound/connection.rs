//! One connection of the application to a service: what it speaks decides how it is carried.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::handler::{Called, Handler};
use super::target::{Learned, Target};
use super::tries::Tries;
use super::{Outbound, detect::detect};
use crate::balance::Outcome as Verdict;
use crate::buffer::Buffer;
use crate::endpoint::PeerStream;
use crate::errors;
use crate::http1::{self, Finished};
use crate::http2;
use crate::metrics::Protocol;
use crate::open::Connection;
use crate::stream::{self, Stream};
use crate::tcp;
use crate::tls::Inside;

/// How long an unknown port's client is waited for before the server may speak first.
const CLIENT_FIRST: Duration = Duration::from_millis(10);
/// How long a client that has begun to speak may take until its protocol is clear.
const UNCLEAR_LIMIT: Duration = Duration::from_secs(10);
/// How long a client of an HTTP port may take until it speaks.
const SILENT_LIMIT: Duration = Duration::from_secs(60);

/// Carries a connection that was opened to a port of a service.
pub async fn to_service(outbound: Rc<Outbound>, tcp: TcpStream, target: Rc<Target>, live: Rc<Connection>) {
    stream::tune(&tcp);
    detected(outbound, Stream::from(tcp).part_of(&live), Buffer::new(), target, live).await;
}

/// Finds out what is spoken, unless it is declared or known, and carries it. `first` holds bytes that were read already.
pub async fn detected(outbound: Rc<Outbound>, mut client: Stream, mut first: Buffer, target: Rc<Target>, live: Rc<Connection>) {
    let protocol = match target.declared() {
        Some(declared) => declared,
        None => match speculate(&outbound, &mut client, &mut first, &target).await {
            Some(Spoken::Known(protocol)) => protocol,
            Some(Spoken::Opaque(opened)) => {
                live.carries(Protocol::Tcp);
                return opaque(&outbound, client, first, *opened).await;
            }
            None => return,
        },
    };
    live.carries(protocol);
    match protocol {
        Protocol::Http1 => {
            target.learned.set(Learned::Http);
            let handler = Handler::new(outbound, Called::Service(target), Protocol::Http1, live);
            // Tunnels are for proxies only; a transparent relay carries CONNECT to whom it was sent.
            if let Finished::Broken(client) = http1::relay(client, first, &handler).await {
                client.reset_on_close();
            }
        }
        Protocol::Http2 => {
            target.learned.set(Learned::Http);
            client.unread(Bytes::copy_from_slice(first.bytes()));
            drop(first);
            http2::serve(
                client,
                Rc::new(Handler::new(outbound, Called::Service(target), Protocol::Http2, live)),
            )
            .await;
        }
        Protocol::Tcp => match connect(&outbound, &target).await {
            Some(opened) => opaque(&outbound, client, first, opened).await,
            None => client.reset_on_close(),
        },
    }
}

/// What a connection turned out to carry.
enum Spoken {
    /// This, by the client's first bytes.
    Known(Protocol),
    /// Bytes, over a connection that was opened already.
    Opaque(Box<Opened>),
}

impl Spoken {
    fn new(protocol: Protocol, opened: Option<Opened>) -> Spoken {
        match (protocol, opened) {
            (Protocol::Tcp, Some(opened)) => Spoken::Opaque(Box::new(opened)),
            (protocol, _) => Spoken::Known(protocol),
        }
    }
}

/// An opaque connection to an endpoint, which the balancer counts as a call under way.
struct Opened {
    peer: PeerStream,
    tries: Tries,
}

/// Reads the client's first bytes. A client that stays silent for a moment may be waiting for the server: then a connection is opened, and whoever speaks
/// first decides. None when the client left.
async fn speculate(outbound: &Rc<Outbound>, client: &mut Stream, first: &mut Buffer, target: &Rc<Target>) -> Option<Spoken> {
    let mut bytes = first.bytes().to_vec();
    let mut learned = target.learned.get();
    let mut opened: Option<Opened> = None;
    let silent = tokio::time::sleep(client_first_wait(target.lane.port, learned));
    tokio::pin!(silent);
    let unclear = tokio::time::sleep(UNCLEAR_LIMIT);
    tokio::pin!(unclear);
    let given_up = tokio::time::sleep(SILENT_LIMIT);
    tokio::pin!(given_up);
    loop {
        if let Some(protocol) = (!bytes.is_empty()).then(|| detect(&bytes)).flatten() {
            *first = Buffer::from(&bytes[..]);
            return Some(Spoken::new(protocol, opened));
        }
        tokio::select! {
            biased;
            read = client.read_buf(&mut bytes) => match read {
                Ok(1..) => {}
                // Half-closed or gone: whatever came is no HTTP.
                Ok(0) if !bytes.is_empty() || learned != Learned::Http => {
                    *first = Buffer::from(&bytes[..]);
                    return Some(Spoken::new(Protocol::Tcp, opened));
                }
                Ok(0) | Err(_) => return None,
            },
            spoken = server_speaks(&mut opened), if opened.is_some() => {
                if matches!(spoken, Ok(bytes) if begins_with_settings(bytes)) {
                    // An HTTP/2 server need not wait for its client. The client's own first bytes will say so; they get another connection.
                    learned = Learned::Http;
                    target.learned.set(learned);
                    opened = None;
                    continue;
                }
                if spoken.is_ok() {
                    target.learned.set(Learned::ServerFirst);
                }
                *first = Buffer::from(&bytes[..]);
                return opened.map(|opened| Spoken::Opaque(Box::new(opened)));
            }
            () = &mut silent, if opened.is_none() && bytes.is_empty() && learned != Learned::Http => match connect(outbound, target).await {
                Some(connected) => opened = Some(connected),
                None => {
                    client.reset_on_close();
                    return None;
                }
            },
            () = &mut given_up, if bytes.is_empty() && learned == Learned::Http => return None,
            () = &mut unclear, if !bytes.is_empty() => {
                *first = Buffer::from(&bytes[..]);
                return Some(Spoken::new(Protocol::Tcp, opened));
            }
        }
    }
}

/// How long the client is waited for before the server may speak first: not at all where servers do that by custom (FTP, SSH, SMTP, POP3, IMAP, mail
/// submission, MySQL, NATS) or did.
fn client_first_wait(port: u16, learned: Learned) -> Duration {
    const SERVER_FIRST: [u16; 8] = [21, 22, 25, 110, 143, 587, 3306, 4222];
    if learned == Learned::ServerFirst || learned == Learned::Nothing && SERVER_FIRST.contains(&port) {
        Duration::ZERO
    } else {
        CLIENT_FIRST
    }
}

/// Waits for the server's first bytes, keeps them in front of the stream and shows them. An error when it closed instead.
async fn server_speaks(opened: &mut Option<Opened>) -> io::Result<&[u8]> {
    let Some(Opened { peer, .. }) = opened else {
        return std::future::pending().await;
    };
    let mut bytes = Vec::with_capacity(1_024);
    let read = peer.stream.read_buf(&mut bytes).await?;
    peer.stream.unread(bytes.into());
    if read == 0 {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(peer.stream.read_ahead())
    }
}

/// Whether bytes of a server begin an HTTP/2 connection: a SETTINGS frame of whole settings on stream 0 (RFC 9113, 3.4 and 6.5).
fn begins_with_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [0, high, low, 4, 0, 0, 0, 0, 0, ..] if u16::from_be_bytes([*high, *low]) % 6 == 0)
}

/// Opens an opaque connection to one endpoint after the other until one answers, and its program with it.
async fn connect(outbound: &Rc<Outbound>, target: &Rc<Target>) -> Option<Opened> {
    let certified = outbound.certified().ok()?;
    // A probe only opens a connection and sends nothing.
    let mut tries = Tries::new(Protocol::Tcp, true);
    let opened = tries.connect(outbound, target, async |picked, traffic| {
        picked.endpoint().connect(&certified.tls, target.lane, Inside::Tcp, traffic).await
    });
    match opened.await {
        Ok(peer) => {
            tries.picked().inspect(|picked| picked.record(Verdict::Success, Instant::now()));
            Some(Opened { peer, tries })
        }
        Err(reply) => {
            let traffic = target.traffic(Protocol::Tcp, "");
            if reply.code == errors::NO_ENDPOINT {
                traffic.connection_failed();
            }
            outbound.sidecar.taps.unconnected(tries.traffic().unwrap_or(&traffic), reply.code);
            None
        }
    }
}

/// Carries bytes, those that were read already first.
async fn opaque(outbound: &Outbound, mut client: Stream, first: Buffer, Opened { mut peer, tries }: Opened) {
    let traffic = peer.traffic().clone();
    let endpoint = tries.picked().map_or("", |picked| &picked.endpoint().id);
    let observed = outbound.sidecar.taps.connection(&traffic, endpoint);
    let count = |forth, back| observed.count(forth, back);
    if tcp::relay(&mut client, &mut peer, first, Buffer::new(), count).await.is_err() {
        client.reset_on_close();
        peer.stream.reset_on_close();
    }
}

/// Carries bytes between two connections, `waiting` first, and passes a reset on.
pub async fn relay(mut caller: Stream, mut called: Stream, waiting: Buffer, count: impl FnMut(u64, u64)) {
    if tcp::relay(&mut caller, &mut called, waiting, Buffer::new(), count).await.is_err() {
        caller.reset_on_close();
        called.reset_on_close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_servers_that_speak_first_are_not_waited_for_until_they_turn_out_to_speak_http() {
        assert_eq!(client_first_wait(3306, Learned::Nothing), Duration::ZERO);
        assert_eq!(client_first_wait(3306, Learned::Http), CLIENT_FIRST);
        assert_eq!(client_first_wait(8080, Learned::Nothing), CLIENT_FIRST);
        assert_eq!(client_first_wait(8080, Learned::ServerFirst), Duration::ZERO);
    }

    #[test]
    fn an_http2_server_is_known_by_its_settings_and_others_are_not_taken_for_one() {
        assert!(begins_with_settings(b"\0\0\0\x04\0\0\0\0\0"));
        assert!(begins_with_settings(b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff"));
        let others: [&[u8]; 5] = [
            b"",
            b"\0\0\0\x04",
            b"\x4a\0\0\0\x0a5.5.5-10.11.6-MariaDB",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"220 mail ESMTP\r\n",
        ];
        assert!(!others.into_iter().any(begins_with_settings));
    }
}
