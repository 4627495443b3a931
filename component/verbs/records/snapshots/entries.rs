//! What is recorded of snapshots. What has no record and is there under its ChainID is told as if it had one.

use super::lookup::{absent, check, picture, shared};
use crate::{
    host::Host,
    nouns::{
        problem::Problem,
        record::{self, SnapshotRecord},
    },
    registry::Failure,
    verbs::{
        contract::{Caller, records::Labels, snapshots::Snapshot},
        failing::invalid,
        records::{
            fields::{self, Field, Of},
            filters::{Filters, labelled},
            labels::{checked, set, value},
            members, within,
        },
        store::{self, Records},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, ControlFlow},
};

/// How many snapshots one answer has at most.
const ANSWER_SNAPSHOTS_MAX: usize = 1_000;
/// How large their labels are together at most, unless there is one snapshot only: an answer has a limit.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Returns what is recorded of a snapshot. See `snapshots.stat-snapshot`.
pub async fn stat<H: Host>(host: &H, caller: &Caller, key: &str) -> Result<Snapshot, Problem> {
    let work = async {
        check(key)?;
        match Records::begin(host, caller).await?.snapshot(key).await? {
            Some(record) => Ok(picture(key, record.map_err(invalid)?)),
            None => shared(host, key).await?.map(|base| base.picture()).ok_or_else(|| absent(key)),
        }
    };
    within(caller, format!("cannot show the snapshot `{}`", key.escape_debug()), work).await
}

/// Returns the snapshots that pass the filters, in order of key. See `snapshots.list-snapshots`.
pub async fn list<H: Host>(
    host: &H,
    caller: &Caller,
    filters: &[String],
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Snapshot>, Problem> {
    let work = async {
        let filters = Filters::read(filters)?;
        let limit = ANSWER_SNAPSHOTS_MAX.min(limit.try_into().unwrap_or(usize::MAX));
        let (mut passing, mut recorded, mut bytes) = (BTreeMap::new(), BTreeSet::new(), 0);
        let visit = |key: &str, record: Result<SnapshotRecord, record::Error>| {
            recorded.insert(key.to_owned());
            // One that cannot be read hides nothing but itself.
            if let Some(snapshot) = record.ok().map(|record| picture(key, record)).filter(|it| passes(it, &filters)) {
                bytes += weight(&snapshot);
                passing.insert(key.to_owned(), snapshot);
            }
            match passing.len() < limit && bytes <= ANSWER_BYTES_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        if limit > 0 {
            Records::begin(host, caller).await?.walk_snapshots(after, visit).await?;
        }
        // Where the answer ends nothing comes after that, and the next one begins there.
        let is_full = passing.len() >= limit || bytes > ANSWER_BYTES_MAX;
        let last = passing.keys().next_back().cloned().filter(|_| is_full);
        let chains = members::chains(host, caller).await?;
        let later = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let others = chains.range::<str, _>(later).filter(|chain| !recorded.contains(*chain));
        let mut more = 0;
        for chain in others.take_while(|chain| last.as_ref().is_none_or(|last| *chain < last)) {
            if more == limit {
                break;
            }
            let snapshot = shared(host, chain).await?.map(|base| base.picture());
            if let Some(snapshot) = snapshot.filter(|snapshot| passes(snapshot, &filters)) {
                passing.insert(chain.clone(), snapshot);
                more += 1;
            }
        }
        let (mut answer, mut bytes): (Vec<Snapshot>, usize) = (Vec::new(), 0);
        for snapshot in passing.into_values().take(limit) {
            bytes += weight(&snapshot);
            if bytes > ANSWER_BYTES_MAX && !answer.is_empty() {
                break;
            }
            answer.push(snapshot);
        }
        Ok(answer)
    };
    within(caller, "cannot list the snapshots", work).await
}

/// Changes the labels of a snapshot. See `snapshots.update-snapshot`.
pub async fn update<H: Host>(
    host: &H,
    caller: &Caller,
    key: &str,
    labels: &Labels,
    fields: &[String],
) -> Result<Snapshot, Problem> {
    let work = async {
        check(key)?;
        let wanted = fields::read(fields, Of::Labelled)?;
        // It is held until it has a record.
        let base = match Records::begin(host, caller).await?.snapshot(key).await? {
            Some(_) => None,
            None => Some(shared(host, key).await?.ok_or_else(|| absent(key))?),
        };
        if base.is_some() {
            host.sync_layers().await?;
        }
        store::change(host, caller, async |records| {
            let mut record = match (records.snapshot(key).await?, &base) {
                (Some(record), _) => record.map_err(invalid)?,
                (None, Some(base)) => base.record(host.clock()),
                (None, None) => return Err(absent(key)),
            };
            for field in &wanted {
                match field {
                    Field::Label(label) => set(&mut record.labels, label, value(labels, label))?,
                    _ => record.labels = checked(labels)?,
                }
            }
            record.updated = host.clock();
            records.put_snapshot(key, &record)?;
            Ok::<_, Failure>(picture(key, record))
        })
        .await
    };
    within(caller, format!("cannot change the labels of `{}`", key.escape_debug()), work).await
}

fn weight(snapshot: &Snapshot) -> usize {
    snapshot.labels.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn passes(snapshot: &Snapshot, filters: &Filters) -> bool {
    filters.pass(|path| match path {
        [field] if field == "name" => Some(snapshot.name.as_str()),
        [field] if field == "parent" => snapshot.parent.as_deref(),
        [field] if field == "kind" => Some(snapshot.kind.word()),
        [root, ..] if root == "labels" => labelled(&snapshot.labels, path),
        _ => None,
    })
}
