//! Exit codes, signals and standard input, and that nothing is left.

use crate::mesh::{Mesh, User, alive, eventually, processes_of, users};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Prints a line for each TERM and INT that it gets, and ends at the end of its input.
const COUNTS_SIGNALS: &str = "trap 'echo term' TERM; trap 'echo int' INT; echo up; while true; do sleep 0.01; done";

#[test]
fn the_exit_code_is_the_programs() {
    for user in users() {
        let mesh = Mesh::new(user);
        assert_eq!(mesh.run(&[], &["sh", "-c", "exit 7"]).status.code(), Some(7));
    }
}

#[test]
fn death_by_a_signal_is_the_programs_too() {
    let mesh = Mesh::new(User::Own);
    assert_eq!(mesh.run(&[], &["sh", "-c", "kill -TERM $$"]).status.signal(), Some(15));
    assert_eq!(mesh.run(&[], &["sh", "-c", "kill -KILL $$"]).status.signal(), Some(9));
    assert_eq!(mesh.run(&[], &["sh", "-c", "kill -PIPE $$"]).status.signal(), Some(13));
}

#[test]
fn a_program_that_is_not_there_exits_127_and_one_that_may_not_run_126() {
    let mesh = Mesh::new(User::Own);
    let output = mesh.run(&[], &["surely-no-such-program"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WEFT-L-PROGRAM-NOT-FOUND"));
    let output = mesh.run(&[], &["/etc/passwd"]);
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WEFT-L-PROGRAM-NOT-EXECUTABLE"));
    assert_eq!(mesh.requests().last().unwrap(), "DELETE ?ended=true");
}

#[test]
fn standard_input_passes_through() {
    let mesh = Mesh::new(User::Own);
    let mut child = mesh.command(&[], &["cat"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"some\0bytes").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"some\0bytes");
}

#[test]
fn a_signal_to_the_launcher_reaches_the_program_once() {
    for user in users() {
        let mesh = Mesh::new(user);
        let mut program = mesh.start(&[], &["sh", "-c", COUNTS_SIGNALS]);
        program.signal(Signal::SIGTERM);
        assert_eq!(program.next_line(), "term");
        program.signal(Signal::SIGINT);
        assert_eq!(program.next_line(), "int");
        program.signal(Signal::SIGTERM);
        assert_eq!(program.next_line(), "term");
    }
}

#[test]
fn a_signal_to_the_whole_process_group_reaches_the_program_once() {
    let mesh = Mesh::new(User::Own);
    let script = "trap 'echo int' INT; trap 'echo end; exit 0' USR1; echo up; while true; do sleep 0.01; done";
    let mut command = mesh.command(&[], &["sh", "-c", script]);
    let mut child = command.process_group(0).stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "up");
    for _ in 0..5 {
        kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGINT).unwrap();
        assert_eq!(next(), "int");
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGUSR1).unwrap();
    assert_eq!(next(), "end");
    assert!(child.wait().unwrap().success());
}

