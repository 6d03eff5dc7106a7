//! The process inside: in the program's namespaces, the program's parent. It makes sockets for the sidecar and passes signals on.

use crate::bootstrap::Role;
use crate::launch::failure::{EXIT_LAUNCHER, Failure, say};
use crate::launch::link::{FromInside, Link, ToInside};
use crate::launch::process::children;
use crate::launch::signals::{Caught, Signals};
use crate::launch::{namespace, network};
use crate::seqpacket::Seqpacket;
use crate::sys::{self, ChildSetup};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp, getppid};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The first argument that makes a launcher this process. It goes on with: the link's descriptor, the address or "-" for the host's namespaces, a folder
/// that may be covered, the program and its arguments.
pub const COMMAND: &str = "inside";

/// Sockets that one request may ask for.
const MAX_SOCKETS: usize = 64;
/// Bytes of a request that an answer repeats.
const MAX_REQUEST: usize = 16;
/// A signal that came to both processes from one sender within this time of each other is the same one, sent to the whole process group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// The kernel gives a process one signal for several of a number that it had not read yet. So one that was read here stands for all of that sender that the
/// process outside read before, or this much later.
const MERGED: Duration = Duration::from_millis(200);
/// How long the process inside remembers a signal: longer than the one outside may hold it back (`launch/sidecar.rs`).
const REMEMBERED: Duration = Duration::from_secs(10);
/// How long what the program left running may take to end when it is told to.
const LEFTOVERS_GRACE: Duration = Duration::from_secs(2);

/// Runs the process inside.
pub fn main(arguments: &[OsString]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("the launcher's process inside failed: {error} (WEFT-L-INSIDE)"));
            ExitCode::from(EXIT_LAUNCHER)
        }
    }
}

