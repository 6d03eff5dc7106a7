//! The server on real sockets, with resolvers that do what each test tells them.

use std::cell::RefCell;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{LocalSet, spawn_local};

use super::super::message::tests::{query, query_with_edns};
use super::*;

const AAAA: u16 = 28;
const PTR: u16 = 12;

/// A mesh with the services `users` and, slow for ever, `stuck`. Of `new` and `new.prod` its controller does not say what they are.
struct Mesh;

impl MeshNames for Mesh {
    async fn resolve(&self, name: &str) -> Lookup {
        match name {
            "users" | "users.default" | "users.weft" => Lookup::Address(Ipv4Addr::new(198, 18, 0, 7)),
            "stuck" => std::future::pending().await,
            "new" | "new.weft" => Lookup::Unanswered { ours: true },
            "new.prod" => Lookup::Unanswered { ours: false },
            _ => Lookup::NoService,
        }
    }
}

/// A server under test, and where it answers.
struct Under {
    address: SocketAddr,
    resolv_conf: PathBuf,
}

impl Drop for Under {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.resolv_conf);
    }
}

/// Starts a server whose resolvers are the given hosts at the port.
fn start(nameservers: &[&str], port: u16, change: impl FnOnce(&mut Server<Mesh>)) -> Under {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("weft-dns-{}-{}.conf", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let resolv_conf = std::env::temp_dir().join(name);
    std::fs::write(
        &resolv_conf,
        nameservers
            .iter()
            .map(|server| format!("nameserver {server}\n"))
            .collect::<String>(),
    )
    .unwrap();
    let (udp, tcp) = pair("127.0.0.1");
    let address = udp.local_addr().unwrap();
    let mut server = Server::new(Mesh, Resolvers::new(resolv_conf.clone(), port));
    change(Rc::get_mut(&mut server).unwrap());
    spawn_local(server.clone().serve_udp(udp.into()));
    spawn_local(server.serve_tcp(tcp.into()));
    Under { address, resolv_conf }
}

/// A UDP socket and a TCP listener on the same port.
fn pair(host: &str) -> (std::net::UdpSocket, std::net::TcpListener) {
    loop {
        let udp = std::net::UdpSocket::bind((host, 0)).unwrap();
        if let Ok(tcp) = std::net::TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async { timeout(Duration::from_secs(20), test).await.expect("the test ends in time") };
    LocalSet::new().block_on(&runtime, test);
}

type Seen = Rc<RefCell<Vec<Vec<u8>>>>;

/// A resolver over UDP that answers each query with all messages that `answers` makes of it. Returns its port and what it saw.
fn resolver(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + 'static) -> (u16, Seen) {
    let (socket, _) = pair("127.0.0.1");
    let port = socket.local_addr().unwrap().port();
    (port, resolver_on(socket, answers))
}

fn resolver_on(socket: std::net::UdpSocket, answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + 'static) -> Seen {
    let seen = Seen::default();
    let log = seen.clone();
    socket.set_nonblocking(true).unwrap();
    let socket = UdpSocket::from_std(socket).unwrap();
    spawn_local(async move {
        let mut buffer = vec![0; 4096];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            log.borrow_mut().push(buffer[..size].to_vec());
            for answer in answers(&buffer[..size]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    seen
}

/// An answer that nobody else gives: the question with the address 10.1.2.3.
fn good(query: &[u8]) -> Vec<u8> {
    message::parse(query).unwrap().answer_address(Ipv4Addr::new(10, 1, 2, 3))
}

async fn ask(under: &Under, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(under.address).await.unwrap();
    socket.send(query).await.unwrap();
    let mut answer = vec![0; 65_535];
    let size = socket.recv(&mut answer).await.unwrap();
    answer.truncate(size);
    answer
}

fn code(answer: &[u8]) -> u8 {
    answer[3] & 0x0f
}

fn answers(answer: &[u8]) -> u8 {
    answer[7]
}

#[test]
fn mesh_names_are_answered_here_in_any_form_and_case() {
    run(async {
        let under = start(&[], 53, |_| {});
        for name in ["users", "USERS.default", "users.weft"] {
            let answer = ask(&under, &query(9, name, TYPE_A)).await;
            assert!(
                answer.starts_with(&[0, 9]) && answer.ends_with(&[198, 18, 0, 7]),
                "{name}: {answer:?}"
            );
        }
        let answer = ask(&under, &query(9, "users", AAAA)).await;
        assert_eq!((code(&answer), answers(&answer)), (Code::NoError as u8, 0), "other types are empty");
    });
}

#[test]
fn a_tcp_connection_carries_several_queries_even_in_pieces() {
    run(async {
        let under = start(&[], 53, |_| {});
        let mut stream = TcpStream::connect(under.address).await.unwrap();
        write_message(&mut stream, &query(1, "users", TYPE_A)).await.unwrap();
        assert!(read_message(&mut stream).await.unwrap().ends_with(&[198, 18, 0, 7]));
        let second = query(2, "users", AAAA);
        stream.set_nodelay(true).unwrap();
        for byte in [&(second.len() as u16).to_be_bytes()[..], &second].concat() {
            stream.write_all(&[byte]).await.unwrap();
        }
        assert!(read_message(&mut stream).await.unwrap().starts_with(&[0, 2]));
    });
}

#[test]
fn other_names_are_passed_on_unchanged_and_so_are_the_answers() {
    run(async {
        let (port, seen) = resolver(|query| vec![[&good(query), &b"and more"[..]].concat()]);
        let under = start(&["127.0.0.1"], port, |_| {});
        let query = query_with_edns(0xbeef, "WWW.example.com", TYPE_A, 1232);
        let answer = ask(&under, &query).await;
        assert_eq!(answer, [&good(&query), &b"and more"[..]].concat());
        assert_eq!(*seen.borrow(), [query]);
    });
}

#[test]
fn a_two_label_name_that_is_no_service_is_passed_on() {
    run(async {
        let (port, seen) = resolver(|query| vec![good(query)]);
        let under = start(&["127.0.0.1"], port, |_| {});
        assert!(ask(&under, &query(1, "example.com", TYPE_A)).await.ends_with(&[10, 1, 2, 3]));
        assert_eq!(seen.borrow().len(), 1);
    });
}

#[test]
fn names_that_only_the_mesh_can_know_are_never_passed_on() {
    run(async {
        let (port, seen) = resolver(|query| vec![good(query)]);
        let under = start(&["127.0.0.1"], port, |_| {});
        for (name, kind) in [
            ("nobody.weft", TYPE_A),
            ("a.b.c.weft", AAAA),
            ("7.0.18.198.in-addr.arpa", PTR),
            ("1.0.19.198.in-addr.arpa", PTR),
        ] {
            assert_eq!(code(&ask(&under, &query(1, name, kind)).await), Code::NxDomain as u8, "{name}");
        }
        assert!(seen.borrow().is_empty());
    });
}

#[test]
fn while_the_controller_does_not_answer_what_can_be_its_only_is_neither_denied_nor_passed_on() {
    run(async {
        let (port, seen) = resolver(|query| vec![good(query)]);
        let under = start(&["127.0.0.1"], port, |_| {});
        for (name, kind) in [("new", TYPE_A), ("NEW", AAAA), ("new.weft", TYPE_A), ("_grpc_config.new", 16)] {
            assert_eq!(code(&ask(&under, &query(1, name, kind)).await), Code::ServFail as u8, "{name}");
        }
        assert!(seen.borrow().is_empty());
    });
}

#[test]
fn while_the_controller_does_not_answer_a_name_that_may_be_anybodys_is_passed_on_but_not_denied() {
    run(async {
        let (port, _) = resolver(|query| vec![good(query)]);
        let under = start(&["127.0.0.1"], port, |_| {});
        assert!(ask(&under, &query(1, "new.prod", TYPE_A)).await.ends_with(&[10, 1, 2, 3]));
        let (port, seen) = resolver(|query| vec![message::parse(query).unwrap().answer(Code::NxDomain)]);
        let under = start(&["127.0.0.1"], port, |_| {});
        for name in ["new.prod", "_http._tcp.new.prod"] {
            assert_eq!(code(&ask(&under, &query(1, name, TYPE_A)).await), Code::ServFail as u8, "{name}");
        }
        assert_eq!(seen.borrow().len(), 2);
        let answer = ask(&under, &query(1, "www.example.com", TYPE_A)).await;
        assert_eq!(
            code(&answer),
            Code::NxDomain as u8,
            "what no service can be called is denied as ever"
        );
    });
}

#[test]
fn forged_answers_are_not_believed() {
    run(async {
        let (port, _) = resolver(|asked| {
            let mut other_id = good(asked);
            other_id[0] ^= 1;
            let other_name = good(&query(5, "www.example.org", TYPE_A));
            vec![other_id, other_name, asked.to_vec(), b"short".to_vec(), good(asked)]
        });
        let under = start(&["127.0.0.1"], port, |_| {});
        let query = query(5, "www.example.com", TYPE_A);
        assert_eq!(ask(&under, &query).await, good(&query));
    });
}

#[test]
fn the_next_resolver_is_asked_when_one_is_silent_refuses_or_fails() {
    run(async {
        let (port, failing) = resolver(|query| vec![message::parse(query).unwrap().answer(Code::ServFail)]);
        let silent = resolver_on(std::net::UdpSocket::bind(("127.0.0.2", port)).unwrap(), |_| vec![]);
        let knowing = resolver_on(std::net::UdpSocket::bind(("127.0.0.3", port)).unwrap(), |query| vec![good(query)]);
        let query = query(5, "www.example.com", TYPE_A);
        let under = start(&["127.0.0.1", "127.0.0.2", "127.0.0.3"], port, |_| {});
        assert_eq!(ask(&under, &query).await, good(&query));
        assert_eq!((failing.borrow().len(), silent.borrow().len(), knowing.borrow().len()), (1, 1, 1));
        let nobody_listens = start(&["127.0.0.4", "127.0.0.3"], port, |_| {});
        assert_eq!(ask(&nobody_listens, &query).await, good(&query));
        let only_failures = start(&["127.0.0.1", "127.0.0.4"], port, |_| {});
        assert_eq!(code(&ask(&only_failures, &query).await), Code::ServFail as u8);
    });
}

#[test]
fn without_a_resolver_the_answer_is_servfail() {
    run(async {
        let under = start(&[], 53, |_| {});
        assert_eq!(code(&ask(&under, &query(5, "www.example.com", TYPE_A)).await), Code::ServFail as u8);
    });
}

#[test]
fn an_answer_larger_than_the_program_takes_sends_it_to_tcp() {
    run(async {
        let (port, _) = resolver(|query| vec![[&good(query), &[0; 600][..]].concat()]);
        let under = start(&["127.0.0.1"], port, |_| {});
        let query = query(5, "www.example.com", TYPE_A);
        assert_eq!(ask(&under, &query).await, message::parse(&query).unwrap().answer_truncated());
    });
}

#[test]
fn queries_over_tcp_are_passed_on_over_tcp() {
    run(async {
        let (_udp, listener) = pair("127.0.0.1");
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let large = |query: &[u8]| [&good(query), &[0; 20_000][..]].concat();
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let query = read_message(&mut stream).await.unwrap();
            write_message(&mut stream, &large(&query)).await.unwrap();
        });
        let under = start(&["127.0.0.1"], port, |_| {});
        let mut stream = TcpStream::connect(under.address).await.unwrap();
        let query = query(5, "www.example.com", TYPE_A);
        write_message(&mut stream, &query).await.unwrap();
        assert_eq!(read_message(&mut stream).await.unwrap(), large(&query));
    });
}

#[test]
fn beyond_1024_outstanding_queries_the_answer_is_servfail_at_once() {
    run(async {
        let under = start(&[], 53, |_| {});
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(under.address).await.unwrap();
        for id in 0..=1_024 {
            socket.send(&query(id, "stuck", TYPE_A)).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = [0; 512];
        let size = socket.recv(&mut answer).await.unwrap();
        assert_eq!((&answer[..2], code(&answer[..size])), (&[4, 0][..], Code::ServFail as u8));
    });
}

#[test]
fn beyond_64_connections_the_next_waits_for_one_to_end() {
    run(async {
        let under = start(&[], 53, |_| {});
        let mut connections = Vec::new();
        for _ in 0..64 {
            let mut stream = TcpStream::connect(under.address).await.unwrap();
            write_message(&mut stream, &query(1, "users", TYPE_A)).await.unwrap();
            read_message(&mut stream).await.unwrap();
            connections.push(stream);
        }
        let mut next = TcpStream::connect(under.address).await.unwrap();
        write_message(&mut next, &query(2, "users", TYPE_A)).await.unwrap();
        assert!(timeout(Duration::from_millis(50), next.readable()).await.is_err());
        connections.pop();
        assert!(read_message(&mut next).await.unwrap().starts_with(&[0, 2]));
    });
}

#[test]
fn an_idle_or_senseless_connection_is_closed() {
    run(async {
        let under = start(&[], 53, |server| server.idle_limit = Duration::from_millis(30));
        for sent in [&b""[..], b"\0", b"\xff\xffhalf", b"\0\x05hello", b"\0\0"] {
            let mut stream = TcpStream::connect(under.address).await.unwrap();
            // On a busy machine it is closed by now.
            let _ = stream.write_all(sent).await;
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0, "after {sent:?}");
        }
    });
}

#[test]
fn hostile_packets_do_not_stop_the_server() {
    run(async {
        let under = start(&[], 53, |_| {});
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut rng = crate::balance::Rng::from_seed(4);
        for _ in 0..500 {
            let bytes: Vec<u8> = (0..rng.below(80)).map(|_| rng.next_u64() as u8).collect();
            socket.send_to(&bytes, under.address).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(ask(&under, &query(1, "users", TYPE_A)).await.ends_with(&[198, 18, 0, 7]));
    });
}

#[test]
fn the_server_answers_over_ipv6() {
    run(async {
        let Ok(socket) = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return eprintln!("skipped: this machine has no IPv6 loopback");
        };
        let address = socket.local_addr().unwrap();
        let server = Server::new(Mesh, Resolvers::new("/nonexistent".into(), 53));
        spawn_local(server.serve_udp(socket.into()));
        let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        client.send_to(&query(1, "users", TYPE_A), address).await.unwrap();
        let mut answer = [0; 512];
        let size = client.recv(&mut answer).await.unwrap();
        assert!(answer[..size].ends_with(&[198, 18, 0, 7]));
    });
}

#[test]
fn dig_understands_the_answers() {
    if Command::new("dig").arg("-v").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "dig is missing: apt-get install bind9-dnsutils");
        return eprintln!("skipped: dig is missing: apt-get install bind9-dnsutils");
    }
    run(async {
        let (port, _) = resolver(|query| vec![good(query)]);
        let under = start(&["127.0.0.1"], port, |_| {});
        let at = under.address.port().to_string();
        let dig = async |arguments: &'static [&'static str]| {
            let mut command = Command::new("dig");
            command.args(["@127.0.0.1", "-p", &at, "+tries=1"]).args(arguments);
            let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(dig(&["+short", "users"]).await, "198.18.0.7\n");
        assert_eq!(dig(&["+short", "+tcp", "Users.Default"]).await, "198.18.0.7\n");
        assert_eq!(dig(&["+short", "www.example.com"]).await, "10.1.2.3\n");
        let empty = dig(&["users", "AAAA"]).await;
        assert!(
            empty.contains("status: NOERROR") && empty.contains("ANSWER: 0") && empty.contains("EDNS: version: 0"),
            "{empty}"
        );
        let answer = dig(&["+noall", "+answer", "+comments", "users"]).await;
        assert!(
            answer.contains("5\tIN\tA") && !answer.to_lowercase().contains("warning"),
            "{answer}"
        );
        assert!(dig(&["-x", "198.18.0.7"]).await.contains("status: NXDOMAIN"));
    });
}
