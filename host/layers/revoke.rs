//! Takes away what should not be there: layers that nothing uses, and what is damaged, although something stands on it.
//!
//! What stands on a damaged layer stays, and is not whole until the layer is there again: only records name layers, so
//! that whoever extracts it again puts it under everything at once. Trees that were settled go with it, because their
//! files are the damaged ones under other names.
//!
//! Whoever saw the damage saw it a while ago, and somebody else may have made the thing again since, and recorded that.
//! So what is damaged is looked at once more, and it is that very directory that goes.

use super::held::{self, claimed};
use super::layer::believed;
use super::nascent::TREE;
use super::record::{self, SNAPSHOT};
use super::snapshot::{ENTRIES_MAX, key};
use super::sums::{self, Contents, Tree};
use super::{Error, Layers};
use crate::content::directory::Directory;
use crate::hash::{Algorithm, Digest};
use std::collections::BTreeSet;

/// Snapshots that nobody else can open as long as this is held: key, directory, and what its record says.
type Claims = Vec<(String, Directory, record::Snapshot)>;

impl Layers {
    /// Returns up to `limit` DiffIDs after `after`, in order, and at most [`ENTRIES_MAX`]: of all that has the name of a
    /// layer, whole or not.
    pub fn layer_entries(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Digest>, Error> {
        let after = after.map(Digest::to_string);
        let mut page = BTreeSet::new();
        for name in self.store.layers.names().map_err(Error::io("cannot list the layer store"))? {
            let name = name.map_err(Error::io("cannot list the layer store"))?;
            let Some(diff_id) = diff_id(&name) else { continue };
            let text = diff_id.to_string();
            if after.as_ref().is_none_or(|after| text > *after) {
                page.insert((text, diff_id));
                if page.len() > limit.min(ENTRIES_MAX) {
                    page.pop_last();
                }
            }
        }
        Ok(page.into_iter().map(|(_, diff_id)| diff_id).collect())
    }

    /// Removes a layer. Does nothing if it is absent.
    ///
    /// Fails with [`Error::InUse`] while it has a handle or a snapshot uses it.
    pub fn remove_layer(&self, diff_id: &Digest) -> Result<(), Error> {
        let name = diff_id.encoded();
        let Some(claimed) = claimed(&self.store.layers, &name)? else { return self.clear_away(&name) };
        let (text, mut is_used) = (diff_id.to_string(), false);
        self.each(|record| is_used |= record.layer == text)?;
        self.each_top(|_, adopted| is_used |= adopted.is_some_and(|adopted| adopted.layer == text))?;
        if is_used {
            return Err(Error::InUse);
        }
        held::discard(&self.store.extract, &self.store.layers, &name, claimed)?;
        self.forget(&format!("layers/{name}/{TREE}"))
    }

    /// Removes a snapshot that is damaged, although others stand on it: they are not found until it is stacked again.
    /// Does nothing if it is absent or right.
    ///
    /// Fails with [`Error::InUse`] while it, or a snapshot or top that stands on it, is mounted or has a handle.
    pub fn revoke(&self, name: &str) -> Result<(), Error> {
        let key = key(name);
        let is_right = |directory: &Directory| match self.whole(directory, name)? {
            Some(record) => is_unchanged(directory, record.total.as_ref(), Tree::Snapshot),
            None => Ok(false),
        };
        let Some(damaged) = damaged(&self.store.snapshots, &key, is_right)? else { return Ok(()) };
        let above = self.claim_above(|record| record.parent.as_deref() == Some(name), Some(name))?;
        let Some(claimed) = held::reclaimed(&self.store.snapshots, &key, damaged)? else { return Ok(()) };
        if self.is_mounted(&key)? {
            return Err(Error::InUse);
        }
        self.discard_settled(above)?;
        held::discard(&self.store.extract, &self.store.snapshots, &key, claimed)
    }

    /// Removes a layer that is damaged, although snapshots use it: they are not found until it is extracted again, and
    /// those that have a tree of their own until they are stacked again. Does nothing if it is absent or right.
    ///
    /// Fails with [`Error::InUse`] while it has a handle, a snapshot or top that stands on it is mounted or has one, or a
    /// top has adopted it.
    pub fn revoke_layer(&self, diff_id: &Digest) -> Result<(), Error> {
        let (text, name) = (diff_id.to_string(), diff_id.encoded());
        let is_right = |directory: &Directory| match believed(self, directory)? {
            Some(record) => is_unchanged(directory, Some(&record.total), Tree::Layer(&Contents::new())),
            None => Ok(false),
        };
        let Some(damaged) = damaged(&self.store.layers, &name, is_right)? else { return self.clear_away(&name) };
        let mut is_adopted = false;
        self.each_top(|_, adopted| is_adopted |= adopted.is_some_and(|adopted| adopted.layer == text))?;
        if is_adopted {
            return Err(Error::InUse);
        }
        let above = self.claim_above(|record| record.layer == text, None)?;
        let Some(claimed) = held::reclaimed(&self.store.layers, &name, damaged)? else { return Ok(()) };
        self.discard_settled(above)?;
        held::discard(&self.store.extract, &self.store.layers, &name, claimed)
    }

    /// Removes what has the name of a layer and is no directory: nobody can hold it.
    pub(super) fn clear_away(&self, name: &str) -> Result<(), Error> {
        match self.store.layers.unlink(name) {
            Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::ISDIR) => Ok(()),
            Err(error) => Err(Error::io("cannot take something out of the layer store")(error)),
        }
    }

