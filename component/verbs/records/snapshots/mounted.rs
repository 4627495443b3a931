//! Which snapshot was mounted: a client that reads or writes a tree says how it mounts that, and by nothing else which one
//! it means. What was told for a snapshot of the namespace is compared as a whole.

use super::lookup::refused;
use crate::{
    host::{Host, Mount, Top},
    nouns::record::{self, SnapshotKind, SnapshotRecord},
    registry::Failure,
    verbs::{contract::Caller, reach::found, store::Records},
};
use std::ops::ControlFlow;

/// How many mounts one snapshot has at most. What a client says is compared with no more.
const MOUNTS_MAX: usize = 64;

/// A snapshot of the namespace that can be mounted.
pub(super) struct Mounted<T> {
    pub(super) record: SnapshotRecord,
    pub(super) top: T,
}

/// Finds the view, or what is written to, that is mounted so.
pub(super) async fn find<H: Host>(
    host: &H,
    caller: &Caller,
    mounts: &[Mount],
) -> Result<Option<Mounted<H::Top>>, Failure> {
    if mounts.is_empty() || mounts.len() > MOUNTS_MAX {
        return Ok(None);
    }
    let mut candidates = Vec::new();
    let visit = |_: &str, record: Result<SnapshotRecord, record::Error>| {
        candidates.extend(record.ok().filter(|record| record.kind != SnapshotKind::Committed));
        ControlFlow::Continue(())
    };
    Records::begin(host, caller).await?.walk_snapshots(None, visit).await?;
    for record in candidates {
        let Some(top) = found(host.top(record.tree.as_str()).await)? else { continue };
        if top.mounts().await.map_err(refused)? == mounts {
            return Ok(Some(Mounted { record, top }));
        }
    }
    Ok(None)
}
