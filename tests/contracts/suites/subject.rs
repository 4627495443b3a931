//! What a suite is run on: a store with somebody on it, who may stop and begin again, and with others beside him.
//! It tests nothing.

use crate::native::Native;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::future::LocalBoxFuture;
use std::cell::Cell;
use std::path::Path;
use tempfile::TempDir;
use wharf::credentials::{self, Credentials};
use wharf::engine::Services;
use wharf::layers::{self, Layers, Rights};
use wharf::network::{self, Network};
use wharf::store::Store;
use wharf_component::host::{
    self, Challenge, Departure, Extraction, Grant, Host, HttpError, Layer, Made, NoTop, Origin, Request, Response,
    Result, Snapshot, TreeClaim, Unfinished, Visit,
};
use wharf_component::nouns::digest::{Algorithm, Digest};
use wharf_component::nouns::problem::ErrorCode;
use wharf_component::portable::{self, Ambient, Chunks};
use wharf_sim::memory::Memory;

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

/// The store of the portable component, natively. It has neither layers nor logins nor a network.
pub(super) struct Portable {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
    host: Layout,
}

/// See [`Portable`].
#[derive(Clone, Debug)]
pub(super) struct Layout(portable::Store);

impl Portable {
    async fn open(directory: &Path) -> Layout {
        let state = Cell::new(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8));
        // The constants are those of Knuth's MMIX generator.
        let random = move || {
            state.set(state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
            state.get()
        };
        let sleep =
            |ms| Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms))) as LocalBoxFuture<'static, ()>;
        let ambient = Ambient { sleep: Box::new(sleep), random: Box::new(random) };
        Layout(portable::Store::open(directory, ambient).await.expect("a layout"))
    }
}

impl Subject for Portable {
    type Host = Layout;

    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let host = runtime.block_on(Self::open(directory.path()));
        Self { directory, runtime, host }
    }

    fn host(&self) -> &Layout {
        &self.host
    }

    fn other(&self) -> Layout {
        self.runtime.block_on(Self::open(self.directory.path()))
    }

    fn rival(&self) -> Layout {
        self.host.clone()
    }

    fn restart(self) -> Self {
        let host = self.other();
        Self { host, ..self }
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// Bytes that come in pieces.
#[derive(Debug)]
pub(super) struct Pieces(Vec<u8>);

impl Chunks for Pieces {
    async fn next(&mut self, most: usize) -> Option<Vec<u8>> {
        let length = self.0.len().min(most).min(1_000);
        (length > 0).then(|| self.0.drain(..length).collect())
    }
}

/// What this host has not.
#[derive(Debug)]
pub(super) enum Never {}

impl Layer for Never {
    fn usage(&self) -> (u64, u64) {
        match *self {}
    }

    fn warnings(&self) -> Vec<String> {
        match *self {}
    }

    async fn verify(&self) -> Made<()> {
        match *self {}
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        match *self {}
    }

    async fn rebuild(&self) -> Made<()> {
        match *self {}
    }
}

impl Snapshot for Never {
    fn parent(&self) -> Option<String> {
        match *self {}
    }

    fn layer(&self) -> Option<Digest> {
        match *self {}
    }

    fn usage(&self) -> (u64, u64) {
        match *self {}
    }

    async fn verify(&self) -> Made<()> {
        match *self {}
    }
}

impl TreeClaim for Never {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        match *self {}
    }

    async fn remove(self, _: &[String], _: &[Digest]) -> Result<()> {
        match self {}
    }
}

impl Extraction for Never {
    type Blob = portable::Blob;
    type Layer = Self;

    async fn finish(self, _: &portable::Blob, _: &Digest) -> Made<Self> {
        match self {}
    }
}

impl Grant for Never {
    fn id(&self) -> String {
        match *self {}
    }

    fn anonymous(&self) -> bool {
        match *self {}
    }
}

impl Host for Layout {
    type Stream = Pieces;
    type Claim = portable::Claim;
    type TreeClaim = Never;
    type Ingest = portable::Ingest<Pieces>;
    type Blob = portable::Blob;
    type Layer = Never;
    type Extraction = Never;
    type Snapshot = Never;
    type Top = NoTop<Self::Stream, Self::Blob, Self::Snapshot>;
    type Transaction = portable::Transaction;
    type Grant = Never;

