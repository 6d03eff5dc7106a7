//! Puts a sidecar together from its bootstrap message and runs it to its end.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, getsockname, socket};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_local;

use crate::app::Application;
use crate::balance::Rng;
use crate::bootstrap::{Bootstrap, Channel, Redirection, Role, ToLauncher, ToSidecar};
use crate::budget::{self, Tidy};
use crate::control::Control;
use crate::describe::Holdings;
use crate::dns;
use crate::drain::{self, Drain};
use crate::identity::Identity;
use crate::log::log;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::outbound::{Listener, Outbound};
use crate::own_ports::Purpose;
use crate::policy::InboundPolicy;
use crate::recent::Recent;
use crate::seqpacket::Seqpacket;
use crate::services::Services;
use crate::sidecar::Sidecar;
use crate::withdrawal::{self, Withdrawal};
use crate::{admin, errors, inbound, listening, open, own_ports, sys, turns};

/// Time between two rounds of housekeeping.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Time that connections wait for a sidecar that has been started again.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// Time between two words in the log that memory is short.
const TELL_INTERVAL: Duration = Duration::from_secs(60);
/// Limit for the last report.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Runs a sidecar until the launcher ends it. Errors: it cannot start, or the controller does not want it.
pub async fn run(mut bootstrap: Bootstrap, launcher: Channel) -> io::Result<()> {
    let missing = |role: &str| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the bootstrap message has no {role} descriptor"),
        )
    };
    let IpAddr::V4(address) = bootstrap.address else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the workload's address is no IPv4 address",
        ));
    };
    let inbound = own_listener(bootstrap.take(&Role::Inbound).ok_or_else(|| missing("inbound"))?, Purpose::Inbound)?;
    let admin = own_listener(bootstrap.take(&Role::Admin).ok_or_else(|| missing("admin"))?, Purpose::Other)?;
    let app = match bootstrap.redirection {
        Redirection::Namespace => {
            let maker = bootstrap.take(&Role::Sockets).ok_or_else(|| missing("sockets"))?;
            Application::in_namespace(address, Seqpacket::from(maker))?
        }
        Redirection::Proxy => Application::on_host(address),
    };
    let (services, wishes) = Services::new(&bootstrap.namespace);
    let (policy_sender, policy) = watch::channel(Rc::new(InboundPolicy::default()));
    let (ports_sender, ports) = watch::channel(Vec::new());
    let (ready, mut is_ready) = watch::channel(false);
    let (flushed, mut is_flushed) = watch::channel(false);
    let (token_sender, tokens) = mpsc::channel(1);
    let (token_wanted, mut tokens_wanted) = mpsc::channel(1);
    let flush = Rc::new(Notify::new());
    let sidecar = Rc::new(Sidecar {
        service: bootstrap.service.clone(),
        namespace: bootstrap.namespace.clone(),
        app,
        identity: Rc::new(Identity::default()),
        services: services.clone(),
        policy: policy.clone(),
        metrics: Rc::new(Metrics::default()),
        taps: Rc::default(),
        recent: Recent::default(),
        withdrawal: Withdrawal::default(),
        drain: Rc::new(Drain::default()),
        rng: RefCell::new(Rng::from_entropy()),
    });
    let outbound = Outbound::new(sidecar.clone());
    let control = Control {
        path: bootstrap.control.clone(),
        token: std::mem::take(&mut bootstrap.token.0),
        tokens,
        token_wanted,
        identity: sidecar.identity.clone(),
        services: services.clone(),
        wishes,
        metrics: sidecar.metrics.clone(),
        inbound: inbound.local_addr()?,
        admin: admin.local_addr()?,
        listening: ports.clone(),
        taps: sidecar.taps.clone(),
        holdings: Holdings::new(sidecar.clone(), outbound.clone(), ports),
        policy: policy_sender,
        ready,
        flush: flush.clone(),
        flushed,
    };

    spawn_local(turns::give());
    spawn_local(sidecar.identity.live.clone().watch());
    spawn_local(once_ready(&is_ready, inbound::serve(sidecar.clone(), inbound)));
    spawn_local(admin::serve(admin, sidecar.metrics.clone()));
    let names = dns::Server::new(Names::new(services.clone()), dns::Resolvers::new("/etc/resolv.conf".into(), 53));
    let mut diag = None;
    for (role, descriptor) in bootstrap.descriptors {
        let (stands_for, purpose) = match role {
            Role::Outbound4 | Role::Outbound6 => (Listener::Redirected, Purpose::Inside),
            Role::Publish(port) => (Listener::Published(port), Purpose::Published),
            Role::Upstream { name, port } => (Listener::Upstream(name, port), Purpose::Other),
            Role::Proxy => (Listener::Proxy, Purpose::Other),
            Role::DnsUdp4 | Role::DnsUdp6 => {
                spawn_local(names.clone().serve_udp(descriptor));
                continue;
            }
            Role::DnsTcp4 | Role::DnsTcp6 => {
                own(&descriptor, Purpose::Inside)?;
                spawn_local(names.clone().serve_tcp(descriptor));
                continue;
            }
            Role::Diag => {
                diag = Some(descriptor);
                continue;
            }
            Role::Inbound | Role::Admin | Role::Sockets => continue,
        };
        let listener = own_listener(descriptor, purpose)?;
        spawn_local(once_ready(&is_ready, outbound.clone().serve(listener, stands_for)));
    }
    watch_ports(&sidecar, bootstrap.redirection, diag, ports_sender)?;
    spawn_local(keep_budget(sidecar.clone()));
    let housekeeping = outbound.clone();
    spawn_local(async move {
        let heap = Tidy::default();
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            housekeeping.sweep();
            services.sweep();
            heap.up();
        }
    });

    let watched = sidecar.clone();
    spawn_local(async move { open::watch(&watched).await });

    launcher.set_nonblocking(true)?;
    let launcher = sys::readiness(launcher)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut control = spawn_local(control.run());
    let limit = tokio::select! {
        refused = &mut control => {
            let (code, text) = refused.unwrap_or_else(|error| (errors::REFUSED_BY_CONTROLLER, error.to_string()));
            let error = ToLauncher::Error { code: code.into(), text: text.clone() };
            // A launcher that is gone needs no answer.
            let _ = launcher.get_ref().send_to_launcher(&error);
            return Err(io::Error::other(text));
        }
        _ = terminate.recv() => drain::LIMIT,
        () = converse(&launcher, &mut is_ready, &mut tokens_wanted, &token_sender, &sidecar, &outbound) => drain::ORPHANED,
    };
    log!("draining");
    sidecar.drain.start();
    sidecar.identity.live.draining();
    sidecar.drain.finished(limit).await;
    flush.notify_one();
    // Without a controller the last numbers are lost with the process.
    let _ = tokio::time::timeout(FLUSH_LIMIT, is_flushed.wait_for(|flushed| *flushed)).await;
    Ok(())
}

