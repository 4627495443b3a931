//! The end of everything that frees space: what nothing needs is removed, beside
//! whatever other processes do.
//!
//! ```text
//! read what is recorded, and the documents ─► claim ──────────► read what is recorded again ─► remove
//!         ▲                                   nobody holds it,        │ it has changed
//!         └────────────── let go ─────────────nobody can open it──────┘
//! ```
//!
//! Whoever records something holds it until that is done. So a record that is not
//! there after the claim can be made of nothing that is claimed. Documents are not
//! read while anything is claimed: one of them might be.

use super::{
    contract::{Caller, Garbage},
    failing::{fail, try_this},
    ingests::unfinished,
    reach::{Reach, Reader},
    records,
    roots::Roots,
    store::change,
};
use crate::{
    host::{Claim, Host, TreeClaim, Unfinished},
    nouns::{digest::Digest, problem::ErrorCode},
    planted::{Bug, has},
    registry::Failure,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many are claimed at once.
const CLAIMED_MAX: usize = 1_000;
/// How often one page is claimed again because something was recorded meanwhile.
const ROUNDS_MAX: usize = 64;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) removed: Garbage,
    /// Sentences about what stayed although nothing needs it.
    pub(super) left: Vec<String>,
}

/// Removes what nothing needs of these, and nothing else.
///
/// Removes nothing, and says so, while there is a record that does not say what it
/// needs.
pub(super) async fn sweep<H: Host>(
    host: &H,
    caller: &Caller,
    reader: &Reader<'_, H>,
    garbage: &Garbage,
) -> Result<Swept, Failure> {
    let mut swept = Swept::default();
    let mut broom = Broom::take(host, caller, reader).await?;
    let mut busy = 0;
    if garbage.blobs.len() + garbage.layers.len() + garbage.snapshots.len() > 0 {
        if let Some(why) = unreadable(&broom.reach) {
            swept.left.push(why);
            return Ok(swept);
        }
        for blobs in garbage.blobs.chunks(CLAIMED_MAX) {
            busy += broom.blobs(blobs, &mut swept.removed).await?;
        }
        // Trees have many files. Whoever syncs something after they are gone waits until a disk has freed them all.
        busy += broom.trees(garbage, &mut swept.removed).await?;
    } else {
        // Whoever died over trees has left what no list shows. A claim removes it, also one of nothing.
        drop(host.claim_trees(&[], &[]).await?);
    }
    let held = match garbage.ingests.is_empty() {
        true => BTreeSet::new(),
        false => held_ingests(host, &Roots::load(host, caller).await?).await?,
    };
    for (key, size) in garbage.ingests.iter().filter(|(key, _)| !held.contains(key)) {
        match host.discard(key).await {
            Ok(()) => swept.removed.ingests.push((key.clone(), *size)),
            Err(ErrorCode::InUse) => busy += 1,
            Err(other) => return Err(other.into()),
        }
    }
    if busy > 0 {
        let what = if busy == 1 { "1 blob or tree is".to_owned() } else { format!("{busy} blobs or trees are") };
        swept.left.push(format!("{what} in use; `wharf gc` removes them later"));
    }
    Ok(swept)
}

/// The keys of the ingests that leases hold.
pub(super) async fn held_ingests<H: Host>(host: &H, roots: &Roots) -> Result<BTreeSet<String>, Failure> {
    let held = roots
        .leases
        .iter()
        .flat_map(|lease| lease.ingests.iter().map(|name| records::ingest_name(&lease.namespace, name)));
    let held: BTreeSet<String> = held.collect();
    if held.is_empty() {
        return Ok(BTreeSet::new());
    }
    let here = unfinished(host).await?.into_iter();
    let is_held = |ingest: &Unfinished| ingest.name.as_ref().is_some_and(|name| held.contains(name));
    Ok(here.filter(is_held).map(|ingest| ingest.key).collect())
}

/// Says why nothing is removed.
pub(super) fn unreadable(reach: &Reach) -> Option<String> {
    let first = reach.unreadable.first()?;
    let more = match reach.unreadable.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    Some(format!(
        "nothing is removed from the disk: {first}{more}, so that nobody knows what it needs; `wharf fsck` tells more"
    ))
}

/// The same as a failure, for those who asked for nothing else.
pub(super) fn refuse_unreadable(reach: &Reach) -> Result<(), Failure> {
    match unreadable(reach) {
        None => Ok(()),
        Some(why) => Err(try_this(fail(ErrorCode::Invalid, why), "wharf fsck --repair")),
    }
}

/// What is needed, and what that was read from.
struct Broom<'b, H: Host> {
    host: &'b H,
    caller: &'b Caller,
    reader: &'b Reader<'b, H>,
    roots: Roots,
    reach: Reach,
}

impl<'b, H: Host> Broom<'b, H> {
    async fn take(host: &'b H, caller: &'b Caller, reader: &'b Reader<'b, H>) -> Result<Self, Failure> {
        let (roots, reach) = reader.survey(caller).await?;
        Ok(Self { host, caller, reader, roots, reach })
    }

    /// Whether everything is recorded as it was. If not, it is read anew, and what
    /// was claimed before has to be claimed again.
    async fn is_current(&mut self) -> Result<bool, Failure> {
        if has(Bug::SweepUnchecked) {
            return Ok(true);
        }
        let now = Roots::load(self.host, self.caller).await?;
        let is_same = now.hold_the_same(&self.roots);
        // Records of blobs that hold nothing may have come.
        self.roots.recorded = now.recorded;
        Ok(is_same)
    }

