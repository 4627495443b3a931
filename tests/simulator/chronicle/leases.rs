//! What leases were acknowledged to hold: blobs that stay until somebody begins to
//! release the lease, or its time is over.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};
use wharf_component::nouns::digest::Digest;

/// The leases that nobody has released.
#[derive(Debug, Default)]
pub struct Leases {
    held: RefCell<BTreeMap<String, Held>>,
    /// How often somebody wanted to release some.
    releases: Cell<u64>,
}

#[derive(Debug)]
struct Held {
    /// In seconds since 1970.
    expires: Option<i64>,
    blobs: BTreeSet<Digest>,
}

impl Leases {
    /// A moment, for [`Self::hold`].
    pub fn now(&self) -> u64 {
        self.releases.get()
    }

    /// Notes that a lease was acknowledged that somebody began to make at a moment. One
    /// that was released before this was said to anybody promises nothing.
    pub fn hold(&self, id: &str, expires: Option<i64>, blobs: BTreeSet<Digest>, began: u64) {
        if began == self.now() {
            self.held.borrow_mut().insert(id.to_owned(), Held { expires, blobs });
        }
    }

    /// Notes that somebody wants to release these. What follows an ID after a blank is one thing that it holds.
    pub fn release(&self, ids: &[String]) {
        self.releases.set(self.releases.get() + 1);
        let is_of = |held: &str, id: &String| {
            held.strip_prefix(id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.held.borrow_mut().retain(|held, _| !ids.iter().any(|id| is_of(held, id)));
    }

    /// Notes that a blob was harmed. Nobody brings again what no name leads to, and
    /// what a document does not say any more is not held.
    pub(super) fn spoil(&self, blob: &Digest) {
        self.held.borrow_mut().retain(|_, held| !held.blobs.contains(blob));
    }

    /// The blobs that have to be there now.
    pub fn blobs(&self, now: i64) -> BTreeSet<Digest> {
        let held = self.held.borrow();
        let live = held.values().filter(|held| held.expires.is_none_or(|expires| expires > now));
        live.flat_map(|held| held.blobs.iter().cloned()).collect()
    }
}
