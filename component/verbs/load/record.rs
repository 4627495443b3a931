//! The end of a load, and of an import: one transaction that makes all names of the archive
//! point to what came out of it. Nothing is visible before.

use super::image::{Image, bare};
use crate::{
    host::{Host, Transaction},
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        manifest::Document,
        platform::Platform,
        record::{Action, ImageRecord, Present, weight},
        reference::Reference,
        retention::Retention,
    },
    registry::Failure,
    verbs::{
        contract::{Caller, Loaded, LoadedImage},
        documents::{self, RECORD},
        given_up, library,
        store::{self, Records},
    },
};
use std::collections::BTreeMap;

/// What became of the names: what was here before of the same target stays.
pub(in crate::verbs) async fn record<H: Host>(
    host: &H,
    caller: &Caller,
    images: &[Image],
    machine: &Platform,
    action: Action,
    retention: Option<Retention>,
) -> Result<Loaded, Failure> {
    let loaded = store::change(host, caller, async |records| {
        let mut loaded = Loaded::default();
        for image in images {
            let mut moved = Vec::new();
            for name in &image.names {
                if let Some(old) = point(host, records, image, name, (action, retention)).await? {
                    loaded.notes.push(format!(
                        "`{}` pointed to `{old}`; what no other name reaches of that stays until `wharf gc`",
                        name.familiar()
                    ));
                    moved.push((name.to_string(), old));
                }
            }
            loaded.images.push(picture(image, moved, machine));
        }
        Ok(loaded)
    })
    .await?;
    store::forget(host, caller).await;
    Ok(loaded)
}

/// Makes a name point to an image. Returns what it pointed to, if that was something
/// else.
pub(in crate::verbs) async fn point<H: Host>(
    host: &H,
    records: &Records<'_, impl Transaction>,
    image: &Image,
    name: &Reference,
    (action, retention): (Action, Option<Retention>),
) -> Result<Option<Digest>, Failure> {
    let before = records.get(name).await?.and_then(Result::ok);
    let old = before.as_ref().map(|before| before.target.digest.clone()).filter(|old| *old != image.target.digest);
    let mut platforms: Vec<Present> = image.wholes.iter().map(|whole| whole.present.clone()).collect();
    let mut blobs = image.blobs.clone();
    for present in before.iter().filter(|_| old.is_none()).flat_map(|before| &before.platforms) {
        if platforms.iter().all(|other| other.manifest.digest != present.manifest.digest)
            && let Some(parts) = parts(host, present).await?
        {
            blobs.extend(parts);
            platforms.push(present.clone());
        }
    }
    let now = host.now();
    let mut labels = before.as_ref().map(|before| before.labels.clone()).unwrap_or_default();
    records.retention_of(retention, before.as_ref()).await?.note(&mut labels);
    let mut record = ImageRecord {
        target: image.target.clone(),
        created: before.as_ref().map_or(now, |before| before.created),
        updated: before.as_ref().map_or(now, |before| before.updated),
        size: weight(&blobs),
        labels,
        platforms,
    };
    if before.as_ref() != Some(&record) {
        record.updated = now;
        records.put(name, &record)?;
        records.tell(host, action, name.to_string(), Some(&image.target.digest));
    }
    Ok(old)
}

/// Returns what belongs to a platform that was here before; none if something of it
/// is gone. What was given up for a tree is not: its layer stands for it, whatever is kept
/// from now on. Its record holds it: who takes that away makes this transaction conflict.
pub(in crate::verbs) async fn parts<H: Host>(host: &H, present: &Present) -> Result<Option<Vec<Descriptor>>, Failure> {
    let Ok(Some(blob)) = documents::find(host, &present.manifest).await else { return Ok(None) };
    let Ok(held) = documents::read(&present.manifest, blob, RECORD).await else { return Ok(None) };
    let Document::Manifest(manifest) = &held.document else { return Ok(None) };
    let Ok(Some(config)) = documents::find(host, &manifest.config).await else { return Ok(None) };
    let mut instead = BTreeMap::new();
    if manifest.is_image()
        && let Ok(bytes) = documents::bytes(&manifest.config, &config).await
        && let Ok(config) = Config::parse(&bytes)
    {
        instead = given_up::instead(host, Retention::Unpacked, manifest, &config).await?;
    }
    let mut parts = vec![present.manifest.clone()];
    for part in manifest.layers.iter().chain([&manifest.config]) {
        let is_here = instead.contains_key(&part.digest) || matches!(documents::find(host, part).await, Ok(Some(_)));
        if !is_here {
            return Ok(None);
        }
        parts.push(bare(part));
    }
    Ok(Some(parts))
}

fn picture(image: &Image, moved: Vec<(String, Digest)>, machine: &Platform) -> LoadedImage {
    let here: Vec<Present> = image.wholes.iter().map(|whole| whole.present.clone()).collect();
    let best = library::best_present(&here, machine).expect("an image has a manifest that is whole");
    LoadedImage {
        names: image.names.iter().map(ToString::to_string).collect(),
        target: image.target.clone(),
        id: best.config.clone(),
        platforms: here.iter().filter_map(|present| present.platform.clone()).collect(),
        moved,
    }
}
