//! Keeps the sidecar running: started with a fresh token and the same descriptors as often as it takes, stopped with the program.

use crate::bootstrap::{Bootstrap, Channel, DESCRIPTOR, Redirection, Role, ToLauncher, Token};
use crate::launch::api::{Api, ApiError};
use crate::launch::arguments::Arguments;
use crate::launch::failure::Failure;
use crate::launch::json::{array, quoted};
use crate::launch::process::end;
use crate::launch::sidecar::{End, Event, Life, Order, Trouble};
use crate::sys::{self, ChildSetup};
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::Pid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, iter};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

/// Characters of the program's command that the registry shows, its spaces included.
const COMMAND_SHOWN: usize = 1_000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A sidecar that lived this long is followed after a short pause again: the program's connections wait meanwhile.
const SERVED: Duration = Duration::from_secs(1);
/// One that lived this long ended for the first time again, for those who are told.
const LIVED_WELL: Duration = Duration::from_secs(10);
/// The sidecar itself takes at most 10 s to drain.
const DRAIN: Duration = Duration::from_secs(12);
/// The same for the sidecar of a workload that was removed from the mesh: its peers cut what it carries within this time, too.
const REMOVED: Duration = Duration::from_secs(5);

/// What each start of the sidecar has in common.
pub struct Plan {
    workload: String,
    service: String,
    namespace: String,
    address: std::net::IpAddr,
    state: PathBuf,
    redirection: Redirection,
    /// What registers the workload anew, JSON.
    registration: String,
}

impl Plan {
    /// What `arguments` and the way of redirection say of every sidecar.
    pub fn new(arguments: &Arguments, redirection: Redirection) -> Plan {
        Plan {
            workload: arguments.workload.clone(),
            service: arguments.service.clone(),
            namespace: arguments.namespace.clone(),
            address: arguments.address.into(),
            state: arguments.state.clone(),
            redirection,
            registration: registration(arguments),
        }
    }

    fn log(&self) -> PathBuf {
        self.state.join("logs").join(format!("{}.log", self.workload))
    }
}

