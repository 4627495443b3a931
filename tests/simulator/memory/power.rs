//! A power cut: which of the things that were not synced are there afterwards.
//! ext4 may write names in any order until a directory is synced, a file's
//! length before its bytes, and pages of it in any order. What was synced is
//! there.

use super::{Memory, content::Disk};
use crate::dice::Dice;
use std::collections::BTreeSet;

/// The kernel writes pages; the documents of a simulation are small, and so are these.
const PAGE_BYTES: usize = 32;

impl Memory {
    /// Cuts the power. Everything that ran has to be dropped after [`Self::kill`]
    /// before. Returns the names of blobs that came back from being ingests or from
    /// having been removed: an ingest and a blob of one name may both be there.
    pub fn cut(&self, dice: &mut Dice) -> BTreeSet<String> {
        let mut returned = BTreeSet::new();
        let content = &self.inner.content;
        let (visible, durable) = (content.visible(), content.durable.borrow().clone());
        let mut after = Disk::default();
        let names: BTreeSet<&String> = visible.blobs.keys().chain(durable.keys()).collect();
        for name in names {
            let (now, synced) = (visible.blobs.get(name), durable.get(name));
            let stays = if now == synced || dice.chance(1, 2) { now } else { synced };
            if let Some(bytes) = stays {
                if now.is_none() {
                    returned.insert(name.clone());
                }
                after.blobs.insert(name.clone(), bytes.clone());
            } else if let Some(bytes) = now.filter(|_| dice.chance(1, 2)) {
                // The rename was not written. The bytes were synced before it.
                returned.insert(name.clone());
                after.ingests.insert(name.clone(), bytes.to_vec());
            }
        }
        for (name, bytes) in visible.ingests {
            if let Some(bytes) = torn(bytes, dice) {
                after.ingests.insert(name, bytes);
            }
        }
        content.durable.replace(after.blobs.clone());
        content.disk.replace(after);
        self.inner.layers.cut(dice);
        returned
    }
}

/// What is left of bytes that nobody has synced, if anything.
fn torn(mut bytes: Vec<u8>, dice: &mut Dice) -> Option<Vec<u8>> {
    let length = bytes.len();
    match dice.below(6) {
        0 => return None,
        1 => bytes.truncate(dice.below(length + 1)),
        // The length was written, and the bytes were not.
        2 => bytes.fill(0),
        3 if length > 0 => {
            let start = dice.below(length) / PAGE_BYTES * PAGE_BYTES;
            let end = (start + PAGE_BYTES).min(length);
            bytes[start..end].fill(0);
        }
        // What the disk had there before.
        4 if length > 0 => {
            let at = dice.below(length);
            bytes[at..].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        _ => {}
    }
    Some(bytes)
}
