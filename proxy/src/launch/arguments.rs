//! The launcher's command line. `weft run` writes it, so it is strict and short.

use crate::launch::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Listeners that one workload may ask for; they travel in one packet.
const MAX_PORTS: usize = 100;

/// Which way of redirection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// Its own network namespace, or proxy variables where that is not allowed.
    Auto,
    /// Its own network namespace, or failure.
    Namespace,
    /// Proxy variables.
    Proxy,
}

/// A port of another service that the program names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The service's name.
    pub name: String,
    /// The service's port.
    pub port: u16,
}

/// A port of the service, as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The port that callers use.
    pub service: u16,
    /// The port that the program listens on.
    pub target: u16,
    /// What is spoken there, in the controller's words; detected unless given.
    pub protocol: Option<String>,
}

/// What `weft run` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The workload's id.
    pub workload: String,
    /// The service that it is an instance of.
    pub service: String,
    /// The service's namespace.
    pub namespace: String,
    /// The workload's own address.
    pub address: Ipv4Addr,
    /// The virtual address of its service, if known. Not used here: a controller whose registry was lost reads it off the command line.
    pub virtual_address: Option<Ipv4Addr>,
    /// The state directory.
    pub state: PathBuf,
    /// The service's ports as declared; none serves whatever the program listens on.
    pub ports: Vec<Port>,
    /// A process, this one's parent, whose end is as good as SIGTERM.
    pub parent: Option<i32>,
    /// Limit of open files that the program gets: what the caller of `weft run` had.
    pub open_files: Option<u64>,
    /// The wanted way of redirection; `Auto` unless given.
    pub redirect: Redirect,
    /// Ports of the service to open on the host.
    pub publish: Vec<u16>,
    /// Other instances of the service, of which one may hold those ports; 0 unless given.
    pub siblings: u32,
    /// Ports of other services to tell the program of.
    pub upstreams: Vec<Upstream>,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub program_arguments: Vec<OsString>,
}

impl Arguments {
    /// Reads the arguments that follow the launcher's own name.
    pub fn parse(arguments: Vec<OsString>) -> Result<Arguments, Failure> {
        let mut rest = arguments.into_iter();
        let mut values = Values::default();
        loop {
            let Some(flag) = rest.next() else {
                return Err(wrong("no program is given after --"));
            };
            let flag = flag.to_str().unwrap_or_default().to_owned();
            if flag == "--" {
                break;
            }
            let value = rest.next().ok_or_else(|| wrong(format!("{flag} has no value")))?;
            values.set(&flag, value)?;
        }
        let program = rest.next().ok_or_else(|| wrong("no program is given after --"))?;
        values.finish(program, rest.collect())
    }
}

#[derive(Default)]
struct Values {
    workload: Option<String>,
    service: Option<String>,
    namespace: Option<String>,
    address: Option<Ipv4Addr>,
    virtual_address: Option<Ipv4Addr>,
    state: Option<PathBuf>,
    ports: Vec<Port>,
    parent: Option<i32>,
    open_files: Option<u64>,
    redirect: Option<Redirect>,
    publish: Vec<u16>,
    siblings: u32,
    upstreams: Vec<Upstream>,
}

impl Values {
    fn set(&mut self, flag: &str, value: OsString) -> Result<(), Failure> {
        let text = || {
            value
                .to_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| bad(flag, &value))
        };
        match flag {
            "--workload" => self.workload = Some(text()?),
            "--service" => self.service = Some(text()?),
            "--namespace" => self.namespace = Some(text()?),
            "--address" => self.address = Some(text()?.parse().map_err(|_| bad(flag, &value))?),
            "--virtual-address" => self.virtual_address = Some(text()?.parse().map_err(|_| bad(flag, &value))?),
            "--port" => self.ports.push(declared_port(&text()?).ok_or_else(|| bad(flag, &value))?),
            "--open-files" => self.open_files = Some(text()?.parse().map_err(|_| bad(flag, &value))?),
            "--parent" => self.parent = Some(text()?.parse().map_err(|_| bad(flag, &value))?),
            "--state" => self.state = Some(PathBuf::from(value)),
            "--redirect" => {
                self.redirect = Some(match text()?.as_str() {
                    "auto" => Redirect::Auto,
                    "namespace" => Redirect::Namespace,
                    "proxy" => Redirect::Proxy,
                    _ => return Err(bad(flag, &value)),
                });
            }
            "--publish" => self.publish.push(port(&text()?).ok_or_else(|| bad(flag, &value))?),
            "--siblings" => self.siblings = text()?.parse().map_err(|_| bad(flag, &value))?,
            "--upstream" => self.upstreams.push(upstream(&text()?).ok_or_else(|| bad(flag, &value))?),
            _ => return Err(wrong(format!("unknown argument {flag}"))),
        }
        Ok(())
    }

    fn finish(mut self, program: OsString, program_arguments: Vec<OsString>) -> Result<Arguments, Failure> {
        self.publish.sort_unstable();
        self.publish.dedup();
        if self.publish.len() > MAX_PORTS || self.upstreams.len() > MAX_PORTS || self.ports.len() > MAX_PORTS {
            return Err(wrong(format!("more than {MAX_PORTS} of --port, --publish or --upstream")));
        }
        Ok(Arguments {
            workload: self.workload.ok_or_else(|| missing("--workload"))?,
            service: self.service.ok_or_else(|| missing("--service"))?,
            namespace: self.namespace.ok_or_else(|| missing("--namespace"))?,
            address: self.address.ok_or_else(|| missing("--address"))?,
            virtual_address: self.virtual_address,
            state: self.state.ok_or_else(|| missing("--state"))?,
            ports: self.ports,
            parent: self.parent,
            open_files: self.open_files,
            redirect: self.redirect.unwrap_or(Redirect::Auto),
            publish: self.publish,
            siblings: self.siblings,
            upstreams: self.upstreams,
            program,
            program_arguments,
        })
    }
}

