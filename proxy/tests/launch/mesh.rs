//! A folder with the launcher, a stand-in beside it for its sidecar, and a controller that gives out tokens.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// What an ordinary user is called by number; nobody's.
const ORDINARY: u32 = 65534;
/// The address of every workload here.
pub const ADDRESS: &str = "198.19.0.5";

/// Who runs the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Own,
    /// An ordinary user, when the tests run as root.
    Ordinary,
}

/// All users that the tests can run the launcher as.
pub fn users() -> Vec<User> {
    if nix::unistd::geteuid().is_root() {
        vec![User::Own, User::Ordinary]
    } else {
        vec![User::Own]
    }
}

/// The stand-in's program. `cargo test --test launch` alone would not build it.
fn stand_in() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--example", "stand_in"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        // What describes this test's package would make cargo build others anew.
        let described = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(described)) {
            build.env_remove(name);
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        Path::new(env!("CARGO_BIN_EXE_weft-launch"))
            .with_file_name("examples")
            .join("stand_in")
    })
}

/// Copies a program in another process: what another test starts meanwhile must not inherit a descriptor that writes it, or it cannot be executed.
fn copy(program: &Path, to: &Path) {
    assert!(Command::new("cp").arg(program).arg(to).status().unwrap().success());
}

/// See the module.
pub struct Mesh {
    pub folder: PathBuf,
    user: User,
    requests: Arc<Mutex<Vec<String>>>,
    forgotten: Arc<AtomicBool>,
    removed: Arc<AtomicBool>,
}

impl Mesh {
    /// A mesh with a controller.
    pub fn new(user: User) -> Mesh {
        let mesh = Mesh::without_controller(user);
        mesh.start_controller();
        mesh
    }

    /// A mesh whose controller is away.
    pub fn without_controller(user: User) -> Mesh {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("weft-launch-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("state")).unwrap();
        copy(Path::new(env!("CARGO_BIN_EXE_weft-launch")), &folder.join("weft-launch"));
        copy(stand_in(), &folder.join("weft-proxy"));
        for path in [folder.clone(), folder.join("weft-launch"), folder.join("weft-proxy")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        if user == User::Ordinary {
            chown(folder.join("state"), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        Mesh {
            folder,
            user,
            requests: Arc::default(),
            forgotten: Arc::default(),
            removed: Arc::default(),
        }
    }

    /// Whether the kernel lets the launcher have more than others may.
    pub fn is_privileged(&self) -> bool {
        self.user == User::Own && nix::unistd::geteuid().is_root()
    }

    /// From now on the controller answers.
    pub fn start_controller(&self) {
        let path = self.state("api.sock");
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        let requests = self.requests.clone();
        let forgotten = self.forgotten.clone();
        let removed = self.removed.clone();
        thread::spawn(move || {
            for (stream, number) in listener.incoming().flatten().zip(1..) {
                let mut reader = BufReader::new(&stream);
                let mut head = String::new();
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    head.push_str(&std::mem::take(&mut line));
                }
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())
                    .unwrap_or(0);
                let mut body = vec![0; length];
                let _ = reader.read_exact(&mut body);
                let first = head.split(" HTTP/").next().unwrap_or_default();
                requests
                    .lock()
                    .unwrap()
                    .push(format!("{first} {}", String::from_utf8_lossy(&body)).trim().to_owned());
                if first.starts_with("PUT") {
                    forgotten.store(false, Ordering::SeqCst);
                }
                let answer = if removed.load(Ordering::SeqCst) {
                    "410 Gone\r\n\r\nremoved by a person".to_owned()
                } else if forgotten.load(Ordering::SeqCst) {
                    "404 Not Found\r\n\r\nno such workload".to_owned()
                } else if first.ends_with("/token") {
                    format!("200 OK\r\n\r\ntoken-{number}")
                } else {
                    "204 No Content\r\n\r\n".to_owned()
                };
                let _ = (&stream).write_all(format!("HTTP/1.1 {answer}").as_bytes());
            }
        });
    }

    /// Makes the controller forget the workload, until it is registered anew.
    pub fn forget(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    /// Makes the controller say that a person removed the workload.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::SeqCst);
    }

    /// What the controller was asked, without the part that all requests have in common.
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|request| request.replace("/weft/v1/workloads/w-1", "").trim().to_owned())
            .collect()
    }

    /// A path in the state directory.
    pub fn state(&self, name: &str) -> PathBuf {
        self.folder.join("state").join(name)
    }

    /// Makes the stand-in behave in a special way.
    pub fn behave(&self, behaviour: &str) {
        fs::write(self.state("behaviour"), behaviour).unwrap();
    }

    /// The launcher for a program, with further arguments of its own before "--".
    pub fn command(&self, own: &[&str], program: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("weft-launch"));
        command.args([
            "--workload",
            "w-1",
            "--service",
            "users",
            "--namespace",
            "default",
            "--address",
            ADDRESS,
        ]);
        command
            .arg("--state")
            .arg(self.folder.join("state"))
            .args(own)
            .arg("--")
            .args(program);
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.user == User::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, own: &[&str], program: &[&str]) -> Output {
        self.command(own, program).output().unwrap()
    }

    /// Runs a program in its own namespace and returns what it printed.
    pub fn printed(&self, program: &[&str]) -> String {
        let output = self.run(&["--redirect", "namespace"], program);
        assert!(
            output.status.success(),
            "{:?}: {}",
            self.user,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts a program in its own namespace and waits until it has printed a line.
    pub fn start(&self, own: &[&str], program: &[&str]) -> Running {
        let mut child = self.command(own, program).stdin(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        if stdout.read_line(&mut line).unwrap() == 0 {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("the program printed nothing: {text}");
        }
        Running {
            child,
            line: line.trim().to_owned(),
            stdout,
        }
    }

    /// For each start of the sidecar: token, inbound port, process, roles.
    pub fn sidecars(&self) -> Vec<Sidecar> {
        let text = fs::read_to_string(self.state("starts")).unwrap_or_default();
        let read = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            Sidecar {
                token: words[0].into(),
                inbound: words[1].parse().unwrap(),
                pid: words[2].parse().unwrap(),
                roles: words[3].into(),
            }
        };
        text.lines().map(read).collect()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One start of the stand-in.
#[derive(Debug)]
pub struct Sidecar {
    pub token: String,
    pub inbound: u16,
    pub pid: i32,
    pub roles: String,
}

/// A launcher whose program runs.
pub struct Running {
    pub child: Child,
    /// The first line that the program printed.
    pub line: String,
    pub stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// The next line that the program prints.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What the launcher said until its end.
    pub fn said(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Sends the launcher, and nobody else, a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` holds, at most 10 s.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process exists and is more than a zombie.
pub fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// The processes that have `folder` in their command line.
pub fn processes_of(folder: &Path) -> Vec<i32> {
    let needle = folder.to_str().unwrap();
    let numbers = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mentions = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(needle));
    numbers.filter(mentions).filter(|&pid| alive(pid)).collect()
}
