//! What another program may take away: blobs that no record leads to, that no lease
//! holds and that nobody has in hand, and stacks of layers likewise. It is none of
//! wharf's verbs: it looks and takes in one moment, as one does that holds the
//! exclusive lock. What it knows is also what a collection may not leave.

use crate::{
    chronicle::NAMESPACE,
    hub::Hub,
    invariants::{diff_ids, records},
    memory::Memory,
};
use futures_util::FutureExt;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use wharf_component::host::{Host as _, Transaction as _};
use wharf_component::nouns::{
    chain::chain_ids,
    digest::Digest,
    record::{CONTENT_PREFIX, ContentRecord, ImageRecord, LEASE_PREFIX, LeaseRecord, SNAPSHOT_PREFIX, SnapshotRecord},
};

/// There are fewer leases than this.
const PAGE_RECORDS: u32 = 1_000;

/// What records and leases lead to.
#[derive(Debug, Default)]
struct Needed {
    blobs: BTreeSet<String>,
    layers: BTreeSet<Digest>,
    stacks: BTreeSet<Digest>,
}

fn all(machine: &Memory) -> BTreeMap<String, ImageRecord> {
    let records = records(&machine.observer(), NAMESPACE).now_or_never();
    let records = records.and_then(Result::ok).unwrap_or_default();
    let decoded = |(name, value): (String, Vec<u8>)| Some((name, ImageRecord::decode(&value).ok()?));
    records.into_iter().filter_map(decoded).collect()
}

/// The names that are recorded.
pub fn recorded_names(machine: &Memory) -> BTreeSet<String> {
    all(machine).into_keys().collect()
}

/// The manifests that are recorded.
pub fn recorded(machine: &Memory) -> BTreeSet<Digest> {
    let platforms = all(machine).into_values().flat_map(|record| record.platforms);
    platforms.map(|present| present.manifest.digest).collect()
}

/// What leases hold, whether or not they have expired.
fn leased(machine: &Memory, hub: &Hub) -> BTreeSet<Digest> {
    let records = async {
        let transaction = machine.observer().begin().await?;
        transaction.scan(NAMESPACE, LEASE_PREFIX, None, PAGE_RECORDS).await
    };
    let records = records.now_or_never().and_then(Result::ok).unwrap_or_default();
    let leases = records.iter().filter_map(|(_, value)| LeaseRecord::decode(value).ok());
    let (mut leased, blobs) = (BTreeSet::new(), machine.content().visible().blobs);
    for held in leases.flat_map(|lease| lease.holds) {
        let version = hub.version_of(&held);
        leased.extend(version.map_or_else(|| hub.parts(&held), |version| version.blobs));
        // The registry does not know what was made here.
        let listed = blobs.get(held.as_str()).map(|bytes| children(bytes)).unwrap_or_default();
        leased.extend(listed.iter().flat_map(|manifest| hub.parts(manifest)));
        leased.insert(held);
    }
    leased
}

/// What is here of the indexes that are whole.
pub fn indexes(machine: &Memory) -> Vec<Digest> {
    let blobs = machine.content().visible().blobs;
    let is_index =
        |digest: &Digest, bytes: &[u8]| bytes.starts_with(b"{") && digest.verify(bytes) && !children(bytes).is_empty();
    let found = blobs.iter().filter_map(|(name, bytes)| {
        let digest: Digest = name.parse().ok()?;
        is_index(&digest, bytes).then_some(digest)
    });
    found.collect()
}

/// What an index lists.
fn children(bytes: &[u8]) -> Vec<Digest> {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let listed = document["manifests"].as_array().into_iter().flatten();
    listed.filter_map(|entry| entry["digest"].as_str()?.parse().ok()).collect()
}

/// What labels keep.
fn kept(machine: &Memory) -> BTreeSet<String> {
    let records = async {
        let transaction = machine.observer().begin().await?;
        transaction.scan(NAMESPACE, CONTENT_PREFIX, None, PAGE_RECORDS).await
    };
    let records = records.now_or_never().and_then(Result::ok).unwrap_or_default();
    let is_kept = |value: &[u8]| {
        ContentRecord::decode(value).is_ok_and(|record| record.labels.contains_key("containerd.io/gc.root"))
    };
    let kept = records.into_iter().filter(|(_, value)| is_kept(value));
    kept.map(|(key, _)| key[CONTENT_PREFIX.len()..].to_owned()).collect()
}

