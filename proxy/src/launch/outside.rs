//! The process outside: prepares everything, starts the program once its sidecar is ready, and ends as the program does.

use crate::bootstrap::{Redirection, Role};
use crate::launch::api::Api;
use crate::launch::arguments::Arguments;
use crate::launch::failure::{EXIT_LAUNCHER, Failure, say};
use crate::launch::link::{FromInside, ToInside};
use crate::launch::process;
use crate::launch::publish::{self, listener};
use crate::launch::report::{Report, keep_reporting};
use crate::launch::sidecar::{Event, Sidecar};
use crate::launch::signals::{Caught, Signals, die_by};
use crate::launch::way::{self, Inside, Way};
use crate::sys;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the program waits for its sidecar.
const READY: Duration = Duration::from_secs(10);

/// How the launcher ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Exit(u8),
    Signal(i32),
}

/// `weft` runs on Node, which makes the pipes that it was given non-blocking for everybody who holds them. Programs do not expect that.
fn restore_blocking(streams: [BorrowedFd<'_>; 3]) {
    for stream in streams {
        if let Ok(flags) = fcntl(stream, FcntlArg::F_GETFL) {
            let blocking = OFlag::from_bits_retain(flags) - OFlag::O_NONBLOCK;
            let _ = fcntl(stream, FcntlArg::F_SETFL(blocking));
        }
    }
}

/// Makes the end of `parent` as good as SIGTERM.
fn end_with(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    if getppid().as_raw() != parent {
        // It ended before.
        raise(Signal::SIGTERM)?;
    }
    Ok(())
}

/// Node raises its limit of open files and ignores two signals, which programs would inherit. Of these std resets SIGPIPE for each child.
fn restore_limits(open_files: Option<u64>) {
    sys::reset_signal(Signal::SIGXFSZ as i32);
    if let (Some(soft), Ok((_, hard))) = (open_files, getrlimit(Resource::RLIMIT_NOFILE)) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

/// Runs the process outside.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    restore_blocking([io::stdin().as_fd(), io::stdout().as_fd(), io::stderr().as_fd()]);
    let ending = Arguments::parse(arguments).and_then(|arguments| {
        let unable = |error: io::Error| Failure::new("WEFT-L-INSIDE", format!("the launcher cannot start: {error}"), "");
        let state = path::absolute(&arguments.state).map_err(unable)?;
        restore_limits(arguments.open_files);
        let signals = Signals::watch().map_err(unable)?;
        if let Some(parent) = arguments.parent {
            end_with(parent).map_err(unable)?;
        }
        // This process was `weft`, or a shell before, and may have children of that time.
        let before = process::children().map_err(unable)?;
        // Should the process inside be killed, what the program left arrives here.
        prctl::set_child_subreaper(true).map_err(|error| unable(error.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(unable)?;
        Ok(runtime.block_on(run(Arguments { state, ..arguments }, signals, &before)))
    });
    match ending {
        Ok(Ending::Exit(code)) => ExitCode::from(code),
        Ok(Ending::Signal(number)) => {
            die_by(number);
            ExitCode::from(128 + number as u8)
        }
        Err(failure) => {
            say(failure);
            ExitCode::from(EXIT_LAUNCHER)
        }
    }
}

/// What must be ended in order, whatever happened.
#[derive(Default)]
struct Running {
    inside: Option<Inside>,
    sidecar: Option<Sidecar>,
    /// Background work: publishing, reporting.
    tasks: JoinSet<()>,
}

async fn run(arguments: Arguments, signals: Signals, before: &[Pid]) -> Ending {
    let api = Api::new(arguments.state.join("api.sock"), &arguments.workload);
    let mut running = Running::default();
    let blocked = signals.blocked_before;
    let outcome = async {
        let signals = sys::readiness(signals).map_err(|error| Failure::new("WEFT-L-INSIDE", error.to_string(), ""))?;
        let pending = tokio::select! {
            prepared = prepare(&arguments, &api, &mut running, blocked) => prepared?,
            number = ending_signal(&signals) => return Ok((Ending::Signal(number), Some(signals))),
        };
        let ending = attend(&arguments, &api, &mut running, &signals, pending).await?;
        Ok((ending, Some(signals)))
    };
    let (ending, signals) = outcome.await.unwrap_or_else(|failure: Failure| {
        say(failure);
        (Ending::Exit(EXIT_LAUNCHER), None)
    });
    finish(running, &api, signals, before).await;
    ending
}

/// What will be reported once the program runs: which way its calls go, why, and the ports that are open by then.
type Pending = (Redirection, String, watch::Receiver<Vec<u16>>);

/// Brings up everything that the program needs.
async fn prepare(arguments: &Arguments, api: &Api, running: &mut Running, blocked: SigSet) -> Result<Pending, Failure> {
    let unable = |error: io::Error| {
        Failure::new(
            "WEFT-L-LISTEN",
            format!("cannot listen on 127.0.0.1: {error}"),
            "Is the loopback up?",
        )
    };
    let mut descriptors = vec![
        (Role::Inbound, listener(0).map_err(unable)?.into()),
        (Role::Admin, listener(0).map_err(unable)?.into()),
    ];
    let Way {
        redirection,
        obstacle,
        inside,
        descriptors: more,
    } = way::prepare(arguments, blocked).await?;
    running.inside = Some(inside);
    descriptors.extend(more);
    // Without a namespace the program itself opens its ports on the host.
    let wanted: &[u16] = if redirection == Redirection::Namespace {
        &arguments.publish
    } else {
        &[]
    };
    let (opened, taken) = publish::open(wanted, &arguments.service, arguments.siblings);
    let (published, published_now) = watch::channel(opened.iter().map(|(port, _)| *port).collect());
    descriptors.extend(opened.into_iter().map(|(port, listener)| (Role::Publish(port), listener)));

    let sidecar = running
        .sidecar
        .insert(Sidecar::keep(arguments, api.clone(), redirection, descriptors));
    running.tasks.spawn(publish::open_later(taken, sidecar.publisher(), published));
    wait_until_ready(sidecar, &arguments.service).await?;

    let reason = obstacle.as_ref().map_or(String::new(), |obstacle| obstacle.cause.clone());
    say(headline(arguments, redirection, &reason));
    Ok((redirection, reason, published_now))
}

fn headline(arguments: &Arguments, redirection: Redirection, reason: &str) -> String {
    let Arguments { service, address, .. } = arguments;
    match (redirection, reason) {
        (Redirection::Namespace, _) => format!("{service} runs as {address}, redirected by its own network namespace"),
        (Redirection::Proxy, "") => format!("{service} runs as {address}, redirected by proxy variables, because --redirect proxy says so"),
        (Redirection::Proxy, reason) => format!("{service} runs as {address}, redirected by proxy variables, because {reason}"),
    }
}

async fn wait_until_ready(sidecar: &mut Sidecar, service: &str) -> Result<(), Failure> {
    let mut last = None;
    let ready = async {
        while let Some(event) = sidecar.event().await {
            match event {
                Event::Ready => return Ok(()),
                Event::Registered => {}
                Event::Removed => return Err(removed(service)),
                Event::Trouble(trouble) if !trouble.passing => return Err(trouble.failure),
                Event::Trouble(trouble) => last = Some(trouble.failure),
            }
        }
        Err(Failure::new(
            "WEFT-L-SIDECAR-SILENT",
            format!("the sidecar of {service} is gone"),
            "",
        ))
    };
    if let Ok(outcome) = timeout(READY, ready).await {
        return outcome;
    }
    let hint = "The controller may be busy or away: see `weft status` and `weft logs`.";
    let silent = || {
        Failure::new(
            "WEFT-L-SIDECAR-SILENT",
            format!("the sidecar of {service} was not ready within 10 s"),
            hint,
        )
    };
    Err(last.unwrap_or_else(silent))
}

/// Starts the program; passes on signals and news until it has ended.
async fn attend(
    arguments: &Arguments,
    api: &Api,
    running: &mut Running,
    signals: &AsyncFd<Signals>,
    (redirection, reason, published): Pending,
) -> Result<Ending, Failure> {
    let (Some(inside), Some(sidecar)) = (&mut running.inside, &mut running.sidecar) else {
        return Err(inside_gone(&arguments.service));
    };
    // From here on signals are the program's: they follow the order to start it.
    inside.send(&ToInside::Start);
    let mut trouble = None;
    // A signal that asks the program to end waits until no call to it is under way.
    let mut held: Option<Held> = None;
    loop {
        tokio::select! {
            signal = released(&mut held) => pass_on(inside, signal),
            message = inside.receive() => match message {
                Ok(Some((FromInside::Started(pid), _))) => {
                    let report = Report { redirection, reason: reason.clone(), pid };
                    running.tasks.spawn(keep_reporting(api.clone(), report, published.clone(), sidecar.life()));
                }
                Ok(Some((FromInside::NotStarted(exit, failure), _))) => {
                    say(failure);
                    return Ok(Ending::Exit(exit));
                }
                Ok(Some((FromInside::Exited(code), _))) => return Ok(Ending::Exit(code)),
                Ok(Some((FromInside::Killed(number), _))) => return Ok(Ending::Signal(number)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(inside_gone(&arguments.service)),
            },
            signal = next_signal(signals) => {
                // A terminal signals the program itself; the process inside only wakes this one up.
                if signal.terminal || signal.sender == inside.pid() || signal.number == Signal::SIGCHLD as i32 {
                    continue;
                }
                if held.is_none() && signal.asks_to_end() {
                    held = Some(Held { signal, withdrawn: Box::pin(sidecar.withdraw()) });
                    continue;
                }
                // Asked twice, it is urgent.
                if let Some(first) = held.take_if(|_| signal.ends()) {
                    pass_on(inside, first.signal);
                }
                pass_on(inside, signal);
            }
            Some(event) = sidecar.event() => match event {
                Event::Ready => {
                    if trouble.take().is_some() {
                        say(format_args!("the sidecar of {} is ready again", arguments.service));
                    }
                }
                Event::Registered => say(format_args!(
                    "the controller had forgotten {}, so it was registered anew, as {}",
                    arguments.service, arguments.workload
                )),
                Event::Removed => say(removed(&arguments.service)),
                Event::Trouble(new) => {
                    if trouble.as_ref() != Some(&new.failure) {
                        say(&new.failure);
                    }
                    trouble = Some(new.failure);
                }
            },
        }
    }
}

/// A signal for the program that waits until the program is withdrawn.
struct Held {
    signal: Caught,
    withdrawn: Pin<Box<dyn Future<Output = ()>>>,
}

/// The signal that is held, when its time has come.
async fn released(held: &mut Option<Held>) -> Caught {
    let Some(Held { signal, withdrawn }) = held else {
        return std::future::pending().await;
    };
    withdrawn.await;
    let signal = *signal;
    *held = None;
    signal
}

fn pass_on(inside: &Inside, Caught { number, sender, at, .. }: Caught) {
    inside.send(&ToInside::Signal {
        number,
        sender,
        age: at.elapsed(),
    });
}

fn removed(service: &str) -> Failure {
    let message = format!(
        "{service} was removed from the mesh by a person, so its sidecar has ended: it is not called any more, and its own calls are refused"
    );
    let hint = "To have it back, end it and start it again.";
    Failure::new("WEFT-L-REMOVED", message, hint)
}

fn inside_gone(service: &str) -> Failure {
    let message = format!("the process that {service} ran under was killed, and {service} with it");
    Failure::new("WEFT-L-INSIDE", message, "Start it again.")
}

/// Ends what is left, in order: the program's surroundings, the registry's entry, the sidecar.
async fn finish(mut running: Running, api: &Api, signals: Option<AsyncFd<Signals>>, before: &[Pid]) {
    running.tasks.shutdown().await;
    if let Some(inside) = running.inside.take() {
        inside.end().await;
        process::kill_orphans(before).await;
    }
    if let Some(sidecar) = &mut running.sidecar {
        sidecar.leave().await;
    }
    if let Err(error) = api.delete().await
        && !error.is_unregistered()
    {
        say(format_args!(
            "the workload stays in the registry until the controller notices that it is gone: {error} (WEFT-L-NOT-DELETED)"
        ));
    }
    if let Some(sidecar) = running.sidecar.take() {
        let hurry = async {
            match &signals {
                Some(signals) => drop(ending_signal(signals).await),
                None => std::future::pending().await,
            }
        };
        sidecar.stop(hurry).await;
    }
}

async fn next_signal(signals: &AsyncFd<Signals>) -> Caught {
    let read = |signals: &Signals| signals.next()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
    match signals.async_io(Interest::READABLE, read).await {
        Ok(signal) => signal,
        Err(_) => std::future::pending().await,
    }
}

/// The next signal that ends a process which does not handle it.
async fn ending_signal(signals: &AsyncFd<Signals>) -> i32 {
    loop {
        let signal = next_signal(signals).await;
        if signal.ends() {
            return signal.number;
        }
    }
}
