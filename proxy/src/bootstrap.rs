//! What the launcher tells a sidecar when it starts it, and the few words between them afterwards. `ARCHITECTURE.md`, section Bootstrap, has the format.

use crate::seqpacket::{MAX_DESCRIPTORS, Seqpacket};
use crate::sys;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::str::FromStr;

/// The descriptor number under which a sidecar finds its socket to the launcher.
pub const DESCRIPTOR: RawFd = 3;

const FIRST_LINE: &str = "weft-bootstrap 1";

/// How the program's calls reach the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirection {
    /// By nftables in the program's own network namespace.
    Namespace,
    /// By the program itself, told so in proxy variables.
    Proxy,
}

/// What a descriptor is for. The table in `ARCHITECTURE.md` says more of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// TCP listener that peers dial.
    Inbound,
    /// TCP listener for the sidecar's own metrics.
    Admin,
    /// TCP listener to which the program's IPv4 connections are redirected.
    Outbound4,
    /// TCP listener to which the program's IPv6 connections are redirected.
    Outbound6,
    /// UDP socket on 127.0.0.1 for the program's DNS questions.
    DnsUdp4,
    /// UDP socket on ::1 for the program's DNS questions.
    DnsUdp6,
    /// TCP listener on 127.0.0.1 for the program's DNS questions.
    DnsTcp4,
    /// TCP listener on ::1 for the program's DNS questions.
    DnsTcp6,
    /// Netlink sock_diag socket made in the program's network namespace.
    Diag,
    /// Seqpacket socket that answers `4 16` or `6 16` with that many sockets made in the program's network namespace.
    Sockets,
    /// TCP listener on the host's 127.0.0.1 under a port of the service.
    Publish(u16),
    /// TCP listener that speaks HTTP proxy.
    Proxy,
    /// TCP listener that stands for a port of another service.
    Upstream {
        /// The service's name.
        name: String,
        /// The service's port.
        port: u16,
    },
}

const PLAIN_ROLES: [(&str, Role); 11] = [
    ("inbound", Role::Inbound),
    ("admin", Role::Admin),
    ("outbound4", Role::Outbound4),
    ("outbound6", Role::Outbound6),
    ("dns_udp4", Role::DnsUdp4),
    ("dns_udp6", Role::DnsUdp6),
    ("dns_tcp4", Role::DnsTcp4),
    ("dns_tcp6", Role::DnsTcp6),
    ("diag", Role::Diag),
    ("sockets", Role::Sockets),
    ("proxy", Role::Proxy),
];

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Publish(port) => write!(f, "publish:{port}"),
            Role::Upstream { name, port } => write!(f, "upstream:{name}:{port}"),
            plain => f.write_str(PLAIN_ROLES.iter().find(|(_, role)| role == plain).map_or("", |(name, _)| name)),
        }
    }
}

impl FromStr for Role {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Role> {
        let unknown = || invalid(format!("unknown descriptor {text:?}"));
        if let Some((_, role)) = PLAIN_ROLES.iter().find(|(name, _)| *name == text) {
            return Ok(role.clone());
        }
        match text.split(':').collect::<Vec<_>>()[..] {
            ["publish", port] => Ok(Role::Publish(port.parse().map_err(|_| unknown())?)),
            ["upstream", name, port] if !name.is_empty() => Ok(Role::Upstream {
                name: name.to_owned(),
                port: port.parse().map_err(|_| unknown())?,
            }),
            _ => Err(unknown()),
        }
    }
}

/// Everything that a sidecar is told when it starts.
#[derive(Debug)]
pub struct Bootstrap {
    /// The workload's id, for example "w-3f2a".
    pub workload: String,
    /// The service that the workload is an instance of.
    pub service: String,
    /// The namespace of the service.
    pub namespace: String,
    /// The workload's own address.
    pub address: IpAddr,
    /// The controller's gRPC socket.
    pub control: PathBuf,
    /// One-time token for the first certificate. Never log it.
    pub token: Token,
    /// How the program's calls arrive.
    pub redirection: Redirection,
    /// What the launcher opened for the sidecar, each with its purpose.
    pub descriptors: Vec<(Role, OwnedFd)>,
}

