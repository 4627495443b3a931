//! Snapshots that are mounted: how one comes to be, how it is mounted, and what it takes on the disk.

use super::lookup::{Base, absent, base, check, fresh, gone, is_taken, record, refused, shared, shown, taken};
use crate::{
    host::{Host, Layer, Snapshot as _, Top},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::{SnapshotKind, SnapshotRecord},
    },
    registry::Failure,
    verbs::{
        contract::{Caller, records::Labels},
        failing::{fail, invalid},
        reach::found,
        records::{labels::checked, leases, within},
        store::{self, Records},
    },
};

/// The label by which a client says what it would commit: containerd, docs/remote-snapshotter.md.
const TARGET_LABEL: &str = "containerd.io/snapshot.ref";

/// Makes a snapshot to write to, or a view. See `snapshots.prepare-snapshot`.
pub async fn prepare<H: Host>(
    host: &H,
    caller: &Caller,
    key: &str,
    parent: Option<&str>,
    writable: bool,
    labels: &Labels,
    lease: Option<&str>,
) -> Result<Digest, Problem> {
    let work = async {
        check(key)?;
        let labels = checked(labels)?;
        if let Some(target) = labels.get(TARGET_LABEL) {
            refuse_target(host, caller, target, lease).await?;
        }
        if is_taken(host, caller, key).await? {
            return Err(taken(key));
        }
        // It is held until the top holds it.
        let base = match parent {
            Some(parent) => Some(base(host, caller, parent).await?),
            None => None,
        };
        if base.as_ref().is_some_and(Base::is_shared) {
            host.sync_layers().await?;
        }
        let kind = if writable { SnapshotKind::Active } else { SnapshotKind::View };
        let (now, parent) = (host.clock(), parent.map(str::to_owned));
        let record = SnapshotRecord { kind, parent, tree: fresh(host, caller), labels, created: now, updated: now };
        store::change(host, caller, async |records| {
            if records.snapshot(key).await?.is_some() {
                return Err(taken(key));
            }
            if let Some(base) = &base {
                base.confirm(records, now).await?;
            }
            records.put_snapshot(key, &record)?;
            hold(host, records, key, lease).await
        })
        .await?;
        let made = make(host, &record, base.as_ref().map(|base| &base.snapshot)).await;
        if made.is_err() {
            // It is no failure of its own if that fails: then the record says that its tree is not here.
            let _ = take_back(host, caller, key, &record).await;
        }
        made.map(|()| record.tree)
    };
    within(caller, format!("cannot prepare the snapshot `{}`", key.escape_debug()), work).await
}

/// Returns the tree of a view, or of what is written to. See `snapshots.tree-of`.
pub async fn tree<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<Digest, Problem> {
    let work = async {
        let record = match record(host, caller, key).await {
            Err(failure) if failure.code == ErrorCode::NotFound && shared(host, key).await?.is_some() => {
                return Err(committed(key));
            }
            other => other?,
        };
        if record.kind == SnapshotKind::Committed {
            return Err(committed(key));
        }
        top(host, key, &record).await?;
        Ok(record.tree)
    };
    within(caller, format!("cannot tell how to mount the snapshot `{}`", key.escape_debug()), work).await
}

/// Returns the disk space that a snapshot takes for itself. See `snapshots.usage-of`.
pub async fn usage<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<(u64, u64), Problem> {
    let work = async {
        check(key)?;
        let snapshot = match Records::begin(host, caller).await?.snapshot(key).await? {
            None => shared(host, key).await?.ok_or_else(|| absent(key))?.snapshot,
            Some(record) => {
                let record = record.map_err(invalid)?;
                match record.kind {
                    SnapshotKind::Committed => found(host.snapshot(&record.tree).await)?.ok_or_else(|| gone(key))?,
                    SnapshotKind::View | SnapshotKind::Active => {
                        return Ok(top(host, key, &record).await?.usage().await?);
                    }
                }
            }
        };
        let (bytes, inodes) = snapshot.usage();
        // Most show the tree of their layer, and have none for themselves.
        let layer = match snapshot.layer() {
            Some(diff_id) => found(host.layer(&diff_id).await)?.map_or((0, 0), |layer| layer.usage()),
            None => (0, 0),
        };
        Ok((bytes.saturating_add(layer.0), inodes.saturating_add(layer.1)))
    };
    within(caller, format!("cannot tell the size of the snapshot `{}`", key.escape_debug()), work).await
}

/// Has a lease hold a snapshot, if there is a lease, in a transaction that goes on.
pub(super) async fn hold<H: Host>(
    host: &H,
    records: &Records<'_, H::Transaction>,
    key: &str,
    lease: Option<&str>,
) -> Result<(), Failure> {
    let Some(lease) = lease else { return Ok(()) };
    let held = leases::live(host, records, lease).await?;
    leases::hold(records, lease, held, &leases::snapshot(key)).await
}

/// Opens what a record says that there is to mount.
pub(super) async fn top<H: Host>(host: &H, key: &str, record: &SnapshotRecord) -> Result<H::Top, Failure> {
    if let Some(top) = found(host.top(record.tree.as_str()).await)? {
        return Ok(top);
    }
    match found(host.snapshot(&record.tree).await)? {
        Some(_) => {
            let why = format!("what was written to {} is frozen already, under no key; commit it again", shown(key));
            Err(fail(ErrorCode::InUse, why))
        }
        None => Err(gone(key)),
    }
}

/// Says that nothing has to be unpacked if the snapshot is there that a client would make, and records and holds that.
async fn refuse_target<H: Host>(host: &H, caller: &Caller, target: &str, lease: Option<&str>) -> Result<(), Failure> {
    let base = match base(host, caller, target).await {
        Ok(base) => base,
        Err(failure) if matches!(failure.code, ErrorCode::NotFound | ErrorCode::Invalid) => return Ok(()),
        Err(other) => return Err(other),
    };
    host.sync_layers().await?;
    store::change(host, caller, async |records| {
        base.confirm(records, host.clock()).await?;
        hold(host, records, target, lease).await
    })
    .await?;
    Err(taken(target))
}

async fn make<H: Host>(host: &H, record: &SnapshotRecord, parent: Option<&H::Snapshot>) -> Result<(), Failure> {
    let is_writable = record.kind == SnapshotKind::Active;
    host.prepare(record.tree.as_str(), is_writable, parent).await.map(drop).map_err(refused)
}

/// Takes away what was recorded of a snapshot that could not be made.
async fn take_back<H: Host>(host: &H, caller: &Caller, key: &str, record: &SnapshotRecord) -> Result<(), Failure> {
    found(host.remove_top(record.tree.as_str()).await)?;
    forget(host, caller, key, record).await
}

/// Takes a record away, as it was, with all that holds it.
pub(super) async fn forget<H: Host>(
    host: &H,
    caller: &Caller,
    key: &str,
    record: &SnapshotRecord,
) -> Result<(), Failure> {
    store::change(host, caller, async |records| {
        match records.snapshot(key).await? {
            Some(Ok(now)) if now.tree == record.tree && now.kind == record.kind => {}
            _ => return Ok(()),
        }
        records.delete_snapshot(key)?;
        leases::let_go_snapshot(records, key).await
    })
    .await
}

fn committed(key: &str) -> Failure {
    invalid(format!("{} is committed: make a view of it, and mount that", shown(key)))
}
