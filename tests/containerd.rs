//! containerd's clients at `wharf serve --containerd`: whether its contract is containerd's, what `ctr` makes of it,
//! and whether content and snapshots are what they are in containerd. `transfer` is newer than Debian's `ctr`.

mod content_suite;
mod contract;
mod ctr;
mod ctr_snapshots;
mod diff;
mod exchanged;
mod images_suite;
mod ingests;
mod peer;
mod snapshot_suite;
mod suite;
mod told;
mod transfer;
mod wellness;

use crate::support::engine_api::Serving;
use crate::support::wharf::Wharf;
use crate::support::{require, wait};
use containerd_client::tonic::Request;
use containerd_client::tonic::transport::Channel;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `wharf serve --containerd` on an empty store.
pub(crate) struct Door {
    wharf: Wharf,
    socket: PathBuf,
    serving: Serving,
}

impl Door {
    /// Serves a store in this directory. Nothing is collected by itself: when that is, no test can say.
    #[track_caller]
    pub(crate) fn open(directory: &Path) -> Self {
        Self::open_with(directory, &["--no-gc"])
    }

    /// The same with these options.
    #[track_caller]
    pub(crate) fn open_with(directory: &Path, options: &[&str]) -> Self {
        Self::open_by(Wharf::new(directory), directory, options)
    }

    /// The same by this wharf, whose store is there.
    #[track_caller]
    fn open_by(wharf: Wharf, directory: &Path, options: &[&str]) -> Self {
        let socket = directory.join("containerd.sock");
        let place = socket.to_str().expect("a text");
        let serving = Serving::start(&wharf, directory, &[&["--containerd", place], options].concat());
        let begin = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begin.elapsed() < TIMEOUT, "`wharf serve --containerd` does not listen");
            sleep(Duration::from_millis(5));
        }
        Self { wharf, socket, serving }
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.wharf.store()
    }

    /// Runs wharf on the same store.
    #[track_caller]
    pub(crate) fn wharf(&self, arguments: &[&str]) -> String {
        self.wharf.run(arguments).success()
    }

    /// Where clients of containerd find it.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The door for clients of docker to the same store.
    fn docker(&self) -> &Serving {
        &self.serving
    }

    /// What clients in Rust speak through.
    #[track_caller]
    fn channel(&self) -> Channel {
        let socket = self.socket.clone();
        wait(async move { containerd_client::connect(socket).await }).expect("somebody listens")
    }

    fn ctr(&self, arguments: &[&str]) -> Output {
        ctr_at(&self.socket).args(arguments).output().expect("ctr starts")
    }

    /// Runs `ctr`, and returns whether it succeeded, and all that it prints.
    pub(crate) fn ctr_says(&self, arguments: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = self.ctr(arguments);
        (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }

    /// Runs `ctr`, which has to succeed, and returns what it prints.
    #[track_caller]
    pub(crate) fn ctr_tells(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.ctr(arguments);
        assert!(status.success(), "ctr {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("it prints text")
    }

    /// Runs `ctr`, which has to fail, and returns why it did.
    #[track_caller]
    pub(crate) fn ctr_fails(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.ctr(arguments);
        assert!(!status.success(), "ctr {arguments:?}: {}", String::from_utf8_lossy(&stdout));
        String::from_utf8(stderr).expect("it prints text")
    }

    /// Runs a line of shell that has the socket as `$0` and a file as `$1`.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str, file: &Path) {
        let output = Command::new("sh").arg("-c").arg(line).arg(&self.socket).arg(file).output().expect("a shell");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A message in the usual namespace.
fn asked<M>(message: M) -> Request<M> {
    asked_in("default", message)
}

/// A message in this namespace.
fn asked_in<M>(namespace: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.parse().expect("it is ASCII"));
    request
}

/// `ctr`, for whoever listens on a socket.
fn ctr_at(socket: &Path) -> Command {
    let mut command = Command::new(require("ctr"));
    command.arg("--address").arg(socket).env_remove("CONTAINERD_NAMESPACE").env_remove("CONTAINERD_SNAPSHOTTER");
    command
}
