//! Layers: published once, opened by DiffID, and pinned while a handle is held.
//!
//! Removing one is the business of `snapshot`: a layer goes with the last snapshot that uses it.

use super::apply::Applied;
use super::nascent::{Nascent, TREE};
use super::record::{self, ASIDE, Aside, LAYER};
use super::sums::{self, Contents, Tree};
use super::{Error, Layers, held};
use crate::content::directory::Directory;
use crate::hash::Digest;
use crate::planted::{self, Bug};
use std::sync::Arc;

/// How often a name is tried that somebody else takes and gives up all the time.
pub(super) const PUBLISH_ATTEMPTS_MAX: u32 = 10;

/// An extracted layer, which stays on disk while the handle is held. Clones share one pin.
#[derive(Clone, Debug)]
pub struct Layer {
    diff_id: Digest,
    pub(super) record: Arc<record::Layer>,
    /// Locked. The lock ends with the last descriptor of this open directory.
    pub(super) directory: Arc<Directory>,
}

impl Layer {
    /// Returns the DiffID.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// Returns the size of the extracted files, in bytes.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// Returns how many files of every kind there are.
    pub fn inodes(&self) -> u64 {
        self.record.inodes
    }

    /// Returns what was left out or done otherwise than the archive says, a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.record.warnings
    }

    /// Reads the tree again and compares it with what was recorded when it was made. Ends soon after `stop` says so.
    ///
    /// Fails with [`Error::Changed`] if it is not the same.
    pub fn verify(&self, stop: &dyn Fn() -> bool) -> Result<(), Error> {
        sums::verify(&self.directory, &self.record.total, Tree::Layer(&Contents::new()), stop)
    }
}

impl Nascent {
    /// Makes it the layer `diff_id`. Returns the layer that exists, if another process was faster.
    pub fn publish(mut self, diff_id: &Digest, mut applied: Applied) -> Result<Layer, Error> {
        let layers = self.layers.clone();
        let store = &layers.store;
        let aside: Vec<_> = std::mem::take(&mut applied.aside).into_iter().map(Aside::from).collect();
        if !aside.is_empty() {
            record::write(self.directory(), ASIDE, &aside)?;
        }
        let total = sums::write(self.directory(), Tree::Layer(&applied.contents))?;
        let record = record::Layer::of(applied, layers.origin()?, store.rights, total);
        record::write(self.directory(), LAYER, &record)?;
        let name = diff_id.encoded();
        let late = planted::has(Bug::LayerUnfinished);
        let swap = |directory: &Directory, from, to| directory.transfer(from, directory, to);
        if late {
            swap(self.directory(), TREE, "late").map_err(Error::io("cannot plant a fault"))?;
        }
        for _ in 0..PUBLISH_ATTEMPTS_MAX {
            if let Some(directory) = self.place(&store.layers, &name)? {
                if late {
                    swap(&directory, "late", TREE).map_err(Error::io("cannot plant a fault"))?;
                }
                return Ok(Layer { diff_id: *diff_id, record: Arc::new(record), directory: Arc::new(directory) });
            }
            match layers.layer(diff_id) {
                Err(Error::NotFound) => evict(&layers, &store.layers, &name, |directory| believed(&layers, directory))?,
                other => return other,
            }
        }
        Err(Error::InUse)
    }
}

impl Layers {
    /// Opens the layer that has this DiffID.
    ///
    /// Fails with [`Error::NotFound`], also if it was made before the machine was started and never made durable.
    pub fn layer(&self, diff_id: &Digest) -> Result<Layer, Error> {
        let directory = held::pinned(&self.store.layers, &diff_id.encoded())?.ok_or(Error::NotFound)?;
        let record = believed(self, &directory)?.ok_or(Error::NotFound)?;
        Ok(Layer { diff_id: *diff_id, record: Arc::new(record), directory: Arc::new(directory) })
    }
}

/// Reads the record of a layer, if the layer is whole.
pub(super) fn believed(layers: &Layers, directory: &Directory) -> Result<Option<record::Layer>, Error> {
    match record::read::<record::Layer>(directory, LAYER)? {
        Some(record) if layers.is_whole(directory, &record.origin)? => Ok(Some(record)),
        _ => Ok(None),
    }
}

/// Removes what has the name of a layer or snapshot and is none, by `believed`.
pub(super) fn evict<T>(
    layers: &Layers,
    parent: &Directory,
    name: &str,
    believed: impl Fn(&Directory) -> Result<Option<T>, Error>,
) -> Result<(), Error> {
    let claimed = match held::claimed(parent, name) {
        // Somebody looks at it, or has made it good and uses it: the next attempt tells.
        Err(Error::InUse) | Ok(None) => return Ok(()),
        Ok(Some(claimed)) => claimed,
        Err(error) => return Err(error),
    };
    if believed(&claimed)?.is_some() {
        return Ok(());
    }
    tracing::warn!(name, "replacing what was left of a layer or snapshot");
    held::discard(&layers.store.extract, parent, name, claimed)
}
