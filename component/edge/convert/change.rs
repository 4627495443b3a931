//! The words about changing what is here, field by field.

use super::each;
use crate::nouns::digest::Digest;
use crate::verbs::contract;
use wharf_vocabulary::changes as wit;

fn texts(digests: Vec<Digest>) -> Vec<String> {
    digests.into_iter().map(String::from).collect()
}

fn named(sizes: Vec<(Digest, u64)>) -> Vec<(String, u64)> {
    sizes.into_iter().map(|(digest, size)| (digest.into(), size)).collect()
}

impl From<wit::Change> for contract::Change {
    fn from(change: wit::Change) -> Self {
        match change {
            wit::Change::Tag(wit::Tagging { source, names }) => Self::Tag(contract::Tagging { source, names }),
            wit::Change::Remove(wit::Removal { references, force, no_prune, platforms }) => {
                Self::Remove(contract::Removal { references, force, no_prune, platforms })
            }
            wit::Change::Prune(wit::Pruning { all, filters, keep_bytes, who }) => {
                Self::Prune(contract::Pruning { all, filters, keep_bytes, who })
            }
            wit::Change::Collect(wit::Collecting { ingest_age_s }) => {
                Self::Collect(contract::Collecting { ingest_age_s })
            }
            wit::Change::Retain(wit::Retaining { references, retention }) => {
                Self::Retain(contract::Retaining { references, retention: retention.into() })
            }
        }
    }
}

impl From<wit::Retention> for contract::Retention {
    fn from(retention: wit::Retention) -> Self {
        match retention {
            wit::Retention::Both => Self::Both,
            wit::Retention::Unpacked => Self::Unpacked,
            wit::Retention::Compressed => Self::Compressed,
        }
    }
}

impl From<contract::Retention> for wit::Retention {
    fn from(retention: contract::Retention) -> Self {
        match retention {
            contract::Retention::Both => Self::Both,
            contract::Retention::Unpacked => Self::Unpacked,
            contract::Retention::Compressed => Self::Compressed,
        }
    }
}

impl From<contract::NameChange> for wit::NameChange {
    fn from(change: contract::NameChange) -> Self {
        let contract::NameChange { name, before, after, platforms, retention, why } = change;
        let (before, after) = (before.map(Into::into), after.map(Into::into));
        Self { name, before, after, platforms, retention: retention.map(Into::into), why }
    }
}

impl From<contract::Garbage> for wit::Garbage {
    fn from(contract::Garbage { blobs, layers, snapshots, ingests }: contract::Garbage) -> Self {
        Self { blobs: named(blobs), layers: named(layers), snapshots, ingests }
    }
}

impl From<contract::Plan> for wit::Plan {
    fn from(contract::Plan { names, leases, garbage, gone, risks, document }: contract::Plan) -> Self {
        Self { names: each(names), leases, garbage: garbage.into(), gone: texts(gone), risks, document }
    }
}

impl From<contract::Changed> for wit::Changed {
    fn from(contract::Changed { names, leases, removed, gone, failed, left }: contract::Changed) -> Self {
        Self { names: each(names), leases, removed: removed.into(), gone: texts(gone), failed, left }
    }
}
