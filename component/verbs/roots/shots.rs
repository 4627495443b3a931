//! The snapshots that clients have recorded, of every namespace, and what their labels say: containerd,
//! docs/garbage-collection.md.
//!
//! ```text
//! containerd.io/gc.root                      it is kept, unless `gc.expire` is over
//! containerd.io/gc.ref.content[.…|/…]        whoever needs it needs this digest
//! containerd.io/gc.ref.snapshot.<name>[/…]   whoever needs it needs this snapshot
//! ```
//!
//! Which others need it by its labels stands in `marks`.

use super::{
    is_over,
    marks::{ROOT_LABEL, is_reference, is_tree},
};
use crate::nouns::{digest::Digest, record::SnapshotRecord};

/// One snapshot of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::verbs) struct Shot {
    pub(in crate::verbs) namespace: String,
    pub(in crate::verbs) key: String,
    pub(in crate::verbs) record: SnapshotRecord,
}

impl Shot {
    /// Whether it is kept for itself.
    pub(in crate::verbs) fn is_pinned(&self, now: i64) -> bool {
        self.record.labels.contains_key(ROOT_LABEL) && !is_over(&self.record.labels, now)
    }

    /// The keys of what it needs of its namespace: what it stands on, and what its labels name.
    pub(in crate::verbs) fn snapshots(&self) -> impl Iterator<Item = &str> {
        let named = self.record.labels.iter().filter(|(key, _)| is_tree(key)).map(|(_, value)| value.as_str());
        self.record.parent.as_deref().into_iter().chain(named)
    }

    /// The blobs that its labels name.
    pub(in crate::verbs) fn blobs(&self) -> impl Iterator<Item = Digest> {
        let named = self.record.labels.iter().filter(|(key, _)| is_reference(key));
        named.filter_map(|(_, value)| value.parse().ok())
    }
}
