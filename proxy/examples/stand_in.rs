//! Stands in for both ends in the launcher's tests. Without arguments it is a sidecar that answers in words; with them it is a program behind one.
//!
//! As the sidecar, a redirected connection is answered with its original destination, unless that is the loopback, which is tried inside and then on the
//! host. The first line on the inbound listener is a port of the program to go to. The file `behaviour` in its folder, the state directory, may say `error`,
//! `silent`, `once` (the first one of them dies after it was ready), `stale` (it wants a token when a file `stale` appears, and writes it to `fresh`) or `hoard`
//! (it asks for many sockets before it takes the first, and writes what it got to `hoarded`) or `deaf` (it does not withdraw its program when it is told to).

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, socket, sockopt};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use weft_proxy::bootstrap::{Bootstrap, Channel, Role, ToLauncher, ToSidecar};
use weft_proxy::seqpacket::Seqpacket;

/// What DNS answers for every name.
const VIRTUAL: [u8; 4] = [198, 18, 0, 7];
/// The address that the program sees calls come from.
const CALLER: &str = "198.19.9.9:0";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => sidecar(),
        ["source"] => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect("8.8.8.8:9")?;
            println!("{}", socket.local_addr()?.ip());
            Ok(())
        }
        ["resolve", name] => {
            let found: Vec<String> = (name, 80).to_socket_addrs()?.map(|address| address.ip().to_string()).collect();
            println!("{}", found.join(" "));
            Ok(())
        }
        ["ask", resolver] => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(b"id\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01", resolver)?;
            println!("answer from {}", socket.recv_from(&mut [0; 512])?.1);
            Ok(())
        }
        // Whether a socket of the machine's own, which no network namespace holds, can be had.
        ["vsock"] => {
            let made = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
            println!("{}", made.map_or_else(|errno| errno.to_string(), |_| "made".to_owned()));
            Ok(())
        }
        ["get", address] => {
            let mut stream = TcpStream::connect(address).map_err(io::Error::other)?;
            io::copy(&mut stream, &mut io::stdout())?;
            Ok(())
        }
        ["serve", address] => {
            let listener = TcpListener::bind(address)?;
            println!("serving");
            for stream in listener.incoming() {
                let mut stream = stream?;
                writeln!(stream, "peer={}", stream.peer_addr()?.ip())?;
            }
            Ok(())
        }
        _ => Err(io::Error::other("unknown words")),
    }
}

type Sockets = Arc<Option<Mutex<Seqpacket>>>;

fn sidecar() -> io::Result<()> {
    let channel = Channel::inherited()?;
    let mut bootstrap = channel.receive_bootstrap()?;
    let behaviour = fs::read_to_string("behaviour").unwrap_or_default();
    let starts = record(&bootstrap)?;
    match behaviour.trim() {
        "error" => channel.send_to_launcher(&ToLauncher::Error {
            code: "WEFT-P-TEST".into(),
            text: "it was told to fail".into(),
        })?,
        "silent" => {}
        _ => channel.send_to_launcher(&ToLauncher::Ready)?,
    }
    if behaviour.trim() == "once" && starts == 1 {
        return Ok(());
    }
    if behaviour.trim() == "stale" {
        while !fs::exists("stale")? {
            thread::sleep(Duration::from_millis(5));
        }
        channel.send_to_launcher(&ToLauncher::TokenWanted("it was told to want one".into()))?;
        if let Some(ToSidecar::Token(token)) = channel.receive_from_launcher()? {
            fs::write("fresh", token.0)?;
        }
    }
    if behaviour.trim() == "hoard"
        && let Some(socket) = bootstrap.take(&Role::Sockets)
    {
        let sockets = Seqpacket::from(socket);
        fs::write("hoarded", hoard(&sockets)?)?;
        bootstrap.descriptors.push((Role::Sockets, sockets.into()));
    }
    let sockets: Sockets = Arc::new(bootstrap.take(&Role::Sockets).map(|socket| Mutex::new(socket.into())));
    for (role, descriptor) in bootstrap.descriptors {
        serve(role, descriptor, &sockets);
    }
    loop {
        match channel.receive_from_launcher() {
            Ok(Some(ToSidecar::Publish(port, listener))) => serve(Role::Publish(port), listener, &sockets),
            Ok(Some(ToSidecar::Withdraw)) if behaviour.trim() == "deaf" => {}
            Ok(Some(ToSidecar::Withdraw)) => channel.send_to_launcher(&ToLauncher::Withdrawn)?,
            _ => break,
        }
    }
    Ok(())
}

/// Adds a line to the file `starts`; returns how many there are.
fn record(bootstrap: &Bootstrap) -> io::Result<usize> {
    let port = |role: &Role| {
        let found = bootstrap.descriptors.iter().find(|(found, _)| found == role);
        found
            .and_then(|(_, listener)| TcpListener::from(listener.try_clone().ok()?).local_addr().ok())
            .map_or(0, |address| address.port())
    };
    let roles: Vec<String> = bootstrap.descriptors.iter().map(|(role, _)| role.to_string()).collect();
    let line = format!(
        "{} {} {} {}\n",
        bootstrap.token.0,
        port(&Role::Inbound),
        std::process::id(),
        roles.join(",")
    );
    OpenOptions::new()
        .append(true)
        .create(true)
        .open("starts")?
        .write_all(line.as_bytes())?;
    Ok(fs::read_to_string("starts")?.lines().count())
}