    async fn open(&self, digest: &Digest) -> Result<portable::Blob> {
        self.0.blob(digest).await
    }

    async fn sync(&self) -> Result<()> {
        self.0.sync().await
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.0.remove(digest).await
    }

    async fn claim(&self, digests: &[Digest]) -> Result<portable::Claim> {
        self.0.claim(digests).await
    }

    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        self.0.ingests(after, limit).await
    }

    async fn discard(&self, key: &str) -> Result<()> {
        self.0.discard(key).await
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        self.0.entries(after, limit).await
    }

    async fn ingest(&self, name: &str) -> Result<portable::Ingest<Pieces>> {
        self.0.ingest(name).await
    }

    fn stream(&self, bytes: Vec<u8>) -> Pieces {
        Pieces(bytes)
    }

    async fn collect(&self, stream: Pieces, limit: u64) -> Result<Vec<u8>> {
        if stream.0.len() as u64 > limit { Err(ErrorCode::TooLarge(limit)) } else { Ok(stream.0) }
    }

    async fn layer(&self, _: &Digest) -> Result<Never> {
        Err(ErrorCode::Unsupported)
    }

    async fn unpack(&self, _: &portable::Blob, _: &Digest) -> Made<Never> {
        Err(ErrorCode::Unsupported.into())
    }

    fn follow(&self, _: &portable::Ingest<Pieces>) -> Never {
        unreachable!("no suite follows an ingest here")
    }

    async fn stack(&self, _: &Digest, _: Option<&Never>, _: &Never) -> Made<Never> {
        Err(ErrorCode::Unsupported.into())
    }

    async fn snapshot(&self, _: &Digest) -> Result<Never> {
        Err(ErrorCode::Unsupported)
    }

    async fn sync_layers(&self) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn snapshots(&self, _: Option<&str>, _: u32) -> Result<Vec<String>> {
        Err(ErrorCode::Unsupported)
    }

    async fn layers(&self, _: Option<&Digest>, _: u32) -> Result<Vec<Digest>> {
        Err(ErrorCode::Unsupported)
    }

    async fn remove_snapshot(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn remove_layer(&self, _: &Digest) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn claim_trees(&self, _: &[String], _: &[Digest]) -> Result<Never> {
        Err(ErrorCode::Unsupported)
    }

    async fn mounted(&self) -> Result<Vec<String>> {
        Err(ErrorCode::Unsupported)
    }

    async fn revoke_snapshot(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn revoke_layer(&self, _: &Digest) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn begin(&self) -> Result<portable::Transaction> {
        self.0.begin().await
    }

    async fn authorize(&self, _: &Origin, _: Option<&str>, _: &Challenge, _: Visit) -> Result<Never> {
        Err(ErrorCode::Unsupported)
    }

    async fn send(&self, _: Request) -> std::result::Result<Response<Pieces>, HttpError> {
        Err(HttpError::Denied("there is no network".to_owned()))
    }

    fn depart(&self, _: &portable::Blob, _: u64, _: u64) -> Departure<Pieces> {
        unreachable!("there is no network to send a blob by")
    }

    async fn send_body(&self, request: Request, _: Pieces) -> std::result::Result<Response<Pieces>, HttpError> {
        self.send(request).await
    }

    fn clock(&self) -> (i64, u32) {
        (0, 0)
    }

    fn uptime_ms(&self) -> u64 {
        0
    }

    async fn sleep(&self, ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }

    fn random(&self) -> u64 {
        0
    }
}

/// Brings a blob.
pub(super) async fn put<H: Host>(host: &H, bytes: &[u8]) -> H::Blob {
    use host::Ingest as _;
    let digest = sha256(bytes);
    let ingest = host.ingest(digest.as_str()).await.expect("an ingest");
    ingest.append(host.stream(bytes.to_vec()), u64::MAX).await.expect("space");
    ingest.commit(&digest, bytes.len() as u64).await.expect("a blob")
}
