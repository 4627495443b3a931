//! Docker's own daemon, on a socket and with images of its own.

use super::require;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long it may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// Docker's daemon, in a directory of its own, with no network.
pub(crate) struct Dockerd {
    child: Child,
    root: PathBuf,
}

impl Dockerd {
    /// None if this is not root, for whom it does not start.
    pub(crate) fn start(root: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: docker's daemon needs root");
            return None;
        }
        let log = File::create(root.join("dockerd.log")).expect("a file");
        let mut command = Command::new(require("dockerd"));
        let socket = format!("unix://{}", root.join("docker.sock").display());
        command.args(["--host", &socket, "--iptables=false", "--ip6tables=false", "--bridge=none"]);
        command.args(["--storage-driver", "vfs", "--pidfile"]).arg(root.join("docker.pid"));
        command.arg("--data-root").arg(root.join("data")).arg("--exec-root").arg(root.join("exec"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().expect("dockerd starts");
        let daemon = Self { child, root: root.to_owned() };
        let begin = Instant::now();
        while !daemon.command(&["version"]).output().is_ok_and(|output| output.status.success()) {
            let log = fs::read_to_string(root.join("dockerd.log")).unwrap_or_default();
            assert!(begin.elapsed() < START_MAX, "dockerd does not answer: {log}");
            sleep(Duration::from_millis(100));
        }
        Some(daemon)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("docker.sock")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(require("docker"));
        let socket = format!("unix://{}", self.socket().display());
        command.args(["--host", &socket]).args(arguments).env("HOME", &self.root).current_dir(&self.root);
        command
    }

    #[track_caller]
    pub(crate) fn tell(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("docker starts");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "docker {arguments:?}: {text}");
        text
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // It ends what it has started, and unmounts what it has mounted.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
