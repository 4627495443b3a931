//! What one store may use. wasmtime's own limits are made for trusted code;
//! these are made for a component that reads hostile documents. A transaction's
//! own limits are said in `metadata`, beside the code that keeps them.

use super::state::State;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Result, Store, StoreLimits, StoreLimitsBuilder, format_err};

/// The entries that wasmtime's tables may have for each handle of the guest: a
/// stream alone has three, and every call under way has some.
const ENTRIES_PER_HANDLE: usize = 4;
/// How many elements a table may have.
pub(super) const TABLE_ELEMENTS_MAX: usize = 10_000;
/// What the host keeps for a part of a `concat` besides its bytes.
const PART_BYTES: usize = 64;

/// The limits of one call.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory_bytes_max: usize,
    /// Handles that the guest holds at once: blobs, ingests, requests, streams.
    pub handles_max: usize,
    /// The CPU budget: about one unit for each instruction of the component.
    pub fuel: u64,
    /// Bytes that one call may copy out of the guest, as an argument or as its result: a pull of all tags tells some
    /// 2.5 kB of each.
    pub call_bytes_max: usize,
    /// Bytes that the component may write to the log.
    pub log_bytes_max: usize,
    /// Calls that work on a disk at once. More of them wait. Each may have an
    /// answer of 8 MiB that the guest has not taken yet.
    pub disk_calls_max: usize,
    /// Streams that the host drains or serves at once. Each has about 2 MiB.
    pub streams_max: usize,
    /// Bytes of the parts of all `concat`s whose streams are open.
    pub parts_bytes_max: usize,
    /// Transactions that are open at once.
    pub transactions_max: usize,
    /// Layers that are extracted while they arrive. Each has a thread or two and about 2 MiB.
    pub extractions_max: usize,
    /// Claims that are held at once. Each has up to 2 000 descriptors, and makes others wait.
    pub claims_max: usize,
}

impl Default for Limits {
    /// The budget of a person at a terminal. A pull of an image with 500 layers
    /// uses a thousandth of the fuel, and a plan to remove ten thousand images a
    /// good third of the memory.
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            handles_max: 3_072,
            fuel: 200_000_000_000,
            call_bytes_max: 48 << 20,
            log_bytes_max: 64 << 10,
            disk_calls_max: 32,
            streams_max: 128,
            parts_bytes_max: 16 << 20,
            transactions_max: 16,
            extractions_max: 128,
            claims_max: 8,
        }
    }
}

impl Limits {
    /// The same without a CPU budget, for what follows events and has no end of its own: it goes on for as long as somebody
    /// listens, and yields as all others do.
    #[must_use]
    pub fn endless(&self) -> Self {
        Self { fuel: u64::MAX, ..self.clone() }
    }

    /// The part that wasmtime asks about growth.
    pub(super) fn store_limits(&self) -> StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size(self.memory_bytes_max)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(64)
            // The size is that of each memory, so there is one.
            .memories(1)
            .tables(64)
            .trap_on_grow_failure(true)
            .build()
    }

    /// Puts the limits on a store.
    pub(super) fn apply(&self, store: &mut Store<State>) -> Result<()> {
        store.limiter(|state| &mut state.limits);
        store.set_fuel(self.fuel)?;
        store.set_hostcall_fuel(self.call_bytes_max);
        store.set_max_component_handles(self.handles_max);
        store
            .concurrent_resource_table()
            .ok_or_else(|| format_err!("the engine runs without concurrency"))?
            .set_max_capacity(self.handles_max.saturating_mul(ENTRIES_PER_HANDLE));
        // The epoch makes long computation yield; fuel is what ends it.
        store.epoch_deadline_async_yield_and_update(1);
        Ok(())
    }
}

/// What is left of the limits that the imports keep themselves. Clones share it.
///
/// Where waiting helps, a call waits. Where it might wait for a handle that the
/// same guest holds, the call traps instead, so that nothing hangs.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    disk: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    parts: Arc<Semaphore>,
    transactions: Arc<Semaphore>,
    extractions: Arc<Semaphore>,
    claims: Arc<Semaphore>,
}

/// A share of the budget. Dropping it gives it back.
pub(crate) type Share = OwnedSemaphorePermit;

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let shares = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            disk: shares(limits.disk_calls_max),
            streams: shares(limits.streams_max),
            parts: shares(limits.parts_bytes_max),
            transactions: shares(limits.transactions_max),
            extractions: shares(limits.extractions_max),
            claims: shares(limits.claims_max),
        }
    }

    /// Waits for a share of the disk.
    pub(crate) async fn disk(&self) -> Share {
        self.disk.clone().acquire_owned().await.expect("nobody closes the semaphore")
    }

    /// Runs `work` on a blocking thread. Its share is given back when the answer
    /// has been taken, or when `work` has ended and nobody is there to take it.
    pub(crate) async fn blocking<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
        let share = self.disk().await;
        let (answer, _share) = tokio::task::spawn_blocking(move || (work(), share)).await?;
        Ok(answer)
    }

    /// Takes the share of a stream that the host drains or serves.
    pub(crate) fn stream(&self) -> Result<Share> {
        let share = self.streams.clone().try_acquire_owned();
        share.map_err(|_| format_err!("the component has too many streams open at the same time"))
    }

    /// Takes the share of the parts of a `concat`, which have `bytes` bytes.
    pub(crate) fn parts(&self, parts: usize, bytes: usize) -> Result<Share> {
        let bytes = parts.saturating_mul(PART_BYTES).saturating_add(bytes);
        let share = u32::try_from(bytes).ok().and_then(|bytes| self.parts.clone().try_acquire_many_owned(bytes).ok());
        share.ok_or_else(|| format_err!("the parts of the component's open streams have too many bytes"))
    }

    /// Takes the share of a layer that is extracted while it arrives.
    pub(crate) fn extraction(&self) -> Result<Share> {
        let share = self.extractions.clone().try_acquire_owned();
        share.map_err(|_| format_err!("the component extracts too many layers at the same time"))
    }

    /// Takes the share of a claim.
    pub(crate) fn claim(&self) -> Result<Share> {
        let share = self.claims.clone().try_acquire_owned();
        share.map_err(|_| format_err!("the component holds too many claims at the same time"))
    }

    /// Takes the share of a transaction, if there is one.
    pub(crate) fn transaction(&self) -> Option<Share> {
        self.transactions.clone().try_acquire_owned().ok()
    }
}
