//! Which snapshot was mounted: a client that reads or writes a tree says how it has mounted that, and by nothing else which
//! one it means. The host knows which trees may be mounted so, and here is decided which of them is of the namespace.

use crate::{
    host::Host,
    nouns::record::{self, SnapshotKind, SnapshotRecord},
    registry::Failure,
    verbs::{contract::Caller, reach::found, store::Records},
};
use std::ops::ControlFlow;

/// A snapshot of the namespace that can be mounted.
pub(super) struct Mounted<T> {
    pub(super) record: SnapshotRecord,
    pub(super) top: T,
}

/// Finds the view, or what is written to, that has one of these trees.
pub(super) async fn find<H: Host>(
    host: &H,
    caller: &Caller,
    trees: &[String],
) -> Result<Option<Mounted<H::Top>>, Failure> {
    let mut mounted = None;
    let visit = |_: &str, record: Result<SnapshotRecord, record::Error>| {
        let is_it = |record: &SnapshotRecord| {
            record.kind != SnapshotKind::Committed && trees.iter().any(|tree| tree == record.tree.as_str())
        };
        mounted = record.ok().filter(is_it);
        if mounted.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    Records::begin(host, caller).await?.walk_snapshots(None, visit).await?;
    let Some(record) = mounted else { return Ok(None) };
    let top = found(host.top(record.tree.as_str()).await)?;
    Ok(top.map(|top| Mounted { record, top }))
}