fn run(arguments: &[OsString]) -> io::Result<()> {
    let [link, address, scratch, program, rest @ ..] = arguments else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is started by weft-launch only"));
    };
    let number: RawFd = link.to_str().and_then(|text| text.parse().ok()).unwrap_or(-1);
    let link = Link::from(sys::inherited(number)?);
    let signals = Signals::watch()?;
    // If it is gone already, the link is closed, and nothing starts.
    let outside = getppid();
    prctl::set_child_subreaper(true)?;
    let mut opened = Vec::new();
    if let Some(address) = address.to_str().and_then(|text| text.parse::<Ipv4Addr>().ok()) {
        match namespace::enter(address, Path::new(scratch)) {
            Ok(descriptors) => opened = descriptors,
            Err(obstacle) => return link.send_out(&FromInside::Obstructed(obstacle), &[]),
        }
    }
    let sockets = hand_out(&link, opened)?;
    let mut command = Command::new(program);
    command.args(rest);
    let mut inside = Inside {
        link,
        outside,
        signals,
        sockets: Some(sockets),
        program: None,
        caught: Vec::new(),
    };
    let served = inside.serve(command);
    if served.is_err() {
        inside.end_leftovers(Signal::SIGKILL)?;
    }
    match served {
        // The process outside is gone, which is no failure of this one.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Sends what was opened, with one end of a socket for requests; returns its other end.
fn hand_out(link: &Link, mut opened: Vec<(Role, OwnedFd)>) -> io::Result<Seqpacket> {
    let (ours, theirs) = Seqpacket::pair()?;
    if !opened.is_empty() {
        opened.push((Role::Sockets, theirs.into()));
    }
    let roles = opened.iter().map(|(role, _)| role.clone()).collect();
    let descriptors: Vec<BorrowedFd<'_>> = opened.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
    link.send_out(&FromInside::Opened(roles), &descriptors)?;
    Ok(ours)
}

struct Inside {
    link: Link,
    /// The process outside, while it is this one's parent.
    outside: Pid,
    signals: Signals,
    /// Where the sidecar asks for sockets.
    sockets: Option<Seqpacket>,
    program: Option<Pid>,
    /// What this process got itself of late.
    caught: Vec<Own>,
}

/// A signal that the process inside got itself.
struct Own {
    signal: Caught,
    /// Whether the process outside passed it on, too.
    met: bool,
}

impl Own {
    /// Whether what the process outside got when it `came` is this, sent to the whole process group.
    fn covers(&self, number: i32, sender: i32, came: Instant) -> bool {
        let at = self.signal.at;
        (self.signal.number, self.signal.sender) == (number, sender)
            && if self.met {
                came < at + MERGED
            } else {
                at.max(came) - at.min(came) < SAME_SIGNAL
            }
    }
}

/// What a round of waiting found readable.
#[derive(Default)]
struct Readable {
    link: bool,
    signals: bool,
    sockets: bool,
}

impl Inside {
    fn serve(&mut self, mut command: Command) -> io::Result<()> {
        loop {
            let readable = self.wait(PollTimeout::NONE)?;
            // Signals first: what the group got must be known before the process outside passes it on.
            if readable.signals
                && let Some(ending) = self.take_signals()?
            {
                self.end_leftovers(Signal::SIGTERM)?;
                return self.link.send_out(&ending, &[]);
            }
            if readable.sockets {
                self.answer_sockets();
            }
            if readable.link {
                match self.link.receive_in()? {
                    Some(ToInside::Start) => {
                        let outcome = start(&mut command, self.signals.blocked_before);
                        self.program = outcome.as_ref().ok().copied();
                        match outcome {
                            Ok(pid) => self.link.send_out(&FromInside::Started(pid.as_raw()), &[])?,
                            Err((exit, failure)) => return self.link.send_out(&FromInside::NotStarted(exit, failure), &[]),
                        }
                    }
                    Some(ToInside::Signal { number, sender, age }) => {
                        let came = Instant::now().checked_sub(age);
                        // It may have come here too since the last look.
                        if let Some(ending) = self.take_signals()? {
                            self.end_leftovers(Signal::SIGTERM)?;
                            return self.link.send_out(&ending, &[]);
                        }
                        self.pass_on(number, sender, came);
                    }
                    // The process outside was killed: everything goes with it.
                    None => return self.end_leftovers(Signal::SIGKILL),
                }
            }
        }
    }

    fn wait(&self, timeout: PollTimeout) -> io::Result<Readable> {
        let mut polled = vec![
            PollFd::new(self.link.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        polled.extend(self.sockets.as_ref().map(|sockets| PollFd::new(sockets.as_fd(), PollFlags::POLLIN)));
        match poll(&mut polled, timeout) {
            Err(Errno::EINTR) => return Ok(Readable::default()),
            other => other?,
        };
        let ready = |index: usize| polled.get(index).and_then(PollFd::any).unwrap_or(false);
        Ok(Readable {
            link: ready(0),
            signals: ready(1),
            sockets: ready(2),
        })
    }

    /// Reads what signals came; says how the program ended, if it did.
    fn take_signals(&mut self) -> io::Result<Option<FromInside>> {
        self.caught.retain(|own| own.signal.at.elapsed() < REMEMBERED);
        while let Some(signal) = self.signals.next()? {
            if signal.number == Signal::SIGCHLD as i32 {
                if let Some(ending) = self.reap()? {
                    return Ok(Some(ending));
                }
            } else {
                self.caught.push(Own { signal, met: false });
            }
        }
        Ok(None)
    }

    fn reap(&self) -> io::Result<Option<FromInside>> {
        let options = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        loop {
            let status = match waitpid(None, Some(options)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
                other => other?,
            };
            if status.pid() != self.program {
                continue;
            }
            // A shell sees the job stopped, going on or ended only when the process outside is. Signals of one sender arrive in order: told by a message it would stop
            // itself at some time later, when the program may be going on again, and nobody would wake it up.
            match status {
                WaitStatus::Stopped(..) => self.signal_outside(Signal::SIGSTOP),
                WaitStatus::Continued(_) => self.signal_outside(Signal::SIGCONT),
                WaitStatus::Exited(_, code) => {
                    self.signal_outside(Signal::SIGCONT);
                    return Ok(Some(FromInside::Exited(code as u8)));
                }
                WaitStatus::Signaled(_, signal, _) => {
                    self.signal_outside(Signal::SIGCONT);
                    return Ok(Some(FromInside::Killed(signal as i32)));
                }
                _ => {}
            }
        }
    }

    /// Signals the process outside, and nobody else: where it was killed, another process is the parent.
    fn signal_outside(&self, signal: Signal) {
        if getppid() == self.outside {
            // It may be gone by now, which the link tells.
            let _ = kill(self.outside, signal);
        }
    }

    /// Sends the program a signal that the process outside got when it `came`, unless the whole process group got it, the program included.
    fn pass_on(&mut self, number: i32, sender: i32, came: Option<Instant>) {
        let (Some(program), Ok(signal)) = (self.program, Signal::try_from(number)) else {
            return;
        };
        let covering = |own: &&mut Own| came.is_some_and(|came| own.covers(number, sender, came));
        // One that was not met yet is preferred: each stands for one at least.
        let (fresh, met): (Vec<_>, Vec<_>) = self.caught.iter_mut().filter(covering).partition(|own| !own.met);
        if let Some(own) = fresh.into_iter().chain(met).next() {
            own.met = true;
            if getpgid(Some(program)) == Ok(getpgrp()) {
                return;
            }
        }
        // It may have ended just now, which SIGCHLD tells.
        let _ = kill(program, signal);
    }

    /// Answers one request for sockets. Only when nobody can ask any more does the conversation end: another sidecar goes on with it.
    fn answer_sockets(&mut self) {
        let over = self
            .sockets
            .as_ref()
            .is_some_and(|sockets| answer(sockets).is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe));
        if over {
            self.sockets = None;
        }
    }

    /// Ends what the program left running: first with `signal`, after a while with SIGKILL.
    fn end_leftovers(&self, signal: Signal) -> io::Result<()> {
        let started = Instant::now();
        let mut told = HashSet::new();
        while started.elapsed() < LEFTOVERS_GRACE * 2 {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::StillAlive) => {}
                _ => continue,
            }
            let left = children()?;
            if told.is_empty() && signal == Signal::SIGTERM {
                say(format_args!("the program left {} running, ended with it", processes(left.len())));
            }
            // A process whose parent has just ended arrives here as a new child, so each round looks again.
            let force = started.elapsed() >= LEFTOVERS_GRACE;
            for child in left {
                if told.insert(child) || force {
                    let _ = kill(child, if force { Signal::SIGKILL } else { signal });
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn processes(count: usize) -> String {
    if count == 1 {
        "a process".to_owned()
    } else {
        format!("{count} processes")
    }
}

/// Answers one request like "4 16": with the sockets, or with the reason why they cannot be had now. `BrokenPipe` when the other ends are gone.
fn answer(sockets: &Seqpacket) -> io::Result<()> {
    let (request, _) = sockets.receive()?.ok_or(io::ErrorKind::BrokenPipe)?;
    let Err(error) = answer_with_sockets(sockets, &request) else {
        return Ok(());
    };
    let mut text = request;
    text.truncate(MAX_REQUEST);
    text.extend(format!(" {error}").bytes());
    sockets.send(&text, &[])
}

/// An error is one of the moment, such as too many descriptors that are under way and were not received yet.
fn answer_with_sockets(sockets: &Seqpacket, request: &[u8]) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "the request is not like `4 16`");
    let (ipv6, count) = match std::str::from_utf8(request).unwrap_or_default().split_once(' ') {
        Some(("4", count)) => (false, count),
        Some(("6", count)) => (true, count),
        _ => return Err(unknown()),
    };
    let count = count
        .parse()
        .ok()
        .filter(|count| (1..=MAX_SOCKETS).contains(count))
        .ok_or_else(unknown)?;
    let made = network::marked_sockets(ipv6, count)?;
    let descriptors: Vec<BorrowedFd<'_>> = made.iter().map(AsFd::as_fd).collect();
    sockets.send(request, &descriptors)
}

/// Starts the program. It stays in this process group, so the terminal is its own, and dies with this process.
fn start(command: &mut Command, blocked: SigSet) -> Result<Pid, (u8, Failure)> {
    sys::prepare_child(
        command,
        ChildSetup {
            dies_with_parent: true,
            ..ChildSetup::blocking(blocked)
        },
    );
    match command.spawn() {
        Ok(child) => Ok(Pid::from_raw(child.id() as i32)),
        Err(error) => Err(not_started(&command.get_program().to_string_lossy(), &error)),
    }
}

/// The exit code that shells use for it, and what to tell.
fn not_started(program: &str, error: &io::Error) -> (u8, Failure) {
    if error.kind() != io::ErrorKind::NotFound {
        let hint = "Check that the file may be executed (chmod +x) and is a program for this machine.";
        return (
            126,
            Failure::new("WEFT-L-PROGRAM-NOT-EXECUTABLE", format!("cannot execute {program}: {error}"), hint),
        );
    }
    let (message, hint) = if program.contains('/') && Path::new(program).exists() {
        (
            format!("cannot execute {program}: what its first line names does not exist"),
            "Correct the line after `#!`, or install that interpreter.",
        )
    } else if program.contains('/') {
        (
            format!("there is no program {program}"),
            "Check the path; a relative one starts at the current folder.",
        )
    } else {
        (
            format!("there is no program {program} on the PATH"),
            "Install it, or give its path, for example ./server.",
        )
    };
    (127, Failure::new("WEFT-L-PROGRAM-NOT-FOUND", message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_exits_127_and_one_that_may_not_run_126() {
        let (exit, failure) = start(&mut Command::new("surely-no-such-program"), SigSet::empty()).unwrap_err();
        assert_eq!((exit, failure.code.as_str()), (127, "WEFT-L-PROGRAM-NOT-FOUND"));
        let (exit, failure) = start(&mut Command::new("/etc/passwd"), SigSet::empty()).unwrap_err();
        assert_eq!((exit, failure.code.as_str()), (126, "WEFT-L-PROGRAM-NOT-EXECUTABLE"));
    }
}
