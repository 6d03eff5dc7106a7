//! Signals, read in order instead of interrupting: which are watched, and how a process ends as another did.

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

/// Signals that mean something to the program and that it is to get when the launcher gets them.
const PASSED_ON: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
];
/// Those that end a process that does not handle them.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// Those by which whoever runs a program asks it to end. (SIGHUP often means to read the configuration again.)
const ASKING: [Signal; 3] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// A signal that this process got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Its number.
    pub number: i32,
    /// The process that sent it; 0 for the kernel.
    pub sender: i32,
    /// Whether the kernel sent it to a whole process group on behalf of a terminal.
    pub terminal: bool,
    /// When it was read.
    pub at: Instant,
}

impl Caught {
    /// Whether it ends a process that does not handle it.
    pub fn ends(&self) -> bool {
        ENDING.iter().any(|&signal| signal as i32 == self.number)
    }

    /// Whether it asks a program to end.
    pub fn asks_to_end(&self) -> bool {
        ASKING.iter().any(|&signal| signal as i32 == self.number)
    }
}

/// The signals that this process gets.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
    /// What this process was started with blocked; so is the program.
    pub blocked_before: SigSet,
}

impl Signals {
    /// From now on signals arrive here only.
    pub fn watch() -> io::Result<Signals> {
        let mut mask: SigSet = PASSED_ON.into_iter().collect();
        mask.add(Signal::SIGTTOU);
        mask.add(Signal::SIGCHLD);
        let blocked_before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let descriptor = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals {
            descriptor,
            blocked_before,
        })
    }

    /// The next signal, or `None` when there is none now.
    pub fn next(&self) -> io::Result<Option<Caught>> {
        let found = self.descriptor.read_signal()?;
        Ok(found.map(|info| Caught {
            number: info.ssi_signo as i32,
            sender: info.ssi_pid as i32,
            terminal: info.ssi_code == libc::SI_KERNEL,
            at: Instant::now(),
        }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Ends this process by `number`, so that whoever waits for it sees what the program ended by. Returns where that signal does not end a process.
pub fn die_by(number: i32) {
    // The program has left its core; this process's would be in its way.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    crate::sys::die_by(number);
}
