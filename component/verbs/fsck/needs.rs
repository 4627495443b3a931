//! What images need: blobs, and the trees that their configs describe. It reads
//! records, manifests and configs, and judges nothing.

use crate::{
    host::Host,
    nouns::{
        chain::chain_ids,
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        manifest::{Document, Manifest},
        platform::Platform,
        problem::ErrorCode,
        record::Present,
        reference::Reference,
        retention::Retention,
    },
    registry::Failure,
    verbs::{
        documents::{self, RECORD},
        library::Entry,
        trees,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// A blob, and who needs it.
#[derive(Clone, Default)]
pub(super) struct Needed {
    /// As the manifest says that points to it, if one does.
    pub(super) descriptor: Option<Descriptor>,
    pub(super) images: BTreeMap<String, Reference>,
    /// The layer that may stand for it, if every image that needs it is kept
    /// unpacked.
    pub(super) instead: Option<Digest>,
    /// Whether something needs the blob itself.
    is_wanted: bool,
}

impl Needed {
    /// Returns the layer that may stand for the blob.
    pub(super) fn instead(&self) -> Option<&Digest> {
        self.instead.as_ref().filter(|_| !self.is_wanted)
    }
}

/// The tree of one image.
pub(super) struct Tree {
    pub(super) name: String,
    pub(super) manifest: Digest,
    pub(super) diff_ids: Vec<Digest>,
    pub(super) chain_ids: Vec<Digest>,
}

/// What the images need that are looked at.
#[derive(Default)]
pub(super) struct Needs {
    pub(super) blobs: BTreeMap<Digest, Needed>,
    pub(super) trees: Vec<Tree>,
}

impl Needs {
    /// Adds what an image needs: the target, and of what is here the manifests
    /// and what they list. A manifest that cannot be read lists nothing, and is
    /// found when it is hashed.
    pub(super) async fn add<H: Host>(&mut self, host: &H, entry: &Entry) -> Result<(), Failure> {
        self.need(entry, &entry.record.target.digest, Some(&entry.record.target), None);
        let is_unpacked = Retention::of(&entry.record.labels) == Retention::Unpacked;
        for present in &entry.record.platforms {
            self.need(entry, &present.manifest.digest, Some(&present.manifest), None);
            self.need(entry, &present.config, None, None);
            let Some(Document::Manifest(manifest)) = readable(document(host, present).await)?.flatten() else {
                continue;
            };
            let config = readable(config(host, &manifest).await)?.flatten();
            self.need(entry, &manifest.config.digest, Some(&manifest.config), None);
            for (at, part) in manifest.layers.iter().enumerate() {
                let diff_id = config.as_ref().and_then(|config| config.rootfs.diff_ids.get(at));
                self.need(entry, &part.digest, Some(part), diff_id.filter(|_| is_unpacked));
            }
            if let Some(config) = config {
                self.grow(entry, present, &manifest, &config);
            }
        }
        Ok(())
    }

    fn need(&mut self, entry: &Entry, digest: &Digest, what: Option<&Descriptor>, instead: Option<&Digest>) {
        let needed = self.blobs.entry(digest.clone()).or_default();
        match (instead, &needed.instead) {
            (Some(layer), None) => needed.instead = Some(layer.clone()),
            (Some(layer), Some(known)) if layer == known => {}
            _ => needed.is_wanted = true,
        }
        if needed.descriptor.is_none() {
            needed.descriptor =
                what.map(|what| Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size));
        }
        needed.images.insert(entry.name.to_string(), entry.name.clone());
    }

    /// Adds the tree of an image that can have one.
    fn grow(&mut self, entry: &Entry, present: &Present, manifest: &Manifest, config: &Config) {
        let diff_ids = &config.rootfs.diff_ids;
        let platform: Platform = config.platform();
        if diff_ids.is_empty()
            || config.check_layers(manifest.layers.len()).is_err()
            || trees::obstacle(manifest).or_else(|| trees::stranger(&platform)).is_some()
        {
            return;
        }
        self.trees.push(Tree {
            name: entry.name.to_string(),
            manifest: present.manifest.digest.clone(),
            chain_ids: chain_ids(diff_ids),
            diff_ids: diff_ids.clone(),
        });
    }

    /// The images whose trees have what `has` tells, each once.
    pub(super) fn images(&self, has: impl Fn(&Tree) -> bool) -> Vec<String> {
        let names: BTreeSet<&String> = self.trees.iter().filter(|tree| has(tree)).map(|tree| &tree.name).collect();
        names.into_iter().cloned().collect()
    }
}

async fn document<H: Host>(host: &H, present: &Present) -> Result<Option<Document>, Failure> {
    let Some(blob) = documents::find(host, &present.manifest).await? else { return Ok(None) };
    documents::read(&present.manifest, blob, RECORD).await.map(|held| Some(held.document))
}

async fn config<H: Host>(host: &H, manifest: &Manifest) -> Result<Option<Config>, Failure> {
    if !manifest.is_image() {
        return Ok(None);
    }
    let Some(blob) = documents::find(host, &manifest.config).await? else { return Ok(None) };
    Ok(Config::parse(&documents::bytes(&manifest.config, &blob).await?).ok())
}

/// Takes what is damaged, or no document, for none.
pub(super) fn readable<T>(read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(failure)
            if documents::is_damage(&failure)
                || matches!(
                    failure.code,
                    ErrorCode::Invalid | ErrorCode::TooLarge(_) | ErrorCode::NotFound | ErrorCode::Other(_)
                ) =>
        {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