/// A secret that does not show itself in messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Bootstrap {
    /// The text of the message. Fails when a value would break its lines.
    fn encode(&self) -> io::Result<String> {
        let control = self
            .control
            .to_str()
            .ok_or_else(|| invalid("the path of the control socket is not UTF-8"))?;
        let redirection = match self.redirection {
            Redirection::Namespace => "namespace",
            Redirection::Proxy => "proxy",
        };
        let roles: Vec<String> = self.descriptors.iter().map(|(role, _)| role.to_string()).collect();
        let fields = [
            ("workload", self.workload.as_str()),
            ("service", &self.service),
            ("namespace", &self.namespace),
            ("address", &self.address.to_string()),
            ("control", control),
            ("token", &self.token.0),
            ("redirection", redirection),
            ("fds", &roles.join(",")),
        ];
        let mut text = format!("{FIRST_LINE}\n");
        for (key, value) in fields {
            if value.is_empty() || value.contains('\n') {
                return Err(invalid(format!("{key} is empty or has a line break")));
            }
            text.push_str(&format!("{key}={value}\n"));
        }
        Ok(text)
    }

    fn decode(text: &str, descriptors: Vec<OwnedFd>) -> io::Result<Bootstrap> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(invalid(format!(
                "the first line is not {FIRST_LINE:?}: the launcher and the sidecar are of different versions"
            )));
        }
        let fields: HashMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
        let field = |key: &str| {
            fields
                .get(key)
                .copied()
                .filter(|value| !value.is_empty())
                .ok_or_else(|| invalid(format!("{key} is missing")))
        };
        let roles = field("fds")?.split(',').map(Role::from_str).collect::<io::Result<Vec<_>>>()?;
        if roles.len() != descriptors.len() || roles.len() > MAX_DESCRIPTORS {
            return Err(invalid(format!(
                "{} descriptors are named and {} came",
                roles.len(),
                descriptors.len()
            )));
        }
        Ok(Bootstrap {
            workload: field("workload")?.to_owned(),
            service: field("service")?.to_owned(),
            namespace: field("namespace")?.to_owned(),
            address: field("address")?.parse().map_err(|_| invalid("address is no IP address"))?,
            control: PathBuf::from(field("control")?),
            token: Token(field("token")?.to_owned()),
            redirection: match field("redirection")? {
                "namespace" => Redirection::Namespace,
                "proxy" => Redirection::Proxy,
                other => return Err(invalid(format!("unknown redirection {other:?}"))),
            },
            descriptors: roles.into_iter().zip(descriptors).collect(),
        })
    }

    /// Takes the descriptor of the only `role` there is, if it came.
    pub fn take(&mut self, role: &Role) -> Option<OwnedFd> {
        let index = self.descriptors.iter().position(|(found, _)| found == role)?;
        Some(self.descriptors.remove(index).1)
    }
}

/// What follows the bootstrap, from the launcher to the sidecar.
#[derive(Debug)]
pub enum ToSidecar {
    /// A port of the service that could be opened on the host only now, with its listener.
    Publish(u16, OwnedFd),
    /// A one-time token, which was wanted.
    Token(Token),
    /// The program is about to get a signal that ends it: calls are to go elsewhere, which is answered once none is under way.
    Withdraw,
}

/// What the sidecar answers.
#[derive(Debug, PartialEq, Eq)]
pub enum ToLauncher {
    /// It has a certificate and its streams are up: the program may start.
    Ready,
    /// The controller does not accept its proof, for the reason given: it needs a fresh token. Until then it goes on with what it knows.
    TokenWanted(String),
    /// The program is withdrawn, and no call to it is under way (or those that are will not end soon).
    Withdrawn,
    /// It cannot go on.
    Error {
        /// A stable code, for example "WEFT-P-REFUSED-BY-CONTROLLER".
        code: String,
        /// What happened and what to do, in one line.
        text: String,
    },
}

/// The socket between a launcher and a sidecar.
///
/// Its methods wait unless `set_nonblocking(true)` was called; then they fail with `WouldBlock`, so that it works inside tokio's
/// `AsyncFd`: `sys::readiness` makes one.
#[derive(Debug)]
pub struct Channel(Seqpacket);

