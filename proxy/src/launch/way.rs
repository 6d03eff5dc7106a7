//! The way that the program's calls reach its sidecar: in a network namespace of its own or, where that is not allowed, by proxy variables.

use crate::bootstrap::{Redirection, Role};
use crate::launch::arguments::{Arguments, Redirect};
use crate::launch::environment::{proxy_variables, upstream_variable};
use crate::launch::failure::Failure;
use crate::launch::inside::COMMAND;
use crate::launch::link::{FromInside, Link, ToInside};
use crate::launch::obstacle::Obstacle;
use crate::launch::process::end;
use crate::launch::publish::listener;
use crate::sys::{self, ChildSetup};
use nix::sys::signal::SigSet;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// Preparing the namespaces takes milliseconds; a machine that hangs at it is not waited for.
const PREPARATION: Duration = Duration::from_secs(5);
/// It ends what the program left within 4 s.
const ENDING: Duration = Duration::from_secs(5);

/// A process inside that is ready to start the program, and what was opened for the sidecar.
pub struct Way {
    /// Which way it is.
    pub redirection: Redirection,
    /// What stood in the way of a namespace, if one was tried.
    pub obstacle: Option<Obstacle>,
    /// The program's parent.
    pub inside: Inside,
    /// For the sidecar.
    pub descriptors: Vec<(Role, OwnedFd)>,
}

/// Prepares the way that `arguments` ask for. The program is started with the `blocked` signals blocked.
pub async fn prepare(arguments: &Arguments, blocked: SigSet) -> Result<Way, Failure> {
    let mut obstacle = None;
    if arguments.redirect != Redirect::Proxy {
        match in_namespace(arguments, blocked).await.map_err(|error| internal(&error))? {
            Ok((inside, descriptors)) => {
                return Ok(Way {
                    redirection: Redirection::Namespace,
                    obstacle,
                    inside,
                    descriptors,
                });
            }
            Err(found) if arguments.redirect == Redirect::Namespace => {
                let message = format!(
                    "{} cannot have its own network namespace, because {}",
                    arguments.service, found.cause
                );
                let hint = format!(
                    "{} Or leave out --redirect namespace: proxy variables need no rights.",
                    found.remedy
                );
                return Err(Failure::new("WEFT-L-NO-NAMESPACE", message, hint));
            }
            Err(found) => obstacle = Some(found),
        }
    }
    let (inside, descriptors) = on_host(arguments, blocked).await.map_err(|error| internal(&error))?;
    Ok(Way {
        redirection: Redirection::Proxy,
        obstacle,
        inside,
        descriptors,
    })
}

fn internal(error: &io::Error) -> Failure {
    let hint = "Try again; if it happens again, report it with this message.";
    Failure::new(
        "WEFT-L-INSIDE",
        format!("the process that prepares the program's surroundings failed: {error}"),
        hint,
    )
}

type Opened = (Inside, Vec<(Role, OwnedFd)>);

async fn in_namespace(arguments: &Arguments, blocked: SigSet) -> io::Result<Result<Opened, Obstacle>> {
    let names = arguments
        .upstreams
        .iter()
        .map(|one| (upstream_variable(one, &arguments.upstreams), format!("{}:{}", one.name, one.port)));
    let mut inside = Inside::spawn(arguments, &arguments.address.to_string(), names.collect(), blocked)?;
    let answer = timeout(PREPARATION, inside.receive())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    match answer? {
        Some((FromInside::Opened(roles), descriptors)) => Ok(Ok((inside, roles.into_iter().zip(descriptors).collect()))),
        Some((FromInside::Obstructed(obstacle), _)) => {
            inside.end().await;
            Ok(Err(obstacle))
        }
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn on_host(arguments: &Arguments, blocked: SigSet) -> io::Result<Opened> {
    let proxy = listener(0)?;
    let no_proxy = ["no_proxy", "NO_PROXY"].iter().find_map(|name| env::var(name).ok());
    let mut variables = proxy_variables(proxy.local_addr()?, no_proxy.as_deref());
    let mut descriptors = vec![(Role::Proxy, proxy.into())];
    for upstream in &arguments.upstreams {
        let listener = listener(0)?;
        variables.push((
            upstream_variable(upstream, &arguments.upstreams),
            listener.local_addr()?.to_string(),
        ));
        descriptors.push((
            Role::Upstream {
                name: upstream.name.clone(),
                port: upstream.port,
            },
            listener.into(),
        ));
    }
    let mut inside = Inside::spawn(arguments, "-", variables, blocked)?;
    match inside.receive().await? {
        Some((FromInside::Opened(_), _)) => Ok((inside, descriptors)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The process inside, seen from outside.
pub struct Inside {
    child: Child,
    /// `None` once it was told to end.
    link: Option<AsyncFd<Link>>,
}

impl Inside {
    fn spawn(arguments: &Arguments, address: &str, variables: Vec<(String, String)>, blocked: SigSet) -> io::Result<Inside> {
        let (ours, theirs) = Link::pair()?;
        ours.set_nonblocking(true)?;
        let theirs = OwnedFd::from(theirs);
        let number = theirs.as_raw_fd();
        let mut command = Command::new("/proc/self/exe");
        let own: [OsString; 4] = [
            COMMAND.into(),
            number.to_string().into(),
            address.into(),
            arguments.state.clone().into(),
        ];
        command
            .args(own)
            .arg(&arguments.program)
            .args(&arguments.program_arguments)
            .envs(variables);
        sys::prepare_child(
            &mut command,
            ChildSetup {
                descriptor: Some((theirs, number)),
                ..ChildSetup::blocking(blocked)
            },
        );
        Ok(Inside {
            child: command.spawn()?,
            link: Some(sys::readiness(ours)?),
        })
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Tells it something. If it is gone, `receive` says so.
    pub fn send(&self, message: &ToInside) {
        if let Some(link) = &self.link {
            let _ = link.get_ref().send_in(message);
        }
    }

    /// Its next message, or `None` when it is gone.
    pub async fn receive(&mut self) -> io::Result<Option<(FromInside, Vec<OwnedFd>)>> {
        let Some(link) = &self.link else { return Ok(None) };
        link.async_io(Interest::READABLE, Link::receive_out).await
    }

    /// Ends it, and the program with it if that still runs.
    pub async fn end(mut self) {
        self.link = None;
        end(&mut self.child, ENDING).await;
    }
}
