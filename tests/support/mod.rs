//! What the tests stand on: real registries to talk to, a proxy that breaks connections, the binary
//! itself.
//!
//! Everything here blocks, so that a test reads as a story and needs no runtime of its own. A fixture
//! that cannot do its work panics and says what is missing; none is skipped in silence.

pub(crate) mod desk;
pub(crate) mod docker_registry;
pub(crate) mod dockerd;
pub(crate) mod engine_api;
pub(crate) mod fault_registry;
pub(crate) mod ordered;
pub(crate) mod portable;
pub(crate) mod proxy;
pub(crate) mod push;
pub(crate) mod skopeo;
pub(crate) mod token_server;
pub(crate) mod tree;
pub(crate) mod wharf;

use ::wharf::credentials::{self, Credentials};
use ::wharf::engine::Services;
use ::wharf::layers::{self, Rights};
use ::wharf::network::{self, Network};
use ::wharf::store::Store;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, mpsc};
use tokio::runtime::Runtime;

/// Where the servers of all tests run. It outlives every test of the process.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the machine gives threads"));

/// The login that the test registries know.
pub(crate) const USER: &str = "harbour";
/// The password of [`USER`].
pub(crate) const PASSWORD: &str = "lighthouse";

/// Runs `future` on [`RUNTIME`] and waits for it. Works in a plain test and inside another runtime alike.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    RUNTIME.spawn(async move {
        // The receiver is gone only if the waiting thread panicked, and then nobody wants the answer.
        let _ = sender.send(future.await);
    });
    receiver.recv().expect("the future does not panic")
}

/// Finds a program of the machine.
///
/// # Panics
///
/// If it is not installed, with what to install.
pub(crate) fn require(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("this test needs `{program}`: run `tests/run` as root, or `apt-get install {program}`")
    })
}

/// An empty store and the services on it, without logins.
pub(crate) fn services() -> (tempfile::TempDir, Services) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Store { content, layers, metadata } = store(directory.path());
    let network = Network::new(network::Settings::default()).expect("nothing is wrong with the defaults");
    let credentials = Credentials::new(credentials::Settings::default(), network.clone())
        .expect("nothing is wrong with the defaults");
    (directory, Services { content, layers, metadata, credentials, network })
}

/// Opens the store in a directory, with the rights of whoever runs the tests.
pub(crate) fn store(directory: &Path) -> Store {
    let root = Dir::open_ambient_dir(directory, ambient_authority()).expect("the test has made the directory");
    let rights = if rustix::process::geteuid().is_root() { Rights::Root } else { Rights::User };
    let proc = Dir::open_ambient_dir("/proc", ambient_authority()).expect("it is mounted");
    let settings = layers::Settings { rights, boot: "this".to_owned(), proc };
    Store::open(&root, directory, settings).expect("a directory that is empty or has a store opens")
}

/// Encodes a login for `Authorization: Basic`. RFC 7617.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[test]
#[should_panic(
    expected = "this test needs `no-such-program`: run `tests/run` as root, or `apt-get install no-such-program`"
)]
fn a_missing_program_is_named() {
    require("no-such-program");
}
