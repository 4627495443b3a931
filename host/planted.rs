//! Faults of the host that a test can plant, to show that it would notice. Without the feature `planted`, and so in what
//! is released, no fault can be chosen, and [`has`] is a constant.
//!
//! One is chosen for a whole process, by `main`, which reads its name from `WHARF_PLANTED`.

/// What goes wrong while it is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A blob gets its name before its bytes are on disk.
    BlobUnsynced,
    /// The directory that has a new blob is not synced.
    BlobNameUnsynced,
    /// That a sync of a blob failed is not minded.
    SyncErrorIgnored,
    /// The bytes of an ingest are believed if there are as many as they should be.
    IngestUnhashed,
    /// A blob that is opened is not locked.
    PinDropped,
    /// The file with the version of the store is not synced.
    VersionUnsynced,
    /// Layers are noted as durable without a `syncfs`.
    TreesUnsynced,
    /// Layers are noted as durable before the `syncfs`.
    JournalEarly,
    /// The journal gets its name before its bytes are on disk.
    JournalUnsynced,
    /// What an earlier start of the machine left is believed.
    EarlierBootBelieved,
    /// A layer is visible before its tree is in its place.
    LayerUnfinished,
    /// A commit of metadata does not wait for the disk.
    CommitUnsynced,
    /// The tree of a layer or snapshot that is removed is emptied where it is.
    TreeRemovedInPlace,
    /// That blobs, layers and snapshots are gone is not synced.
    RemovalUnsynced,
    /// A recipe gets its name before its bytes are on disk.
    RecipeUnsynced,
}

impl Bug {
    /// Every fault.
    pub const ALL: [Self; 15] = [
        Self::BlobUnsynced,
        Self::BlobNameUnsynced,
        Self::SyncErrorIgnored,
        Self::IngestUnhashed,
        Self::PinDropped,
        Self::VersionUnsynced,
        Self::TreesUnsynced,
        Self::JournalEarly,
        Self::JournalUnsynced,
        Self::EarlierBootBelieved,
        Self::LayerUnfinished,
        Self::CommitUnsynced,
        Self::TreeRemovedInPlace,
        Self::RemovalUnsynced,
        Self::RecipeUnsynced,
    ];
}

#[cfg(feature = "planted")]
mod planting {
    use super::Bug;
    use std::sync::OnceLock;

    static PLANTED: OnceLock<Bug> = OnceLock::new();

    /// Plants a fault by its name, as in `BlobUnsynced`, and returns whether there is one of that name. The first one
    /// stays.
    pub fn plant(name: &str) -> bool {
        let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
        bug.is_some_and(|bug| PLANTED.set(bug).is_ok())
    }

    /// Whether a fault is planted.
    pub fn has(bug: Bug) -> bool {
        PLANTED.get() == Some(&bug)
    }
}

#[cfg(feature = "planted")]
pub use planting::{has, plant};

/// Whether a fault is planted: never.
#[cfg(not(feature = "planted"))]
pub const fn has(_: Bug) -> bool {
    false
}