impl Channel {
    /// Two connected ends: the launcher's and the sidecar's.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (launcher, sidecar) = Seqpacket::pair()?;
        Ok((Channel(launcher), Channel(sidecar)))
    }

    /// The sidecar's end, which it was started with as descriptor 3. Call it once.
    pub fn inherited() -> io::Result<Channel> {
        Ok(Channel(sys::inherited(DESCRIPTOR)?.into()))
    }

    /// See the type.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Launcher: sends the first packet.
    pub fn send_bootstrap(&self, bootstrap: &Bootstrap) -> io::Result<()> {
        let descriptors: Vec<BorrowedFd<'_>> = bootstrap.descriptors.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        self.0.send(bootstrap.encode()?.as_bytes(), &descriptors)
    }

    /// Sidecar: receives the first packet.
    pub fn receive_bootstrap(&self) -> io::Result<Bootstrap> {
        let (bytes, descriptors) = self
            .0
            .receive()?
            .ok_or_else(|| invalid("the launcher closed the socket before it sent the bootstrap"))?;
        Bootstrap::decode(utf8(&bytes)?, descriptors)
    }

    /// Launcher: hands over a listener that could be opened only now.
    pub fn send_publish(&self, port: u16, listener: BorrowedFd<'_>) -> io::Result<()> {
        self.0.send(format!("publish {port}").as_bytes(), &[listener])
    }

    /// Launcher: hands over a token that was wanted.
    pub fn send_token(&self, token: &Token) -> io::Result<()> {
        self.0.send(format!("token {}", token.0).as_bytes(), &[])
    }

    /// Launcher: asks for the program to be withdrawn.
    pub fn send_withdraw(&self) -> io::Result<()> {
        self.0.send(b"withdraw", &[])
    }

    /// Sidecar: the launcher's next word, or `None` when the launcher is gone.
    pub fn receive_from_launcher(&self) -> io::Result<Option<ToSidecar>> {
        let Some((bytes, mut descriptors)) = self.0.receive()? else {
            return Ok(None);
        };
        let text = utf8(&bytes)?;
        if text == "withdraw" && descriptors.is_empty() {
            return Ok(Some(ToSidecar::Withdraw));
        }
        match (text.split_once(' '), descriptors.pop()) {
            (Some(("publish", port)), Some(listener)) if descriptors.is_empty() => {
                let port = port.parse().map_err(|_| invalid(format!("no port: {port:?}")))?;
                Ok(Some(ToSidecar::Publish(port, listener)))
            }
            (Some(("token", token)), None) => Ok(Some(ToSidecar::Token(Token(token.to_owned())))),
            // It may hold a secret, so its text is not told.
            _ => Err(invalid("unknown packet")),
        }
    }

    /// Sidecar: tells the launcher how it goes.
    pub fn send_to_launcher(&self, message: &ToLauncher) -> io::Result<()> {
        let text = match message {
            ToLauncher::Ready => "ready".to_owned(),
            ToLauncher::Withdrawn => "withdrawn".to_owned(),
            ToLauncher::TokenWanted(reason) => format!("token-wanted {}", reason.replace('\n', " ")),
            ToLauncher::Error { code, text } => format!("error {code} {}", text.replace('\n', " ")),
        };
        self.0.send(text.as_bytes(), &[])
    }

    /// Launcher: the sidecar's next word, or `None` when the sidecar is gone.
    pub fn receive_from_sidecar(&self) -> io::Result<Option<ToLauncher>> {
        let Some((bytes, _)) = self.0.receive()? else { return Ok(None) };
        let text = utf8(&bytes)?;
        if text == "ready" {
            return Ok(Some(ToLauncher::Ready));
        }
        if text == "withdrawn" {
            return Ok(Some(ToLauncher::Withdrawn));
        }
        if let Some(reason) = text.strip_prefix("token-wanted ") {
            return Ok(Some(ToLauncher::TokenWanted(reason.to_owned())));
        }
        match text.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["error", code, text] => Ok(Some(ToLauncher::Error {
                code: code.to_owned(),
                text: text.to_owned(),
            })),
            _ => Err(invalid(format!("unknown packet {text:?}"))),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl sys::KeepsDescriptor for Channel {}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> OwnedFd {
        channel.0.into()
    }
}

