//! A machine in memory: the `Host` of the native tests.
//!
//! It is deterministic: one thread, virtual time, seeded random numbers. It is
//! honest where a verb could tell the difference: ingests survive a restart,
//! transactions conflict, pins refuse a removal, a body that was cut short just
//! ends, an extraction is private until it is finished. It asks no token server.
//!
//! Several processes may share a machine. Without a [`Fate`] every call succeeds
//! at once; with one it takes as long as that says, fails, hangs, or is where the
//! process dies. What a power cut leaves is in [`power`].

mod calls;
pub mod claims;
pub mod clock;
pub mod content;
pub mod layers;
mod locks;
pub mod metadata;
pub mod network;
pub mod power;
pub mod process;
pub mod registry;
pub mod stream;
pub mod tally;
pub mod uploads;

use claims::{Claim, TreeClaim};
use clock::{Clock, DAWN};
use content::{Blob, Content, Disk, Ingest};
use futures_util::future::LocalBoxFuture;
use layers::{Extraction, Held, Kind, Layer, Layers, Stacked, Trees};
use metadata::{Rows, Table, Transaction};
use network::{Grant, Network};
use process::{Fate, Process};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::Rc,
};
use stream::Stream;
use tally::Tally;
use wharf_component::{
    host::{Challenge, Departure, Diff, Host, HttpError, Made, Origin, Request, Response, Result, Unfinished, Visit},
    nouns::{compressor::Compressor, digest::Digest, problem::ErrorCode},
};

pub use process::Call;

/// The most that `content.take` takes at once.
const TAKEN_BYTES_MAX: u64 = 4 << 20;

/// One process on one machine. Cloning it gives the same process.
#[derive(Clone, Debug)]
pub struct Memory {
    inner: Rc<Inner>,
    process: Rc<Process>,
}

struct Inner {
    clock: Clock,
    content: Rc<Content>,
    layers: Layers,
    table: RefCell<Table>,
    network: Rc<Network>,
    dice: Cell<u64>,
    traps: RefCell<Vec<Trap>>,
    tally: Tally,
    fate: RefCell<Option<Rc<dyn Fate>>>,
    processes: Cell<u32>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// What happens right before a call, and whether the call fails then.
type Interference = Box<dyn FnOnce(&Memory) -> Result<()>>;

struct Trap {
    call: Call,
    act: Interference,
}

/// Everything that outlives a process: for comparing before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Blobs and ingests.
    pub disk: Disk,
    /// Layers and snapshots.
    pub trees: Trees,
    /// Records.
    pub rows: Rows,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with(Snapshot::default(), Rc::default(), Clock::default())
    }
}

impl Memory {
    fn with(Snapshot { disk, trees, rows }: Snapshot, network: Rc<Network>, clock: Clock) -> Self {
        let tally = Tally::default();
        let (content, layers) = (Rc::new(Content::new(disk, clock.now_ms())), Layers::new(trees));
        let (table, dice) = (RefCell::new(Table::new(rows)), Cell::new(0x5eed));
        let (traps, fate, processes) = (RefCell::default(), RefCell::default(), Cell::new(0));
        let inner = Inner { clock, content, layers, table, network, dice, traps, tally, fate, processes };
        Self { inner: Rc::new(inner), process: Rc::new(Process::new(0)) }
    }

    /// Starts another process on this machine.
    pub fn spawn(&self) -> Self {
        self.inner.processes.set(self.inner.processes.get() + 1);
        Self { inner: self.inner.clone(), process: Rc::new(Process::new(self.inner.processes.get())) }
    }

    /// A process whose calls succeed at once, whatever the fate: for looking.
    pub fn observer(&self) -> Self {
        Self { inner: self.inner.clone(), process: Rc::new(Process::observer()) }
    }

    /// This process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The number of this process, from 0.
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// Makes the machine's random numbers those of a seed.
    pub fn seed(&self, seed: u64) {
        self.inner.dice.set(seed);
    }

    /// Makes this process one that was killed: dropping its futures only gives up
    /// what the kernel takes from a dead process, and cleans nothing up.
    pub fn kill(&self) {
        self.process.is_dead.set(true);
    }

