//! The labels of blobs and snapshots that say what is kept: containerd, docs/garbage-collection.md, and for what begins with
//! `gc.bref`, by which the needed names what needs it, `core/metadata/gc.go`.
//!
//! A manifest needs no such label here, because it is read; clients write some all the same, and of other documents they
//! are all there is. What one namespace says of a blob holds wherever that is needed.
//!
//! ```text
//! containerd.io/gc.root                      it is kept, unless `gc.expire` is over
//! containerd.io/gc.ref.content[.…|/…]        whoever needs it needs this digest
//! containerd.io/gc.ref.snapshot.<name>[/…]   whoever needs it needs this snapshot
//! containerd.io/gc.bref.content[.…|/…]       whoever needs this digest needs it
//! containerd.io/gc.bref.snapshot.<name>[/…]  whoever needs this snapshot needs it
//! containerd.io/gc.bref.image[.…|/…]         the image of this name needs it
//! ```

use crate::nouns::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ROOT_LABEL: &str = "containerd.io/gc.root";
const REFERENCE_LABEL: &str = "containerd.io/gc.ref.content";
const TREE_LABEL: &str = "containerd.io/gc.ref.snapshot";
const BACK_LABEL: &str = "containerd.io/gc.bref.content";
const TREE_BACK_LABEL: &str = "containerd.io/gc.bref.snapshot";
const NAME_BACK_LABEL: &str = "containerd.io/gc.bref.image";

/// A namespace, and a key or a name in it.
type Place = (String, String);

/// What says of itself that something needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::verbs) struct Behind {
    pub(in crate::verbs) blobs: BTreeSet<Digest>,
    /// Keys of snapshots of the same namespace.
    pub(in crate::verbs) snapshots: BTreeSet<String>,
}

/// What the labels of all blobs say, and of all snapshots, as far as they say it of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::verbs) struct Marks {
    /// The blobs that are kept for themselves, and the namespaces that say so.
    pub(in crate::verbs) pins: BTreeMap<Digest, BTreeSet<String>>,
    /// What blobs need.
    pub(in crate::verbs) blobs: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The snapshots that blobs need.
    snapshots: BTreeMap<Digest, BTreeSet<Place>>,
    /// What snapshots need without saying so.
    trees: BTreeMap<Place, Behind>,
    /// What images need without saying so, by their names.
    names: BTreeMap<Place, Behind>,
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
            if let Some(behind) = self.behind(namespace, key, value) {
                behind.blobs.insert(digest.clone());
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

    /// Adds what the labels of a snapshot say of others. What they say of itself is read where it stands.
    pub(super) fn add_snapshot(&mut self, namespace: &str, key: &str, labels: &BTreeMap<String, String>) {
        for (label, value) in labels {
            if let Some(behind) = self.behind(namespace, label, value) {
                behind.snapshots.insert(key.to_owned());
            } else if is_of(label, BACK_LABEL)
                && let Ok(digest) = value.parse()
            {
                self.snapshots.entry(digest).or_default().insert((namespace.to_owned(), key.to_owned()));
            }
        }
    }

    /// Where that is added whose label names a snapshot or an image that needs it.
    fn behind(&mut self, namespace: &str, label: &str, value: &str) -> Option<&mut Behind> {
        let all = match label {
            _ if is_of(label, TREE_BACK_LABEL) => &mut self.trees,
            _ if is_of(label, NAME_BACK_LABEL) => &mut self.names,
            _ => return None,
        };
        Some(all.entry((namespace.to_owned(), value.to_owned())).or_default())
    }
}

impl Marks {
    /// What says of itself that an image needs it. Most stores have nothing of the kind.
    pub(super) fn behind_name(&self, namespace: &str, name: &impl ToString) -> Behind {
        if self.names.is_empty() {
            return Behind::default();
        }
        self.names.get(&(namespace.to_owned(), name.to_string())).cloned().unwrap_or_default()
    }

    /// The blobs that say of themselves that a snapshot needs them for which `is_needed` is true.
    pub(in crate::verbs) fn blobs_behind(&self, is_needed: impl Fn(&Place) -> bool) -> BTreeSet<Digest> {
        let needed = self.trees.iter().filter(|(place, _)| is_needed(place));
        needed.flat_map(|(_, behind)| &behind.blobs).cloned().collect()
    }

    /// The snapshots that say so.
    pub(in crate::verbs) fn snapshots_behind(&self, is_needed: impl Fn(&Place) -> bool) -> BTreeSet<Place> {
        let needed = self.trees.iter().filter(|(place, _)| is_needed(place));
        let places = needed
            .flat_map(|((namespace, _), behind)| behind.snapshots.iter().map(|key| (namespace.clone(), key.clone())));
        places.collect()
    }

    /// The snapshots that these blobs need.
    pub(in crate::verbs) fn snapshots_of(&self, blobs: &BTreeSet<Digest>) -> BTreeSet<Place> {
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

    #[test]
    fn labels_name_what_needs_what_has_them() {
        let blob = Digest::of(Algorithm::Sha256, b"blob");
        let hash = blob.to_string();
        let marks = |key: &str, value: &str| {
            let (mut marks, labels) = (Marks::default(), BTreeMap::from([(key.to_owned(), value.to_owned())]));
            marks.add("n", &blob, &labels, false);
            marks.add_snapshot("n", "k", &labels);
            let is_meant = |(namespace, key): &Place| namespace == "n" && key == value;
            let named = marks.behind_name("n", &value);
            (
                (marks.blobs_behind(is_meant).len(), marks.snapshots_behind(is_meant).len()),
                (named.blobs.len(), named.snapshots.len()),
                marks.snapshots_of(&BTreeSet::from([blob.clone()])).len(),
            )
        };
        let rows = [
            ("containerd.io/gc.bref.snapshot.overlayfs", "base", ((1, 1), (0, 0), 0)),
            ("containerd.io/gc.bref.snapshot.overlayfs/x", hash.as_str(), ((1, 1), (0, 0), 0)),
            ("containerd.io/gc.bref.snapshots", "base", ((0, 0), (0, 0), 0)),
            ("containerd.io/gc.bref.image", "docker.io/library/app:1", ((0, 0), (1, 1), 0)),
            ("containerd.io/gc.bref.image.x", "app", ((0, 0), (1, 1), 0)),
            ("containerd.io/gc.bref.images", "app", ((0, 0), (0, 0), 0)),
            ("containerd.io/gc.bref.content.x", hash.as_str(), ((0, 0), (0, 0), 1)),
            ("containerd.io/gc.bref.content", "x", ((0, 0), (0, 0), 0)),
            ("containerd.io/gc.bref.container", "x", ((0, 0), (0, 0), 0)),
        ];
        for (key, value, expected) in rows {
            assert_eq!(marks(key, value), expected, "{key} {value}");
        }
    }
}
