//! A machine in memory: the `Host` of the native tests.
//!
//! It is deterministic: one thread, virtual time, seeded random numbers. It is
//! honest where a verb could tell the difference: ingests survive a restart,
//! transactions conflict, pins refuse a removal, a body that was cut short just
//! ends, an extraction is private until it is finished. It asks no token server.

pub mod clock;
pub mod content;
pub mod layers;
pub mod metadata;
pub mod network;
pub mod registry;
pub mod stream;
pub mod tally;

use clock::{Clock, DAWN};
use content::{Blob, Content, Disk, Ingest};
use layers::{Extraction, Layer, Layers, Stacked, Trees};
use metadata::{Rows, Table, Transaction};
use network::{Grant, Network};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::Rc,
};
use stream::Stream;
use tally::Tally;
use wharf_component::{
    host::{Challenge, Host, HttpError, Made, Origin, Request, Response, Result, Visit},
    nouns::{digest::Digest, problem::ErrorCode},
};

/// One machine. Cloning it gives the same machine.
#[derive(Clone, Debug)]
pub struct Memory {
    inner: Rc<Inner>,
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
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// The host calls at which a test can interfere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `content.open`.
    Open,
    /// `content.remove`.
    Remove,
    /// `content.sync`.
    Sync,
    /// `content.ingest.append`.
    Append,
    /// `content.ingest.commit`.
    CommitIngest,
    /// `layers.unpack` and `layers.extraction.finish`.
    Unpack,
    /// `layers.stack`.
    Stack,
    /// `layers.sync`.
    SyncLayers,
    /// `metadata.transaction.get`.
    Get,
    /// `metadata.transaction.scan`.
    Scan,
    /// `metadata.transaction.commit`.
    Commit,
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
        let (content, layers) = (Rc::new(Content::new(disk, tally.clone())), Layers::new(trees));
        let (table, dice) = (RefCell::new(Table::new(rows)), Cell::new(0x5eed));
        Self {
            inner: Rc::new(Inner { clock, content, layers, table, network, dice, traps: RefCell::default(), tally }),
        }
    }

    /// The machine after a power cut: what was durable is there, nothing is held.
    pub fn restart(self) -> Self {
        Self::with(self.snapshot(), self.inner.network.clone(), self.inner.clock.clone())
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

    /// Adds blobs, as another process does.
    pub fn import(&self, blobs: BTreeMap<String, Rc<[u8]>>) {
        self.inner.content.disk.borrow_mut().blobs.extend(blobs);
    }

    /// Does `act` right before the next `call`, once. The call fails if it does.
    /// Several for one call are used up one by one, oldest first.
    pub fn interfere(&self, call: Call, act: impl FnOnce(&Memory) -> Result<()> + 'static) {
        self.inner.traps.borrow_mut().push(Trap { call, act: Box::new(act) });
    }

    fn before(&self, call: Call) -> Result<()> {
        let position = self.inner.traps.borrow().iter().position(|trap| trap.call == call);
        match position {
            Some(position) => {
                let trap = self.inner.traps.borrow_mut().remove(position);
                (trap.act)(self)
            }
            None => Ok(()),
        }
    }
}

impl Host for Memory {
    type Stream = Stream;
    type Ingest = Ingest;
    type Blob = Blob;
    type Layer = Layer;
    type Extraction = Extraction;
    type Snapshot = Stacked;
    type Transaction = Transaction;
    type Grant = Grant;

    async fn open(&self, digest: &Digest) -> Result<Blob> {
        self.inner.tally.note("content.open");
        self.before(Call::Open)?;
        self.inner.content.open(digest)
    }

    async fn sync(&self) -> Result<()> {
        self.inner.tally.note("content.sync");
        self.before(Call::Sync)
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.inner.tally.note("content.remove");
        self.before(Call::Remove)?;
        self.inner.content.remove(digest)
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        self.inner.tally.note("content.entries");
        Ok(self.inner.content.entries(after, limit))
    }

    async fn ingest(&self, name: &str) -> Result<Ingest> {
        self.inner.tally.note("content.begin");
        self.inner.content.hold(self, name).await
    }

    fn stream(&self, bytes: Vec<u8>) -> Stream {
        content::literal(&self.inner.clock, bytes)
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
        self.open_layer(diff_id)
    }

    async fn unpack(&self, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
        self.unpack_blob(blob, diff_id).await
    }

    fn follow(&self, ingest: &Ingest) -> Extraction {
        self.inner.tally.note("layers.follow");
        Extraction::new(self, ingest)
    }

    async fn stack(&self, name: &Digest, parent: Option<&Stacked>, top: &Layer) -> Made<Stacked> {
        self.inner.tally.note("layers.stack");
        self.put_on(name, parent, top)
    }

    async fn snapshot(&self, name: &Digest) -> Result<Stacked> {
        self.inner.tally.note("layers.find");
        self.find_snapshot(name)
    }

    async fn sync_layers(&self) -> Result<()> {
        self.inner.tally.note("layers.sync");
        self.make_durable()
    }

    async fn begin(&self) -> Result<Transaction> {
        self.inner.tally.note("metadata.begin");
        Ok(Transaction::new(self))
    }

    async fn authorize(
        &self,
        registry: &Origin,
        _repository: Option<&str>,
        challenge: &Challenge,
        _visit: Visit,
    ) -> Result<Grant> {
        self.inner.network.authorize(registry, challenge)
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<Stream>, HttpError> {
        self.inner.tally.note("client.send");
        self.inner.network.clone().send(&self.inner.clock, request).await
    }

    fn now(&self) -> i64 {
        DAWN + i64::try_from(self.inner.clock.now_ms() / 1000).expect("virtual time is short")
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
