//! The exports of `wit/snapshots.wit` as Rust calls.

use super::{Caller, Failure, SnapshotRecord, Wharf};

/// How many snapshots are asked for at once.
const PAGE: u32 = 1_000;

impl Wharf {
    /// See `snapshots.stat-snapshot`.
    pub async fn stat_snapshot(&self, caller: &Caller, key: &str) -> Result<SnapshotRecord, Failure> {
        let (caller, key) = (caller.clone(), key.to_owned());
        self.snapshots("stat-snapshot", async |accessor, snapshots| {
            snapshots.call_stat_snapshot(accessor, caller, key).await
        })
        .await
    }

    /// See `snapshots.list-snapshots`. Returns all of them.
    pub async fn list_snapshots(&self, caller: &Caller, filters: &[String]) -> Result<Vec<SnapshotRecord>, Failure> {
        let mut all: Vec<SnapshotRecord> = Vec::new();
        loop {
            let (caller, filters) = (caller.clone(), filters.to_vec());
            let after = all.last().map(|last| last.name.clone());
            let page = self.snapshots("list-snapshots", async |accessor, snapshots| {
                snapshots.call_list_snapshots(accessor, caller, filters, after, PAGE).await
            });
            match page.await? {
                page if page.is_empty() => return Ok(all),
                page => all.extend(page),
            }
        }
    }

    /// See `snapshots.prepare-snapshot`. No lease holds it.
    pub async fn prepare_snapshot(
        &self,
        caller: &Caller,
        key: &str,
        parent: Option<&str>,
        writable: bool,
        labels: &[(String, String)],
    ) -> Result<(), Failure> {
        let (caller, key, parent) = (caller.clone(), key.to_owned(), parent.map(str::to_owned));
        let labels = labels.to_vec();
        let tree = self.snapshots("prepare-snapshot", async |accessor, snapshots| {
            snapshots.call_prepare_snapshot(accessor, caller, key, parent, writable, labels, None).await
        });
        tree.await.map(drop)
    }

    /// See `snapshots.remove-snapshot`.
    pub async fn remove_snapshot(&self, caller: &Caller, key: &str) -> Result<(), Failure> {
        let (caller, key) = (caller.clone(), key.to_owned());
        self.snapshots("remove-snapshot", async |accessor, snapshots| {
            snapshots.call_remove_snapshot(accessor, caller, key).await
        })
        .await
    }
}
