//! The nouns of `wit/changes.wit` about changing what is here: what is asked
//! for, what would come of it, and what has.

use crate::nouns::digest::Digest;

pub use crate::nouns::retention::Retention;

/// See `vocabulary.change`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Names that are to point to what another one points to.
    Tag(Tagging),
    /// Names, or images, that are to go.
    Remove(Removal),
    /// Images that nobody needs.
    Prune(Pruning),
    /// What no record reaches.
    Collect(Collecting),
    /// What is kept of images.
    Retain(Retaining),
}

/// See `vocabulary.tagging`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagging {
    /// A name, an ID or a digest.
    pub source: String,
    /// As a person types them.
    pub names: Vec<String>,
}

/// See `vocabulary.removal`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Names, IDs or digests.
    pub references: Vec<String>,
    /// Remove also what has several names in several repositories, or is mounted.
    pub force: bool,
    /// Leave the blobs and trees for a collection.
    pub no_prune: bool,
    /// Only these platforms go.
    pub platforms: Vec<String>,
}

/// See `vocabulary.pruning`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// Also those that have a tag.
    pub all: bool,
    /// As for the list of images, and `unused-for=<duration>`.
    pub filters: Vec<String>,
    /// Stop as soon as what is here takes no more than this, in bytes.
    pub keep_bytes: Option<u64>,
    /// Who asks, as in `process 4711`.
    pub who: String,
}

/// See `vocabulary.collecting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collecting {
    /// Ingests to which nothing came for so long are given up, in seconds.
    pub ingest_age_s: u64,
}

/// See `vocabulary.retaining`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retaining {
    /// Names, IDs or digests.
    pub references: Vec<String>,
    /// What is kept of them.
    pub retention: Retention,
}

/// See `vocabulary.plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order of name.
    pub names: Vec<NameChange>,
    /// The leases that go because their time is over.
    pub leases: Vec<String>,
    /// What nothing needs afterwards.
    pub garbage: Garbage,
    /// The targets that no name points to afterwards.
    pub gone: Vec<Digest>,
    /// What a person may not expect.
    pub risks: Vec<String>,
    /// The plan as JSON.
    pub document: String,
}

/// See `vocabulary.name-change`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameChange {
    /// Fully qualified.
    pub name: String,
    /// What the name points to.
    pub before: Option<Digest>,
    /// What it points to afterwards; none if it is gone.
    pub after: Option<Digest>,
    /// The platforms that go.
    pub platforms: Vec<String>,
    /// What is kept of the image from now on, if that changes.
    pub retention: Option<Retention>,
    /// As in `it has no tag`.
    pub why: String,
}

/// See `vocabulary.garbage`. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// In order of digest.
    pub blobs: Vec<(Digest, u64)>,
    /// In order of DiffID.
    pub layers: Vec<(Digest, u64)>,
    /// In order of name.
    pub snapshots: Vec<(String, u64)>,
    /// By key.
    pub ingests: Vec<(String, u64)>,
}

/// See `vocabulary.changed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// In order of name.
    pub names: Vec<NameChange>,
    /// The leases that went because their time was over.
    pub leases: Vec<String>,
    /// What was removed.
    pub removed: Garbage,
    /// The targets that no name points to any more.
    pub gone: Vec<Digest>,
    /// Which names stayed as they were, and why.
    pub failed: Vec<(String, String)>,
    /// What stayed although nothing needs it.
    pub left: Vec<String>,
}
