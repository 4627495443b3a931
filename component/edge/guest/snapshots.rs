//! The exports of `wit/snapshots.wit`: each one is a verb with its arguments converted. The types are generated with the
//! interface, so that the conversions stand here, field by field.

use super::exports::wharf::images::records::Target;
use super::exports::wharf::images::snapshots as exported;
use super::{Component, Imports, each};
use crate::nouns::record::SnapshotKind;
use crate::verbs::contract::snapshots as words;
use crate::verbs::records::snapshots;
use wharf_vocabulary::vocabulary as wit;

/// What comes of a verb.
type Outcome<T> = Result<T, wit::Problem>;

impl exported::Guest for Component {
    async fn stat_snapshot(caller: wit::Caller, key: String) -> Outcome<exported::SnapshotRecord> {
        snapshots::stat(&Imports, &caller.into(), &key).await.map(Into::into).map_err(Into::into)
    }

    async fn list_snapshots(
        caller: wit::Caller,
        filters: Vec<String>,
        after: Option<String>,
        limit: u32,
    ) -> Outcome<Vec<exported::SnapshotRecord>> {
        let listed = snapshots::list(&Imports, &caller.into(), &filters, after.as_deref(), limit).await;
        listed.map(each).map_err(Into::into)
    }

    async fn update_snapshot(
        caller: wit::Caller,
        snapshot: exported::SnapshotRecord,
        fields: Vec<String>,
    ) -> Outcome<exported::SnapshotRecord> {
        let exported::SnapshotRecord { name, labels, .. } = snapshot;
        let updated = snapshots::update(&Imports, &caller.into(), &name, &labels, &fields).await;
        updated.map(Into::into).map_err(Into::into)
    }

    async fn prepare_snapshot(
        caller: wit::Caller,
        key: String,
        parent: Option<String>,
        writable: bool,
        labels: Vec<(String, String)>,
        lease: Option<String>,
    ) -> Outcome<String> {
        let (caller, parent, lease) = (caller.into(), parent.as_deref(), lease.as_deref());
        let tree = snapshots::prepare(&Imports, &caller, &key, parent, writable, &labels, lease).await;
        tree.map(Into::into).map_err(Into::into)
    }

    async fn tree_of(caller: wit::Caller, key: String) -> Outcome<String> {
        snapshots::tree(&Imports, &caller.into(), &key).await.map(Into::into).map_err(Into::into)
    }

    async fn commit_snapshot(
        caller: wit::Caller,
        name: String,
        key: String,
        labels: Vec<(String, String)>,
        lease: Option<String>,
    ) -> Outcome<()> {
        let (caller, lease) = (caller.into(), lease.as_deref());
        snapshots::commit(&Imports, &caller, &name, &key, &labels, lease).await.map_err(Into::into)
    }

    async fn remove_snapshot(caller: wit::Caller, key: String) -> Outcome<()> {
        snapshots::remove(&Imports, &caller.into(), &key).await.map_err(Into::into)
    }

    async fn usage_of(caller: wit::Caller, key: String) -> Outcome<(u64, u64)> {
        snapshots::usage(&Imports, &caller.into(), &key).await.map_err(Into::into)
    }

    async fn clean_snapshots(caller: wit::Caller) -> Outcome<()> {
        snapshots::clean(&Imports, &caller.into()).await.map_err(Into::into)
    }

    async fn apply_layer(caller: wit::Caller, layer: Target, trees: Vec<String>) -> Outcome<Target> {
        let applied = snapshots::apply(&Imports, &caller.into(), &layer.into(), &trees).await;
        applied.map(Into::into).map_err(Into::into)
    }

    async fn diff_layer(
        caller: wit::Caller,
        left: Option<Vec<String>>,
        right: Vec<String>,
        media_type: String,
        labels: Vec<(String, String)>,
        lease: Option<String>,
    ) -> Outcome<Target> {
        let (caller, left, lease) = (caller.into(), left.as_deref(), lease.as_deref());
        let layer = snapshots::diff(&Imports, &caller, left, &right, &media_type, &labels, lease).await;
        layer.map(Into::into).map_err(Into::into)
    }
}

impl From<words::Snapshot> for exported::SnapshotRecord {
    fn from(snapshot: words::Snapshot) -> Self {
        let words::Snapshot { name, parent, kind, tree, labels, created, updated } = snapshot;
        let kind = match kind {
            SnapshotKind::View => exported::Kind::View,
            SnapshotKind::Active => exported::Kind::Active,
            SnapshotKind::Committed => exported::Kind::Committed,
        };
        Self { name, parent, kind, tree: tree.into(), labels, created, updated }
    }
}
