//! A program redirected by proxy variables.

use crate::mesh::{Mesh, User};
use std::io::{Read, Write};
use std::net::TcpStream;

fn said(mesh: &Mesh, own: &[&str], program: &[&str]) -> (String, String) {
    let output = mesh.run(own, program);
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn proxy_variables_point_at_a_listener_of_the_sidecar() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(
        &["--redirect", "proxy"],
        &[
            "sh",
            "-c",
            "echo $http_proxy $HTTP_PROXY $grpc_proxy $NODE_USE_ENV_PROXY; echo $no_proxy; cat",
        ],
    );
    let words: Vec<&str> = program.line.split(' ').collect();
    let [lower, upper, grpc, "1"] = words[..] else {
        panic!("{}", program.line)
    };
    assert!(lower == upper && lower == grpc);
    let mut stream = TcpStream::connect(lower.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET http://users/ HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.contains("proxied GET http://users/"), "{answer}");
    assert!(program.next_line().ends_with("localhost,127.0.0.1,::1"));
}

#[test]
fn each_upstream_has_a_port_and_a_variable_that_names_it() {
    let mesh = Mesh::new(User::Own);
    let own = ["--redirect", "proxy", "--upstream", "user-db:5432"];
    let program = mesh.start(&own, &["sh", "-c", "echo $WEFT_UPSTREAM_USER_DB; cat"]);
    let mut answer = String::new();
    TcpStream::connect(&program.line).unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "upstream=user-db:5432\n");
}

#[test]
fn it_is_said_which_way_was_taken_and_why() {
    let mesh = Mesh::new(User::Own);
    let (_, text) = said(&mesh, &["--redirect", "proxy"], &["true"]);
    assert!(
        text.contains("users runs as 198.19.0.5, redirected by proxy variables, because --redirect proxy says so"),
        "{text}"
    );
    assert!(mesh.requests().iter().all(|request| !request.contains("namespace")));
}

#[test]
fn a_port_is_left_to_the_program_which_opens_it_on_the_host_itself() {
    let mesh = Mesh::new(User::Own);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stand_in = mesh.folder.join("weft-proxy").display().to_string();
    let own = ["--redirect", "proxy", "--publish", &port.to_string()];
    let program = mesh.start(&own, &[&stand_in, "serve", &format!("127.0.0.1:{port}")]);
    assert_eq!(program.line, "serving");
}

#[test]
fn where_user_namespaces_are_not_to_be_had_auto_falls_back_and_namespace_fails_with_the_remedy() {
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: taking capabilities away from root needs root");
    }
    let mesh = Mesh::new(User::Own);
    // Root without CAP_SYS_ADMIN, as in most containers.
    let without = |own: &[&str], program: &[&str]| {
        let inner = mesh.command(own, program);
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
            .arg(inner.get_program())
            .args(inner.get_args());
        let output = command.current_dir(&mesh.folder).process_group(0).output();
        output.map(|output| (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let Ok((code, text)) = without(&["--redirect", "auto"], &["true"]) else {
        return eprintln!("skipped: setpriv (util-linux) is missing");
    };
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("redirected by proxy variables, because this machine did not let it create a network namespace"),
        "{text}"
    );
    let (code, text) = without(&["--redirect", "namespace"], &["true"]).unwrap();
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("WEFT-L-NO-NAMESPACE") && text.contains("SYS_ADMIN"), "{text}");
    assert_eq!(mesh.requests().last().unwrap(), "DELETE ?ended=true");
}
