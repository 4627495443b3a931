//! Which blobs belong to a namespace because its images need them, whoever brought those. Nothing of that is written when
//! an image comes; so it is read from the records and, if those do not say it, from the manifests.
//!
//! A client asks for one blob after the other, and each answer would read every record again. So what was found is written
//! down: as records of blobs, like those that a client writes, for as many as there are. They say nothing that was not so,
//! hold nothing, and go with their blobs.

use crate::{
    host::Host,
    nouns::{
        digest::Digest,
        record::{self, ContentRecord, ImageRecord, View},
    },
    registry::Failure,
    verbs::{contract::Caller, reach::Reader, store::Records},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// How many records are written at once at most.
const WRITTEN_MAX: usize = 10_000;

/// Blobs, and what their records would say: the times of the first image that needs them.
pub(super) type Members = BTreeMap<Digest, ContentRecord>;

/// Returns what the record of a blob would say, if an image of the namespace needs it.
pub(super) async fn find<H: Host>(
    host: &H,
    caller: &Caller,
    digest: &Digest,
) -> Result<Option<ContentRecord>, Failure> {
    let images = images(host, caller).await?;
    // Most questions are about what the records name, and reading those is enough then.
    let mut members = named(&images);
    if !members.contains_key(digest) {
        members = needed(host, &images).await?;
    }
    let found = members.get(digest).cloned();
    if found.is_some() {
        // It is no failure if that fails: then the next question takes as long.
        let _ = write(host, caller, members).await;
    }
    Ok(found)
}

/// Returns everything that images of the namespace need.
pub(super) async fn all<H: Host>(host: &H, caller: &Caller) -> Result<Members, Failure> {
    needed(host, &images(host, caller).await?).await
}

/// Returns the ChainIDs of all trees that images of the namespace need.
pub(super) async fn chains<H: Host>(host: &H, caller: &Caller) -> Result<BTreeSet<String>, Failure> {
    let reader = Reader::new(host);
    let mut chains = BTreeSet::new();
    for image in images(host, caller).await? {
        let parts = reader.of_record(&image).await?;
        chains.extend(parts.iter().flat_map(|parts| &parts.snapshots).map(Digest::to_string));
    }
    Ok(chains)
}

async fn images<H: Host>(host: &H, caller: &Caller) -> Result<Vec<ImageRecord>, Failure> {
    let mut images = Vec::new();
    let visit = |_: &str, record: Result<View<'_>, record::Error>| {
        if let Ok(mut view) = record {
            view.platforms.iter_mut().for_each(|present| present.labels.clear());
            images.push(ImageRecord::from(&view));
        }
    };
    Records::begin(host, caller).await?.walk_named(visit).await?;
    Ok(images)
}

fn record_of(image: &ImageRecord) -> ContentRecord {
    let (created, updated) = ((image.created, 0), (image.updated, 0));
    ContentRecord { created, updated, labels: BTreeMap::new() }
}

/// What the records name themselves.
fn named(images: &[ImageRecord]) -> Members {
    let mut members = Members::new();
    for image in images {
        let parts = image.platforms.iter().flat_map(|present| [&present.manifest.digest, &present.config]);
        for digest in parts.chain([&image.target.digest]) {
            members.entry(digest.clone()).or_insert_with(|| record_of(image));
        }
    }
    members
}

async fn needed<H: Host>(host: &H, images: &[ImageRecord]) -> Result<Members, Failure> {
    let reader = Reader::new(host);
    let mut members = named(images);
    for image in images {
        for digest in reader.of_record(image).await?.iter().flat_map(|parts| &parts.blobs) {
            members.entry(digest.clone()).or_insert_with(|| record_of(image));
        }
    }
    Ok(members)
}

/// Writes records of those that have none.
async fn write<H: Host>(host: &H, caller: &Caller, mut members: Members) -> Result<(), Failure> {
    let records = Records::begin(host, caller).await?;
    let mut there = BTreeSet::new();
    let visit = |text: &str, _: Result<ContentRecord, _>| {
        there.extend(text.parse::<Digest>());
        ControlFlow::Continue(())
    };
    records.walk_contents(None, visit).await?;
    members.retain(|digest, _| !there.contains(digest));
    for (digest, record) in members.iter().take(WRITTEN_MAX) {
        records.put_content(digest, record);
    }
    Ok(records.commit().await?)
}
