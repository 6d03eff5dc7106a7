//! Child processes: waiting with patience that ends, and finding those that were left.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use std::fs;
use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

const POLL: Duration = Duration::from_millis(2);
/// Killing takes milliseconds, unless the machine hangs.
const ORPHANS: Duration = Duration::from_secs(2);

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

/// Kills what arrived here because its parent was killed: every child that is not of Weft itself and not in `before`, the children from before the program: the
/// controller that `weft run` started is one of them. What one of those that are killed had started arrives in turn.
pub async fn kill_orphans(before: &[Pid]) {
    let is_own = |pid: Pid| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program
            .file_name()
            .is_some_and(|name| name == "weft-proxy" || name == "weft-launch")
    };
    let started = Instant::now();
    while started.elapsed() < ORPHANS {
        let orphans: Vec<Pid> = children()
            .unwrap_or_default()
            .into_iter()
            .filter(|pid| !before.contains(pid) && !is_own(*pid))
            .collect();
        if orphans.is_empty() {
            return;
        }
        for orphan in orphans {
            // It may have ended just now, which is what is wanted.
            let _ = kill(orphan, Signal::SIGKILL);
            let _ = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
        }
        sleep(POLL).await;
    }
}
