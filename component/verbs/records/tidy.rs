//! What a collection takes away of the records that no other verb writes: names that are no references and whose time is
//! over, what was promised of ingests whose bytes are gone, and records of blobs and snapshots that nothing holds.
//!
//! - `blobs`, `shots`: those.

mod blobs;
mod shots;

use super::ingest_name;
use crate::{
    host::{Host, Transaction},
    nouns::{
        digest::Digest,
        record::{self, Action, EXPIRY_LABEL, LeaseRecord, LeasedRecord, Name, View, WritingRecord},
        time,
    },
    registry::Failure,
    verbs::{
        contract::Caller,
        ingests::unfinished,
        roots::IMAGES,
        store::{self, Records},
    },
};
use std::collections::BTreeSet;

pub(in crate::verbs) use shots::tidy_snapshots;

/// What was promised so many seconds ago or less stays: its first byte may be on its way.
const PROMISED_AGE_S: i64 = 86_400;

/// Takes it away in the caller's namespace.
pub(in crate::verbs) async fn tidy<H: Host>(host: &H, caller: &Caller) -> Result<(), Failure> {
    blobs::tidy(host, caller).await?;
    let now = host.now();
    let records = Records::begin(host, caller).await?;
    if old(&records, now).await?.is_empty() && over(&records, now).await?.is_empty() {
        return Ok(());
    }
    drop(records);
    let here: BTreeSet<String> = unfinished(host).await?.into_iter().filter_map(|ingest| ingest.name).collect();
    store::change(host, caller, async |records| {
        for name in old(records, now).await? {
            if !here.contains(&ingest_name(&caller.namespace, &name)) {
                records.delete_writing(&name)?;
            }
        }
        for (name, target) in over(records, now).await? {
            records.delete_named(&Name::Foreign(name.clone()))?;
            records.tell(host, Action::Untag, name, Some(&target));
        }
        Ok(())
    })
    .await
}

/// The names of ingests that were promised long ago.
async fn old(records: &Records<'_, impl Transaction>, now: i64) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let visit = |name: &str, record: Result<WritingRecord, record::Error>| {
        let is_new = record.is_ok_and(|record| now.saturating_sub(record.started.0) <= PROMISED_AGE_S);
        names.extend((!is_new).then(|| name.to_owned()));
    };
    records.walk_writings(visit).await?;
    Ok(names)
}

/// The names that are no references and whose labels say that their time is over, with what they point to. What a lease keeps
/// is not among them.
async fn over(records: &Records<'_, impl Transaction>, now: i64) -> Result<Vec<(String, Digest)>, Failure> {
    let mut names = Vec::new();
    let visit = |name: &str, value: &[u8]| {
        let Ok(view) = View::decode(value) else { return };
        let expiry = view.labels.get(EXPIRY_LABEL).and_then(|text| time::parse(text));
        if expiry.is_some_and(|expiry| expiry <= now) {
            names.push((name.to_owned(), Digest::from(&view.target.digest)));
        }
    };
    records.walk_foreign_values(visit).await?;
    if !names.is_empty() {
        let kept = leased(records, now).await?;
        names.retain(|(name, _)| !kept.contains(name));
    }
    Ok(names)
}

/// The names that leases keep.
async fn leased(records: &Records<'_, impl Transaction>, now: i64) -> Result<BTreeSet<String>, Failure> {
    let mut live = BTreeSet::new();
    let visit = |id: &str, lease: Result<LeaseRecord, record::Error>| {
        live.extend(lease.is_ok_and(|lease| lease.is_live(now)).then(|| id.to_owned()));
    };
    records.walk_leases(visit).await?;
    let mut names = BTreeSet::new();
    let visit = |id: &str, held: Result<LeasedRecord, record::Error>| {
        let held = held.ok().filter(|held| held.kind == IMAGES && live.contains(id));
        names.extend(held.map(|held| held.id));
    };
    records.walk_leased(None, visit).await?;
    Ok(names)
}