fn serve(role: Role, descriptor: OwnedFd, sockets: &Sockets) {
    let sockets = sockets.clone();
    thread::spawn(move || match role {
        Role::Outbound4 | Role::Outbound6 => accept(descriptor, |stream| outbound(stream, &sockets)),
        Role::Inbound => accept(descriptor, |stream| inbound(stream, &sockets)),
        Role::Publish(port) => accept(descriptor, |stream| into_program(stream, port, &sockets)),
        Role::Upstream { name, port } => accept(descriptor, |mut stream| writeln!(stream, "upstream={name}:{port}")),
        Role::Proxy => accept(descriptor, |stream| {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line)?;
            write!(&stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nproxied {line}")
        }),
        Role::DnsUdp4 | Role::DnsUdp6 => dns(descriptor),
        _ => Ok(()),
    });
}

fn accept(descriptor: OwnedFd, handle: impl Fn(TcpStream) -> io::Result<()>) -> io::Result<()> {
    let listener = TcpListener::from(descriptor);
    listener.set_nonblocking(false)?;
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(&handle) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn outbound(mut stream: TcpStream, sockets: &Sockets) -> io::Result<()> {
    let original = original_destination(&stream)?;
    if original.ip().is_loopback() {
        let onward = connect_inside(sockets, original, None).or_else(|_| TcpStream::connect(original))?;
        return relay(stream, onward);
    }
    writeln!(stream, "original={original} source={}", stream.peer_addr()?.ip())
}

fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    if stream.peer_addr()?.is_ipv4() {
        let found = getsockopt(stream, sockopt::OriginalDst)?;
        return Ok(SocketAddr::new(
            IpAddr::from(found.sin_addr.s_addr.to_ne_bytes()),
            u16::from_be(found.sin_port),
        ));
    }
    let found = getsockopt(stream, sockopt::Ip6tOriginalDst)?;
    Ok(SocketAddr::new(
        Ipv6Addr::from(found.sin6_addr.s6_addr).into(),
        u16::from_be(found.sin6_port),
    ))
}

fn inbound(stream: TcpStream, sockets: &Sockets) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    into_program(stream, line.trim().parse().map_err(io::Error::other)?, sockets)
}

fn into_program(stream: TcpStream, port: u16, sockets: &Sockets) -> io::Result<()> {
    let caller = CALLER.parse().map_err(io::Error::other)?;
    relay(
        stream,
        connect_inside(sockets, SocketAddr::from(([127, 0, 0, 1], port)), Some(caller))?,
    )
}

/// A connection made with a socket of the program's namespace.
fn connect_inside(sockets: &Sockets, to: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let Some(sockets) = sockets.as_ref() else {
        return Err(io::Error::other("there is no namespace"));
    };
    let sockets = sockets.lock().map_err(|_| io::Error::other("poisoned"))?;
    sockets.send(if to.is_ipv4() { b"4 2" } else { b"6 2" }, &[])?;
    let (_, mut made) = sockets.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    assert_eq!(made.len(), 2);
    let stream = TcpStream::from(made.remove(0));
    stream.set_nonblocking(false)?;
    if let Some(from) = from {
        bind(stream.as_raw_fd(), &SockaddrStorage::from(from))?;
    }
    connect(stream.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(stream)
}

/// Asks for many sockets before it takes any, again and again until it is refused some, and asks once more. Returns the number of sockets in the last answer and
/// whether there was a refusal.
fn hoard(sockets: &Seqpacket) -> io::Result<String> {
    let receive = || sockets.receive()?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
    let mut refused = false;
    for _ in 0..200 {
        for _ in 0..8 {
            sockets.send(b"4 64", &[])?;
        }
        for _ in 0..8 {
            refused |= receive()?.1.is_empty();
        }
        if refused {
            break;
        }
    }
    sockets.send(b"4 2", &[])?;
    Ok(format!("{} {refused}", receive()?.1.len()))
}

fn relay(one: TcpStream, other: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (one.try_clone()?, other.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    let (mut one, mut other) = (one, other);
    io::copy(&mut other, &mut one)?;
    one.shutdown(std::net::Shutdown::Both)
}

fn dns(descriptor: OwnedFd) -> io::Result<()> {
    let socket = UdpSocket::from(descriptor);
    socket.set_nonblocking(false)?;
    let mut buffer = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let question = &buffer[12..length];
        let name = question.iter().position(|&byte| byte == 0).ok_or(io::ErrorKind::InvalidData)?;
        let question = &question[..name + 5];
        let is_a = question[name + 2] == 1;
        let mut answer = vec![buffer[0], buffer[1], 0x81, 0x80, 0, 1, 0, is_a.into(), 0, 0, 0, 0];
        answer.extend(question);
        if is_a {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
            answer.extend(VIRTUAL);
        }
        socket.send_to(&answer, from)?;
    }
}
