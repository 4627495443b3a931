//! The labels of blobs that say what is kept: containerd, docs/garbage-collection.md.
//!
//! A manifest needs no such label here, because it is read; clients write some all the same, and of other documents they
//! are all there is. What one namespace says of a blob holds wherever that is needed.
//!
//! ```text
//! containerd.io/gc.root                      it is kept, unless `gc.expire` is over
//! containerd.io/gc.ref.content[.…|/…]        whoever needs it needs this digest
//! containerd.io/gc.ref.snapshot.<name>[/…]   whoever needs it needs this snapshot
//! containerd.io/gc.bref.content[.…|/…]       whoever needs this digest needs it
//! ```

use crate::nouns::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ROOT_LABEL: &str = "containerd.io/gc.root";
const REFERENCE_LABEL: &str = "containerd.io/gc.ref.content";
const TREE_LABEL: &str = "containerd.io/gc.ref.snapshot";
const BACK_LABEL: &str = "containerd.io/gc.bref.content";

/// What the labels of all blobs say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::verbs) struct Marks {
    /// The blobs that are kept for themselves, and the namespaces that say so.
    pub(in crate::verbs) pins: BTreeMap<Digest, BTreeSet<String>>,
    /// What blobs need.
    pub(in crate::verbs) blobs: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The snapshots that blobs need: namespaces, and keys in those.
    snapshots: BTreeMap<Digest, BTreeSet<(String, String)>>,
}

impl Marks {
    /// Adds the labels of a blob.
    pub(super) fn add(&mut self, namespace: &str, digest: &Digest, labels: &BTreeMap<String, String>, is_over: bool) {
        for (key, value) in labels {
            if key == ROOT_LABEL {
                if !is_over {
                    self.pins.entry(digest.clone()).or_default().insert(namespace.to_owned());
                }
                continue;
            }
            if is_tree(key) {
                let place = (namespace.to_owned(), value.clone());
                self.snapshots.entry(digest.clone()).or_default().insert(place);
                continue;
            }
            let Ok(other) = value.parse::<Digest>() else { continue };
            if is_reference(key) {
                self.blobs.entry(digest.clone()).or_default().insert(other);
            } else if is_of(key, BACK_LABEL) {
                self.blobs.entry(other).or_default().insert(digest.clone());
            }
        }
    }
}

impl Marks {
    /// The snapshots that these blobs need.
    pub(in crate::verbs) fn snapshots_of(&self, blobs: &BTreeSet<Digest>) -> BTreeSet<(String, String)> {
        let needed = self.snapshots.iter().filter(|(digest, _)| blobs.contains(digest));
        needed.flat_map(|(_, places)| places).cloned().collect()
    }

    /// The same without the pins of other namespaces.
    pub(super) fn of(&self, namespace: &str) -> Self {
        let mut marks = self.clone();
        marks.pins.retain(|_, namespaces| namespaces.contains(namespace));
        marks
    }
}

/// Whether a label names a snapshot, by its key.
pub(in crate::verbs) fn is_tree(key: &str) -> bool {
    is_of(key, TREE_LABEL)
}

/// Whether a label holds the digest that it says.
pub(super) fn is_reference(key: &str) -> bool {
    is_of(key, REFERENCE_LABEL)
}

/// A label may have anything behind it, so that there can be several.
fn is_of(key: &str, label: &str) -> bool {
    key.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::digest::Algorithm;

    #[test]
    fn labels_say_what_is_kept_and_what_needs_what() {
        let digest = |text: &str| Digest::of(Algorithm::Sha256, text.as_bytes());
        let (this, other) = (digest("this"), digest("other"));
        let marks = |key: &str, value: &str, is_over| {
            let mut marks = Marks::default();
            marks.add("n", &this, &BTreeMap::from([(key.to_owned(), value.to_owned())]), is_over);
            (marks.pins.len(), marks.blobs, marks.snapshots)
        };
        let link = |from: &Digest, to: &Digest| BTreeMap::from([(from.clone(), BTreeSet::from([to.clone()]))]);
        let tree = |key: &str| BTreeMap::from([(this.clone(), BTreeSet::from([("n".to_owned(), key.to_owned())]))]);
        let none = BTreeMap::new;
        let no_tree = BTreeMap::new;
        let rows = [
            ("containerd.io/gc.root", "now", false, (1, none(), no_tree())),
            ("containerd.io/gc.root", "now", true, (0, none(), no_tree())),
            ("containerd.io/gc.ref.content", other.as_str(), false, (0, link(&this, &other), no_tree())),
            ("containerd.io/gc.ref.content.l.0", other.as_str(), true, (0, link(&this, &other), no_tree())),
            ("containerd.io/gc.ref.content/x", other.as_str(), false, (0, link(&this, &other), no_tree())),
            ("containerd.io/gc.ref.contents", other.as_str(), false, (0, none(), no_tree())),
            ("containerd.io/gc.ref.content", "x", false, (0, none(), no_tree())),
            ("containerd.io/gc.bref.content.0", other.as_str(), false, (0, link(&other, &this), no_tree())),
            ("containerd.io/gc.ref.snapshot.overlayfs", other.as_str(), false, (0, none(), tree(other.as_str()))),
            ("containerd.io/gc.ref.snapshot.overlayfs/x", "a key", true, (0, none(), tree("a key"))),
            ("containerd.io/gc.ref.snapshots", other.as_str(), false, (0, none(), no_tree())),
        ];
        for (key, value, is_over, expected) in rows {
            assert_eq!(marks(key, value, is_over), expected, "{key} {value}");
        }
    }
}
