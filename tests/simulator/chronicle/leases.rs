//! What leases were acknowledged to hold: blobs that stay until somebody begins to
//! release the lease, or its time is over.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};
use wharf_component::nouns::digest::Digest;

/// The leases that nobody has released.
#[derive(Debug, Default)]
pub struct Leases(RefCell<BTreeMap<String, Held>>);

#[derive(Debug)]
struct Held {
    /// In seconds since 1970.
    expires: Option<i64>,
    blobs: BTreeSet<Digest>,
}

impl Leases {
    /// Notes that a lease was acknowledged.
    pub fn hold(&self, id: &str, expires: Option<i64>, blobs: BTreeSet<Digest>) {
        self.0.borrow_mut().insert(id.to_owned(), Held { expires, blobs });
    }

    /// Notes that somebody wants to release these.
    pub fn release(&self, ids: &[String]) {
        self.0.borrow_mut().retain(|id, _| !ids.contains(id));
    }

    /// Notes that a blob was harmed. Nobody brings again what no name leads to, and
    /// what a document does not say any more is not held.
    pub(super) fn spoil(&self, blob: &Digest) {
        self.0.borrow_mut().retain(|_, held| !held.blobs.contains(blob));
    }

    /// The blobs that have to be there now.
    pub fn blobs(&self, now: i64) -> BTreeSet<Digest> {
        let held = self.0.borrow();
        let live = held.values().filter(|held| held.expires.is_none_or(|expires| expires > now));
        live.flat_map(|held| held.blobs.iter().cloned()).collect()
    }
}
