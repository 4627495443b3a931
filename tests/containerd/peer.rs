//! Debian's containerd, for one test, with a root of its own; and what a client does with mounts, whoever told them.

use super::ctr_at;
use crate::support::require;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes of options a mount takes, with the zero at their end.
pub(super) const OPTIONS_BYTES_MAX: usize = 4_095;

/// A containerd. It ends with its directory when it is dropped.
pub(super) struct Peer {
    directory: TempDir,
    process: Child,
}

impl Peer {
    #[track_caller]
    pub(super) fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with more configuration.
    #[track_caller]
    pub(super) fn start_with(more: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = directory.path().display();
        let configuration = format!(
            "version = 2\nroot = \"{place}/root\"\nstate = \"{place}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{place}/socket\"\n\
             [ttrpc]\naddress = \"{place}/ttrpc\"\n{more}"
        );
        fs::write(directory.path().join("config.toml"), configuration).expect("a file");
        let process = Command::new(require("containerd"))
            .args(["--config", "config.toml"])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log")).expect("a file"))
            .spawn()
            .expect("containerd starts");
        let peer = Self { directory, process };
        let begin = Instant::now();
        while !ctr_at(&peer.socket()).arg("version").output().expect("ctr starts").status.success() {
            assert!(begin.elapsed() < TIMEOUT, "containerd does not answer");
            sleep(Duration::from_millis(20));
        }
        peer
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Runs `ctr`, which has to succeed.
    #[track_caller]
    pub(super) fn ctr(&self, arguments: &[&str]) -> String {
        let output = ctr_at(&self.socket()).args(arguments).output().expect("ctr starts");
        assert!(output.status.success(), "ctr {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a client has mounted, until it is dropped.
pub(super) struct Mounted {
    directory: TempDir,
}

impl Mounted {
    /// Mounts by kind, source and options.
    #[track_caller]
    pub(super) fn new(kind: &str, source: &str, options: &[String]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("mount");
        let (mut options, kind) = (options.to_vec(), if kind == "bind" { "none" } else { kind });
        // A client of containerd names what is below from where it stands, if it would be too long otherwise.
        if options.join(",").len() > OPTIONS_BYTES_MAX
            && let Some(lower) = options.iter_mut().find(|option| option.starts_with("lowerdir="))
        {
            let paths: Vec<_> = lower["lowerdir=".len()..].split(':').map(Path::new).collect();
            let home = paths[0].parent().and_then(Path::parent).expect("two levels").to_owned();
            let near: Vec<_> = paths
                .iter()
                .map(|path| path.strip_prefix(&home).expect("all are there").display().to_string())
                .collect();
            *lower = format!("lowerdir={}", near.join(":"));
            command.current_dir(home);
        }
        command.args(["-t", kind, "-o", &options.join(","), source]).arg(directory.path());
        let output = command.output().expect("mount starts");
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        Self { directory }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A program that another test is starting has what this process has open, for a moment.
        let begin = Instant::now();
        let mut ended = false;
        while !ended && begin.elapsed() < TIMEOUT && !std::thread::panicking() {
            ended = Command::new("umount").arg(self.directory.path()).status().expect("umount starts").success();
            if !ended {
                sleep(Duration::from_millis(20));
            }
        }
        if std::thread::panicking() {
            // It is ended as far as that goes.
            let _ = Command::new("umount").arg(self.directory.path()).status();
        } else {
            assert!(ended, "it is mounted, and nobody works in it");
        }
    }
}