fn utf8(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| invalid("the packet is not UTF-8"))
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    fn listener() -> (OwnedFd, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener.into(), address)
    }

    fn bootstrap(descriptors: Vec<(Role, OwnedFd)>) -> Bootstrap {
        Bootstrap {
            workload: "w-3f2a".into(),
            service: "users".into(),
            namespace: "default".into(),
            address: "198.19.0.5".parse().unwrap(),
            control: "/tmp/a = b/control.sock".into(),
            token: Token("secret=1".into()),
            redirection: Redirection::Namespace,
            descriptors,
        }
    }

    #[test]
    fn a_sidecar_gets_what_the_launcher_sent_with_each_descriptor_under_its_name() {
        let (launcher, sidecar) = Channel::pair().unwrap();
        let ((inbound, _), (published, address)) = (listener(), listener());
        launcher
            .send_bootstrap(&bootstrap(vec![(Role::Inbound, inbound), (Role::Publish(8080), published)]))
            .unwrap();
        let mut got = sidecar.receive_bootstrap().unwrap();
        assert_eq!(
            (got.workload.as_str(), got.service.as_str(), got.namespace.as_str()),
            ("w-3f2a", "users", "default")
        );
        assert_eq!(
            (got.address, got.redirection),
            ("198.19.0.5".parse().unwrap(), Redirection::Namespace)
        );
        assert_eq!(
            (got.control, got.token),
            (PathBuf::from("/tmp/a = b/control.sock"), Token("secret=1".into()))
        );
        let mut descriptors = got.descriptors.drain(..);
        assert_eq!(descriptors.next().unwrap().0, Role::Inbound);
        let (role, published) = descriptors.next().unwrap();
        assert_eq!(role, Role::Publish(8080));
        assert_eq!(TcpListener::from(published).local_addr().unwrap(), address);
    }

    #[test]
    fn a_listener_handed_over_later_works_after_the_launcher_closed_its_own() {
        let (launcher, sidecar) = Channel::pair().unwrap();
        let (published, address) = listener();
        launcher.send_publish(3000, published.as_fd()).unwrap();
        drop(published);
        let Some(ToSidecar::Publish(3000, published)) = sidecar.receive_from_launcher().unwrap() else {
            panic!("no listener for port 3000");
        };
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        TcpListener::from(published).accept().unwrap();
    }

    #[test]
    fn a_sidecar_whose_proof_is_not_accepted_asks_for_a_token_and_gets_it() {
        let (launcher, sidecar) = Channel::pair().unwrap();
        let wanted = ToLauncher::TokenWanted("the workload was forgotten".into());
        sidecar.send_to_launcher(&wanted).unwrap();
        assert_eq!(launcher.receive_from_sidecar().unwrap(), Some(wanted));
        launcher.send_token(&Token("secret=2".into())).unwrap();
        let Some(ToSidecar::Token(token)) = sidecar.receive_from_launcher().unwrap() else {
            panic!("no token");
        };
        assert_eq!(token, Token("secret=2".into()));
    }

    #[test]
    fn the_sidecar_answers_and_each_side_notices_the_other_gone() {
        let (launcher, sidecar) = Channel::pair().unwrap();
        sidecar.send_to_launcher(&ToLauncher::Ready).unwrap();
        let error = ToLauncher::Error {
            code: "WEFT-P-X".into(),
            text: "no certificate: the token is used up".into(),
        };
        sidecar.send_to_launcher(&error).unwrap();
        assert_eq!(launcher.receive_from_sidecar().unwrap(), Some(ToLauncher::Ready));
        assert_eq!(launcher.receive_from_sidecar().unwrap(), Some(error));
        drop(sidecar);
        assert_eq!(launcher.receive_from_sidecar().unwrap(), None);
        let (launcher, sidecar) = Channel::pair().unwrap();
        drop(launcher);
        assert!(sidecar.receive_from_launcher().unwrap().is_none());
    }

    #[test]
    fn a_message_without_a_value_or_with_other_descriptors_than_named_is_refused_by_name() {
        let text = bootstrap(vec![(Role::Inbound, listener().0)]).encode().unwrap();
        let refused = |text: &str, count: usize| {
            Bootstrap::decode(text, (0..count).map(|_| listener().0).collect())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&text.replace("service=users", "service="), 1).contains("service is missing"));
        assert!(refused(&text.replace("weft-bootstrap 1", "weft-bootstrap 2"), 1).contains("different versions"));
        assert!(refused(&text.replace("=inbound", "=inbound,loudly"), 2).contains("loudly"));
        assert!(refused(&text, 2).contains("1 descriptors are named and 2 came"));
    }

    #[test]
    fn a_value_with_a_line_break_never_becomes_a_line() {
        let mut message = bootstrap(vec![(Role::Inbound, listener().0)]);
        message.service = "users\ntoken=other".into();
        assert!(message.encode().unwrap_err().to_string().contains("service"));
    }

    #[test]
    fn the_token_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", bootstrap(Vec::new())).contains("secret"));
    }

    proptest! {
        #[test]
        fn every_role_reads_back_from_its_text(plain in 0..PLAIN_ROLES.len(), name in "[a-z][a-z0-9.-]{0,62}", port: u16) {
            for role in [PLAIN_ROLES[plain].1.clone(), Role::Publish(port), Role::Upstream { name, port }] {
                prop_assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
            }
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(weft-bootstrap 1\n)?([a-z]{0,9}=?[ -~]{0,20}\n){0,9}") {
            let _ = Bootstrap::decode(&text, Vec::new());
        }
    }
}