    /// Has `fate` decide about every call from now on.
    pub fn entrust(&self, fate: Option<Rc<dyn Fate>>) {
        self.inner.fate.replace(fate);
    }

    /// The machine after a power cut: what was durable is there, nothing is held.
    pub fn restart(self) -> Self {
        Self::with(self.snapshot(), self.inner.network.clone(), self.inner.clock.clone())
    }

    /// This machine with something else on its disk.
    pub fn with_disk(self, disk: Snapshot) -> Self {
        Self::with(disk, self.inner.network.clone(), self.inner.clock.clone())
    }

    /// What is durable now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            disk: self.inner.content.disk.borrow().clone(),
            trees: self.inner.layers.durable(),
            rows: self.inner.table.borrow().rows().clone(),
        }
    }

    /// Runs a call to its end, in virtual time.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.inner.clock.run(future)
    }

    /// This machine's time.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// This machine's store.
    pub fn content(&self) -> &Content {
        &self.inner.content
    }

    /// This machine's layers.
    pub fn layers(&self) -> &Layers {
        &self.inner.layers
    }

    /// This machine's network.
    pub fn network(&self) -> &Rc<Network> {
        &self.inner.network
    }

    /// How often each host call was made since the last call of this.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        tally::counts(&self.order())
    }

    /// Which host calls were made since the last call of this, in order.
    pub fn order(&self) -> Vec<&'static str> {
        self.inner.tally.take()
    }

    /// Writes a row behind everybody's back, as another process does.
    pub fn write_row(&self, namespace: &str, key: &str, value: &[u8]) {
        let place = (namespace.to_owned(), key.to_owned());
        self.inner.table.borrow_mut().write(place, Some(value.to_vec()));
    }

    /// Deletes a row behind everybody's back, as another process does.
    pub fn remove_row(&self, namespace: &str, key: &str) {
        self.inner.table.borrow_mut().write((namespace.to_owned(), key.to_owned()), None);
    }

    /// How often a record was written or deleted.
    pub fn records_written(&self) -> u64 {
        self.inner.table.borrow().written()
    }

    /// Adds blobs, as another process does.
    pub fn import(&self, blobs: BTreeMap<String, Rc<[u8]>>) {
        self.inner.content.disk.borrow_mut().blobs.extend(blobs);
    }
}

impl Host for Memory {
    type Stream = Stream;
    type Claim = Claim;
    type TreeClaim = TreeClaim;
    type Ingest = Ingest;
    type Blob = Blob;
    type Layer = Layer;
    type Extraction = Extraction;
    type Snapshot = Stacked;
    type Top = Held;
    type Transaction = Transaction;
    type Grant = Grant;

    async fn open(&self, digest: &Digest) -> Result<Blob> {
        self.inner.tally.note("content.open");
        self.call(Call::Open, digest.as_str(), self.open_blob(digest)).await
    }

    async fn sync(&self) -> Result<()> {
        self.inner.tally.note("content.sync");
        let sync = async {
            self.inner.content.anchor();
            Ok(())
        };
        self.call(Call::Sync, "", sync).await
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.inner.tally.note("content.remove");
        self.call(Call::Remove, digest.as_str(), async { self.inner.content.remove(digest) }).await
    }