/// The body of the call that registers a workload anew.
fn registration(arguments: &Arguments) -> String {
    let ports = arguments.ports.iter().map(|port| {
        let protocol = port
            .protocol
            .as_deref()
            .map_or(String::new(), |protocol| format!(r#","protocol":{}"#, quoted(protocol)));
        format!(r#"{{"servicePort":{},"targetPort":{}{protocol}}}"#, port.service, port.target)
    });
    let words = iter::once(&arguments.program).chain(&arguments.program_arguments);
    let command = beginning(words.map(|word| word.to_string_lossy().into_owned()));
    format!(
        r#"{{"service":{},"namespace":{},"address":"{}","ports":{},"publish":{:?},"command":{},"pid":{}}}"#,
        quoted(&arguments.service),
        quoted(&arguments.namespace),
        arguments.address,
        array(ports),
        arguments.publish,
        array(command.iter().map(|word| quoted(word))),
        process::id(),
    )
}

/// A command for people: whole, or its beginning when it is long.
fn beginning(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut left = COMMAND_SHOWN;
    let mut shown = Vec::new();
    for word in words {
        let length = word.chars().count() + 1;
        if length > left {
            shown.push(word.chars().take(left - 1).chain(['…']).collect());
            break;
        }
        left -= length;
        shown.push(word);
        if left == 0 {
            break;
        }
    }
    shown
}

/// See the module.
pub struct Keeper {
    plan: Plan,
    api: Api,
    descriptors: Vec<(Role, OwnedFd)>,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
    life: watch::Sender<Life>,
    /// The program has ended: nothing is registered any more.
    leaving: bool,
    /// Who waits for the program to be withdrawn.
    withdrawing: Option<oneshot::Sender<()>>,
}

/// How waiting ended.
enum Waited {
    /// There is no sidecar, and the reason was told.
    Failed,
    /// The sidecar ended, so.
    Ended(String),
    /// The time is up.
    Over,
    /// The program is gone.
    Stop,
    /// A person removed the workload.
    Removed,
}

impl Keeper {
    /// A keeper that has started nothing yet.
    pub fn new(
        plan: Plan,
        api: Api,
        descriptors: Vec<(Role, OwnedFd)>,
        orders: mpsc::Receiver<Order>,
        events: mpsc::Sender<Event>,
        life: watch::Sender<Life>,
    ) -> Keeper {
        Keeper {
            plan,
            api,
            descriptors,
            orders,
            events,
            life,
            leaving: false,
            withdrawing: None,
        }
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut in_a_row = 0;
        loop {
            let started = Instant::now();
            match self.live().await {
                Waited::Stop => return,
                Waited::Removed => return self.removed().await,
                Waited::Ended(how) => {
                    if started.elapsed() >= SERVED {
                        pause = FIRST_PAUSE;
                    }
                    if started.elapsed() >= LIVED_WELL {
                        in_a_row = 0;
                    }
                    in_a_row += 1;
                    self.ended(how, in_a_row, pause).await;
                }
                Waited::Failed | Waited::Over => {}
            }
            if let Waited::Stop = self.rest(pause).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Leaves the program without a sidecar until it ends. Its connections are refused from now on, not left waiting, and nothing is opened for it any more.
    async fn removed(mut self) {
        self.descriptors.clear();
        self.tell(Event::Removed).await;
        loop {
            match self.orders.recv().await {
                Some(Order::Publish(..) | Order::Withdraw(_)) => {}
                Some(Order::Leave(answer)) => self.leave(answer),
                Some(Order::Stop | Order::Kill) | None => return,
            }
        }
    }

    /// Tells that the sidecar ended, for the `in_a_row`th time. Of many such ends every doubling of their number is told.
    async fn ended(&self, how: String, in_a_row: u32, pause: Duration) {
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        self.life.send_modify(|life| {
            life.restarts += 1;
            life.last_end = Some(End {
                reason: how.clone(),
                at_ms,
            });
        });
        if !in_a_row.is_power_of_two() {
            return;
        }
        let often = if in_a_row == 1 {
            String::new()
        } else {
            format!(", {in_a_row} times in a row")
        };
        let message = format!("the sidecar of {} ended ({how}){often}", self.plan.service);
        let hint = format!(
            "It is started again in {:.1} s. Its log: {}",
            pause.as_secs_f64(),
            self.plan.log().display()
        );
        self.trouble(Failure::new("WEFT-L-SIDECAR-ENDED", message, hint), true).await;
    }

    /// One sidecar, from its token to its end.
    async fn live(&mut self) -> Waited {
        let token = match self.token().await {
            Ok(token) => token,
            Err(error) if error.is_removed() => return Waited::Removed,
            Err(error) => {
                self.no_token(&error).await;
                return Waited::Failed;
            }
        };
        let started = self.clone_descriptors().and_then(|descriptors| {
            let bootstrap = Bootstrap {
                workload: self.plan.workload.clone(),
                service: self.plan.service.clone(),
                namespace: self.plan.namespace.clone(),
                address: self.plan.address,
                control: self.plan.state.join("control.sock"),
                token,
                redirection: self.plan.redirection,
                descriptors,
            };
            start(&self.plan, &bootstrap)
        });
        match started {
            Ok((child, channel)) => self.attend(child, channel).await,
            Err(error) => {
                let hint =
                    "It is installed beside weft-launch; build or install Weft again, and check that its state directory can be written.";
                let message = format!("the sidecar of {} cannot be started: {error}", self.plan.service);
                self.trouble(Failure::new("WEFT-L-NO-SIDECAR", message, hint), false).await;
                Waited::Failed
            }
        }
    }

    /// A one-time token. A workload that the controller has forgotten is registered anew for it.
    async fn token(&mut self) -> Result<Token, ApiError> {
        match self.api.token().await {
            Err(ApiError::Refused(404, _)) if !self.leaving => {
                self.api.register(&self.plan.registration).await?;
                self.life.send_modify(|life| life.registrations += 1);
                self.tell(Event::Registered).await;
                self.api.token().await
            }
            other => other,
        }
    }

    async fn no_token(&self, error: &ApiError) {
        let passing = !matches!(error, ApiError::Refused(400..500, _));
        let hint = "Look at the controller with `weft status`; start it with `weft up`.";
        let message = format!("no token for the sidecar of {}: {error}", self.plan.service);
        self.trouble(Failure::new("WEFT-L-NO-TOKEN", message, hint), passing).await;
    }

    /// Copies for the next sidecar, without what an earlier one left unread.
    fn clone_descriptors(&self) -> io::Result<Vec<(Role, OwnedFd)>> {
        for (_, descriptor) in self
            .descriptors
            .iter()
            .filter(|(role, _)| [Role::Diag, Role::Sockets].contains(role))
        {
            while recv(descriptor.as_raw_fd(), &mut [0; 64], MsgFlags::MSG_DONTWAIT).is_ok_and(|length| length > 0) {}
        }
        self.descriptors
            .iter()
            .map(|(role, descriptor)| Ok((role.clone(), descriptor.try_clone()?)))
            .collect()
    }

    async fn attend(&mut self, mut child: Child, channel: AsyncFd<Channel>) -> Waited {
        loop {
            tokio::select! {
                message = receive(&channel) => match message {
                    Ok(Some(ToLauncher::Ready)) => self.tell(Event::Ready).await,
                    // Who asked may have hurried on.
                    Ok(Some(ToLauncher::Withdrawn)) => drop(self.withdrawing.take().map(|answer| answer.send(()))),
                    // Without an answer it asks again.
                    Ok(Some(ToLauncher::TokenWanted(_))) => match self.token().await {
                        Ok(token) => drop(channel.get_ref().send_token(&token)),
                        Err(error) if error.is_removed() => {
                            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
                            end(&mut child, REMOVED).await;
                            return Waited::Removed;
                        }
                        Err(error) => self.no_token(&error).await,
                    },
                    Ok(Some(ToLauncher::Error { code, text })) => {
                        let hint = format!("Its log: {}", self.plan.log().display());
                        let message = format!("the sidecar of {} cannot go on: {text}", self.plan.service);
                        self.trouble(Failure::new(&code, message, hint), false).await;
                    }
                    Ok(None) | Err(_) => {
                        self.withdrawing = None;
                        return Waited::Ended(describe(end(&mut child, Duration::from_secs(1)).await));
                    }
                },
                order = self.orders.recv() => match order {
                    Some(Order::Publish(port, listener)) => {
                        // If the sidecar is gone, the next one gets it with its bootstrap.
                        let _ = channel.get_ref().send_publish(port, listener.as_fd());
                        self.descriptors.push((Role::Publish(port), listener));
                    }
                    Some(Order::Withdraw(answer)) => self.withdrawing = channel.get_ref().send_withdraw().is_ok().then_some(answer),
                    Some(Order::Leave(answer)) => self.leave(answer),
                    Some(Order::Stop) => {
                        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
                        tokio::select! {
                            _ = end(&mut child, DRAIN) => {}
                            () = killed(&mut self.orders) => {}
                        }
                        end(&mut child, Duration::ZERO).await;
                        return Waited::Stop;
                    }
                    Some(Order::Kill) | None => {
                        end(&mut child, Duration::ZERO).await;
                        return Waited::Stop;
                    }
                },
            }
        }
    }

    async fn rest(&mut self, pause: Duration) -> Waited {
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Waited::Over,
                order = self.orders.recv() => match order {
                    Some(Order::Publish(port, listener)) => self.descriptors.push((Role::Publish(port), listener)),
                    Some(Order::Withdraw(_)) => {}
                    Some(Order::Leave(answer)) => self.leave(answer),
                    Some(Order::Stop | Order::Kill) | None => return Waited::Stop,
                },
            }
        }
    }

    fn leave(&mut self, answer: oneshot::Sender<()>) {
        self.leaving = true;
        // Who asked may have hurried on.
        let _ = answer.send(());
    }

    async fn trouble(&self, failure: Failure, passing: bool) {
        self.tell(Event::Trouble(Trouble { failure, passing })).await;
    }

    async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }
}

async fn killed(orders: &mut mpsc::Receiver<Order>) {
    while !matches!(orders.recv().await, Some(Order::Kill) | None) {}
}

async fn receive(channel: &AsyncFd<Channel>) -> io::Result<Option<ToLauncher>> {
    channel.async_io(tokio::io::Interest::READABLE, Channel::receive_from_sidecar).await
}

/// Starts `weft-proxy`, which lies beside this program, in a session of its own and with nothing of the program's but the bootstrap.
fn start(plan: &Plan, bootstrap: &Bootstrap) -> io::Result<(Child, AsyncFd<Channel>)> {
    let (ours, theirs) = Channel::pair()?;
    ours.send_bootstrap(bootstrap)?;
    ours.set_nonblocking(true)?;
    let ours = sys::readiness(ours)?;
    let log = open_log(&plan.log())?;
    let program = fs::read_link("/proc/self/exe")?.with_file_name("weft-proxy");
    let mut command = Command::new(&program);
    command
        .env_clear()
        .current_dir(&plan.state)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let descriptor = Some((OwnedFd::from(theirs), DESCRIPTOR));
    sys::prepare_child(
        &mut command,
        ChildSetup {
            descriptor,
            nothing_else: true,
            session: true,
            ..ChildSetup::blocking(SigSet::empty())
        },
    );
    let child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    Ok((child, ours))
}

fn open_log(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(named)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    // What leads elsewhere was put there by somebody else.
    options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).map_err(named)
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("exit code {code}"),
        Some((_, Some(signal))) => format!("signal {signal}"),
        _ => "unknown how".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_registered_whole_when_it_is_short_and_by_its_beginning_when_it_is_long() {
        let words = |words: &[&str]| beginning(words.iter().map(|word| word.to_string()));
        assert_eq!(words(&["node", "users.js", ""]), ["node", "users.js", ""]);
        let long = words(&["sh", &"é".repeat(5_000), "y"]);
        assert_eq!((long.len(), long[1].chars().count()), (2, COMMAND_SHOWN - 3));
        assert!(long[1].ends_with('…'));
        assert_eq!(beginning((0..5_000).map(|_| String::new())).len(), COMMAND_SHOWN);
    }
}
