//! The sidecar's life: started with a fresh token and the same descriptors as often as it takes, stopped with the program.

use crate::bootstrap::{Bootstrap, Channel, DESCRIPTOR, Redirection, Role, ToLauncher};
use crate::launch::api::{Api, ApiError};
use crate::launch::arguments::Arguments;
use crate::launch::failure::Failure;
use crate::launch::process::end;
use crate::sys::{self, ChildSetup};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::Pid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A sidecar that lived this long gets a short pause again.
const LIVED_WELL: Duration = Duration::from_secs(10);
/// The sidecar itself takes at most 10 s to drain.
const DRAIN: Duration = Duration::from_secs(12);

/// What happens to the sidecar.
#[derive(Debug)]
pub enum Event {
    /// It can carry the program's calls.
    Ready,
    /// It, or what it needs, failed. A new attempt follows.
    Trouble(Trouble),
}

/// What failed.
#[derive(Debug)]
pub struct Trouble {
    /// For the person.
    pub failure: Failure,
    /// Whether waiting may help; a program that has not started yet does not wait otherwise.
    pub passing: bool,
}

enum Order {
    Publish(u16, OwnedFd),
    Stop,
    Kill,
}

/// A sidecar that is kept running.
pub struct Sidecar {
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Sidecar {
    /// Starts it, and starts it again when it ends.
    pub fn keep(arguments: &Arguments, api: Api, redirection: Redirection, descriptors: Vec<(Role, OwnedFd)>) -> Sidecar {
        let (orders, incoming) = mpsc::channel(16);
        let (outgoing, events) = mpsc::channel(16);
        let keeper = Keeper {
            plan: Plan::new(arguments, redirection),
            api,
            descriptors,
            orders: incoming,
            events: outgoing,
        };
        Sidecar {
            orders,
            events,
            task: tokio::spawn(keeper.run()),
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// What hands over listeners that are opened later.
    pub fn publisher(&self) -> Publisher {
        Publisher(self.orders.clone())
    }

    /// Ends it in order, within 12 s. `hurry` cuts that short.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) {
        // Nobody reads events any more; a full queue must not hold the keeper.
        self.events.close();
        if self.orders.send(Order::Stop).await.is_err() {
            return;
        }
        tokio::pin!(hurry);
        tokio::select! {
            _ = &mut self.task => return,
            () = &mut hurry => {}
        }
        let _ = self.orders.send(Order::Kill).await;
        let _ = self.task.await;
    }
}

/// Hands listeners to the sidecar, and to those that follow it.
#[derive(Clone)]
pub struct Publisher(mpsc::Sender<Order>);

impl Publisher {
    /// A port of the service that is open on the host now.
    pub async fn publish(&self, port: u16, listener: OwnedFd) {
        let _ = self.0.send(Order::Publish(port, listener)).await;
    }
}

/// What each start of the sidecar has in common.
struct Plan {
    workload: String,
    service: String,
    namespace: String,
    address: std::net::IpAddr,
    state: PathBuf,
    redirection: Redirection,
}

impl Plan {
    fn new(arguments: &Arguments, redirection: Redirection) -> Plan {
        Plan {
            workload: arguments.workload.clone(),
            service: arguments.service.clone(),
            namespace: arguments.namespace.clone(),
            address: arguments.address.into(),
            state: arguments.state.clone(),
            redirection,
        }
    }

    fn log(&self) -> PathBuf {
        self.state.join("logs").join(format!("{}.log", self.workload))
    }
}

struct Keeper {
    plan: Plan,
    api: Api,
    descriptors: Vec<(Role, OwnedFd)>,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
}

/// How waiting ended.
enum Waited {
    /// The sidecar is gone, or the time is up.
    Over,
    /// The program is gone.
    Stop,
}

impl Keeper {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            if let Waited::Stop = self.live().await {
                return;
            }
            if started.elapsed() >= LIVED_WELL {
                pause = FIRST_PAUSE;
            }
            if let Waited::Stop = self.rest(pause).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One sidecar, from its token to its end.
    async fn live(&mut self) -> Waited {
        let token = match self.api.token().await {
            Ok(token) => token,
            Err(error) => {
                let passing = !matches!(error, ApiError::Refused(400..500, _));
                let hint = "Look at the controller with `weft status`; start it with `weft up`.";
                let message = format!("no token for the sidecar of {}: {error}", self.plan.service);
                self.trouble(Failure::new("WEFT-L-NO-TOKEN", message, hint), passing).await;
                return Waited::Over;
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
                Waited::Over
            }
        }
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
                    Ok(Some(ToLauncher::Error { code, text })) => {
                        let hint = format!("Its log: {}", self.plan.log().display());
                        let message = format!("the sidecar of {} cannot go on: {text}", self.plan.service);
                        self.trouble(Failure::new(&code, message, hint), false).await;
                    }
                    Ok(None) | Err(_) => {
                        let how = describe(end(&mut child, Duration::from_secs(1)).await);
                        let hint = format!("It is started again. Its log: {}", self.plan.log().display());
                        let message = format!("the sidecar of {} ended ({how})", self.plan.service);
                        self.trouble(Failure::new("WEFT-L-SIDECAR-ENDED", message, hint), true).await;
                        return Waited::Over;
                    }
                },
                order = self.orders.recv() => match order {
                    Some(Order::Publish(port, listener)) => {
                        // If the sidecar is gone, the next one gets it with its bootstrap.
                        let _ = channel.get_ref().send_publish(port, listener.as_fd());
                        self.descriptors.push((Role::Publish(port), listener));
                    }
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
                    Some(Order::Stop | Order::Kill) | None => return Waited::Stop,
                },
            }
        }
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
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(named)
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("exit code {code}"),
        Some((_, Some(signal))) => format!("signal {signal}"),
        _ => "unknown how".to_owned(),
    }
}
