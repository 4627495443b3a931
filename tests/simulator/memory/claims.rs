//! Claims in memory: blobs and trees that one has for itself, to remove them or
//! to let them go. Whoever opens one waits in virtual time.
//!
//! A removal takes one after the other. It can stop after each, and what has
//! gone by then may be there again after a power cut.

use super::{Call, Memory, layers::Kind};
use std::collections::BTreeSet;
use wharf_component::{
    host::{self, Result},
    nouns::{digest::Digest, problem::ErrorCode},
};

/// So many of a list are looked at.
const CLAIMED_MAX: usize = 1_000;

/// See `content.claimed`.
#[derive(Debug)]
pub struct Claim {
    memory: Memory,
    digests: Vec<Digest>,
}

impl Claim {
    pub(super) fn new(memory: &Memory, digests: &[Digest]) -> Self {
        memory.process.push_handle();
        let content = &memory.inner.content;
        let mut claim = Self { memory: memory.clone(), digests: Vec::new() };
        for digest in digests.iter().take(CLAIMED_MAX) {
            let name = digest.to_string();
            if content.bytes(&name).is_some() && content.is_free(&name) {
                content.claimed.take(name);
                claim.digests.push(digest.clone());
            }
        }
        claim
    }

    async fn take(&mut self, meant: Vec<Digest>) -> Result<u64> {
        let content = &self.memory.inner.content;
        let (mut freed, mut gone) = (0, Vec::new());
        for digest in meant {
            let name = digest.to_string();
            let bytes = content.disk.borrow_mut().blobs.remove(&name);
            freed += bytes.map_or(0, |bytes| bytes.len() as u64);
            // Who waits sees at once that the name is gone.
            content.claimed.release(&name);
            self.digests.retain(|other| *other != digest);
            self.memory.step(Call::Removed, &name).await?;
            gone.push(name);
        }
        let (disk, mut durable) = (content.disk.borrow(), content.durable.borrow_mut());
        gone.iter().filter(|name| !disk.blobs.contains_key(*name)).for_each(|name| drop(durable.remove(name)));
        Ok(freed)
    }
}

impl host::Claim for Claim {
    fn digests(&self) -> Vec<Digest> {
        self.digests.clone()
    }

    async fn remove(mut self, digests: &[Digest]) -> Result<u64> {
        self.memory.inner.tally.note("content.claimed.remove");
        let meant: Vec<_> = self.digests.iter().filter(|digest| digests.contains(digest)).cloned().collect();
        let memory = self.memory.clone();
        let about = meant.first().map_or_else(String::new, Digest::to_string);
        memory.call(Call::RemoveClaimed, &about, self.take(meant)).await
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        self.digests.iter().for_each(|digest| self.memory.inner.content.claimed.release(&digest.to_string()));
    }
}

/// See `layers.claimed`.
#[derive(Debug)]
pub struct TreeClaim {
    memory: Memory,
    snapshots: Vec<Digest>,
    layers: Vec<Digest>,
}

impl TreeClaim {
    pub(super) fn new(memory: &Memory, snapshots: &[String], layers: &[Digest]) -> Self {
        memory.process.push_handle();
        let store = &memory.inner.layers;
        store.clear_debris(usize::MAX);
        let trees = store.visible();
        let once = |kind, names: Vec<Digest>| {
            let mut seen = BTreeSet::new();
            let free = |name: &Digest| store.is_free(kind, name) && seen.insert(name.clone());
            names.into_iter().filter(free).collect::<Vec<_>>()
        };
        let named = snapshots.iter().take(CLAIMED_MAX).filter_map(|name| name.parse().ok()).collect();
        let mut snapshots = once(Kind::Snapshot, named);
        loop {
            let meant: BTreeSet<&Digest> = snapshots.iter().collect();
            let stays = |(name, (below, _)): (&Digest, &(Option<Digest>, _))| {
                if meant.contains(name) { None } else { below.clone() }
            };
            let needed: BTreeSet<Digest> = trees.snapshots.iter().filter_map(stays).collect();
            if needed.is_disjoint(&snapshots.iter().cloned().collect()) {
                break;
            }
            snapshots.retain(|name| !needed.contains(name));
        }
        let mut layers = once(Kind::Layer, layers.iter().take(CLAIMED_MAX).cloned().collect());
        let others = trees.snapshots.iter().filter(|(name, _)| !snapshots.contains(name));
        let used: BTreeSet<&Digest> = others.map(|(_, (_, top))| top).collect();
        layers.retain(|name| !used.contains(name));
        let claim = Self { memory: memory.clone(), snapshots, layers };
        claim.all().for_each(|one| store.claimed.take(one));
        claim
    }

