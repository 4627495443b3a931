//! Commit: what was written is frozen, and gets another key. If it is one layer on a stack of layers it becomes what wharf
//! itself makes of that, under its ChainID; so both share it, and nothing else can have that name.

use super::{
    life::hold,
    lookup::{absent, base, check, gone, is_chain, record, refused, shared, shown, taken},
};
use crate::{
    host::{Host, Top},
    nouns::{
        chain::link,
        digest::Digest,
        problem::Problem,
        record::{SnapshotKind, SnapshotRecord},
    },
    registry::Failure,
    verbs::{
        contract::{Caller, records::Labels},
        failing::invalid,
        reach::found,
        records::{labels::checked, leases, within},
        store::{self, Records},
    },
};

/// Freezes what was written under another key. See `snapshots.commit-snapshot`.
pub async fn commit<H: Host>(
    host: &H,
    caller: &Caller,
    name: &str,
    key: &str,
    labels: &Labels,
    lease: Option<&str>,
) -> Result<(), Problem> {
    let work = async {
        check(name)?;
        let labels = checked(labels)?;
        let before = record(host, caller, key).await?;
        if before.kind != SnapshotKind::Active {
            return Err(invalid(format!("{} is not written to", shown(key))));
        }
        // As far as that is known now: what is frozen stays so.
        let records = Records::begin(host, caller).await?;
        check_free(&records, name).await?;
        if let Some(lease) = lease {
            leases::live(host, &records, lease).await?;
        }
        drop(records);
        let frozen = freeze(host, caller, name, key, &before).await?;
        let now = host.clock();
        let (kind, tree) = (SnapshotKind::Committed, frozen.tree.clone());
        let after = SnapshotRecord { kind, tree, parent: before.parent.clone(), labels, created: now, updated: now };
        store::change(host, caller, async |records| {
            match records.snapshot(key).await? {
                Some(Ok(record)) if record.tree == before.tree && record.kind == before.kind => {}
                _ => return Err(absent(key)),
            }
            check_free(records, name).await?;
            records.delete_snapshot(key)?;
            leases::let_go_snapshot(records, key).await?;
            records.put_snapshot(name, &after)?;
            hold(host, records, name, lease).await
        })
        .await?;
        if before.tree != frozen.tree {
            drop(frozen);
            // Who has mounted it still has it; a collection takes it when it is free.
            let _ = host.remove_top(before.tree.as_str()).await;
        }
        Ok(())
    };
    within(caller, format!("cannot commit the snapshot `{}`", key.escape_debug()), work).await
}

/// What became of it, held until it is recorded.
struct Frozen<S> {
    tree: Digest,
    _snapshot: S,
}

async fn freeze<H: Host>(
    host: &H,
    caller: &Caller,
    name: &str,
    key: &str,
    record: &SnapshotRecord,
) -> Result<Frozen<H::Snapshot>, Failure> {
    let Some(top) = found(host.top(record.tree.as_str()).await)? else {
        // Whoever froze it died before that was recorded.
        let snapshot = found(host.snapshot(&record.tree).await)?.ok_or_else(|| gone(key))?;
        return Ok(Frozen { tree: record.tree.clone(), _snapshot: snapshot });
    };
    if let Some(diff_id) = top.shows().await.map_err(refused)?
        && let Some(frozen) = stack(host, caller, name, record, &diff_id).await?
    {
        return Ok(frozen);
    }
    if shared(host, name).await?.is_some() {
        return Err(taken(name));
    }
    let snapshot = top.commit(record.tree.as_str()).await.map_err(refused)?;
    Ok(Frozen { tree: record.tree.clone(), _snapshot: snapshot })
}

/// Puts the layer on what is below, unless that is no stack of layers.
async fn stack<H: Host>(
    host: &H,
    caller: &Caller,
    name: &str,
    record: &SnapshotRecord,
    diff_id: &Digest,
) -> Result<Option<Frozen<H::Snapshot>>, Failure> {
    let below = match &record.parent {
        Some(parent) => Some(base(host, caller, parent).await?),
        None => None,
    };
    let tree = match &below {
        Some(below) if !is_chain(host, &below.tree, &below.snapshot).await? => return Ok(None),
        Some(below) => link(below.tree.as_str(), diff_id.as_str()),
        None => diff_id.clone(),
    };
    // What is called so has to be that.
    if tree.as_str() != name && shared(host, name).await?.is_some() {
        return Err(taken(name));
    }
    let Some(layer) = found(host.layer(diff_id).await)? else { return Ok(None) };
    let below = below.as_ref().map(|below| &below.snapshot);
    let snapshot = host.stack(&tree, below, &layer).await.map_err(refused)?;
    host.sync_layers().await?;
    Ok(Some(Frozen { tree, _snapshot: snapshot }))
}

/// Refuses a key that has a record.
async fn check_free(records: &Records<'_, impl crate::host::Transaction>, name: &str) -> Result<(), Failure> {
    match records.snapshot(name).await? {
        None => Ok(()),
        Some(_) => Err(taken(name)),
    }
}
