//! The service's ports on the host's loopback: opened when they are free, else as soon as they become so.

use crate::launch::failure::say;
use crate::launch::sidecar::Publisher;
use nix::sys::socket::{Backlog, listen};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

const RETRY: Duration = Duration::from_secs(1);

/// A listener on the host's loopback that does not block; port 0 is any free one.
pub fn listener(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listen(&listener, Backlog::MAXCONN)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Opens those of `ports` that are free and returns those that may become so. Says which are taken, unless by one of the service's `siblings`, as is likely.
pub fn open(ports: &[u16], service: &str, siblings: u32) -> (Vec<(u16, OwnedFd)>, Vec<u16>) {
    let mut opened = Vec::new();
    let mut taken = Vec::new();
    for &port in ports {
        match listener(port) {
            Ok(listener) => opened.push((port, listener.into())),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if siblings == 0 {
                    say(format_args!(
                        "127.0.0.1:{port} is taken, so {service} is not published there until it is free (WEFT-L-PORT-TAKEN)"
                    ));
                }
                taken.push(port);
            }
            Err(error) => say(format_args!(
                "{service} is not published on 127.0.0.1:{port}: {error} (WEFT-L-PORT-REFUSED)"
            )),
        }
    }
    (opened, taken)
}

/// Opens each of the `taken` ports once it is free: another instance of the service may have held it. `published` tells which are open.
pub async fn open_later(mut taken: Vec<u16>, publisher: Publisher, published: watch::Sender<Vec<u16>>) {
    while !taken.is_empty() {
        sleep(RETRY).await;
        let mut left = Vec::new();
        for port in taken {
            match listener(port) {
                Ok(listener) => {
                    publisher.publish(port, listener.into()).await;
                    published.send_modify(|ports| ports.push(port));
                }
                Err(_) => left.push(port),
            }
        }
        taken = left;
    }
}
