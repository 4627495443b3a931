//! The record of a snapshot that a client calls by a key of its own: what it is, what it stands on, and by which name
//! the host has its tree. The files are the store's; what nobody has given a key has no record.

use super::{Error, Moment, read};
use crate::nouns::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the keys of snapshots begin with; the key that a client chose follows.
pub const SNAPSHOT_PREFIX: &str = "snapshot/";

/// What a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SnapshotKind {
    /// It is read through a mount of its own, and never changes.
    View,
    /// It is written to.
    Active,
    /// It never changes, and others stand on it.
    Committed,
}

impl SnapshotKind {
    /// The word for it, as filters have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Active => "active",
            Self::Committed => "committed",
        }
    }
}

/// A snapshot of the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// What it is.
    pub kind: SnapshotKind,
    /// The key of what it stands on.
    pub parent: Option<String>,
    /// The name that the host has its tree by: a ChainID, or one that nobody chose.
    pub tree: Digest,
    /// For whoever wrote them, and for collection.
    pub labels: BTreeMap<String, String>,
    /// When it became what it is.
    pub created: Moment,
    /// When the record last changed.
    pub updated: Moment,
}

impl SnapshotRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("lengths are known, and writing to memory cannot fail")
    }
}
