//! Removal: of what is mounted the tree goes first, so that nothing has changed if somebody uses it; of what is committed
//! the record, because others may need the tree. What was written to and has no record is nobody's: the record was there
//! first.

use super::{
    life::forget,
    lookup::{absent, check, shared, shown},
};
use crate::{
    host::{Host, Snapshot as _},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::{self, SnapshotKind, SnapshotRecord},
    },
    registry::Failure,
    verbs::{
        contract::{Caller, Garbage},
        failing::{fail, invalid},
        reach::{Reader, found},
        records::{leases, within},
        roots::Roots,
        store::{self, Records},
        sweep::sweep,
    },
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// How many tops are listed at once.
const PAGE_TOPS: u32 = 1_000;

/// Takes a snapshot away. See `snapshots.remove-snapshot`.
pub async fn remove<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<(), Problem> {
    let work = async {
        check(key)?;
        let Some(record) = Records::begin(host, caller).await?.snapshot(key).await? else {
            // The namespace may have it as long as its images need it.
            return shared(host, key).await?.map(drop).ok_or_else(|| absent(key));
        };
        let record = record.map_err(invalid)?;
        match record.kind {
            SnapshotKind::View | SnapshotKind::Active => {
                take_top(host, &record.tree).await.map_err(|failure| match failure.code {
                    ErrorCode::InUse => fail(ErrorCode::InUse, format!("{} is mounted, or in use", shown(key))),
                    _ => failure,
                })?;
                forget(host, caller, key, &record).await?;
            }
            SnapshotKind::Committed => forget_committed(host, caller, key, &record).await?,
        }
        // It is no failure if that fails: what nothing needs goes with the next collection.
        let _ = take_tree(host, caller, &record.tree).await;
        Ok(())
    };
    within(caller, format!("cannot remove the snapshot `{}`", key.escape_debug()), work).await
}

/// Removes what was written to and has no record. See `snapshots.clean-snapshots`.
pub async fn clean<H: Host>(host: &H, caller: &Caller) -> Result<(), Problem> {
    let work = async {
        // In this order: see the module.
        let here = tops(host).await?;
        let roots = Roots::load(host, caller).await?;
        remove_tops(host, here, &roots).await
    };
    within(caller, "cannot remove what was written to", work).await
}

/// The names of everything that is written to, and of views.
pub(in crate::verbs) async fn tops<H: Host>(host: &H) -> Result<Vec<String>, Failure> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = host.tops(all.last().map(String::as_str), PAGE_TOPS).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Removes those of `here` that `roots`, which were read later, have no record of. What somebody uses stays.
pub(in crate::verbs) async fn remove_tops<H: Host>(host: &H, here: Vec<String>, roots: &Roots) -> Result<(), Failure> {
    if let Some(why) = roots.unreadable.first() {
        return Err(invalid(format!("nobody knows what is needed: {why}")));
    }
    let named: BTreeSet<&str> = roots.snapshots.iter().map(|shot| shot.record.tree.as_str()).collect();
    for name in here.iter().filter(|name| !named.contains(name.as_str())) {
        match host.remove_top(name).await {
            Ok(()) | Err(ErrorCode::InUse) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

/// Takes away what is mounted by a record.
pub(in crate::verbs) async fn take_top<H: Host>(host: &H, tree: &Digest) -> Result<(), Failure> {
    found(host.remove_top(tree.as_str()).await).map(drop)
}

/// Takes a record away on which nothing of the namespace stands.
async fn forget_committed<H: Host>(
    host: &H,
    caller: &Caller,
    key: &str,
    record: &SnapshotRecord,
) -> Result<(), Failure> {
    store::change(host, caller, async |records| {
        match records.snapshot(key).await? {
            Some(Ok(now)) if now.tree == record.tree && now.kind == record.kind => {}
            _ => return Err(absent(key)),
        }
        let mut above = None;
        let visit = |other: &str, record: Result<SnapshotRecord, record::Error>| match record {
            Ok(record) if record.parent.as_deref() == Some(key) => {
                above = Some(other.to_owned());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        records.walk_snapshots(None, visit).await?;
        if let Some(above) = above {
            return Err(fail(ErrorCode::InUse, format!("{} stands on it", shown(&above))));
        }
        records.delete_snapshot(key)?;
        leases::let_go_snapshot(records, key).await
    })
    .await
}

/// Removes the tree of what was written, unless something needs it. What was stacked stays for others until a collection.
async fn take_tree<H: Host>(host: &H, caller: &Caller, tree: &Digest) -> Result<(), Failure> {
    let Some(snapshot) = found(host.snapshot(tree).await)? else { return Ok(()) };
    if snapshot.layer().is_some() {
        return Ok(());
    }
    let size = snapshot.usage().0;
    drop(snapshot);
    let garbage = Garbage { snapshots: vec![(tree.to_string(), size)], ..Garbage::default() };
    sweep(host, caller, &Reader::new(host), &garbage).await.map(drop)
}