/// Keeps the sidecar within its memory. What that costs others is counted, and told now and then.
async fn keep_budget(sidecar: Rc<Sidecar>) {
    let told = Cell::new(None::<Instant>);
    budget::keep(|ended| {
        sidecar.metrics.ended(errors::OUT_OF_MEMORY, ended as u64);
        let message = match ended {
            0 => "memory is short, and nothing stands still that could be ended: new requests are refused".to_owned(),
            _ => format!(
                "memory is short: {ended} streams and connections were ended that were not read or not answered, of those who held most"
            ),
        };
        if told.get().is_none_or(|told| told.elapsed() > TELL_INTERVAL) {
            told.set(Some(Instant::now()));
            sidecar.recent.log(errors::OUT_OF_MEMORY, "", message);
        } else {
            sidecar.recent.keep(errors::OUT_OF_MEMORY, "", message);
        }
    })
    .await;
}

/// Serves once the sidecar is ready. Connections that come to one that was started again wait in the listener's queue for that, rather than be turned away;
/// when the controller is away, not for long.
fn once_ready<Serve: Future<Output = ()>>(ready: &watch::Receiver<bool>, serve: Serve) -> impl Future<Output = ()> + use<Serve> {
    let mut ready = ready.clone();
    async move {
        // In time or not, it serves.
        let _ = tokio::time::timeout(READY_LIMIT, ready.wait_for(|ready| *ready)).await;
        serve.await;
    }
}

