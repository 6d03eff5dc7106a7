//! Entering namespaces of its own: network, mounts and, for an ordinary user, users. What is allowed is found out by doing it.

use crate::bootstrap::Role;
use crate::launch::netlink::Refusal;
use crate::launch::obstacle::{Host, Obstacle};
use crate::launch::{families, files, network};
use crate::sys;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;

const CAP_KILL: u32 = 5;
const CAP_NET_ADMIN: u32 = 12;
/// What would let a program of root's undo its redirection, or leave its namespace: net_admin, net_raw, sys_module, sys_rawio, sys_ptrace, sys_admin,
/// perfmon, bpf and checkpoint_restore.
const DANGEROUS: [u32; 9] = [CAP_NET_ADMIN, 13, 16, 17, 19, 21, 38, 39, 40];

/// Moves this process, which must have one thread, into new namespaces and prepares them for a program with `address`.
pub fn enter(address: Ipv4Addr, scratch: &Path) -> Result<Vec<(Role, OwnedFd)>, Obstacle> {
    let root = geteuid().is_root();
    let explain = |refusal: Refusal| Host::observe().explain(&refusal);
    create(root).map_err(explain)?;
    let opened = network::prepare(address).map_err(explain)?;
    allow_low_ports();
    files::replace(scratch).map_err(explain)?;
    let failed = |step| move |error| explain(Refusal { step, error });
    families::refuse().map_err(failed("filter calls"))?;
    restrict(root).map_err(failed("drop capabilities"))?;
    Ok(opened)
}

fn create(root: bool) -> Result<(), Refusal> {
    let kinds = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let refused = |step| move |error: Errno| Refusal { step, error: error.into() };
    if root {
        // No user namespace: with one id mapped, chown and setuid would fail.
        return unshare(kinds).map_err(refused("create a network namespace"));
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(kinds | CloneFlags::CLONE_NEWUSER).map_err(refused("create a user namespace"))?;
    let files = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ];
    for (file, text) in files {
        fs::write(Path::new("/proc/self").join(file), text).map_err(|error| Refusal {
            step: "map its own user",
            error,
        })?;
    }
    Ok(())
}

/// Ports below 1024 are the program's own business here. Where `/proc/sys` is read-only, they stay as privileged as on the host.
fn allow_low_ports() {
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/// An ordinary user's program gets no capability in its namespaces; root's keeps those that cannot undo the redirection.
fn restrict(root: bool) -> io::Result<()> {
    if root {
        // This process keeps its own: a program that had more than its parent would not be made to die with it.
        return sys::limit_capabilities(bits(&DANGEROUS), u64::MAX);
    }
    // To end the program and to mark sockets.
    sys::limit_capabilities(u64::MAX, bits(&[CAP_KILL, CAP_NET_ADMIN]))
}

fn bits(capabilities: &[u32]) -> u64 {
    capabilities.iter().fold(0, |mask, capability| mask | 1 << capability)
}
