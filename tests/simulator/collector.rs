//! What another program may take away: blobs that no record leads to and that
//! nobody holds, and stacks of layers likewise. wharf has no such verb yet; what
//! a pull holds has to survive one all the same. It looks and takes in one
//! moment, as one does that holds the exclusive lock.

use crate::{chronicle::NAMESPACE, hub::Hub, invariants::records, memory::Memory};
use futures_util::FutureExt;
use serde_json::Value;
use std::collections::BTreeSet;
use wharf_component::nouns::{chain::chain_ids, digest::Digest, record::ImageRecord};

/// Takes what nobody needs. `trees` are manifests whose stacks stay.
pub fn collect(machine: &Memory, hub: &Hub, trees: &BTreeSet<Digest>) {
    let observer = machine.observer();
    let Some(Ok(records)) = records(&observer, NAMESPACE).now_or_never() else { return };
    let blobs = machine.content().visible().blobs;
    let read = |digest: &Digest| {
        let bytes = blobs.get(digest.as_str()).filter(|bytes| digest.verify(bytes))?;
        serde_json::from_slice::<Value>(bytes).ok()
    };
    let (mut needed, mut manifests) = (BTreeSet::new(), trees.clone());
    for value in records.values() {
        let Ok(record) = ImageRecord::decode(value) else { return };
        needed.insert(record.target.digest.to_string());
        for present in &record.platforms {
            let digest = &present.manifest.digest;
            manifests.insert(digest.clone());
            needed.extend([digest.to_string(), present.config.to_string()]);
            // What a damaged manifest needs is not known.
            let Some(manifest) = read(digest) else { return };
            let layers = manifest["layers"].as_array().into_iter().flatten();
            needed.extend(layers.filter_map(|layer| layer["digest"].as_str().map(str::to_owned)));
        }
    }
    let needed_stacks: BTreeSet<Digest> = manifests
        .iter()
        .flat_map(|manifest| hub.diff_ids(manifest).map(|ids| chain_ids(&ids)).unwrap_or_default())
        .collect();
    for digest in blobs.keys().filter(|digest| !needed.contains(*digest)) {
        let digest = digest.parse().expect("blobs have digests");
        // Whoever holds it keeps it.
        let _ = machine.content().remove(&digest);
    }
    machine.layers().sweep(&needed_stacks);
}
