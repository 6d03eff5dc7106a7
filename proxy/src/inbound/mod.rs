//! From the network to the application: peers' connections, their proven identity, and where they lead.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::accept::accept;
use crate::buffer::Buffer;
use crate::endpoint::{PROGRAM_ANSWERS, PROGRAM_DOES_NOT_ANSWER};
use crate::errors;
use crate::http1::{self, Finished};
use crate::http2;
use crate::metrics::{ANONYMOUS, Direction, Labels, Protocol, Traffic};
use crate::opaque::{self, Cut, Start};
use crate::open::{self, Connection};
use crate::proto;
use crate::sidecar::Sidecar;
use crate::standing::{Revoked, Side};
use crate::stream::{self, Stream};
use crate::tcp;
use crate::tls::{Destination, Inside, Lane, PeerIdentity, trust_domain};

mod handler;
mod handshakes;

use handler::Handler;
use handshakes::Handshakes;

/// Limit for a peer's handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// What is known of a peer's connection once its handshake is done.
struct Peer {
    /// Whose sidecar it is. In an anonymous lane that is not who calls.
    identity: PeerIdentity,
    inside: Inside,
    lane: Lane,
    target_port: u16,
}

/// Why a peer is turned away: the stable code and what happened.
struct Refused(&'static str, String);

/// Why a connection carries nothing.
enum Ended {
    /// The peer left before its handshake was done, or turned this side away: it has its own reasons, and its own sidecar tells them.
    Abandoned,
    /// This side turned the peer away.
    Refused(Refused),
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Ended {
        Ended::Refused(refused)
    }
}

/// Accepts peers' connections until draining starts.
pub async fn serve(sidecar: Rc<Sidecar>, listener: TcpListener) {
    let handshakes = Rc::new(Handshakes::default());
    // Until a peer has proven who it is.
    let strangers = open::group("handshakes");
    accept(&listener, &sidecar, &strangers, |tcp, address, live| {
        connection(sidecar.clone(), handshakes.clone(), tcp, address, live)
    })
    .await;
}

async fn connection(sidecar: Rc<Sidecar>, handshakes: Rc<Handshakes>, tcp: TcpStream, address: SocketAddr, live: Rc<Connection>) {
    stream::tune(&tcp);
    match Box::pin(admit(&sidecar, &handshakes, tcp)).await {
        Ok((stream, peer)) => {
            live.join(open::group(if peer.lane.anonymous { ANONYMOUS } else { &peer.identity.id }));
            carry(sidecar, stream, peer, address, &live).await
        }
        Err(Ended::Refused(refused)) => refuse(&sidecar, address, refused),
        Err(Ended::Abandoned) => sidecar.metrics.handshake_abandoned(),
    }
}

/// Counts and explains a connection that is turned away.
fn refuse(sidecar: &Sidecar, address: SocketAddr, Refused(code, detail): Refused) {
    let message = format_args!("a connection from {address} was refused: {detail}");
    sidecar.recent.log(code, "", message);
    sidecar.metrics.refused(code, address.ip(), detail);
}

/// Does the handshake and finds out who the peer is and what it wants.
async fn admit(sidecar: &Sidecar, handshakes: &Handshakes, tcp: TcpStream) -> Result<(Stream, Peer), Ended> {
    let certified = sidecar
        .identity
        .current()
        .ok_or_else(|| Refused(errors::NOT_CERTIFIED, "this sidecar has no certificate yet".into()))?;
    let handshake = TlsAcceptor::from(certified.tls.server.clone()).accept(tcp);
    let place = handshakes.enter();
    let stream = tokio::select! {
        done = tokio::time::timeout(HANDSHAKE_LIMIT, handshake) => done
            .map_err(|_| Refused(errors::PEER_TOO_SLOW, format!("no handshake within {HANDSHAKE_LIMIT:?}")))?
            .map_err(failure)?,
        () = place.lost() => {
            return Err(Refused(errors::PEER_TOO_SLOW, "its handshake was the oldest of very many".into()).into());
        }
    };
    let session = stream.get_ref().1;
    let identity = session
        .peer_certificates()
        .and_then(|chain| PeerIdentity::of(chain.first()?))
        .ok_or_else(|| {
            Refused(
                errors::PEER_BAD_CERTIFICATE,
                "its certificate names no valid SPIFFE ID, or something else beside it".into(),
            )
        })?;
    if trust_domain(&identity.id) != trust_domain(&certified.id) {
        let detail = format!("{} belongs to another trust domain than {}", identity.id, certified.id);
        return Err(Refused(errors::PEER_BAD_CERTIFICATE, detail).into());
    }
    let inside = Inside::from_alpn(session.alpn_protocol()).ok_or_else(|| {
        Refused(
            errors::PEER_WRONG_DESTINATION,
            "it did not say what is inside the connection (ALPN)".into(),
        )
    })?;
    let wrong = |name: &str| {
        Refused(
            errors::PEER_WRONG_DESTINATION,
            format!("{} asked for {name:?}, which is not served here", identity.id),
        )
    };
    let name = session.server_name().unwrap_or_default();
    let destination = Destination::parse(name)
        .filter(|destination| (&destination.service, &destination.namespace) == (&sidecar.service, &sidecar.namespace))
        .ok_or_else(|| wrong(name))?;
    // Only this service's own sidecars open its ports to callers without an identity.
    if destination.lane.anonymous && identity.id != certified.id {
        let detail = format!("{} asked for {name:?}, and may not call for anonymous callers", identity.id);
        return Err(Refused(errors::PEER_WRONG_DESTINATION, detail).into());
    }
    let target_port = sidecar.policy.borrow().target(destination.lane.port).ok_or_else(|| wrong(name))?;
    let declared = sidecar.policy.borrow().declared(destination.lane.port);
    if !fits(inside, declared) {
        let port = destination.lane.port;
        return Err(Refused(
            errors::PEER_WRONG_PROTOCOL,
            format!(
                "{} sends port {port} another protocol ({inside:?}) than it is declared to speak ({declared:?})",
                identity.id
            ),
        )
        .into());
    }
    let entered = certified
        .tls
        .enter(stream.get_ref().0, session.peer_certificates(), Side::Callee, inside)
        .ok_or_else(|| Refused(errors::PEER_BAD_CERTIFICATE, "its certificate cannot be read".into()))?;
    let live = entered.map_err(|Revoked| {
        let detail = format!("the certificate of {} was revoked: its workload was removed", identity.id);
        Refused(errors::PEER_REVOKED, detail)
    })?;
    Ok((
        Stream::authenticated(tokio_rustls::TlsStream::Server(stream), live),
        Peer {
            identity,
            inside,
            lane: destination.lane,
            target_port,
        },
    ))
}

async fn carry(sidecar: Rc<Sidecar>, stream: Stream, peer: Peer, address: SocketAddr, live: &Rc<Connection>) {
    let protocol = match peer.inside {
        Inside::Http1 => Protocol::Http1,
        Inside::Http2 => Protocol::Http2,
        Inside::Tcp => Protocol::Tcp,
    };
    live.carries(protocol);
    let caller = (!peer.lane.anonymous).then_some(&peer.identity);
    let traffic = sidecar.metrics.traffic(Labels {
        direction: Direction::Inbound,
        peer: caller.map_or_else(|| ANONYMOUS.to_owned(), PeerIdentity::service),
        identity: caller.map_or_else(String::new, |caller| caller.id.clone()),
        port: peer.lane.port,
        protocol,
        anonymous: peer.lane.anonymous,
    });
    let _counted = traffic.connection();
    let stream = stream.part_of(live);
    let handler = |sidecar, traffic| Handler::new(sidecar, traffic, caller, peer.target_port, stream.standing().cloned(), live.clone());
    match peer.inside {
        Inside::Http1 => {
            let handler = handler(sidecar, traffic);
            if let Finished::Broken(stream) = http1::relay(stream, Buffer::new(), &handler).await {
                stream.reset_on_close();
            }
        }
        Inside::Http2 => {
            let handler = Rc::new(handler(sidecar, traffic));
            http2::serve(stream, handler).await;
        }
        Inside::Tcp => {
            // Boxed, since it is larger than what other connections need.
            if let Err(refused) = Box::pin(opaque(&sidecar, stream, &traffic, &peer)).await {
                refuse(&sidecar, address, refused);
            }
        }
    }
}

/// Carries bytes to the application. They come from loopback: what is no HTTP is mostly a database or a broker, and those let in by address whom they know as local,
/// while HTTP programs like to know who calls (docs/adr/0004).
async fn opaque(sidecar: &Sidecar, mut stream: Stream, traffic: &Traffic, peer: &Peer) -> Result<(), Refused> {
    if sidecar.withdrawal.is_on() {
        let _ = say(&mut stream, PROGRAM_DOES_NOT_ANSWER).await;
        return Ok(());
    }
    let application = match sidecar.app.connect(peer.target_port, None).await {
        Ok(application) => application,
        Err(error) => {
            let happened = format_args!("the application does not answer on port {}: {error}", peer.target_port);
            sidecar.recent.log(errors::CONNECT_FAILED, "", happened);
            traffic.connection_failed();
            sidecar.taps.unconnected(traffic, errors::CONNECT_FAILED);
            // The caller may be gone; otherwise it sent nothing yet and takes another endpoint.
            let _ = say(&mut stream, PROGRAM_DOES_NOT_ANSWER).await;
            return Ok(());
        }
    };
    if say(&mut stream, PROGRAM_ANSWERS).await.is_err() {
        return Ok(());
    }
    let observed = sidecar.taps.connection(traffic, "");
    let count = |forth, back| observed.count(forth, back);
    let (forth, back, mut application) = (Buffer::new(), Buffer::new(), Stream::from(application));
    let port = peer.lane.port;
    let declared = sidecar.policy.borrow().declared(port);
    let relayed = if declared == proto::Protocol::Tcp {
        let relayed = tcp::relay(&mut stream, &mut application, forth, back, count).await;
        relayed.map_err(|_| Cut::Failed)
    } else {
        opaque::relay(Start::default(), &mut stream, &mut application, forth, back, count).await
    };
    let Err(cut) = relayed else { return Ok(()) };
    stream.reset_on_close();
    application.reset_on_close();
    match cut {
        Cut::Failed => Ok(()),
        Cut::Http => {
            observed.failed(errors::PEER_HIDDEN_HTTP);
            let caller = if peer.lane.anonymous { ANONYMOUS } else { &peer.identity.id };
            let target_port = peer.target_port;
            let detail = format!(
                "{caller} sent HTTP to port {port} as bytes: its first line is malformed, came too slowly to be known as HTTP, or stands behind something else; \
                 if the program speaks another protocol, declare the port: --port {port}:{target_port}/tcp"
            );
            Err(Refused(errors::PEER_HIDDEN_HTTP, detail))
        }
    }
}

/// Whether a connection may go to a port that is declared so. A declared HTTP port gets no bytes: HTTP could be among them. A port declared as `/tcp` gets whatever
/// the caller takes its protocol for, since requests that are read as such only gain a proof; and programs of HTTP/2 often take HTTP/1.1 too.
fn fits(inside: Inside, declared: proto::Protocol) -> bool {
    match declared {
        proto::Protocol::Http1 => inside == Inside::Http1,
        proto::Protocol::Http2 => inside != Inside::Tcp,
        proto::Protocol::Tcp | proto::Protocol::Unspecified => true,
    }
}

/// Tells the caller's sidecar how its connection for opaque bytes fares, before any of them.
async fn say(stream: &mut Stream, word: u8) -> std::io::Result<()> {
    stream.write_u8(word).await?;
    stream.flush().await
}

/// Puts a failed handshake into the words of the refusal codes, unless it was the peer that ended it.
fn failure(error: std::io::Error) -> Ended {
    use rustls::{CertificateError, Error};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let code = match tls {
        None | Some(Error::AlertReceived(_)) => return Ended::Abandoned,
        Some(Error::NoCertificatesPresented) => errors::PEER_NO_CERTIFICATE,
        Some(Error::InvalidCertificate(reason)) => match reason {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => errors::PEER_EXPIRED,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => errors::PEER_UNKNOWN_ROOT,
            _ => errors::PEER_BAD_CERTIFICATE,
        },
        _ => errors::PEER_NOT_TLS,
    };
    Ended::Refused(Refused(code, error.to_string()))
}
