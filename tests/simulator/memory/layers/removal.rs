//! What goes of the layers in memory, and what is in the way of that.

use super::{Kind, Layers};
use std::collections::BTreeSet;
use wharf_component::{
    host::Result,
    nouns::{digest::Digest, problem::ErrorCode},
};

impl Layers {
    /// Whether something is there that is not mounted, and that nobody holds or has
    /// for himself.
    pub(in super::super) fn is_free(&self, kind: Kind, name: &Digest) -> bool {
        self.visible.borrow().has(kind, name) && !self.is_taken(kind, name)
    }

    /// Whether somebody holds something, has mounted it, or has it for himself.
    fn is_taken(&self, kind: Kind, name: &Digest) -> bool {
        let one = (kind, name.clone());
        let is_mounted = kind == Kind::Snapshot && self.mounted.borrow().contains(name);
        let is_below = self.visible.borrow().is_under_a_top(kind, name);
        is_mounted || is_below || self.pins.borrow().contains_key(&one) || self.claimed.has(&one)
    }

    /// Mounts a snapshot.
    pub fn mount(&self, name: &Digest) {
        self.mounted.borrow_mut().push(name.clone());
    }

    /// Ends one mount of a snapshot.
    pub fn unmount(&self, name: &Digest) {
        let mut mounted = self.mounted.borrow_mut();
        if let Some(at) = mounted.iter().position(|other| other == name) {
            mounted.remove(at);
        }
    }

    pub(in super::super) fn mounted(&self) -> Vec<String> {
        let names: BTreeSet<String> = self.mounted.borrow().iter().map(Digest::to_string).collect();
        names.into_iter().collect()
    }

    /// Removes something that somebody has for himself.
    pub(in super::super) fn take(&self, kind: Kind, name: &Digest) {
        self.visible.borrow_mut().take(kind, name);
    }

    /// Makes it durable that these are gone.
    pub(in super::super) fn forget(&self, gone: &[(Kind, Digest)]) {
        let (visible, mut durable) = (self.visible.borrow(), self.durable.borrow_mut());
        for (kind, name) in gone {
            if !visible.has(*kind, name) {
                durable.take(*kind, name);
            }
        }
    }

    /// Removes a layer, or the snapshot of one, as another process does.
    ///
    /// Fails with [`ErrorCode::InUse`] while it has a handle, or something
    /// stands on it.
    pub fn remove(&self, name: &Digest) -> Result<()> {
        let is_held = self.is_taken(Kind::Layer, name) || self.is_taken(Kind::Snapshot, name);
        let mut trees = self.visible.borrow_mut();
        let stands = |(below, top): &(Option<Digest>, Digest)| below.as_ref() == Some(name) || top == name;
        if is_held || trees.snapshots.iter().any(|(other, it)| other != name && stands(it)) {
            return Err(ErrorCode::InUse);
        }
        trees.take(Kind::Snapshot, name);
        trees.take(Kind::Layer, name);
        Ok(())
    }

    pub(in super::super) fn remove_snapshot(&self, name: &str) -> Result<()> {
        let Ok(name) = name.parse::<Digest>() else { return Ok(()) };
        let Some((_, top)) = self.visible.borrow().snapshots.get(&name).cloned() else { return Ok(()) };
        if self.is_taken(Kind::Snapshot, &name)
            || self.visible.borrow().snapshots.values().any(|(below, _)| below.as_ref() == Some(&name))
        {
            return Err(ErrorCode::InUse);
        }
        self.visible.borrow_mut().take(Kind::Snapshot, &name);
        match self.remove_layer(&top) {
            Err(ErrorCode::InUse) => Ok(()),
            other => other,
        }
    }

    pub(in super::super) fn remove_layer(&self, diff_id: &Digest) -> Result<()> {
        let is_held = self.is_taken(Kind::Layer, diff_id);
        let mut trees = self.visible.borrow_mut();
        if is_held || trees.snapshots.values().any(|(_, top)| top == diff_id) {
            return Err(ErrorCode::InUse);
        }
        trees.take(Kind::Layer, diff_id);
        Ok(())
    }

    /// Removes a layer or a snapshot from under what stands on it, if it is not right.
    pub(in super::super) fn revoke(&self, kind: Kind, name: &Digest) -> Result<()> {
        let mut trees = self.visible();
        let is_whole = if kind == Kind::Layer { trees.layers.contains(name) } else { trees.is_whole(name) };
        if is_whole && !trees.damaged.contains(&(kind, name.clone())) {
            return Ok(());
        }
        let first = |(other, (_, top)): (&Digest, &(_, Digest))| {
            (if kind == Kind::Layer { top == name } else { other == name }).then(|| other.clone())
        };
        let meant = trees.above(trees.snapshots.iter().filter_map(first).collect());
        if self.is_taken(kind, name) || meant.iter().any(|name| self.is_taken(Kind::Snapshot, name)) {
            return Err(ErrorCode::InUse);
        }
        trees.take(kind, name);
        self.visible.replace(trees);
        Ok(())
    }

    /// Removes stacks that are not `needed`, and layers that no stack has, as far
    /// as nobody holds them. Of those that are in `layers`, one that has a recipe may
    /// stand for a blob, and stays.
    pub fn sweep(&self, needed: &BTreeSet<Digest>, layers: &BTreeSet<Digest>) {
        let mut trees = self.visible();
        loop {
            let is_free = |name: &&Digest| {
                let has_child = trees.snapshots.values().any(|(below, _)| below.as_ref() == Some(*name));
                !has_child && !needed.contains(*name) && !self.is_taken(Kind::Snapshot, name)
            };
            let Some(name) = trees.snapshots.keys().find(is_free).cloned() else { break };
            trees.take(Kind::Snapshot, &name);
        }
        let used: BTreeSet<Digest> = trees.snapshots.values().map(|(_, top)| top.clone()).collect();
        let stands = |layer: &Digest| layers.contains(layer) && trees.recipes.contains_key(layer);
        let is_free = |layer: &&Digest| !used.contains(*layer) && !stands(layer) && !self.is_taken(Kind::Layer, layer);
        let free: Vec<Digest> = trees.layers.iter().filter(is_free).cloned().collect();
        free.iter().for_each(|layer| trees.take(Kind::Layer, layer));
        self.visible.replace(trees);
    }
}
