//! The program's network: a loopback that takes every address, the workload's own among them, and what the sidecar listens on there.

use crate::bootstrap::Role;
use crate::launch::netlink::{self, ACK, CREATE, Message, Refusal};
use crate::launch::redirect;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

// Fixed, and above every port that the kernel hands out or a program is likely to want.
const OUTBOUND_PORT: u16 = 65001;
const DNS_PORT: u16 = 65053;

const LOOPBACK: u32 = 1;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const UP: u32 = 1;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;

/// Prepares the network namespace that this process is alone in, and opens what its sidecar needs of it.
pub fn prepare(address: Ipv4Addr) -> Result<Vec<(Role, OwnedFd)>, Refusal> {
    netlink::request(
        SockProtocol::NetlinkRoute,
        vec![loopback_up(), own_address(address), everything_local4(address)],
    )?;
    let mut opened = Vec::new();
    let families = [
        (IpAddr::from(Ipv4Addr::LOCALHOST), [Role::Outbound4, Role::DnsUdp4, Role::DnsTcp4]),
        (IpAddr::from(Ipv6Addr::LOCALHOST), [Role::Outbound6, Role::DnsUdp6, Role::DnsTcp6]),
    ];
    for (ip, [outbound, dns_udp, dns_tcp]) in families {
        let listeners = || -> io::Result<_> {
            Ok([
                (outbound, bound(ip, OUTBOUND_PORT, SockType::Stream)?),
                (dns_udp, bound(ip, DNS_PORT, SockType::Datagram)?),
                (dns_tcp, bound(ip, DNS_PORT, SockType::Stream)?),
            ])
        };
        match listeners() {
            Ok(listeners) => opened.extend(listeners),
            Err(error) if ip.is_ipv6() && no_ipv6(&error) => continue,
            Err(error) => {
                return Err(Refusal {
                    step: "listen on the program's loopback",
                    error,
                });
            }
        }
        if ip.is_ipv6() {
            netlink::request(SockProtocol::NetlinkRoute, vec![everything_local6()])?;
        }
    }
    netlink::request(SockProtocol::NetlinkNetFilter, redirect::transaction(OUTBOUND_PORT, DNS_PORT))?;
    let diag = netlink::open(SockProtocol::NetlinkSockDiag).map_err(|error| Refusal {
        step: "open sock_diag",
        error,
    })?;
    opened.push((Role::Diag, diag));
    Ok(opened)
}

fn no_ipv6(error: &io::Error) -> bool {
    let absent = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL].map(|errno| errno as i32);
    error.raw_os_error().is_some_and(|code| absent.contains(&code))
}

/// A non-blocking socket on `ip`, listening if it is a stream's.
fn bound(ip: IpAddr, port: u16, kind: SockType) -> io::Result<OwnedFd> {
    let descriptor = socket(family(ip.is_ipv6()), kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&descriptor),
        &SockaddrStorage::from(SocketAddr::new(ip, port)),
    )?;
    if kind == SockType::Stream {
        listen(&descriptor, Backlog::MAXCONN)?;
    }
    Ok(descriptor)
}

/// `count` unconnected TCP sockets that pass the redirection, to reach the program by.
pub fn marked_sockets(ipv6: bool, count: usize) -> io::Result<Vec<OwnedFd>> {
    (0..count)
        .map(|_| {
            let made = socket(
                family(ipv6),
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                None,
            )?;
            setsockopt(&made, sockopt::Mark, &redirect::MARK)?;
            Ok(made)
        })
        .collect()
}

fn family(ipv6: bool) -> AddressFamily {
    if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

fn loopback_up() -> Message {
    // struct ifinfomsg: family, padding, type, index, flags, changed flags.
    let mut fixed = vec![0; 4];
    fixed.extend([LOOPBACK, UP, UP].map(u32::to_ne_bytes).concat());
    Message::new("bring up the loopback", NEW_LINK, ACK).fixed(&fixed)
}

fn own_address(address: Ipv4Addr) -> Message {
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut fixed = vec![IPV4, 32, 0, 0];
    fixed.extend(LOOPBACK.to_ne_bytes());
    Message::new("add the workload's address", NEW_ADDRESS, ACK | CREATE)
        .fixed(&fixed)
        .attribute(1, &address.octets())
        .attribute(2, &address.octets())
}

/// Any IPv4 address is reached here, from the workload's own.
fn everything_local4(source: Ipv4Addr) -> Message {
    local_route(IPV4, SCOPE_HOST).attribute(7, &source.octets())
}

fn everything_local6() -> Message {
    local_route(IPV6, 0)
}

fn local_route(family: u8, scope: u8) -> Message {
    // struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags.
    let fixed = [family, 0, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, scope, TYPE_LOCAL, 0, 0, 0, 0];
    Message::new("route everything to the loopback", NEW_ROUTE, ACK | CREATE)
        .fixed(&fixed)
        .attribute(4, &LOOPBACK.to_ne_bytes())
}
