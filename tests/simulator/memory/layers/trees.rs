//! Layers and snapshots as they are on a disk in memory. Who holds what is not here.

use super::Written;
use std::collections::{BTreeMap, BTreeSet};
use wharf_component::nouns::digest::Digest;

/// What has a tree. The first snapshot of a stack has the name of its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A layer, by its DiffID.
    Layer,
    /// A snapshot, by its ChainID.
    Snapshot,
}

/// What is on the disk, so to speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trees {
    /// DiffIDs.
    pub layers: BTreeSet<Digest>,
    /// By name: what is below, and the layer on top.
    pub snapshots: BTreeMap<Digest, (Option<Digest>, Digest)>,
    /// The sizes of layers, in bytes.
    pub sizes: BTreeMap<Digest, u64>,
    /// The layers that have a recipe, with its size in bytes.
    pub recipes: BTreeMap<Digest, u64>,
    /// What is in the snapshots that were written, and are no stacks.
    pub written: BTreeMap<Digest, Vec<u8>>,
    /// What is written to, and views, by name.
    pub tops: BTreeMap<String, Written>,
    /// Layers and snapshots whose tree is not what it was.
    pub damaged: BTreeSet<(Kind, Digest)>,
}

impl Trees {
    /// Whether a snapshot, its layer and everything below it is there.
    pub(super) fn is_whole(&self, name: &Digest) -> bool {
        let mut next = Some(name);
        while let Some(name) = next {
            let Some((below, top)) = self.snapshots.get(name) else { return false };
            if !self.layers.contains(top) && !self.written.contains_key(name) {
                return false;
            }
            next = below.as_ref();
        }
        true
    }

    /// Whether something that is written to stands on a snapshot, or shows a layer.
    pub(in super::super) fn is_under_a_top(&self, kind: Kind, name: &Digest) -> bool {
        self.tops.values().any(|top| match kind {
            Kind::Layer => top.shown.as_ref() == Some(name),
            Kind::Snapshot => top.parent.as_ref() == Some(name),
        })
    }

    /// Whether something is there, whole or not.
    pub(super) fn has(&self, kind: Kind, name: &Digest) -> bool {
        match kind {
            Kind::Layer => self.layers.contains(name),
            Kind::Snapshot => self.snapshots.contains_key(name),
        }
    }

    /// Removes something, if it is there.
    pub(super) fn take(&mut self, kind: Kind, name: &Digest) {
        match kind {
            Kind::Layer => drop((self.layers.remove(name), self.sizes.remove(name), self.recipes.remove(name))),
            Kind::Snapshot => drop((self.snapshots.remove(name), self.written.remove(name))),
        }
        self.damaged.remove(&(kind, name.clone()));
    }

    /// The snapshots that are one of `meant`, or stand on one.
    pub(super) fn above(&self, mut meant: BTreeSet<Digest>) -> BTreeSet<Digest> {
        loop {
            let before = meant.len();
            for (name, (below, _)) in &self.snapshots {
                if below.as_ref().is_some_and(|below| meant.contains(below)) {
                    meant.insert(name.clone());
                }
            }
            if meant.len() == before {
                return meant;
            }
        }
    }
}