    async fn refresh(&mut self) -> Result<(), Failure> {
        *self = Self::take(self.host, self.caller, self.reader).await?;
        refuse_unreadable(&self.reach)
    }

    /// Removes a page of blobs. Returns how many are in use.
    async fn blobs(&mut self, blobs: &[(Digest, u64)], removed: &mut Garbage) -> Result<usize, Failure> {
        let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| digest.clone()).collect();
        for _ in 0..ROUNDS_MAX {
            let claim = self.host.claim(&digests).await?;
            if !self.is_current().await? {
                drop(claim);
                self.refresh().await?;
                continue;
            }
            let claimed: BTreeSet<Digest> = claim.digests().into_iter().collect();
            let unneeded = blobs.iter().filter(|(digest, _)| !self.reach.blobs.contains(digest));
            let (going, busy): (Vec<_>, Vec<_>) = unneeded.partition(|(digest, _)| claimed.contains(digest));
            let gone: Vec<Digest> = going.iter().map(|(digest, _)| digest.clone()).collect();
            self.forget(&gone).await?;
            claim.remove(&gone).await?;
            removed.blobs.extend(going.into_iter().cloned());
            let mut left = 0;
            for (digest, _) in busy {
                // What was gone before was not claimed either.
                left += usize::from(self.host.open(digest).await.is_ok());
            }
            return Ok(left);
        }
        Ok(blobs.len())
    }

    /// Takes the records of blobs away that are about to go. They go first: who dies between leaves a blob that nothing
    /// knows, and the next collection removes it. Nobody can write another one of a blob that is claimed, because that
    /// takes a handle on it.
    async fn forget(&self, gone: &[Digest]) -> Result<(), Failure> {
        let mut places: BTreeMap<&str, Vec<&Digest>> = BTreeMap::new();
        for digest in gone {
            for namespace in self.roots.recorded.get(digest).into_iter().flatten() {
                places.entry(namespace).or_default().push(digest);
            }
        }
        for (namespace, digests) in places {
            let there = Caller { namespace: namespace.to_owned(), ..self.caller.clone() };
            change(self.host, &there, async |records| {
                digests.iter().for_each(|digest| records.delete_content(digest));
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Removes layers and snapshots. Returns how many are in use.
    async fn trees(&mut self, garbage: &Garbage, removed: &mut Garbage) -> Result<usize, Failure> {
        let mut snapshots: BTreeMap<String, u64> = garbage.snapshots.iter().cloned().collect();
        let mut layers: BTreeMap<Digest, u64> = garbage.layers.iter().cloned().collect();
        // What stands on others may be in another page than they are: then they go in the next round.
        loop {
            let before = snapshots.len() + layers.len();
            for page in pages(&snapshots, &layers) {
                self.page(&page, &mut snapshots, &mut layers, removed).await?;
            }
            let after = snapshots.len() + layers.len();
            if after == 0 || after == before {
                break;
            }
        }
        let mut left = 0;
        for name in snapshots.keys().filter_map(|name| name.parse().ok()) {
            // What was gone before was not claimed either.
            left += usize::from(self.host.snapshot(&name).await.is_ok());
        }
        for name in layers.keys() {
            left += usize::from(self.host.layer(name).await.is_ok());
        }
        Ok(left)
    }

    /// Removes a page of them, and takes what is gone or needed out of the rest.
    async fn page(
        &mut self,
        (some_snapshots, some_layers): &Page,
        snapshots: &mut BTreeMap<String, u64>,
        layers: &mut BTreeMap<Digest, u64>,
        removed: &mut Garbage,
    ) -> Result<(), Failure> {
        for _ in 0..ROUNDS_MAX {
            let claim = self.host.claim_trees(some_snapshots, some_layers).await?;
            if !self.is_current().await? {
                drop(claim);
                self.refresh().await?;
                continue;
            }
            let reach = &self.reach;
            let is_needed = |name: &String| name.parse::<Digest>().is_ok_and(|name| reach.snapshots.contains(&name));
            snapshots.retain(|name, _| !is_needed(name));
            layers.retain(|name, _| !reach.layers.contains(name));
            let (claimed_snapshots, claimed_layers) = claim.names();
            let gone: Vec<String> = claimed_snapshots.into_iter().filter(|name| !is_needed(name)).collect();
            let gone_layers: Vec<Digest> =
                claimed_layers.into_iter().filter(|name| !reach.layers.contains(name)).collect();
            claim.remove(&gone, &gone_layers).await?;
            removed.snapshots.extend(gone.iter().filter_map(|name| snapshots.remove_entry(name)));
            removed.layers.extend(gone_layers.iter().filter_map(|name| layers.remove_entry(name)));
            return Ok(());
        }
        Ok(())
    }
}

/// Snapshots and layers that are claimed together.
type Page = (Vec<String>, Vec<Digest>);

fn pages(snapshots: &BTreeMap<String, u64>, layers: &BTreeMap<Digest, u64>) -> Vec<Page> {
    let snapshots: Vec<String> = snapshots.keys().cloned().collect();
    let layers: Vec<Digest> = layers.keys().cloned().collect();
    // Together if they fit, so that what most images have is claimed at once.
    if snapshots.len() <= CLAIMED_MAX && layers.len() <= CLAIMED_MAX {
        return vec![(snapshots, layers)];
    }
    let first = snapshots.chunks(CLAIMED_MAX).map(|page| (page.to_vec(), Vec::new()));
    first.chain(layers.chunks(CLAIMED_MAX).map(|page| (Vec::new(), page.to_vec()))).collect()
}
