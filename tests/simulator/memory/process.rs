//! Processes on one machine: what each of them holds, and who decides what
//! becomes of its calls. It is no scheduler: a process is killed by dropping
//! its futures after [`super::Memory::kill`].

use std::cell::Cell;
use wharf_component::nouns::problem::ErrorCode;

/// The limit of handles that a guest holds at once. One more is a trap.
const HANDLES_MAX: usize = 1_024;

/// One process. What it holds is given up when its futures are dropped.
#[derive(Debug, Default)]
pub struct Process {
    pub(super) id: u32,
    handles: Cell<usize>,
    pub(super) extractions: Cell<usize>,
    pub(super) transactions: Cell<usize>,
    /// Whether it has removed what dead processes left of layers.
    pub(super) has_swept: Cell<bool>,
    pub(super) is_dead: Cell<bool>,
    /// Nothing happens to its calls: it looks at the machine for a test.
    pub(super) is_observer: bool,
}

impl Process {
    pub(super) fn new(id: u32) -> Self {
        Self { id, ..Self::default() }
    }

    pub(super) fn observer() -> Self {
        Self { is_observer: true, ..Self::default() }
    }

    pub(super) fn push_handle(&self) {
        self.handles.set(self.handles.get() + 1);
        assert!(self.handles.get() <= HANDLES_MAX, "trap: more than {HANDLES_MAX} handles");
    }

    pub(super) fn drop_handle(&self) {
        self.handles.set(self.handles.get() - 1);
    }

    /// How many handles it holds.
    pub fn handles(&self) -> usize {
        self.handles.get()
    }
}

/// A host call, or a moment inside one at which a crash makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `content.open`.
    Open,
    /// `content.remove`.
    Remove,
    /// `content.sync`.
    Sync,
    /// `content.claim`.
    Claim,
    /// `content.claimed.remove`.
    RemoveClaimed,
    /// Inside it and inside `layers.claimed.remove`: one more is gone, and its name
    /// may be there again after a power cut.
    Removed,
    /// `content.ingests`.
    Ingests,
    /// `content.discard`.
    DiscardKey,
    /// `content.entries`.
    Blobs,
    /// `content.begin`.
    Ingest,
    /// `content.ingest.append`.
    Append,
    /// `content.ingest.restart`.
    Restart,
    /// `content.ingest.digest`.
    Digest,
    /// `content.ingest.discard`.
    Discard,
    /// `content.ingest.commit`.
    CommitIngest,
    /// Inside it: the bytes are hashed and synced, and have no name yet.
    Synced,
    /// Inside it: the blob is visible, and its name is not durable yet.
    Renamed,
    /// Inside it: the name is durable, and nobody has been told.
    Named,
    /// `content.blob.read`.
    Read,
    /// `content.blob.verify`.
    Verify,
    /// `layers.open`.
    Layer,
    /// `layers.unpack` and `layers.extraction.finish`.
    Unpack,
    /// `layers.layer.describe`.
    Describe,
    /// Inside it: the layer and its recipe are durable, and nobody has been told.
    Described,
    /// `layers.stack`.
    Stack,
    /// `layers.find`.
    Find,
    /// `layers.sync`.
    SyncLayers,
    /// Inside it: the layers are durable, and nobody has been told.
    LayersSynced,
    /// `layers.entries`.
    Snapshots,
    /// `layers.layer-entries`.
    Layers,
    /// `layers.claim`.
    ClaimTrees,
    /// `layers.claimed.remove`.
    RemoveTrees,
    /// `layers.mounted`.
    Mounted,
    /// `writable.prepare`.
    Prepare,
    /// Inside it: the top is durable, and nobody has been told.
    Prepared,
    /// `writable.find`.
    Top,
    /// `writable.top.apply`.
    Apply,
    /// `writable.top.commit`.
    CommitTop,
    /// Inside it: the snapshot is durable, the top is gone, and nobody has been told.
    Frozen,
    /// `writable.entries`.
    Tops,
    /// `writable.remove`.
    RemoveTop,
    /// `metadata.begin`.
    Begin,
    /// `metadata.transaction.get`.
    Get,
    /// `metadata.transaction.scan`.
    Scan,
    /// `metadata.transaction.namespaces`.
    Namespaces,
    /// `metadata.transaction.commit`.
    Commit,
    /// Inside it: the records are durable, and nobody has been told.
    Committed,
    /// `credentials.authorize`.
    Authorize,
    /// `client.send`.
    Send,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How long it takes, in milliseconds.
    pub wait_ms: u64,
    /// What happens then.
    pub then: Then,
}

/// What happens after the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The call is made.
    Go,
    /// It fails with this.
    Fail(ErrorCode),
    /// It never returns: the process hangs, or is dead already.
    Stop,
}

/// Who decides what becomes of every call of every process.
pub trait Fate {
    /// Decides about a call. `about` is the digest, key or path that it has.
    fn at(&self, process: u32, now_ms: u64, call: Call, about: &str) -> Verdict;
    /// Hears how a call ended: with none, or with an error.
    fn ended(&self, process: u32, now_ms: u64, call: Call, about: &str, error: Option<&ErrorCode>);
}
