//! What a key leads to: a record of the namespace, or, if the key is a ChainID, what wharf has stacked under it. Who can
//! name a ChainID may have its tree; the other names of trees lead nowhere, because they are no chains.

use crate::{
    host::{Host, Refusal, Snapshot as _},
    nouns::{
        chain::chain_id,
        digest::{Algorithm, Digest},
        problem::ErrorCode,
        record::{Moment, SnapshotKind, SnapshotRecord},
    },
    registry::Failure,
    verbs::{
        contract::{Caller, snapshots::Snapshot},
        failing::{fail, invalid},
        reach::found,
        store::Records,
    },
};
use std::collections::BTreeMap;

/// Higher stacks than this are none that the host makes.
const HEIGHT_MAX: usize = 1_000;

/// Something that is committed, held.
pub(super) struct Base<S> {
    pub(super) key: String,
    pub(super) tree: Digest,
    pub(super) snapshot: S,
    /// Whether it is there without a record, and the key of what it then stands on.
    shared: Option<Option<String>>,
}

impl<S> Base<S> {
    /// Sees to it that the namespace has a record of it, in a transaction that goes on. The host's layers are durable.
    pub(super) async fn confirm<T: crate::host::Transaction>(
        &self,
        records: &Records<'_, T>,
        now: Moment,
    ) -> Result<(), Failure> {
        match (records.snapshot(&self.key).await?, &self.shared) {
            (Some(record), _) => {
                let record = record.map_err(invalid)?;
                match record.kind == SnapshotKind::Committed && record.tree == self.tree {
                    true => Ok(()),
                    false => Err(fail(ErrorCode::Conflict, format!("{} is another one now", shown(&self.key)))),
                }
            }
            (None, Some(parent)) => records.put_snapshot(&self.key, &recorded(&self.tree, parent.clone(), now)),
            (None, None) => Err(absent(&self.key)),
        }
    }

    /// Whether the namespace has a record of it already.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// As clients see it that have no record of it.
    pub(super) fn picture(&self) -> Snapshot {
        let parent = self.shared.clone().flatten();
        picture(&self.key, recorded(&self.tree, parent, Moment::default()))
    }

    /// What would be recorded of it.
    pub(super) fn record(&self, now: Moment) -> SnapshotRecord {
        recorded(&self.tree, self.shared.clone().flatten(), now)
    }
}

/// The record of what is there under its ChainID.
fn recorded(tree: &Digest, parent: Option<String>, now: Moment) -> SnapshotRecord {
    SnapshotRecord {
        kind: SnapshotKind::Committed,
        parent,
        tree: tree.clone(),
        labels: BTreeMap::new(),
        created: now,
        updated: now,
    }
}

/// Returns the record of a key.
pub(super) async fn record<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<SnapshotRecord, Failure> {
    check(key)?;
    let record = Records::begin(host, caller).await?.snapshot(key).await?;
    record.ok_or_else(|| absent(key))?.map_err(invalid)
}

/// Finds what wharf has stacked under a key that is a ChainID.
pub(super) async fn shared<H: Host>(host: &H, key: &str) -> Result<Option<Base<H::Snapshot>>, Failure> {
    let Ok(tree) = key.parse::<Digest>() else { return Ok(None) };
    let Some(snapshot) = found(host.snapshot(&tree).await)? else { return Ok(None) };
    if !is_chain(host, &tree, &snapshot).await? {
        return Ok(None);
    }
    let shared = Some(snapshot.parent());
    Ok(Some(Base { key: key.to_owned(), tree, snapshot, shared }))
}

/// Finds what something can stand on.
pub(super) async fn base<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<Base<H::Snapshot>, Failure> {
    check(key)?;
    let Some(record) = Records::begin(host, caller).await?.snapshot(key).await? else {
        return shared(host, key).await?.ok_or_else(|| absent(key));
    };
    let record = record.map_err(invalid)?;
    if record.kind != SnapshotKind::Committed {
        return Err(invalid(format!("{} is not committed", shown(key))));
    }
    match found(host.snapshot(&record.tree).await)? {
        Some(snapshot) => Ok(Base { key: key.to_owned(), tree: record.tree, snapshot, shared: None }),
        None => Err(gone(key)),
    }
}

/// Whether something has this key.
pub(super) async fn is_taken<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<bool, Failure> {
    let is_recorded = Records::begin(host, caller).await?.snapshot(key).await?.is_some();
    Ok(is_recorded || shared(host, key).await?.is_some())
}

/// Whether the name of a snapshot is what its layers make: nobody can give that name to something else.
pub(super) async fn is_chain<H: Host>(host: &H, name: &Digest, snapshot: &H::Snapshot) -> Result<bool, Failure> {
    let (mut layer, mut below, mut diff_ids) = (snapshot.layer(), snapshot.parent(), Vec::new());
    loop {
        let Some(diff_id) = layer.filter(|_| diff_ids.len() < HEIGHT_MAX) else { return Ok(false) };
        diff_ids.push(diff_id);
        let Some(text) = below else { break };
        let Ok(parent) = text.parse::<Digest>() else { return Ok(false) };
        let Some(next) = found(host.snapshot(&parent).await)? else { return Ok(false) };
        (layer, below) = (next.layer(), next.parent());
    }
    diff_ids.reverse();
    Ok(chain_id(&diff_ids).as_ref() == Some(name))
}

/// A name for a tree that nobody can guess, and nobody has chosen.
pub(super) fn fresh<H: Host>(host: &H, caller: &Caller) -> Digest {
    let [a, b, c, d] = [host.random(), host.random(), host.random(), host.random()];
    Digest::of(Algorithm::Sha256, format!("{}\n{a:016x}{b:016x}{c:016x}{d:016x}", caller.namespace).as_bytes())
}

/// As clients see a record.
pub(super) fn picture(key: &str, record: SnapshotRecord) -> Snapshot {
    let SnapshotRecord { kind, parent, tree, labels, created, updated } = record;
    Snapshot { name: key.to_owned(), parent, kind, tree, labels: labels.into_iter().collect(), created, updated }
}

/// Refuses what is no key. One that is too long is refused where it is recorded.
pub(super) fn check(key: &str) -> Result<(), Failure> {
    match key.is_empty() {
        true => Err(invalid("a snapshot has a key, and this one is empty")),
        false => Ok(()),
    }
}

/// What the host says about a tree.
pub(super) fn refused(Refusal { code, why }: Refusal) -> Failure {
    fail(code, why)
}

pub(super) fn absent(key: &str) -> Failure {
    fail(ErrorCode::NotFound, format!("the namespace has no snapshot {}", shown(key)))
}

pub(super) fn taken(key: &str) -> Failure {
    fail(ErrorCode::InUse, format!("the namespace has a snapshot {}", shown(key)))
}

/// What is recorded, and not there.
pub(super) fn gone(key: &str) -> Failure {
    let why = format!("the tree of {} is not here: whoever made or removed it died; remove the snapshot", shown(key));
    fail(ErrorCode::NotFound, why)
}

/// A key, to be shown.
pub(super) fn shown(key: &str) -> String {
    format!("`{}`", key.escape_debug())
}