/// Reads "SERVICE:TARGET" or "SERVICE:TARGET/PROTOCOL".
fn declared_port(text: &str) -> Option<Port> {
    let (numbers, protocol) = match text.split_once('/') {
        Some((numbers, protocol)) if !protocol.is_empty() => (numbers, Some(protocol.to_owned())),
        Some(_) => return None,
        None => (text, None),
    };
    let (service, target) = numbers.split_once(':')?;
    Some(Port {
        service: port(service)?,
        target: port(target)?,
        protocol,
    })
}

fn upstream(text: &str) -> Option<Upstream> {
    let (name, number) = text.rsplit_once(':')?;
    let valid = !name.is_empty() && name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    valid.then_some(Upstream {
        name: name.to_owned(),
        port: port(number)?,
    })
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

fn missing(flag: &str) -> Failure {
    wrong(format!("{flag} is missing"))
}

fn bad(flag: &str, value: &OsStr) -> Failure {
    wrong(format!("{flag} cannot be {value:?}"))
}

fn wrong(what: impl std::fmt::Display) -> Failure {
    let message = format!("weft-launch was called wrongly: {what}");
    Failure::new(
        "WEFT-L-ARGUMENTS",
        message,
        "It is started by `weft run`: use that; if you did, weft and weft-launch are of different versions.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMUM: &str = "--workload w-1 --service users --namespace default --address 198.19.0.5 --state /s";

    fn parse(line: &str) -> Result<Arguments, Failure> {
        Arguments::parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn a_full_line_is_read() {
        let line = format!(
            "{MINIMUM} --port 80:8080 --port 53:5353/tcp --redirect namespace --publish 8080 --publish 80 --publish 80 --upstream db.default:5432 -- node users.js -- -x"
        );
        let read = parse(&line).unwrap();
        assert_eq!(
            (read.workload.as_str(), read.service.as_str(), read.namespace.as_str()),
            ("w-1", "users", "default")
        );
        assert_eq!((read.redirect, read.publish), (Redirect::Namespace, vec![80, 8080]));
        let port = |service, target, protocol: Option<&str>| Port {
            service,
            target,
            protocol: protocol.map(str::to_owned),
        };
        assert_eq!(read.ports, [port(80, 8080, None), port(53, 5353, Some("tcp"))]);
        assert_eq!(
            read.upstreams,
            [Upstream {
                name: "db.default".into(),
                port: 5432
            }]
        );
        assert_eq!((read.program, read.program_arguments.len()), ("node".into(), 3));
    }

    #[test]
    fn redirection_is_chosen_by_the_launcher_unless_told() {
        assert_eq!(parse(&format!("{MINIMUM} -- true")).unwrap().redirect, Redirect::Auto);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("--service users", "no program"),
            ("--", "no program"),
            ("--nosuch 1 -- true", "unknown argument --nosuch"),
            ("--service users -- true", "--workload is missing"),
            ("--publish 0 -- true", "--publish"),
            ("--publish 70000 -- true", "--publish"),
            ("--port 80 -- true", "--port"),
            ("--port 80:8080/ -- true", "--port"),
            ("--upstream users -- true", "--upstream"),
            ("--upstream us/ers:80 -- true", "--upstream"),
            ("--address ::1 -- true", "--address"),
            ("--redirect maybe -- true", "--redirect"),
        ];
        for (line, expected) in cases {
            let failure = parse(line).unwrap_err();
            assert!(failure.message.contains(expected), "{line}: {failure}");
            assert_eq!(failure.code, "WEFT-L-ARGUMENTS");
        }
    }
}
