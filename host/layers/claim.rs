//! Claims: layers and snapshots that nobody else can open, so that whoever collects can look once more whether a record
//! needs them.
//!
//! It does not know what needs a layer. It locks first and looks afterwards: who stacks holds what the new snapshot
//! stands on, so that nothing new can come to stand on what is locked.
//!
//! ```text
//! claim     lock what is free → what stands on what → let go of all that something outside stands on
//! remove    rename from the top down, to `extract/` → sync the names → delete the trees
//! ```
//!
//! A power cut brings back names only before the sync, and their trees are whole then. What it leaves in `extract/`, or a
//! `kill`, is debris.

use super::snapshot::key;
use super::{Error, Layers, held, record, removal};
use crate::content::directory::Directory;
use crate::content::pin;
use crate::hash::Digest;
use crate::planted::{self, Bug};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// How many snapshots, and how many layers, [`Layers::claim`] looks at. Each takes a descriptor.
pub const CLAIM_MAX: usize = 1_000;

/// Layers and snapshots that nobody else holds or can open. Dropping it lets go of them.
#[derive(Debug)]
pub struct Claim {
    layers: Layers,
    /// In the order in which they were asked for, like those of `floor`.
    stacked: Vec<Stacked>,
    floor: Vec<Floor>,
}

/// A claimed snapshot.
#[derive(Debug)]
struct Stacked {
    name: String,
    directory: Directory,
    /// None if it is damaged: then it stands on nothing.
    record: Option<record::Snapshot>,
}

/// A claimed layer.
#[derive(Debug)]
struct Floor {
    diff_id: Digest,
    /// None if it is no directory, which nobody can hold.
    directory: Option<Directory>,
}

/// One of either.
#[derive(Debug)]
enum Claimed {
    Snapshot(Stacked),
    Layer(Floor),
}

impl Layers {
    /// Claims those of these snapshots that nobody holds, that are not mounted, and on which nothing stands but what is
    /// claimed with them; and those of these layers that nobody holds and that nothing uses but what is claimed with
    /// them. Tops keep what they stand on, and are never claimed. Does not wait. Looks at [`CLAIM_MAX`] of either; where the process is short of descriptors, the claim has
    /// fewer than it could.
    ///
    /// What is damaged can be claimed as well. Debris of processes that died is removed on the way.
    pub fn claim(&self, snapshots: &[String], layers: &[Digest]) -> Result<Claim, Error> {
        self.sweep(usize::MAX)?;
        let mut seen = HashSet::new();
        let layers = layers.iter().take(CLAIM_MAX).filter(|diff_id| seen.insert(**diff_id));
        let snapshots = snapshots.iter().take(CLAIM_MAX).map(|name| self.seize_snapshot(name));
        // Lazily, like what follows.
        let wanted = snapshots.chain(layers.map(|diff_id| self.seize_layer(diff_id)));
        let is_short = |error: &Error| matches!(error, Error::Io { source, .. } if pin::is_short(source));
        let (mut stacked, mut floor) = (Vec::new(), Vec::new());
        for claimed in pin::gather(wanted, |seized| seized, is_short)? {
            match claimed {
                Claimed::Snapshot(snapshot) => stacked.push(snapshot),
                Claimed::Layer(layer) => floor.push(layer),
            }
        }
        let mut claim = Claim { layers: self.clone(), stacked, floor };
        claim.release()?;
        Ok(claim)
    }

    fn seize_snapshot(&self, name: &str) -> Result<Option<Claimed>, Error> {
        let directory = free(held::claimed(&self.store.snapshots, &key(name)))?;
        Ok(directory.map(|directory| Claimed::Snapshot(Stacked { name: name.to_owned(), directory, record: None })))
    }

    fn seize_layer(&self, diff_id: &Digest) -> Result<Option<Claimed>, Error> {
        let (parent, name) = (&self.store.layers, diff_id.encoded());
        let directory = free(held::claimed(parent, &name))?;
        let is_free = directory.is_some() || is_obstacle(parent, &name)?;
        Ok(is_free.then(|| Claimed::Layer(Floor { diff_id: *diff_id, directory })))
    }
}

impl Claim {
    /// Lets go of what is mounted, and of what something stands on that is not claimed; and so on.
    fn release(&mut self) -> Result<(), Error> {
        let mounted = self.layers.keys_mounted()?;
        let mut records = HashMap::new();
        self.layers.each(|record| drop(records.insert(record.name.clone(), record)))?;
        // What tops stand on.
        let (mut below, mut used) = (Vec::new(), HashSet::new());
        self.layers.each_top(|top, adopted| {
            below.extend(top.parent);
            used.extend(adopted.map(|adopted| adopted.layer));
        })?;
        let mut free: HashSet<String> = self.stacked.iter().map(|snapshot| snapshot.name.clone()).collect();
        free.retain(|name| !mounted.contains(&key(name)));
        free.retain(|name| !below.contains(name));
        let mut staying: Vec<_> = records.values().filter(|record| !free.contains(&record.name)).collect();
        while let Some(record) = staying.pop() {
            used.insert(record.layer.clone());
            if let Some(parent) = &record.parent
                && free.remove(parent)
            {
                staying.extend(records.get(parent));
            }
        }
        self.stacked.retain(|snapshot| free.contains(&snapshot.name));
        for snapshot in &mut self.stacked {
            snapshot.record = records.remove(&snapshot.name);
        }
        self.floor.retain(|layer| !used.contains(&layer.diff_id.to_string()));
        Ok(())
    }

