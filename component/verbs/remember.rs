//! The end of a pull: one transaction that makes the name point to what is
//! here now. Nothing half-done is visible before, and nothing is lost after.

use super::{
    contract::{Caller, Transfer},
    documents::{self, RECORD},
    failing::{fail, try_this},
    filed, given_up,
    listen::Board,
    plan::{BLOBS_MAX, Plan},
    resolve,
    store::{self, CONFLICTS_MAX, Records},
    transfers,
};
use crate::{
    host::Host,
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        manifest::Document,
        problem::ErrorCode,
        record::{Action, ImageRecord, Present, weight},
        retention::Retention,
    },
    planted::{Bug, has},
    registry::{Failure, Repository},
};
use std::collections::{BTreeMap, BTreeSet};

/// Records what the plan brought and how, and returns the record of the image.
///
/// Platforms that were here before stay if the name's target still offers them
/// and all their blobs are here. Fails with [`ErrorCode::Conflict`] if somebody
/// else has moved the name meanwhile and the registry says that they are right, or
/// if the plan was to find another record than there is now.
pub(super) async fn remember<H: Host>(
    host: &H,
    repository: &Repository<'_, H>,
    caller: &Caller,
    plan: &Plan<H>,
    transfers: &[Transfer],
    board: &Board,
) -> Result<ImageRecord, Failure> {
    let mut kept = Kept::<H>::beside(plan);
    for present in plan.record.iter().flat_map(|record| staying(plan, record)) {
        kept.hold(host, present, board).await?;
    }
    if !has(Bug::BlobsUnsynced) {
        host.sync().await?;
    }
    let is_others = plan.trees.extracted() == 0;
    if !(plan.trees.is_empty() || has(Bug::LayersUnsynced) || is_others && has(Bug::OthersLayersUnsynced)) {
        // Also what was stacked before: whoever did it may not have come to this.
        host.sync_layers().await?;
    }
    let mut durable = kept.manifests.len();
    // Where the name pointed when it was last certain that the plan is newer.
    let mut known = plan.record.as_ref().map(|record| record.target.digest.clone());
    for _ in 0..CONFLICTS_MAX {
        let records = Records::begin(host, caller).await?;
        if let Some(expected) = &plan.expected {
            expected.check_record(filed::mark(records.value(&plan.name).await?.as_deref()).as_ref())?;
        }
        let before = match records.get(&plan.name).await? {
            Some(Ok(record)) => Some(record),
            Some(Err(error)) => {
                board.warn(format!("what was recorded of `{}` is replaced: {error}", plan.name));
                None
            }
            None => None,
        };
        if let Some(theirs) = before.as_ref().map(|before| &before.target.digest)
            && *theirs != plan.target.digest
            && Some(theirs) != known.as_ref()
            && plan.name.digest().is_none()
            && !has(Bug::NameMovesBack)
        {
            resolve::confirm(repository, &plan.name, &plan.target.digest).await?;
            known = Some(theirs.clone());
        }
        let is_new = before.as_ref().is_none_or(|before| before.target.digest != plan.target.digest);
        let before = if has(Bug::StaleRecordMerged) { plan.record.clone() } else { before };
        let said = before.as_ref().map(|before| Retention::of(&before.labels));
        let (record, blobs) = merge(host, plan, before, &mut kept, board).await?;
        records.put(&plan.name, &record)?;
        // One that cannot be read says nothing about the image, and is begun anew.
        let arrivals = records.provenance(&plan.name).await?.and_then(Result::ok);
        records.put_provenance(&plan.name, &transfers::provenance(arrivals, transfers, &blobs, host.now()))?;
        if is_new {
            records.tell(host, Action::Pull, plan.name.to_string(), Some(&plan.target.digest));
        } else if said != Some(Retention::of(&record.labels)) {
            records.tell(host, Action::Label, plan.name.to_string(), Some(&plan.target.digest));
        }
        if kept.manifests.len() > durable {
            host.sync().await?;
            durable = kept.manifests.len();
        }
        match records.commit().await {
            Ok(()) => {
                if is_new {
                    store::forget(host, caller).await;
                }
                return Ok(record);
            }
            Err(ErrorCode::Conflict) if has(Bug::ConflictTaken) => return Ok(record),
            Err(ErrorCode::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(store::conflict())
}

/// Makes the new record of what was pulled and what was there before. Returns
/// it with all blobs of the image that are here.
async fn merge<H: Host>(
    host: &H,
    plan: &Plan<H>,
    before: Option<ImageRecord>,
    kept: &mut Kept<H>,
    board: &Board,
) -> Result<(ImageRecord, Vec<Descriptor>), Failure> {
    let mut platforms: Vec<Present> = plan
        .choices
        .iter()
        .map(|chosen| chosen.present.clone().expect("`fetch` has brought every config, so that each choice is settled"))
        .collect();
    let mut blobs: Vec<Descriptor> = plan.parts.iter().map(|part| part.descriptor.clone()).collect();
    for present in before.iter().flat_map(|before| staying(plan, before)) {
        if let Some(descriptors) = kept.hold(host, present, board).await? {
            platforms.push(present.clone());
            blobs.extend_from_slice(descriptors);
        }
    }
    // In the order of the index, whatever was pulled first.
    platforms.sort_by_key(|present| {
        let place = plan.offered.iter().position(|digest| *digest == present.manifest.digest);
        place.unwrap_or(usize::MAX)
    });
    let now = host.now();
    let mut labels = before.as_ref().map(|before| before.labels.clone()).unwrap_or_default();
    // Nobody asked, and the name says it itself: then that may be another word by now.
    if plan.asked.is_some() || before.is_none() {
        plan.retention.note(&mut labels);
    }
    let mut record = ImageRecord {
        target: plan.target.clone(),
        created: before.as_ref().map_or(now, |before| before.created),
        updated: now,
        size: weight(&blobs),
        labels,
        platforms,
    };
    // Blobs that had been lost came back: the name did not change.
    if let Some(before) = before {
        record.updated = before.updated;
        if record != before {
            record.updated = now;
        }
    }
    Ok((record, blobs))
}

/// Returns the platforms of a record that a plan does not bring and that its
/// target still offers.
fn staying<'r, H: Host>(plan: &Plan<H>, record: &'r ImageRecord) -> impl Iterator<Item = &'r Present> {
    let new: BTreeSet<&Digest> = plan.choices.iter().map(|chosen| &chosen.selected.held.descriptor.digest).collect();
    let offered: BTreeSet<&Digest> = plan.offered.iter().collect();
    // An index in the index may not have been read this time.
    let is_same = record.target.digest == plan.target.digest;
    record.platforms.iter().filter(move |present| {
        let digest = &present.manifest.digest;
        !new.contains(digest) && (is_same || offered.contains(digest))
    })
}

/// What was recorded before and stays, held until the commit: it must not be
/// collected meanwhile.
struct Kept<H: Host> {
    /// What the plan holds.
    planned: BTreeSet<Digest>,
    /// How to pull what the plan brings under a name of its own.
    alone: String,
    /// What the plan does not hold.
    blobs: BTreeMap<Digest, H::Blob>,
    /// What is here in the place of blobs that were given up, by their digests.
    instead: BTreeMap<Digest, H::Layer>,
    /// What belongs to each manifest, itself included.
    manifests: BTreeMap<Digest, Vec<Descriptor>>,
}

impl<H: Host> Kept<H> {
    fn beside(plan: &Plan<H>) -> Self {
        let digest = &plan.choices.first().map_or(&plan.target, |chosen| &chosen.selected.held.descriptor).digest;
        Self {
            planned: plan.parts.iter().map(|part| part.descriptor.digest.clone()).collect(),
            alone: format!("wharf pull {}@{digest}", plan.name.familiar_name()),
            blobs: BTreeMap::new(),
            instead: BTreeMap::new(),
            manifests: BTreeMap::new(),
        }
    }

    /// Holds every blob of a manifest that was recorded, and returns what they
    /// are; or none if one is gone or damaged.
    async fn hold(&mut self, host: &H, present: &Present, board: &Board) -> Result<Option<&[Descriptor]>, Failure> {
        let digest = &present.manifest.digest;
        if !self.manifests.contains_key(digest) {
            let read = async {
                let Some(blob) = documents::find(host, &present.manifest).await? else { return Ok(None) };
                documents::read(&present.manifest, blob, RECORD).await.map(Some)
            };
            let Some(manifest) = usable(read.await, present, board)? else { return Ok(None) };
            let parts: Vec<&Descriptor> = manifest.document.parts().filter(|part| !self.has(&part.digest)).collect();
            self.check_room(1 + parts.len())?;
            let (mut blobs, mut missing, mut instead) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
            for part in parts {
                match documents::find(host, part).await {
                    Ok(Some(blob)) => drop(blobs.insert(part.digest.clone(), blob)),
                    _ => missing.push(part),
                }
            }
            // In this order: whoever gives a blob up has made before what stands for it.
            if !missing.is_empty() {
                let found = self.instead(host, &manifest.document).await.map(Some);
                let Some(found) = usable(found, present, board)? else { return Ok(None) };
                instead = found;
            }
            for part in missing.into_iter().filter(|part| !instead.contains_key(&part.digest)) {
                let Some(blob) = usable(documents::find(host, part).await, present, board)? else { return Ok(None) };
                blobs.insert(part.digest.clone(), blob);
            }
            let descriptors = std::iter::once(&present.manifest).chain(manifest.document.parts()).cloned().collect();
            self.blobs.append(&mut blobs);
            self.instead.append(&mut instead);
            let blob = manifest.blob.and_then(std::rc::Rc::into_inner).expect("`read` returns the one handle");
            self.blobs.insert(digest.clone(), blob);
            self.manifests.insert(digest.clone(), descriptors);
        }
        Ok(self.manifests.get(digest).map(Vec::as_slice))
    }

    /// Returns the layers of a manifest that stand for blobs which were given up. They do
    /// so whatever is kept from now on: its blobs come with a pull of that platform.
    async fn instead(&self, host: &H, document: &Document) -> Result<BTreeMap<Digest, H::Layer>, Failure> {
        let Document::Manifest(manifest) = document else { return Ok(BTreeMap::new()) };
        if !manifest.is_image() {
            return Ok(BTreeMap::new());
        }
        let Some(blob) = documents::find(host, &manifest.config).await? else { return Ok(BTreeMap::new()) };
        match Config::parse(&documents::bytes(&manifest.config, &blob).await?) {
            Ok(config) => given_up::instead(host, Retention::Unpacked, manifest, &config).await,
            Err(_) => Ok(BTreeMap::new()),
        }
    }

    fn has(&self, digest: &Digest) -> bool {
        self.planned.contains(digest) || self.blobs.contains_key(digest)
    }

    /// Refuses more handles than there may be; see [`BLOBS_MAX`].
    fn check_room(&self, more: usize) -> Result<(), Failure> {
        if self.planned.len() + self.blobs.len() + self.instead.len() + more <= BLOBS_MAX {
            return Ok(());
        }
        let why = format!(
            "more than {BLOBS_MAX} blobs are needed, with the platforms that are here already; choose fewer platforms"
        );
        Err(try_this(fail(ErrorCode::TooLarge(BLOBS_MAX as u64), why), self.alone.as_str()))
    }
}

/// Takes what cannot be used for absent: the platform leaves the record, and
/// does not stand in the way of another one.
fn usable<T>(found: Result<Option<T>, Failure>, present: &Present, board: &Board) -> Result<Option<T>, Failure> {
    match found {
        Err(failure)
            if documents::is_damage(&failure)
                || matches!(failure.code, ErrorCode::Invalid | ErrorCode::TooLarge(_)) =>
        {
            let which = present.platform.as_deref().unwrap_or(present.manifest.digest.as_str());
            board.warn(format!("`{which}` is not recorded any more: {}", failure.why.join(": ")));
            Ok(None)
        }
        other => other,
    }
}
