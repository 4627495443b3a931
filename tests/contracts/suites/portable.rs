//! What a suite is run on of the portable component: its store and its rights, natively. It tests nothing.

use super::subject::Subject;
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use wharf::credentials as wharf_credentials;
use wharf::network::{self, Incoming, Network};
use wharf_component::host::{
    Challenge, Departure, Extraction, Host, HttpError, Layer, Made, NoTop, Origin, Request, Response, Result, Snapshot,
    TreeClaim, Unfinished, Visit,
};
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;
use wharf_component::portable::{self, Ambient, Chunks, Rights};
use wharf_credentials::grants::{Entitlement, Grants};
use wharf_credentials::{Document, Unanswered};

/// The store and the rights of the portable component, natively. It has no layers.
pub(super) struct Portable {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
    host: Layout,
}

/// See [`Portable`].
#[derive(Clone)]
pub(super) struct Layout {
    store: portable::Store,
    network: Network,
    rights: Rc<Rights<Wire>>,
}

/// The way to token servers, with a ledger as the component has it: that of the network stays empty.
struct Wire {
    network: Network,
    grants: Grants,
}

impl wharf_credentials::Wire for Wire {
    type Body = Incoming;

    async fn send(&self, request: http::Request<Bytes>) -> std::result::Result<http::Response<Incoming>, Unanswered> {
        wharf_credentials::Wire::send(&self.network, request).await
    }

    async fn next(&self, body: &mut Incoming) -> Option<std::result::Result<Bytes, Unanswered>> {
        wharf_credentials::Wire::next(&self.network, body).await
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn enter(
        &self,
        origin: wharf_credentials::Origin,
        authorization: http::HeaderValue,
        refused: Arc<AtomicBool>,
    ) -> Entitlement {
        self.grants.enter(origin, authorization, refused)
    }
}

impl Portable {
    /// Somebody with these logins for these registries.
    fn rights(network: &Network, documents: Vec<Document>, registries: &[String]) -> Rc<Rights<Wire>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let grants = Grants::new(|| NUMBER.fetch_add(1, Ordering::Relaxed).into());
        let wire = Wire { network: network.clone(), grants: grants.clone() };
        Rc::new(Rights::new(documents, Vec::new(), registries, wire, grants).expect("the logins can be read"))
    }

    /// The same process with these logins, for these registries.
    pub(super) fn with_logins(self, documents: Vec<Document>, registries: &[String]) -> Self {
        let network = self.host.network.clone();
        for registry in registries {
            network.allow(registry).expect("the test names registries");
        }
        let rights = Self::rights(&network, documents, registries);
        Self { host: Layout { rights, ..self.host }, ..self }
    }

    async fn open(directory: &Path) -> Layout {
        let state = Cell::new(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8));
        // The constants are those of Knuth's MMIX generator.
        let random = move || {
            state.set(state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
            state.get()
        };
        let sleep = |ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms))) as LocalBoxFuture<'static, ()>;
        let ambient = Ambient { sleep: Box::new(sleep), random: Box::new(random) };
        let store = portable::Store::open(directory, ambient).await.expect("a layout");
        let network = Network::new(network::Settings::default()).expect("the defaults are right");
        let rights = Self::rights(&network, Vec::new(), &[]);
        Layout { store, network, rights }
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
    type Grant = wharf_credentials::Grant;

    async fn open(&self, digest: &Digest) -> Result<portable::Blob> {
        self.store.blob(digest).await
    }

    async fn sync(&self) -> Result<()> {
        self.store.sync().await
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.store.remove(digest).await
    }

    async fn claim(&self, digests: &[Digest]) -> Result<portable::Claim> {
        self.store.claim(digests).await
    }

    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        self.store.ingests(after, limit).await
    }

    async fn discard(&self, key: &str) -> Result<()> {
        self.store.discard(key).await
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        self.store.entries(after, limit).await
    }

    async fn ingest(&self, name: &str) -> Result<portable::Ingest<Pieces>> {
        self.store.ingest(name).await
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
        self.store.begin().await
    }

    async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Self::Grant> {
        self.rights.authorize(registry, repository, challenge, visit).await
    }

    /// As the component does over `wasi:http`. No suite looks at a body.
    async fn send(&self, mut request: Request) -> std::result::Result<Response<Pieces>, HttpError> {
        let grant = self.rights.exchange(&mut request)?;
        let Origin { secure, authority } = &request.origin;
        let scheme = if *secure { "https" } else { "http" };
        let mut outgoing = http::Request::get(format!("{scheme}://{authority}{}", request.path));
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        let outgoing = outgoing.body(Bytes::new()).map_err(|error| HttpError::Denied(error.to_string()))?;
        let answer = wharf_credentials::Wire::send(&self.network, outgoing).await;
        let status = answer.map_err(|error| HttpError::Broken(error.to_string()))?.status().as_u16();
        if let Some(grant) = grant.filter(|_| status == 401) {
            self.rights.refused(&grant);
        }
        Ok(Response { status, headers: Vec::new(), body: Pieces(Vec::new()), end: Box::pin(async { Ok(()) }) })
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
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn random(&self) -> u64 {
        0
    }
}
