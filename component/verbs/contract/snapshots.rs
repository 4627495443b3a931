//! The nouns of `wit/snapshots.wit`, in Rust. What a client wrote stands in them as it wrote it; the verbs check it.

use super::records::Labels;
use crate::nouns::{
    digest::Digest,
    record::{Moment, SnapshotKind},
};

/// See `snapshots.snapshot-record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The key.
    pub name: String,
    /// The key of what it stands on.
    pub parent: Option<String>,
    /// What it is.
    pub kind: SnapshotKind,
    /// The name that the host has its tree by.
    pub tree: Digest,
    /// For whoever wrote them, and for collection.
    pub labels: Labels,
    /// When it became what it is.
    pub created: Moment,
    /// When its record last changed.
    pub updated: Moment,
}
