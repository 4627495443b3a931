//! The nouns of `wit/changes.wit` about what takes space, what holds it, and
//! what has happened to it.

use crate::nouns::digest::Digest;

pub use crate::nouns::record::{Action, Happening};

/// See `vocabulary.usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// One for each target, the largest unique share first.
    pub images: Vec<ImageUsage>,
    /// Compressed, as it came.
    pub content: Sum,
    /// The trees that never change.
    pub unpacked: Sum,
    /// How many trees are written to or viewed, and the bytes of what was written.
    pub written: (u64, u64),
    /// How many ingests there are, and their bytes.
    pub ingests: (u64, u64),
    /// What could not be told.
    pub notes: Vec<String>,
}

/// See `vocabulary.image-usage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    /// Fully qualified, in order.
    pub names: Vec<String>,
    /// What they point to.
    pub target: Digest,
    /// When it came here, in seconds since 1970.
    pub created: i64,
    /// When it was last used, in seconds since 1970.
    pub used: i64,
    /// Compressed.
    pub content: Share,
    /// Its trees.
    pub unpacked: Share,
    /// Whether its tree is mounted.
    pub mounted: bool,
    /// Whether a lease holds it.
    pub leased: bool,
}

/// See `vocabulary.share`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes that another image needs too.
    pub shared: u64,
    /// Bytes that go with it.
    pub unique: u64,
}

/// See `vocabulary.sum`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// What one image alone needs, all images together.
    pub unique: u64,
    /// What several images need, each byte once.
    pub shared: u64,
    /// What only other namespaces or leases need.
    pub others: u64,
    /// What nothing needs.
    pub unneeded: u64,
    /// What a prune of everything that is not in use would free.
    pub reclaimable: u64,
}

/// See `vocabulary.lease`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Unique in its namespace.
    pub id: String,
    /// In seconds since 1970.
    pub created: i64,
    /// When it stops to hold, in seconds since 1970.
    pub expires: Option<i64>,
    /// In order of key.
    pub labels: Vec<(String, String)>,
    /// Manifests and indexes with everything that they need, and single blobs.
    pub holds: Vec<Digest>,
}
