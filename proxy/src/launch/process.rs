//! Child processes: waiting with patience that ends, and finding those that were left.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use std::fs;
use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const POLL: Duration = Duration::from_millis(2);

/// Waits until `child` has ended, at most `patience`; then kills it.
pub async fn end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let ended = async {
        loop {
            match child.try_wait() {
                Ok(None) => sleep(POLL).await,
                other => return other.ok().flatten(),
            }
        }
    };
    if let Ok(status) = timeout(patience, ended).await {
        return status;
    }
    let _ = child.kill();
    child.wait().ok()
}

/// The processes whose parent is this one.
pub fn children() -> io::Result<Vec<Pid>> {
    let own = getpid();
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before the state may contain anything, so count from its end.
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
    };
    let numbers = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|&pid| parent(pid) == Some(own)).map(Pid::from_raw).collect())
}

/// Kills what arrived here because its parent was killed: every child that is not of Weft itself.
pub fn kill_orphans() {
    let is_own = |pid: Pid| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program
            .file_name()
            .is_some_and(|name| name == "weft-proxy" || name == "weft-launch")
    };
    for orphan in children().unwrap_or_default().into_iter().filter(|&pid| !is_own(pid)) {
        // It may have ended just now.
        let _ = kill(orphan, Signal::SIGKILL);
    }
}
