//! What the snapshots of clients reach: the trees that they are recorded with, everything that those stand on, and the
//! blobs that their labels name. A collection asks which of them are held; for everybody else all that are recorded are
//! needed.

use super::{Reach, Reader, found};
use crate::{
    host::{Host, Snapshot as _},
    nouns::digest::Digest,
    registry::Failure,
    verbs::roots::{Roots, Shot, is_tree},
};
use std::collections::{BTreeMap, BTreeSet};

/// A namespace, and a key in it.
pub(in crate::verbs) type Place = (String, String);

impl<H: Host> Reader<'_, H> {
    /// Adds the snapshots that are needed as far as the blobs are known, and the blobs that those need. Returns whether
    /// there are more of either.
    pub(super) async fn shots(&self, roots: &Roots, reach: &mut Reach) -> Result<bool, Failure> {
        let known: BTreeMap<(&str, &str), _> =
            roots.snapshots.iter().map(|shot| ((shot.namespace.as_str(), shot.key.as_str()), shot)).collect();
        let mut has_more = self.behind(roots, reach).await?;
        let mut next: Vec<Place> = self.first(roots, reach);
        while let Some(place) = next.pop() {
            if !reach.kept.insert(place.clone()) {
                continue;
            }
            has_more = true;
            let (namespace, key) = &place;
            let Some(shot) = known.get(&(namespace.as_str(), key.as_str())) else {
                // Nobody has to record what is called by its ChainID.
                if let Ok(chain) = key.parse() {
                    self.stack(chain, reach).await?;
                }
                continue;
            };
            self.stack(shot.record.tree.clone(), reach).await?;
            next.extend(shot.snapshots().map(|key| (namespace.clone(), key.to_owned())));
            for digest in shot.blobs() {
                for parts in self.of_digest(&digest).await? {
                    reach.add(&parts);
                }
                // It may be on its way.
                reach.blobs.insert(digest);
            }
        }
        Ok(has_more)
    }

    /// Returns what the snapshots of clients need that nothing else has to be needed for.
    pub(in crate::verbs) async fn of_shots(&self, roots: &Roots) -> Result<Reach, Failure> {
        let mut reach = Reach::default();
        while self.shots(roots, &mut reach).await? {}
        Ok(reach)
    }

    /// Adds the blobs that say of themselves that a snapshot needs them, if that is needed. Returns whether there are more.
    async fn behind(&self, roots: &Roots, reach: &mut Reach) -> Result<bool, Failure> {
        let blobs = roots.marks.blobs_behind(|place| is_needed(reach, place));
        let new: Vec<&Digest> = blobs.iter().filter(|digest| !reach.blobs.contains(*digest)).collect();
        for digest in &new {
            for parts in self.of_digest(digest).await? {
                reach.add(&parts);
            }
            // It may be on its way.
            reach.blobs.insert((*digest).clone());
        }
        Ok(!new.is_empty())
    }

    /// The snapshots that are kept whatever others are.
    fn first(&self, roots: &Roots, reach: &Reach) -> Vec<Place> {
        let now = self.host.now();
        let mut first: BTreeSet<Place> = roots.marks.snapshots_of(&reach.blobs);
        first.extend(roots.marks.snapshots_behind(|place| is_needed(reach, place)));
        for lease in &roots.leases {
            first.extend(lease.snapshots.iter().map(|key| (lease.namespace.clone(), key.clone())));
        }
        let images = roots.images.iter().map(|root| (&root.namespace, &root.record, &root.behind));
        let foreign = roots.foreign.iter().map(|root| (&root.namespace, &root.record, &root.behind));
        for (namespace, record, behind) in images.chain(foreign) {
            let named = record.labels.iter().filter(|(label, _)| is_tree(label)).map(|(_, key)| key);
            first.extend(named.chain(&behind.snapshots).map(|key| (namespace.clone(), key.clone())));
        }
        let is_kept = |shot: &&Shot| {
            let is_used = || self.used.borrow().contains(&(shot.namespace.clone(), shot.key.clone()));
            !self.is_collecting || shot.is_pinned(now) || is_used()
        };
        first.extend(roots.snapshots.iter().filter(is_kept).map(|shot| (shot.namespace.clone(), shot.key.clone())));
        first.into_iter().collect()
    }

    /// Adds a tree, and what it stands on.
    async fn stack(&self, name: Digest, reach: &mut Reach) -> Result<(), Failure> {
        let mut next = Some(name);
        while let Some(name) = next.take().filter(|name| !reach.snapshots.contains(name)) {
            let snapshot = found(self.host.snapshot(&name).await)?;
            reach.snapshots.insert(name);
            let Some(snapshot) = snapshot else { break };
            reach.layers.extend(snapshot.layer());
            next = snapshot.parent().and_then(|below| below.parse().ok());
        }
        Ok(())
    }
}

/// Whether a snapshot is needed, as far as that is known. What is called by its ChainID has to be no client's.
fn is_needed(reach: &Reach, place: &Place) -> bool {
    reach.kept.contains(place) || place.1.parse::<Digest>().is_ok_and(|tree| reach.snapshots.contains(&tree))
}