#[test]
fn signals_to_the_whole_process_group_that_the_kernel_made_one_of_reach_the_program_as_often_as_they_were_sent() {
    let mesh = Mesh::new(User::Own);
    let script = "trap 'echo int' INT; trap 'echo end; exit 0' USR1; echo $PPID; while true; do sleep 0.01; done";
    let mut child = mesh.command(&[], &["sh", "-c", script]).process_group(0).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = || lines.next().unwrap().unwrap();
    let inside = Pid::from_raw(next().parse().unwrap());
    for _ in 0..5 {
        // While it is stopped, the second is merged with the first for the process inside, and for no other.
        kill(inside, Signal::SIGSTOP).unwrap();
        for _ in 0..2 {
            kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGINT).unwrap();
            assert_eq!(next(), "int");
        }
        kill(inside, Signal::SIGCONT).unwrap();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGUSR1).unwrap();
    assert_eq!(next(), "end");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_signal_to_the_whole_process_group_that_was_held_back_for_long_reaches_the_program_once() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("deaf");
    let script = "trap 'echo int' INT; trap 'echo term' TERM; echo up; while true; do sleep 0.01; done";
    let mut child = mesh.command(&[], &["sh", "-c", script]).process_group(0).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "up");
    let sent = Instant::now();
    kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGINT).unwrap();
    assert_eq!(next(), "int");
    eventually("it was held for longer than two processes take to get it", || {
        sent.elapsed() > Duration::from_millis(1_200)
    });
    // The second that asks to end sends the first on its way, in order.
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(next(), "term");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn after_the_end_no_process_and_no_file_but_the_log_is_left_and_the_registry_is_told() {
    for user in users() {
        let mesh = Mesh::new(user);
        // Two that the program leaves running, one of them in a session of its own; both have the folder in their command line.
        let left = format!(
            "sh -c 'sleep 60; : {0}' & (setsid sh -c 'sleep 60; : {0}' &); exit 3",
            mesh.folder.display()
        );
        let output = mesh.run(&[], &["sh", "-c", &left]);
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).contains("the program left"));
        assert_eq!(mesh.requests().last().unwrap(), "DELETE ?ended=true");
        assert!(!alive(mesh.sidecars()[0].pid));
        // No process, so no namespace either: nothing else holds one.
        assert_eq!(processes_of(&mesh.folder), []);
        let mut files: Vec<_> = fs::read_dir(mesh.folder.join("state"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        files.sort();
        // `starts` is the stand-in's own.
        assert_eq!(files, ["api.sock", "logs", "starts"]);
    }
}

#[test]
fn killing_the_launcher_takes_program_and_sidecar_with_it() {
    for user in users() {
        let mesh = Mesh::new(user);
        let program = mesh.start(&[], &["sh", "-c", "sleep 61 & echo $$ $!; cat; sleep 61"]);
        let pids: Vec<i32> = program.line.split(' ').map(|word| word.parse().unwrap()).collect();
        assert!(pids.iter().all(|&pid| alive(pid)));
        program.signal(Signal::SIGKILL);
        let sidecar = mesh.sidecars()[0].pid;
        eventually("all are gone", || !alive(sidecar) && pids.iter().all(|&pid| !alive(pid)));
        eventually("the launcher's processes are gone", || processes_of(&mesh.folder).is_empty());
    }
}

#[test]
fn killing_the_programs_parent_ends_everything_too() {
    for user in users() {
        let mesh = Mesh::new(user);
        let mut program = mesh.start(&[], &["sh", "-c", "echo $$; exec cat"]);
        let pid = program.line.parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let parent: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
        kill(Pid::from_raw(parent), Signal::SIGKILL).unwrap();
        eventually("the program is gone", || !alive(pid));
        assert_eq!(program.child.wait().unwrap().code(), Some(125));
        assert!(program.said().contains("WEFT-L-INSIDE"));
    }
}

#[test]
fn what_a_killed_parent_left_is_ended_too() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(&[], &["sh", "-c", "sleep 62 & setsid sleep 62 & echo $$; exec cat"]);
    let pid: i32 = program.line.parse().unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children: Vec<i32> = children.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(children.len(), 2);
    kill(Pid::from_raw(parent), Signal::SIGKILL).unwrap();
    assert_eq!(program.child.wait().unwrap().code(), Some(125));
    assert!(children.iter().all(|&child| !alive(child)));
}

#[test]
fn what_ran_before_the_launcher_took_the_processes_place_goes_on() {
    let mesh = Mesh::new(User::Own);
    // As `weft run` does with the controller: it starts it, and becomes the launcher.
    let own = mesh.command(&[], &["true"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "sleep 63 >/dev/null 2>&1 & echo $!; exec \"$@\"", "sh"])
        .arg(own.get_program());
    let output = shell.args(own.get_args()).current_dir(&mesh.folder).output().unwrap();
    assert!(output.status.success());
    let before = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(alive(before));
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
}

