//! The answers of `wharf snapshot ls`. Names and labels are what clients chose, and are escaped.

use super::{age, escape, json, names, table};
use crate::images::{SnapshotKind, SnapshotRecord};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct SnapshotObject<'a> {
    name: &'a str,
    parent: Option<&'a str>,
    kind: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    created: Option<String>,
    updated: Option<String>,
}

impl<'a> From<&'a SnapshotRecord> for SnapshotObject<'a> {
    fn from(snapshot: &'a SnapshotRecord) -> Self {
        let SnapshotRecord { name, parent, kind, labels, created, updated, tree: _ } = snapshot;
        Self {
            name,
            parent: parent.as_deref(),
            kind: word(*kind),
            labels: labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            created: age::timestamp(created.0).filter(|_| is_recorded(snapshot)),
            updated: age::timestamp(updated.0).filter(|_| is_recorded(snapshot)),
        }
    }
}

/// Returns the names, one a line.
pub fn names(snapshots: &[SnapshotRecord]) -> String {
    snapshots.iter().map(|snapshot| format!("{}\n", escape::text(&snapshot.name))).collect()
}

/// Returns a table. `now` is in seconds since 1970.
pub fn table(snapshots: &[SnapshotRecord], is_whole: bool, now: i64) -> String {
    let row = |snapshot: &SnapshotRecord| {
        let labels = snapshot.labels.iter().map(|(key, value)| escape::line(&format!("{key}={value}")));
        [
            shown(&snapshot.name, is_whole).into_owned(),
            word(snapshot.kind).to_owned(),
            snapshot.parent.as_deref().map_or(Cow::Borrowed("-"), |parent| shown(parent, is_whole)).into_owned(),
            if is_recorded(snapshot) { age::ago(snapshot.created.0, now) } else { names::NONE.to_owned() },
            labels.collect::<Vec<_>>().join(", "),
        ]
    };
    table::table(&["NAME", "KIND", "PARENT", "CREATED", "LABELS"], snapshots.iter().map(row))
}

/// Returns a JSON array, one object for each snapshot.
pub fn json(snapshots: &[SnapshotRecord]) -> String {
    json::pretty(&snapshots.iter().map(SnapshotObject::from).collect::<Vec<_>>())
}

/// Of what wharf has stacked without a record nobody knows since when.
fn is_recorded(snapshot: &SnapshotRecord) -> bool {
    snapshot.created.0 > 0
}

/// A name, or the beginning of a ChainID.
fn shown(name: &str, is_whole: bool) -> Cow<'_, str> {
    match name.starts_with("sha256:") && !is_whole {
        true => names::short(name),
        false => escape::text(name),
    }
}

fn word(kind: SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::View => "view",
        SnapshotKind::Active => "active",
        SnapshotKind::Committed => "committed",
    }
}
