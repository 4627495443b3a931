//! The record of a blob in a namespace: that it belongs there, and its labels. Its bytes are the store's; a record
//! whose blob is gone stands for nothing.

use super::{Error, Moment, read};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the keys of blobs begin with; the digest follows.
pub const CONTENT_PREFIX: &str = "content/";

/// A blob that belongs to the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRecord {
    /// When it came into the namespace.
    pub created: Moment,
    /// When the record last changed.
    pub updated: Moment,
    /// For whoever wrote it, and for collection.
    pub labels: BTreeMap<String, String>,
}

impl ContentRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("lengths are known, and writing to memory cannot fail")
    }
}
