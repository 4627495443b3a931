//! The end of a pull: one transaction that makes the name point to what is
//! here now. Nothing half-done is visible before, and nothing is lost after.

use super::{
    contract::Caller,
    documents,
    failing::fail,
    listen::Board,
    plan::{Plan, weight},
    store::Records,
};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        problem::ErrorCode,
        record::{ImageRecord, Present},
    },
    registry::Failure,
};
use std::collections::BTreeSet;

/// How often a transaction is begun again because another one was faster.
const CONFLICTS_MAX: usize = 16;

/// Records what the plan brought, and returns the record.
///
/// Platforms that were here before stay if the name's target still offers them
/// and all their blobs are here.
pub(super) async fn remember<H: Host>(
    host: &H,
    caller: &Caller,
    plan: &Plan<H>,
    board: &Board,
) -> Result<ImageRecord, Failure> {
    for _ in 0..CONFLICTS_MAX {
        let records = Records::begin(host, caller).await?;
        let before = match records.get(&plan.name).await? {
            Some(Ok(record)) => Some(record),
            Some(Err(error)) => {
                board.warn(format!("what was recorded of `{}` is replaced: {error}", plan.name));
                None
            }
            None => None,
        };
        // Held until the commit: what is recorded must not be collected meanwhile.
        let (record, _held) = merge(host, plan, before).await?;
        records.put(&plan.name, &record)?;
        host.sync().await?;
        match records.commit().await {
            Ok(()) => return Ok(record),
            Err(ErrorCode::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(fail(ErrorCode::Conflict, format!("the records changed {CONFLICTS_MAX} times while this one was written")))
}

/// Makes the new record of what was pulled and what was there before.
async fn merge<H: Host>(
    host: &H,
    plan: &Plan<H>,
    before: Option<ImageRecord>,
) -> Result<(ImageRecord, Vec<H::Blob>), Failure> {
    let mut platforms: Vec<Present> = plan
        .choices
        .iter()
        .map(|chosen| chosen.present.clone().expect("`fetch` has brought every config, so that each choice is settled"))
        .collect();
    let mut blobs: Vec<Descriptor> = plan.parts.iter().map(|part| part.descriptor.clone()).collect();
    let mut held = Vec::new();
    let offered: BTreeSet<&Digest> = plan.offered.iter().collect();
    // An index in the index may not have been read this time.
    let is_same = before.as_ref().is_some_and(|before| before.target.digest == plan.target.digest);
    let new: BTreeSet<Digest> = platforms.iter().map(|present| present.manifest.digest.clone()).collect();
    for present in before.iter().flat_map(|before| &before.platforms) {
        let digest = &present.manifest.digest;
        if !new.contains(digest)
            && (is_same || offered.contains(digest))
            && let Some((descriptors, handles)) = hold(host, present).await?
        {
            platforms.push(present.clone());
            blobs.extend(descriptors);
            held.extend(handles);
        }
    }
    // In the order of the index, whatever was pulled first.
    platforms.sort_by_key(|present| {
        let place = plan.offered.iter().position(|digest| *digest == present.manifest.digest);
        place.unwrap_or(usize::MAX)
    });
    let now = host.now();
    let mut record = ImageRecord {
        target: plan.target.clone(),
        created: before.as_ref().map_or(now, |before| before.created),
        updated: now,
        size: weight(&blobs),
        labels: before.as_ref().map(|before| before.labels.clone()).unwrap_or_default(),
        platforms,
    };
    // Blobs that had been lost came back: the name did not change.
    if let Some(before) = before {
        record.updated = before.updated;
        if record != before {
            record.updated = now;
        }
    }
    Ok((record, held))
}

/// Holds every blob of a manifest that was recorded, or none if one is gone.
async fn hold<H: Host>(host: &H, present: &Present) -> Result<Option<(Vec<Descriptor>, Vec<H::Blob>)>, Failure> {
    let Some(blob) = documents::find(host, &present.manifest).await? else { return Ok(None) };
    let manifest = documents::read(&present.manifest, blob).await?;
    let mut descriptors = vec![present.manifest.clone()];
    let mut handles = Vec::new();
    for part in manifest.document.parts() {
        let Some(blob) = documents::find(host, part).await? else { return Ok(None) };
        descriptors.push(part.clone());
        handles.push(blob);
    }
    handles.extend(manifest.blob);
    Ok(Some((descriptors, handles)))
}