    /// Claims the snapshots that `is_meant` tells and all that stand on them. No top that stands on one of these, or on
    /// `below`, is mounted or has a handle then.
    fn claim_above(&self, is_meant: impl Fn(&record::Snapshot) -> bool, below: Option<&str>) -> Result<Claims, Error> {
        let mut all = Vec::new();
        self.each(|record| all.push(record))?;
        let mut meant: BTreeSet<String> =
            all.iter().filter(|record| is_meant(record)).map(|record| record.name.clone()).collect();
        loop {
            let before = meant.len();
            for record in &all {
                if record.parent.as_ref().is_some_and(|parent| meant.contains(parent)) {
                    meant.insert(record.name.clone());
                }
            }
            if meant.len() == before {
                break;
            }
        }
        let is_above = |name: &String| meant.contains(name) || below == Some(name);
        let mut claims = Vec::new();
        for name in &meant {
            let key = key(name);
            let Some(directory) = claimed(&self.store.snapshots, &key)? else { continue };
            if self.is_mounted(&key)? {
                return Err(Error::InUse);
            }
            if let Some(record) = record::read(&directory, SNAPSHOT)? {
                claims.push((key, directory, record));
            }
        }
        // What is written into one of these is read through what goes.
        let mut tops = Vec::new();
        self.each_top(|top, _| tops.extend(Some(top).filter(|top| top.parent.as_ref().is_some_and(is_above))))?;
        for top in tops {
            if claimed(&self.store.tops, &key(&top.name))?.is_some() && self.is_top_mounted(&top)? {
                return Err(Error::InUse);
            }
        }
        Ok(claims)
    }

    fn discard_settled(&self, claims: Claims) -> Result<(), Error> {
        // What was a top has files of its own, and waits for what is below it.
        let is_made_of_it = |record: &record::Snapshot| record.settled && !record.layer.is_empty();
        for (key, directory, _) in claims.into_iter().filter(|(.., record)| is_made_of_it(record)) {
            held::discard(&self.store.extract, &self.store.snapshots, &key, directory)?;
        }
        Ok(())
    }
}

/// Opens a directory that is not right. It is looked at while others may hold it: that takes as long as its files are
/// many.
fn damaged(
    parent: &Directory,
    name: &str,
    is_right: impl Fn(&Directory) -> Result<bool, Error>,
) -> Result<Option<Directory>, Error> {
    match held::pinned(parent, name)? {
        Some(directory) if !is_right(&directory)? => Ok(Some(directory)),
        _ => Ok(None),
    }
}

/// Whether a tree is what it was when it was made, if that was recorded.
fn is_unchanged(directory: &Directory, total: Option<&sums::Total>, tree: Tree<'_>) -> Result<bool, Error> {
    let Some(total) = total else { return Ok(true) };
    match sums::verify(directory, total, tree, &|| false) {
        Ok(()) => Ok(true),
        Err(Error::Changed(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Returns the DiffID of the layer whose directory has this name.
fn diff_id(name: &str) -> Option<Digest> {
    Algorithm::ALL.iter().find_map(|algorithm| format!("{}:{name}", algorithm.name()).parse().ok())
}