#[test]
fn a_launcher_ends_with_its_parent_when_it_is_told_to() {
    let mesh = Mesh::new(User::Own);
    let line = format!(
        "\"$@\" --parent $$ -- sh -c 'trap \"exit 0\" TERM; echo $PPID; while true; do sleep 0.01; done; : {}' & echo $!; wait",
        mesh.folder.display()
    );
    let own = mesh.command(&["--redirect", "proxy"], &[]);
    let arguments: Vec<_> = own
        .get_args()
        .filter(|&argument| argument != "--")
        .map(|argument| argument.to_owned())
        .collect();
    let mut parent = Command::new("sh");
    parent.args(["-c", &line, "sh"]).arg(own.get_program()).args(arguments);
    let mut parent = parent.current_dir(&mesh.folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
    let launcher: i32 = lines.next().unwrap().unwrap().parse().unwrap();
    lines.next().unwrap().unwrap();
    assert!(alive(launcher));
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the launcher has ended in order", || {
        !alive(launcher) && mesh.requests().last().is_some_and(|last| last == "DELETE ?ended=true")
    });
    assert_eq!(processes_of(&mesh.folder), []);

    let output = mesh.run(&["--parent", "1"], &["echo", "started"]);
    assert_eq!(output.status.signal(), Some(15), "a parent that is gone already counts, too");
}

#[test]
fn a_signal_while_the_program_is_being_started_is_not_lost() {
    let mesh = Mesh::new(User::Own);
    for _ in 0..20 {
        let mut program = mesh.start(
            &[],
            &[
                "sh",
                "-c",
                "trap 'echo term; exit 0' TERM; echo up; while true; do sleep 0.01; done",
            ],
        );
        program.signal(Signal::SIGTERM);
        assert_eq!(program.next_line(), "term");
        assert!(program.child.wait().unwrap().success());
    }
}

#[test]
fn interrupted_before_the_program_starts_the_launcher_ends_by_that_signal() {
    let mesh = Mesh::new(User::Own);
    mesh.behave("silent");
    let mut child = mesh.command(&[], &["echo", "started"]).spawn().unwrap();
    eventually("the sidecar runs", || !mesh.sidecars().is_empty());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert_eq!(mesh.requests().last().unwrap(), "DELETE ?ended=true");
    assert_eq!(processes_of(&mesh.folder), []);
}

#[test]
fn a_program_in_a_process_group_of_its_own_gets_what_the_launchers_group_got() {
    let mesh = Mesh::new(User::Own);
    let script = "trap 'echo int' INT; echo up; while true; do sleep 0.01; done";
    let mut command = mesh.command(&[], &["setsid", "sh", "-c", script]);
    let mut child = command.process_group(0).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "up");
    kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGINT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "int");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_launcher_stops_and_goes_on_with_its_program() {
    let mesh = Mesh::new(User::Own);
    let program = mesh.start(&[], &["sh", "-c", "echo $$; cat"]);
    let (launcher, pid) = (program.child.id() as i32, program.line.parse().unwrap());
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    eventually("the launcher has stopped", || state(launcher) == 'T');
    program.signal(Signal::SIGCONT);
    eventually("both go on", || state(launcher) != 'T' && state(pid) != 'T');
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    eventually("the launcher has stopped again", || state(launcher) == 'T');
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    eventually("the launcher follows its program", || state(launcher) != 'T');
}

#[test]
fn a_program_that_is_stopped_and_goes_on_again_and_again_does_not_leave_its_launcher_stopped() {
    let mesh = Mesh::new(User::Own);
    let program = mesh.start(&[], &["sh", "-c", "echo $$; cat"]);
    let (launcher, pid) = (program.child.id() as i32, program.line.parse().unwrap());
    for _ in 0..50 {
        for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
            kill(Pid::from_raw(pid), signal).unwrap();
            std::thread::yield_now();
        }
    }
    for _ in 0..3 {
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        eventually("the program has stopped, and its launcher", || {
            state(pid) == 'T' && state(launcher) == 'T'
        });
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        eventually("both go on", || state(launcher) != 'T' && state(pid) != 'T');
    }
}

#[test]
fn a_program_that_is_killed_while_it_is_stopped_ends_its_launcher() {
    let mesh = Mesh::new(User::Own);
    let mut program = mesh.start(&[], &["sh", "-c", "echo $$; cat"]);
    let (launcher, pid) = (program.child.id() as i32, program.line.parse().unwrap());
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    eventually("the launcher has stopped", || state(launcher) == 'T');
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("the launcher has ended", || program.child.try_wait().unwrap().is_some());
    assert_eq!(program.child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
}

/// The letter that `/proc` has for what a process does.
fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}