    async fn claim(&self, digests: &[Digest]) -> Result<Claim> {
        self.inner.tally.note("content.claim");
        let about = digests.first().map_or("", Digest::as_str);
        self.call(Call::Claim, about, async { Ok(Claim::new(self, digests)) }).await
    }

    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        self.inner.tally.note("content.ingests");
        let list = async { Ok(self.inner.content.ingests(self.inner.clock.now_ms(), after, limit)) };
        self.call(Call::Ingests, "", list).await
    }

    async fn discard(&self, key: &str) -> Result<()> {
        self.inner.tally.note("content.discard");
        self.call(Call::DiscardKey, key, async { self.inner.content.discard(key) }).await
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        self.inner.tally.note("content.entries");
        self.call(Call::Blobs, "", async { Ok(self.inner.content.entries(after, limit)) }).await
    }

    async fn ingest(&self, name: &str) -> Result<Ingest> {
        self.inner.tally.note("content.begin");
        self.call(Call::Ingest, name, self.inner.content.hold(self, name)).await
    }

    fn stream(&self, bytes: Vec<u8>) -> Stream {
        content::literal(&self.inner.clock, bytes)
    }

    async fn take(&self, mut stream: Stream, length: u64) -> Result<(Vec<u8>, Option<Stream>)> {
        self.inner.tally.note("content.take");
        if length > TAKEN_BYTES_MAX {
            return Err(ErrorCode::TooLarge(TAKEN_BYTES_MAX));
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let room = usize::try_from(length).unwrap_or(usize::MAX) - bytes.len();
            let Some(chunk) = stream.next(room).await else { return Ok((bytes, None)) };
            bytes.extend(chunk);
        }
        Ok((bytes, Some(stream)))
    }

    async fn skip(&self, mut stream: Stream, length: u64) -> Result<(u64, Option<Stream>)> {
        self.inner.tally.note("content.skip");
        let mut passed = 0;
        while passed < length {
            let room = usize::try_from(length - passed).unwrap_or(usize::MAX);
            let Some(chunk) = stream.next(room).await else { return Ok((passed, None)) };
            passed += chunk.len() as u64;
        }
        Ok((passed, Some(stream)))
    }

    async fn sum(&self, stream: Stream, limit: u64) -> Result<(u64, Digest)> {
        self.inner.tally.note("content.sum");
        let all = self.collect(stream, limit).await?;
        Ok((all.len() as u64, content::digest_of(&all)))
    }

    fn inflate(&self, stream: Stream) -> (Stream, LocalBoxFuture<'static, Result<()>>) {
        self.inner.tally.note("content.inflate");
        (stream.mapped(layers::plain), Box::pin(async { Ok(()) }))
    }

    fn deflate(&self, stream: Stream, how: Compressor) -> (Stream, LocalBoxFuture<'static, Result<()>>) {
        self.inner.tally.note("content.deflate");
        (stream.mapped(|text| [format!("{how}|").as_bytes(), text].concat()), Box::pin(async { Ok(()) }))
    }

    async fn collect(&self, mut stream: Stream, limit: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = stream.next(usize::MAX).await {
            all.extend(chunk);
            if all.len() as u64 > limit {
                return Err(ErrorCode::TooLarge(limit));
            }
        }
        Ok(all)
    }

    async fn layer(&self, diff_id: &Digest) -> Result<Layer> {
        self.inner.tally.note("layers.open");
        self.call(Call::Layer, diff_id.as_str(), self.open_layer(diff_id)).await
    }

    async fn unpack(&self, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
        self.unpack_blob(blob, diff_id).await
    }

    async fn describe(&self, layer: &Layer, blob: &Blob) -> Made<u64> {
        self.inner.tally.note("layers.layer.describe");
        self.write_recipe(layer, blob).await
    }

    fn follow(&self, ingest: &Ingest) -> Extraction {
        self.inner.tally.note("layers.follow");
        Extraction::new(self, ingest)
    }

    async fn stack(&self, name: &Digest, parent: Option<&Stacked>, top: &Layer) -> Made<Stacked> {
        self.inner.tally.note("layers.stack");
        self.step(Call::Stack, name.as_str()).await?;
        Ok(self.put_on(name, parent, top).await)
    }

    async fn snapshot(&self, name: &Digest) -> Result<Stacked> {
        self.inner.tally.note("layers.find");
        self.call(Call::Find, name.as_str(), self.find_snapshot(name)).await
    }

    async fn sync_layers(&self) -> Result<()> {
        self.inner.tally.note("layers.sync");
        self.make_durable().await
    }

    async fn snapshots(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.inner.tally.note("layers.entries");
        self.call(Call::Snapshots, "", async { Ok(self.inner.layers.entries(after, limit)) }).await
    }

    async fn layers(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<Digest>> {
        self.inner.tally.note("layers.layer-entries");
        self.call(Call::Layers, "", async { Ok(self.inner.layers.layer_entries(after, limit)) }).await
    }

    async fn remove_snapshot(&self, name: &str) -> Result<()> {
        self.inner.tally.note("layers.remove");
        self.inner.layers.remove_snapshot(name)
    }

    async fn remove_layer(&self, diff_id: &Digest) -> Result<()> {
        self.inner.tally.note("layers.remove-layer");
        self.inner.layers.remove_layer(diff_id)
    }

    async fn claim_trees(&self, snapshots: &[String], layers: &[Digest]) -> Result<TreeClaim> {
        self.inner.tally.note("layers.claim");
        let about = snapshots.first().map(String::as_str).or(layers.first().map(Digest::as_str)).unwrap_or_default();
        self.call(Call::ClaimTrees, about, async { Ok(TreeClaim::new(self, snapshots, layers)) }).await
    }

    async fn mounted(&self) -> Result<Vec<String>> {
        self.inner.tally.note("layers.mounted");
        self.call(Call::Mounted, "", async { Ok(self.inner.layers.mounted()) }).await
    }

    async fn revoke_snapshot(&self, name: &str) -> Result<()> {
        self.inner.tally.note("layers.revoke");
        name.parse().map_or(Ok(()), |name| self.inner.layers.revoke(Kind::Snapshot, &name))
    }

    async fn revoke_layer(&self, diff_id: &Digest) -> Result<()> {
        self.inner.tally.note("layers.revoke-layer");
        self.inner.layers.revoke(Kind::Layer, diff_id)
    }

    async fn prepare(&self, name: &str, writable: bool, parent: Option<&Stacked>) -> Made<Held> {
        self.inner.tally.note("writable.prepare");
        self.make_top(name, writable, parent).await
    }

    async fn top(&self, name: &str) -> Result<Held> {
        self.inner.tally.note("writable.find");
        self.call(Call::Top, name, async { self.find_top(name) }).await
    }

    async fn tops(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.inner.tally.note("writable.entries");
        self.call(Call::Tops, "", async { Ok(self.top_names(after, limit)) }).await
    }

    fn diff(&self, of: &Stacked) -> Diff<Stream> {
        self.inner.tally.note("writable.diff");
        self.diff_of(of)
    }

    async fn remove_top(&self, name: &str) -> Result<()> {
        self.inner.tally.note("writable.remove");
        self.call(Call::RemoveTop, name, async { self.take_top(name) }).await
    }

    async fn begin(&self) -> Result<Transaction> {
        self.inner.tally.note("metadata.begin");
        self.call(Call::Begin, "", async { Transaction::new(self) }).await
    }

    async fn authorize(
        &self,
        registry: &Origin,
        _repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Grant> {
        let authority = registry.authority.as_str();
        self.call(Call::Authorize, authority, async { self.inner.network.authorize(registry, challenge, visit) }).await
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<Stream>, HttpError> {
        self.inner.tally.note("client.send");
        self.exchange(request, None).await
    }

    fn depart(&self, blob: &Blob, offset: u64, length: u64) -> Departure<Stream> {
        self.inner.tally.note("content.depart");
        uploads::depart(&self.inner.clock, blob, offset, length)
    }

    async fn send_body(&self, request: Request, body: Stream) -> std::result::Result<Response<Stream>, HttpError> {
        self.inner.tally.note("client.send");
        self.exchange(request, Some(body)).await
    }

    fn clock(&self) -> (i64, u32) {
        let (now_ms, short) = (self.inner.clock.now_ms(), "virtual time is short");
        let nanoseconds = u32::try_from(now_ms % 1000 * 1_000_000).expect("a second has fewer");
        (DAWN + i64::try_from(now_ms / 1000).expect(short), nanoseconds)
    }

    fn uptime_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    async fn sleep(&self, ms: u64) {
        self.inner.clock.sleep(ms).await;
    }

    fn random(&self) -> u64 {
        // SplitMix64: the constants are the generator.
        let state = self.inner.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.inner.dice.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