    fn all(&self) -> impl Iterator<Item = (Kind, Digest)> {
        let snapshots = self.snapshots.iter().map(|name| (Kind::Snapshot, name.clone()));
        snapshots.chain(self.layers.iter().map(|name| (Kind::Layer, name.clone())))
    }

    async fn take(&mut self, snapshots: Vec<Digest>, layers: Vec<Digest>) -> Result<()> {
        let (memory, store) = (self.memory.clone(), &self.memory.inner.layers);
        let order = order(&store.visible().snapshots, snapshots, &layers)?;
        let mut gone = Vec::new();
        for (kind, name) in order {
            store.take(kind, &name);
            // Who waits sees at once that the name is gone.
            store.claimed.release(&(kind, name.clone()));
            match kind {
                Kind::Snapshot => self.snapshots.retain(|other| *other != name),
                Kind::Layer => self.layers.retain(|other| *other != name),
            }
            memory.step(Call::Removed, name.as_str()).await?;
            gone.push((kind, name));
        }
        store.forget(&gone);
        Ok(())
    }
}

/// What is to go in the order in which it goes: what stands on others before
/// what they stand on.
///
/// Fails if something that would stay stands on it.
fn order(
    there: &std::collections::BTreeMap<Digest, (Option<Digest>, Digest)>,
    snapshots: Vec<Digest>,
    layers: &[Digest],
) -> Result<Vec<(Kind, Digest)>> {
    let stays = |(name, (below, top)): (&Digest, &(Option<Digest>, Digest))| {
        let stands = below.as_ref().is_some_and(|below| snapshots.contains(below)) || layers.contains(top);
        stands && !snapshots.contains(name)
    };
    if there.iter().any(stays) {
        return Err(ErrorCode::Invalid);
    }
    let height =
        |name: &Digest| std::iter::successors(there.get(name), |(below, _)| there.get(below.as_ref()?)).count();
    let mut ordered: Vec<_> = snapshots.into_iter().map(|name| (height(&name), name)).collect();
    ordered.sort_by_key(|(height, _)| std::cmp::Reverse(*height));
    let snapshots = ordered.into_iter().map(|(_, name)| (Kind::Snapshot, name));
    Ok(snapshots.chain(layers.iter().map(|name| (Kind::Layer, name.clone()))).collect())
}

impl host::TreeClaim for TreeClaim {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        (self.snapshots.iter().map(Digest::to_string).collect(), self.layers.clone())
    }

    async fn remove(mut self, snapshots: &[String], layers: &[Digest]) -> Result<()> {
        self.memory.inner.tally.note("layers.claimed.remove");
        let is_named = |name: &&Digest| snapshots.iter().any(|named| named == name.as_str());
        let snapshots: Vec<_> = self.snapshots.iter().filter(is_named).cloned().collect();
        let layers: Vec<_> = self.layers.iter().filter(|name| layers.contains(name)).cloned().collect();
        let memory = self.memory.clone();
        let about = snapshots.first().or(layers.first()).map_or_else(String::new, Digest::to_string);
        memory.call(Call::RemoveTrees, &about, self.take(snapshots, layers)).await
    }
}

impl Drop for TreeClaim {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        self.all().for_each(|one| self.memory.inner.layers.claimed.release(&one));
    }
}
