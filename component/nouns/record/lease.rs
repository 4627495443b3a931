//! The record of a lease: what it holds, and for how long.

use super::{Error, read};
use crate::nouns::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the keys of leases begin with; the ID follows.
pub const LEASE_PREFIX: &str = "lease/";
/// A label: when something ends, by RFC 3339. containerd, docs/garbage-collection.md, as those below.
pub const EXPIRY_LABEL: &str = "containerd.io/gc.expire";
/// A label of a lease: it holds what it names, and nothing that this needs.
pub const FLAT_LABEL: &str = "containerd.io/gc.flat";

/// What is kept whether or not an image needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// In seconds since 1970.
    pub created: i64,
    /// When it stops to hold, in seconds since 1970.
    pub expires: Option<i64>,
    /// For whoever made it.
    pub labels: BTreeMap<String, String>,
    /// Manifests and indexes with everything that they need, and single blobs.
    pub holds: Vec<Digest>,
}

impl LeaseRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("lengths are known, and writing to memory cannot fail")
    }

    /// Whether it holds anything now.
    pub fn is_live(&self, now: i64) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}