/// The trees of snapshots that are recorded, what those stand on, and the layers of all.
fn stacked(machine: &Memory) -> BTreeMap<Digest, Option<Digest>> {
    let records = async {
        let transaction = machine.observer().begin().await?;
        transaction.scan(NAMESPACE, SNAPSHOT_PREFIX, None, PAGE_RECORDS).await
    };
    let records = records.now_or_never().and_then(Result::ok).unwrap_or_default();
    let trees = machine.layers().visible();
    let mut next: Vec<Digest> =
        records.iter().filter_map(|(_, value)| Some(SnapshotRecord::decode(value).ok()?.tree)).collect();
    let mut stacked = BTreeMap::new();
    while let Some(name) = next.pop() {
        let placed = trees.snapshots.get(&name).cloned();
        next.extend(placed.iter().filter_map(|(below, _)| below.clone()));
        stacked.insert(name, placed.map(|(_, layer)| layer));
    }
    stacked
}

/// None if that is not known, because a document is damaged.
fn needed(machine: &Memory, hub: &Hub) -> Option<Needed> {
    let leased = leased(machine, hub);
    let blobs = machine.content().visible().blobs;
    let read = |digest: &Digest| {
        let bytes = blobs.get(digest.as_str()).filter(|bytes| digest.verify(bytes))?;
        serde_json::from_slice::<Value>(bytes).ok()
    };
    let mut needed = Needed { blobs: leased.iter().map(Digest::to_string).collect(), ..Needed::default() };
    needed.blobs.extend(kept(machine));
    // What a lease holds may be a manifest, and then it holds its tree.
    let mut manifests: BTreeSet<Digest> = leased.iter().filter(|held| hub.diff_ids(held).is_some()).cloned().collect();
    for record in all(machine).into_values() {
        needed.blobs.insert(record.target.digest.to_string());
        for present in &record.platforms {
            let digest = &present.manifest.digest;
            manifests.insert(digest.clone());
            needed.blobs.extend([digest.to_string(), present.config.to_string()]);
            // What a damaged manifest needs is not known.
            let manifest = read(digest)?;
            let layers = manifest["layers"].as_array().into_iter().flatten();
            needed.blobs.extend(layers.filter_map(|layer| layer["digest"].as_str().map(str::to_owned)));
            // The registry does not know what was made here.
            if hub.diff_ids(digest).is_none() {
                let diff_ids = diff_ids(&read(&present.config)?);
                needed.stacks.extend(chain_ids(&diff_ids));
                needed.layers.extend(diff_ids);
            }
        }
    }
    for (name, layer) in stacked(machine) {
        needed.stacks.insert(name);
        needed.layers.extend(layer);
    }
    for diff_ids in manifests.iter().filter_map(|manifest| hub.diff_ids(manifest)) {
        needed.stacks.extend(chain_ids(&diff_ids));
        needed.layers.extend(diff_ids);
    }
    Some(needed)
}

/// Takes what nobody needs.
pub fn collect(machine: &Memory, hub: &Hub) {
    let Some(needed) = needed(machine, hub) else { return };
    for digest in machine.content().visible().blobs.keys().filter(|digest| !needed.blobs.contains(*digest)) {
        let digest = digest.parse().expect("blobs have digests");
        // Whoever holds it keeps it.
        let _ = machine.content().remove(&digest);
    }
    machine.layers().sweep(&needed.stacks, &needed.layers);
}

/// What nobody needs of what is here, where everything is whole.
pub fn unneeded(machine: &Memory, hub: &Hub) -> Vec<String> {
    let Some(needed) = needed(machine, hub) else {
        return vec!["something that is damaged".to_owned()];
    };
    let (disk, trees) = (machine.content().visible(), machine.layers().visible());
    let short = |digest: &str| digest.chars().take(19).collect::<String>();
    let blobs = disk.blobs.keys().filter(|digest| !needed.blobs.contains(*digest));
    let blobs = blobs.map(|digest| format!("the blob `{}`", short(digest)));
    let ingests = disk.ingests.keys().map(|name| format!("the ingest of `{}`", short(name)));
    let layers = trees.layers.difference(&needed.layers).map(|name| format!("the layer `{}`", name.short()));
    let stacks = trees.snapshots.keys().filter(|name| !needed.stacks.contains(*name));
    let stacks = stacks.map(|name| format!("the snapshot `{}`", name.short()));
    blobs.chain(ingests).chain(layers).chain(stacks).collect()
}
