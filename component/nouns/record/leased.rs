//! The record of something that a lease holds and that is no content: an ingest, or a snapshot. What content a lease
//! holds is in its own record.
//!
//! The key has what kind and ID hash to, because the name of an ingest may be longer than a key.

use super::{Error, read};
use crate::nouns::digest::{Algorithm, Digest};
use serde::{Deserialize, Serialize};

/// What the keys begin with; the ID of the lease, `/` and a hash follow.
pub const LEASED_PREFIX: &str = "leased/";

/// One thing that a lease holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeasedRecord {
    /// As in `ingests` or `snapshots/overlayfs`.
    pub kind: String,
    /// The name of an ingest, or of a snapshot.
    pub id: String,
}

impl LeasedRecord {
    /// Where it is recorded.
    pub fn key(&self, lease: &str) -> String {
        let hash = Digest::of(Algorithm::Sha256, format!("{}\n{}", self.kind, self.id).as_bytes());
        format!("{}{}", Self::keys_of(lease), hash.encoded())
    }

    /// What the keys of a lease begin with, and maybe those of another one: see [`Self::lease_of`].
    pub fn keys_of(lease: &str) -> String {
        format!("{LEASED_PREFIX}{lease}/")
    }

    /// The lease of a key.
    pub fn lease_of(key: &str) -> Option<&str> {
        key.strip_prefix(LEASED_PREFIX)?.rsplit_once('/').map(|(lease, _)| lease)
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("lengths are known, and writing to memory cannot fail")
    }
}
