//! The sidecar's life as the launcher leads it.

use crate::mesh::{Mesh, User, alive, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

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
fn the_program_does_not_start_when_its_sidecar_cannot_go_on() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("error");
    let output = mesh.run(&[], &["echo", "started"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
    assert!(text.contains("cannot go on: it was told to fail (WEFT-P-TEST)"), "{text}");
    assert_eq!(mesh.requests().last().unwrap(), "DELETE");
}

#[test]
fn the_program_waits_ten_seconds_for_a_silent_sidecar_and_no_longer() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("silent");
    let started = Instant::now();
    let output = mesh.run(&[], &["echo", "started"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WEFT-L-SIDECAR-SILENT"));
    assert!((10..14).contains(&started.elapsed().as_secs()));
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
