//! What a suite is run on: a store with somebody on it, who may stop and begin again, and with others beside him.
//! It tests nothing.

use crate::native::Native;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::path::Path;
use tempfile::TempDir;
use wharf::credentials::{self, Credentials};
use wharf::engine::Services;
use wharf::layers::{self, Layers, Rights};
use wharf::network::{self, Network};
use wharf::store::Store;
use wharf_component::host::Host;
use wharf_component::nouns::digest::{Algorithm, Digest};
use wharf_sim::memory::Memory;

pub(super) use super::portable::Portable;

/// A store, and how to get at it.
pub(super) trait Subject: Sized {
    type Host: Host;

    /// An empty store, and a process on it.
    fn new() -> Self;
    /// The process.
    fn host(&self) -> &Self::Host;
    /// Another process on the same store.
    fn other(&self) -> Self::Host;
    /// Somebody whose handles the first process has to respect, and the other way round: another process where the
    /// host can tell, and another caller in the same one where it cannot.
    fn rival(&self) -> Self::Host;
    /// The machine was switched off and on.
    fn restart(self) -> Self;
    /// Runs a call to its end.
    fn run<F: Future>(&self, future: F) -> F::Output;
}

/// The digest of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that repeat after 251, so that a piece in the wrong place is noticed.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// The simulator's machine. Two of its processes are two handles: it counts them together.
pub(super) struct Simulated(Memory);

impl Subject for Simulated {
    type Host = Memory;

    fn new() -> Self {
        Self(Memory::default())
    }

    fn host(&self) -> &Memory {
        &self.0
    }

    fn other(&self) -> Memory {
        self.0.clone()
    }

    fn rival(&self) -> Memory {
        self.0.clone()
    }

    fn restart(self) -> Self {
        Self(self.0.restart())
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.0.run(future)
    }
}

/// The real services on real files. Another process is a store that was opened again: locks are those of open files.
pub(super) struct Real {
    directory: TempDir,
    boots: usize,
    runtime: tokio::runtime::Runtime,
    host: Native,
}

impl Real {
    /// Opens the store in a directory, so often after the machine was switched on.
    fn open(directory: &Path, boots: usize) -> Native {
        let network = Network::new(network::Settings::default()).expect("the defaults are right");
        Self::open_with(directory, boots, network, credentials::Settings::default(), &[])
    }

    fn store(directory: &Path, boots: usize) -> Store {
        let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).expect("the directory is there");
        let rights = if rustix::process::geteuid().is_root() { Rights::Root } else { Rights::User };
        let settings = layers::Settings { rights, boot: format!("boot {boots}"), proc: open(Path::new("/proc")) };
        Store::open(&open(directory), directory, settings).expect("a store")
    }

    /// The layers, as another process has them.
    pub(super) fn layers(&self) -> Layers {
        Self::store(self.directory.path(), self.boots).layers
    }

    fn open_with(
        directory: &Path,
        boots: usize,
        network: Network,
        logins: credentials::Settings,
        registries: &[String],
    ) -> Native {
        let Store { content, layers, metadata } = Self::store(directory, boots);
        let credentials = Credentials::new(logins, network.clone()).expect("the logins can be read");
        Native::new(&Services { content, layers, metadata, credentials, network }, registries)
    }

    /// The same process with these logins, for these registries.
    pub(super) fn with_logins(self, logins: credentials::Settings, registries: &[String]) -> Self {
        let network = Network::new(network::Settings::default()).expect("the defaults are right");
        let host = Self::open_with(self.directory.path(), self.boots, network, logins, registries);
        Self { host, ..self }
    }
}

impl Subject for Real {
    type Host = Native;

    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let host = Self::open(directory.path(), 0);
        Self { directory, boots: 0, runtime, host }
    }

    fn host(&self) -> &Native {
        &self.host
    }

    fn other(&self) -> Native {
        Self::open(self.directory.path(), self.boots)
    }

    fn rival(&self) -> Native {
        self.other()
    }

    fn restart(self) -> Self {
        let Self { directory, boots, runtime, host } = self;
        drop(host);
        let host = Self::open(directory.path(), boots + 1);
        Self { directory, boots: boots + 1, runtime, host }
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// Brings a blob.
pub(super) async fn put<H: Host>(host: &H, bytes: &[u8]) -> H::Blob {
    use wharf_component::host::Ingest as _;
    let digest = sha256(bytes);
    let ingest = host.ingest(digest.as_str()).await.expect("an ingest");
    ingest.append(host.stream(bytes.to_vec()), u64::MAX).await.expect("space");
    ingest.commit(&digest, bytes.len() as u64).await.expect("a blob")
}
