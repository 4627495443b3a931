//! What a call has brought into the store, so that it can be taken away again: whether the
//! call succeeded, failed or was stopped, what no record needs goes at its end, by the rules
//! of every removal.

use super::{
    contract::{Caller, Garbage},
    reach::Reader,
    sweep,
};
use crate::{
    host::{Host, Ingest},
    nouns::digest::Digest,
    registry::Failure,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// With their sizes.
    blobs: RefCell<BTreeMap<Digest, u64>>,
    /// The names of the ingests that are arriving.
    ingests: RefCell<BTreeSet<String>>,
    layers: RefCell<BTreeSet<Digest>>,
    snapshots: RefCell<BTreeSet<String>>,
}

impl Brought {
    /// An ingest of this name is about to be filled.
    pub(super) fn begins(&self, name: &str) {
        self.ingests.borrow_mut().insert(name.to_owned());
    }

    /// The ingest of this name is gone: it became this blob.
    pub(super) fn became(&self, name: &str, digest: &Digest, size: u64) {
        self.ingests.borrow_mut().remove(name);
        self.blob(digest, size);
    }

    pub(super) fn blob(&self, digest: &Digest, size: u64) {
        self.blobs.borrow_mut().insert(digest.clone(), size);
    }

    /// Trees of these are about to be made.
    pub(super) fn trees(&self, layers: &[Digest], snapshots: impl IntoIterator<Item = Digest>) {
        self.layers.borrow_mut().extend(layers.iter().cloned());
        self.snapshots.borrow_mut().extend(snapshots.into_iter().map(|name| name.to_string()));
    }

    /// Leaves what is recorded out of what goes: the trees, and these blobs.
    pub(super) fn keep<'d>(&self, needed: impl IntoIterator<Item = &'d Digest>) {
        for digest in needed {
            self.blobs.borrow_mut().remove(digest);
        }
        self.layers.take();
        self.snapshots.take();
    }

    /// Takes away what no record needs. What is left over costs space and nothing else,
    /// and a collection finds it as well.
    pub(super) async fn tidy<H: Host>(&self, host: &H, caller: &Caller) -> Result<(), Failure> {
        let ingests = self.ingests.take();
        for name in ingests {
            host.ingest(&name).await?.discard().await?;
        }
        let garbage = Garbage {
            blobs: self.blobs.take().into_iter().collect(),
            layers: self.layers.take().into_iter().map(|diff_id| (diff_id, 0)).collect(),
            snapshots: self.snapshots.take().into_iter().map(|name| (name, 0)).collect(),
            ..Garbage::default()
        };
        if garbage != Garbage::default() {
            sweep::sweep(host, caller, &Reader::new(host), &garbage).await?;
        }
        Ok(())
    }
}
