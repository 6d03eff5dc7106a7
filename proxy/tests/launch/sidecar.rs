//! The sidecar's life as the launcher leads it.

use crate::mesh::{Mesh, User, alive, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn a_sidecar_that_dies_is_started_again_with_a_fresh_token_and_the_same_listeners() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    let first = mesh.sidecars().remove(0);
    kill(Pid::from_raw(first.pid), Signal::SIGKILL).unwrap();
    eventually("a second sidecar", || mesh.sidecars().len() == 2);
    let second = mesh.sidecars().remove(1);
    assert_eq!((second.inbound, &second.roles), (first.inbound, &first.roles));
    assert_ne!(second.token, first.token);
    assert!(alive(program.child.id() as i32));
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    let said = program.said();
    assert!(
        said.contains("the sidecar of users ended (signal 9)") && said.contains("WEFT-L-SIDECAR-ENDED"),
        "{said}"
    );
}

#[test]
fn a_sidecar_that_served_for_a_while_is_started_again_after_a_short_pause_however_often_it_died() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    for started in 1..=4 {
        eventually("the next sidecar", || mesh.sidecars().len() == started);
        let seen = Instant::now();
        eventually("it served for a while", || seen.elapsed() > Duration::from_millis(1_100));
        kill(Pid::from_raw(mesh.sidecars().remove(started - 1).pid), Signal::SIGKILL).unwrap();
    }
    eventually("the last sidecar", || mesh.sidecars().len() == 5);
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    let said = program.said();
    assert!(said.contains("4 times in a row"), "{said}");
    assert_eq!(said.matches("It is started again in 0.1 s").count(), 3, "{said}");
}

#[test]
fn a_sidecar_that_dies_while_the_controller_is_away_is_started_once_it_is_back() {
    let mesh = Mesh::new(User::Own);
    let program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    std::fs::remove_file(mesh.state("api.sock")).unwrap();
    let first = mesh.sidecars().remove(0);
    kill(Pid::from_raw(first.pid), Signal::SIGKILL).unwrap();
    eventually("the first sidecar is gone", || !alive(first.pid));
    mesh.start_controller();
    eventually("a second sidecar", || mesh.sidecars().len() == 2);
    drop(program);
}

#[test]
fn a_workload_that_the_controller_forgot_is_registered_anew_with_all_that_it_was() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("stale");
    let own = ["--port", "80:8080", "--port", "53:5353/tcp", "--publish", "80"];
    let mut program = mesh.start(&own, &["sh", "-c", "echo up; cat", "it's"]);
    let launched = || {
        mesh.requests()
            .iter()
            .filter(|request| request.starts_with("POST /launched"))
            .count()
    };
    eventually("the first report", || launched() == 1);
    mesh.forget();
    std::fs::write(mesh.state("stale"), "").unwrap();
    eventually("a fresh token", || std::fs::exists(mesh.state("fresh")).unwrap());
    eventually("the second report", || launched() == 2);
    let requests = mesh.requests();
    let put = requests.iter().find(|request| request.starts_with("PUT")).unwrap();
    let expected = format!(
        r#"PUT  {{"service":"users","namespace":"default","address":"198.19.0.5","ports":[{{"servicePort":80,"targetPort":8080}},{{"servicePort":53,"targetPort":5353,"protocol":"tcp"}}],"publish":[80],"command":["sh","-c","echo up; cat","it's"],"pid":{}}}"#,
        program.child.id()
    );
    assert_eq!(put, &expected);
    assert_eq!(mesh.sidecars().len(), 1, "the sidecar goes on");
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    let said = program.said();
    assert!(
        said.contains("the controller had forgotten users, so it was registered anew, as w-1"),
        "{said}"
    );
}

#[test]
fn the_sidecar_of_a_workload_that_a_person_removed_ends_and_nothing_registers_it_anew() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("stale");
    let mut program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    let sidecar = mesh.sidecars().remove(0);
    mesh.remove();
    std::fs::write(mesh.state("stale"), "").unwrap();
    eventually("the sidecar is gone", || !alive(sidecar.pid));
    let refused = || std::net::TcpStream::connect(("127.0.0.1", sidecar.inbound)).is_err();
    eventually("nobody holds its listeners", refused);
    assert!(alive(program.child.id() as i32), "the program goes on");
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success(), "and ends as it always does");
    let said = program.said();
    assert!(
        said.contains("users was removed from the mesh") && said.contains("WEFT-L-REMOVED"),
        "{said}"
    );
    assert!(!mesh.requests().iter().any(|request| request.starts_with("PUT")));
    assert_eq!(mesh.sidecars().len(), 1, "none was started again");
}

#[test]
fn a_removed_workload_whose_sidecar_died_gets_no_other() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    let sidecar = mesh.sidecars().remove(0);
    mesh.remove();
    kill(Pid::from_raw(sidecar.pid), Signal::SIGKILL).unwrap();
    let refused = || std::net::TcpStream::connect(("127.0.0.1", sidecar.inbound)).is_err();
    eventually("nobody holds its listeners", refused);
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    assert!(program.said().contains("WEFT-L-REMOVED"));
    assert_eq!(mesh.sidecars().len(), 1);
}

#[test]
fn a_sidecar_that_dies_after_its_workload_was_forgotten_is_started_again_too() {
    let mesh = Mesh::new(User::Own);
    let _program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    mesh.forget();
    let first = mesh.sidecars().remove(0);
    kill(Pid::from_raw(first.pid), Signal::SIGKILL).unwrap();
    eventually("a second sidecar", || mesh.sidecars().len() == 2);
    let told = |request: &String| request.contains(r#""restarts":1,"lastEnd":{"reason":"signal 9","#);
    eventually("the restart is reported", || mesh.requests().iter().any(told));
}

#[test]
fn a_workload_that_ends_is_not_registered_anew() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(&[], &["sh", "-c", "echo up; cat"]);
    mesh.forget();
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    assert_eq!(mesh.requests().last().unwrap(), "DELETE ?ended=true");
    assert!(!mesh.requests().iter().any(|request| request.starts_with("PUT")));
}

#[test]
fn the_program_does_not_start_when_its_sidecar_cannot_go_on() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("error");
    let output = mesh.run(&[], &["echo", "started"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
    assert!(text.contains("cannot go on: it was told to fail (WEFT-P-TEST)"), "{text}");
    assert_eq!(mesh.requests().last().unwrap(), "DELETE ?ended=true");
}

#[test]
fn the_program_waits_ten_seconds_for_a_silent_sidecar_and_no_longer() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("silent");
    let started = Instant::now();
    let output = mesh.run(&[], &["echo", "started"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WEFT-L-SIDECAR-SILENT"));
    // No longer, since it ended, and the sidecar would have been silent for ever.
    assert!(started.elapsed().as_secs() >= 10);
}

#[test]
fn a_missing_sidecar_is_named_at_once() {
    let mesh = Mesh::new(User::Own);
    std::fs::remove_file(mesh.folder.join("weft-proxy")).unwrap();
    let output = mesh.run(&[], &["true"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(text.contains("WEFT-L-NO-SIDECAR") && text.contains("weft-proxy"), "{text}");
}

#[test]
fn its_messages_go_to_a_log_that_only_its_user_reads() {
    let mesh = Mesh::new(User::Own);
    mesh.run(&[], &["true"]);
    let log = std::fs::metadata(mesh.state("logs/w-1.log")).unwrap();
    assert_eq!(log.permissions().mode() & 0o777, 0o600);
}