/// Tells the launcher when the sidecar is ready or wants a token, and takes in tokens and listeners that it hands over later. Returns when it is gone.
async fn converse(
    launcher: &AsyncFd<Channel>,
    ready: &mut watch::Receiver<bool>,
    tokens_wanted: &mut mpsc::Receiver<String>,
    tokens: &mpsc::Sender<String>,
    sidecar: &Rc<Sidecar>,
    outbound: &Rc<Outbound>,
) {
    let told = Cell::new(false);
    let withdrawing = Cell::new(false);
    loop {
        tokio::select! {
            () = withdrawal::idle(&sidecar.metrics), if withdrawing.get() => {
                withdrawing.set(false);
                if launcher.get_ref().send_to_launcher(&ToLauncher::Withdrawn).is_err() {
                    return;
                }
            }
            up = ready.wait_for(|ready| *ready), if !told.get() => {
                told.set(true);
                if up.is_ok() && launcher.get_ref().send_to_launcher(&ToLauncher::Ready).is_err() {
                    return;
                }
            }
            Some(reason) = tokens_wanted.recv() => {
                if launcher.get_ref().send_to_launcher(&ToLauncher::TokenWanted(reason)).is_err() {
                    return;
                }
            }
            readable = launcher.readable() => {
                let Ok(mut readable) = readable else { return };
                match readable.try_io(|launcher| launcher.get_ref().receive_from_launcher()) {
                    Ok(Ok(Some(ToSidecar::Publish(port, descriptor)))) => match own_listener(descriptor, Purpose::Published) {
                        Ok(listener) => drop(spawn_local(outbound.clone().serve(listener, Listener::Published(port)))),
                        Err(error) => log!("the listener for port {port} cannot be used: {error}"),
                    },
                    // One that waits already is as good.
                    Ok(Ok(Some(ToSidecar::Withdraw))) => {
                        sidecar.withdrawal.begin();
                        withdrawing.set(true);
                    }
                    Ok(Ok(Some(ToSidecar::Token(token)))) => drop(tokens.try_send(token.0)),
                    Ok(Ok(None)) => return,
                    Ok(Err(error)) => log!("a packet of the launcher cannot be read: {error}"),
                    Err(_would_block) => {}
                }
            }
        }
    }
}

/// Starts to watch the application's listening ports: all of its namespace, or of the host's those that the workload declared.
fn watch_ports(sidecar: &Rc<Sidecar>, redirection: Redirection, diag: Option<OwnedFd>, ports: watch::Sender<Vec<u16>>) -> io::Result<()> {
    let diag = match diag {
        Some(inside) => inside,
        None => socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkSockDiag,
        )?,
    };
    let diag = sys::readiness(diag)?;
    let sidecar = sidecar.clone();
    spawn_local(async move {
        // A program that is withdrawn is as good as one that does not listen.
        let is_applications = |port: u16| match redirection {
            _ if sidecar.withdrawal.is_on() => false,
            Redirection::Namespace => !own_ports::is_inside(port),
            Redirection::Proxy => sidecar.policy.borrow().is_target(port),
        };
        let unreadable = |trouble: &str| trouble.clone_into(&mut sidecar.metrics.ports_unreadable.borrow_mut());
        match listening::watch(&diag, is_applications, ports, unreadable).await {}
    });
    Ok(())
}

/// A listener of the sidecar, to which none of its connections may lead.
fn own_listener(descriptor: OwnedFd, purpose: Purpose) -> io::Result<TcpListener> {
    own(&descriptor, purpose)?;
    let listener = std::net::TcpListener::from(descriptor);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn own(listener: &OwnedFd, purpose: Purpose) -> io::Result<()> {
    let address = getsockname::<SockaddrStorage>(listener.as_raw_fd())?;
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    let v6 = address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
    let address = v4.or(v6).ok_or(io::ErrorKind::InvalidInput)?;
    own_ports::add(address, purpose);
    Ok(())
}