    /// Returns the names of the snapshots, in the order in which they were asked for.
    pub fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.stacked.iter().map(|snapshot| snapshot.name.as_str())
    }

    /// Returns the DiffIDs of the layers, in the order in which they were asked for.
    pub fn layers(&self) -> impl Iterator<Item = &Digest> {
        self.floor.iter().map(|layer| &layer.diff_id)
    }

    /// Removes those of the snapshots and layers that are listed, durably, and lets go of the others. Their space is free
    /// when it returns.
    ///
    /// Fails with [`Error::Invalid`], and removes nothing, if something that would stay stands on what is to go. Any
    /// other failure may have removed some: what stands on others before what they stand on.
    pub fn remove(self, snapshots: &[String], layers: &[Digest]) -> Result<(), Error> {
        let Self { layers: store, stacked, floor } = self;
        let (names, diff_ids): (HashSet<_>, HashSet<_>) = (snapshots.iter().collect(), layers.iter().collect());
        let (mut stacked, staying): (Vec<_>, Vec<_>) =
            stacked.into_iter().partition(|snapshot| names.contains(&snapshot.name));
        let (floor, others): (Vec<_>, Vec<_>) = floor.into_iter().partition(|layer| diff_ids.contains(&layer.diff_id));
        let going: HashSet<_> = stacked.iter().map(|snapshot| snapshot.name.as_str()).collect();
        let going_below: HashSet<_> = floor.iter().map(|layer| layer.diff_id.to_string()).collect();
        let stands_on_nothing = |record: &record::Snapshot| {
            !going_below.contains(&record.layer)
                && record.parent.as_deref().is_none_or(|parent| !going.contains(parent))
        };
        if !staying.iter().filter_map(|snapshot| snapshot.record.as_ref()).all(stands_on_nothing) {
            return Err(Error::Invalid("something that stays stands on what is to be removed"));
        }
        drop((staying, others));
        stacked.sort_by_key(|snapshot| Reverse(snapshot.record.as_ref().map_or(0, |record| record.height)));
        store.remove_claimed(stacked, floor)
    }
}

impl Layers {
    /// Removes what is claimed, in this order.
    fn remove_claimed(&self, stacked: Vec<Stacked>, floor: Vec<Floor>) -> Result<(), Error> {
        let store = &self.store;
        let (has_stacked, has_floor) = (!stacked.is_empty(), !floor.is_empty());
        let bury = |parent: &Directory, name: &str, directory: Directory| {
            if planted::has(Bug::TreeRemovedInPlace) {
                return removal::remove(parent, name).map(|()| None);
            }
            let grave = held::bury(&store.extract, parent, name, &directory)?;
            Ok(Some((grave, directory)))
        };
        let stacked =
            stacked.into_iter().map(|Stacked { name, directory, .. }| bury(&store.snapshots, &key(&name), directory));
        let floor = floor.into_iter().map(|Floor { diff_id, directory }| match directory {
            Some(directory) => bury(&store.layers, &diff_id.encoded(), directory),
            None => self.clear_away(&diff_id.encoded()).map(|()| None),
        });
        let (mut doomed, mut outcome) = (Vec::new(), Ok(()));
        for buried in stacked.chain(floor) {
            match buried {
                Ok(buried) => doomed.extend(buried),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        for (parent, is_changed) in [(&store.snapshots, has_stacked), (&store.layers, has_floor)] {
            if is_changed && !planted::has(Bug::RemovalUnsynced) {
                parent.sync().map_err(Error::io("cannot sync a directory of the layer store"))?;
            }
        }
        // What is out of sight goes also when another could not be taken there.
        outcome.and(removal::remove_all(&store.extract, &doomed)).and_then(|()| self.sweep_short(usize::MAX))
    }
}

/// Takes a directory that somebody holds for absent.
fn free(claimed: Result<Option<Directory>, Error>) -> Result<Option<Directory>, Error> {
    match claimed {
        Err(Error::InUse) => Ok(None),
        other => other,
    }
}

/// Whether something that is no directory has the name `name`.
fn is_obstacle(parent: &Directory, name: &str) -> Result<bool, Error> {
    match parent.stat(name) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) != FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(Error::io("cannot describe a directory of the layer store")(error)),
    }
}

#[cfg(test)]
mod tests;
