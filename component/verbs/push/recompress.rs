//! Compression on request: what goes to a registry has other layers then, of the same DiffIDs, and so other manifests and
//! another digest. What is here stays as it is.
//!
//! ```text
//! blob ─► inflate ─► deflate ─► ingest ─► blob ─► inflate ─► sum = DiffID?
//!                                          │
//!            layer ─► manifest ─► index ◄──┘   written anew, with the types of OCI
//! ```
//!
//! Each layer says by the annotation [`UNCOMPRESSED`] what it is without its compression, as containerd's converter has it.

use super::cargo::{Cargo, Changed, gone};
use crate::{
    host::{Blob, Departure, Host, Ingest},
    nouns::{
        compressor::Compressor,
        config::Config,
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        manifest::{Document, Manifest},
        media_type::{self, Kind, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST},
        problem::ErrorCode,
    },
    registry::Failure,
    verbs::{
        brought::Brought,
        documents::{self, Held},
        failing::{because, fail, invalid},
        listen::Board,
    },
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// What a layer is without its compression.
const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// Which manifest an entry of an index is about, as buildkit writes it.
const ABOUT: &str = "vnd.docker.reference.digest";
/// A layer that has more bytes without its compression is refused.
const PLAIN_BYTES_MAX: u64 = 1 << 40;
/// More layers than this are never compressed at once: each has a thread of the host, and up to 100 MiB of its memory.
const AT_ONCE_MAX: usize = 4;

/// How a call compresses.
pub(super) struct Recompression<'h, H: Host> {
    pub(super) host: &'h H,
    pub(super) board: &'h Board,
    /// Where the layers that are made are noted, so that they go again.
    pub(super) brought: &'h Brought,
    pub(super) how: Compressor,
    /// Also what is compressed in this way already.
    pub(super) is_forced: bool,
    /// What became of which layer.
    pub(super) done: RefCell<BTreeMap<Digest, Descriptor>>,
}

impl<H: Host> Recompression<'_, H> {
    /// Puts other layers, manifests and another target in the place of what goes with a name.
    pub(super) async fn change(&self, cargo: &mut Cargo<H>, at_once: usize) -> Result<(), Failure> {
        if cargo.name.digest().is_some() {
            return Err(invalid("with other layers it has another digest than its name says; push it by a tag"));
        }
        let wanted = self.wanted(cargo).await?;
        if wanted.is_empty() {
            let how = self.how;
            self.board.note(format!("no layer has to be compressed by `{how}`; `--force-compress` does it anew"));
            return Ok(());
        }
        let (before, count) = (wanted.values().map(|(layer, _)| layer.size).sum(), wanted.len());
        let work = stream::iter(wanted).map(async |(digest, (layer, diff_id))| {
            let made = self.layer(&layer, &diff_id).await;
            made.map(|made| (digest, (made, diff_id))).map_err(because(format!("its layer `{}`", layer.digest)))
        });
        let at_once = at_once.min(AT_ONCE_MAX);
        let made: BTreeMap<_, _> = work.buffer_unordered(at_once).try_collect().await?;
        let after = made.values().map(|((layer, _), _)| layer.size).sum();
        let old = cargo.target.digest.clone();
        self.rewrite(cargo, made)?;
        cargo.changed = Some(Changed { how: self.how, target: old, layers: count, before, after });
        Ok(())
    }

    /// The layers that are to be compressed, with their DiffIDs.
    async fn wanted(&self, cargo: &Cargo<H>) -> Result<BTreeMap<Digest, (Descriptor, Digest)>, Failure> {
        let mut wanted = BTreeMap::new();
        for manifest in cargo.manifests.iter().filter_map(|held| image(&held.document)) {
            let layers = manifest.layers.iter().enumerate().filter(|(_, layer)| self.concerns(layer));
            let layers: Vec<_> = layers.collect();
            if layers.is_empty() {
                continue;
            }
            let blob = self.find(&manifest.config).await?;
            let config = Config::parse(&documents::bytes(&manifest.config, &blob).await?).map_err(invalid);
            let config = config.map_err(because(format!("its config `{}`", manifest.config.digest)))?;
            config.check_layers(manifest.layers.len()).map_err(invalid)?;
            for (at, layer) in layers {
                wanted.insert(layer.digest.clone(), (layer.clone(), config.rootfs.diff_ids[at].clone()));
            }
        }
        Ok(wanted)
    }

    fn concerns(&self, layer: &Descriptor) -> bool {
        match layer.kind() {
            Kind::Layer { foreign: false, compression } => self.is_forced || compression != self.how.compression(),
            _ => false,
        }
    }

    async fn find(&self, what: &Descriptor) -> Result<H::Blob, Failure> {
        documents::find(self.host, what).await?.ok_or_else(|| gone(what))
    }

    /// Compresses a layer anew.
    async fn layer(&self, old: &Descriptor, diff_id: &Digest) -> Result<(Descriptor, H::Blob), Failure> {
        let known = self.done.borrow().get(&old.digest).cloned();
        if let Some(layer) = known
            && let Ok(Some(blob)) = documents::find(self.host, &layer).await
        {
            return Ok((layer, blob));
        }
        let blob = self.find(old).await?;
        let (how, short) = (self.how, old.digest.short());
        self.board.note(format!("compressing `{short}` by {how}: {} bytes", old.size));
        let name = format!("layer {:016x}{:016x}", self.host.random(), self.host.random());
        self.brought.begins(&name);
        let ingest = self.host.ingest(&name).await?;
        let Departure { body, end: read, .. } = self.host.depart(&blob, 0, blob.size());
        let (plain, inflated) = self.host.inflate(body);
        let (packed, deflated) = self.host.deflate(plain, how);
        // What does not get smaller gets a little larger.
        ingest.append(packed, PLAIN_BYTES_MAX).await?;
        deflated.await.map_err(|code| match code {
            ErrorCode::Unsupported => fail(code, "this wharf does not compress"),
            other => other.into(),
        })?;
        inflated.await.map_err(damaged)?;
        read.await?;
        let (digest, size) = (ingest.digest().await?, ingest.offset());
        let made = ingest.commit(&digest, size).await?;
        self.brought.became(&name, &digest, size);
        // What is damaged here, or compressed wrongly, is found before anybody gets it.
        let Departure { body, end: read, .. } = self.host.depart(&made, 0, size);
        let (plain, inflated) = self.host.inflate(body);
        let (_, found) = self.host.sum(plain, PLAIN_BYTES_MAX).await?;
        inflated.await.map_err(damaged)?;
        read.await?;
        if found != *diff_id {
            let why = format!("it is `{found}` without its compression, and the config says `{diff_id}`");
            return Err(fail(ErrorCode::DigestMismatch(found), why));
        }
        let layer = Descriptor::new(how.layer(), digest, size);
        self.board.note(format!("compressed `{short}`: `{}` has {size} bytes", layer.digest.short()));
        self.done.borrow_mut().insert(old.digest.clone(), layer.clone());
        Ok((layer, made))
    }

    /// Writes the manifests anew, each after what it lists.
    fn rewrite(&self, cargo: &mut Cargo<H>, made: Made<H>) -> Result<(), Failure> {
        let mut changed: BTreeMap<Digest, Descriptor> = BTreeMap::new();
        let layers: BTreeMap<&Digest, (&Descriptor, &Digest)> =
            made.iter().map(|(old, ((layer, _), diff_id))| (old, (layer, diff_id))).collect();
        for held in &mut cargo.manifests {
            let bytes = match &held.document {
                Document::Manifest(manifest) => match image(&held.document) {
                    Some(_) if manifest.layers.iter().any(|layer| layers.contains_key(&layer.digest)) => {
                        with_layers(&held.bytes, &layers)?
                    }
                    _ => continue,
                },
                Document::Index(index) => {
                    if !index.manifests.iter().any(|entry| changed.contains_key(&entry.digest)) {
                        continue;
                    }
                    with_manifests(&held.bytes, &changed)?
                }
            };
            let old = held.descriptor.digest.clone();
            *held = written(bytes)?;
            changed.insert(old, held.descriptor.clone());
        }
        if let Some(target) = changed.get(&cargo.target.digest) {
            cargo.reduced_from.get_or_insert_with(|| cargo.target.digest.clone());
            cargo.target = target.clone();
        }
        let needed: BTreeSet<Digest> =
            cargo.manifests.iter().flat_map(|held| held.document.parts()).map(|part| part.digest.clone()).collect();
        cargo.blobs.retain(|(what, _)| needed.contains(&what.digest));
        // Nothing here leads to them: whoever lets go of one loses it.
        cargo.blobs.extend(made.into_values().map(|((layer, blob), _)| (layer, Some(blob))));
        // Two layers may have become one.
        cargo.blobs.sort_by(|(one, _), (other, _)| other.size.cmp(&one.size).then(one.digest.cmp(&other.digest)));
        cargo.blobs.dedup_by(|(one, _), (other, _)| one.digest == other.digest);
        Ok(())
    }
}

/// By what they were: layers, and their DiffIDs.
type Made<H> = BTreeMap<Digest, ((Descriptor, <H as Host>::Blob), Digest)>;

fn image(document: &Document) -> Option<&Manifest> {
    match document {
        Document::Manifest(manifest) if manifest.is_image() => Some(manifest),
        _ => None,
    }
}

fn damaged(code: ErrorCode) -> Failure {
    match code {
        ErrorCode::Invalid => fail(code, "its compressed bytes are damaged, or end too early"),
        ErrorCode::TooLarge(_) => fail(code, "its compressed bytes need too much memory"),
        other => other.into(),
    }
}

/// A manifest with other layers, and the types of OCI: docker's have no zstd.
fn with_layers(bytes: &[u8], layers: &BTreeMap<&Digest, (&Descriptor, &Digest)>) -> Result<Vec<u8>, Failure> {
    let mut document: Value = serde_json::from_slice(bytes).map_err(invalid)?;
    document["mediaType"] = json!(OCI_MANIFEST);
    document["config"]["mediaType"] = json!(OCI_CONFIG);
    for entry in document["layers"].as_array_mut().into_iter().flatten() {
        let digest = entry["digest"].as_str().and_then(|text| text.parse::<Digest>().ok());
        if let Some((layer, diff_id)) = digest.and_then(|digest| layers.get(&digest)) {
            // The bytes may stand in the descriptor itself, and are others now.
            entry.as_object_mut().map(|entry| entry.remove("data"));
            entry["mediaType"] = json!(layer.media_type);
            entry["digest"] = json!(layer.digest.to_string());
            entry["size"] = json!(layer.size);
            entry["annotations"][UNCOMPRESSED] = json!(diff_id.to_string());
        } else if let Some(same) = entry["mediaType"].as_str().and_then(media_type::of_oci) {
            entry["mediaType"] = json!(same);
        }
    }
    serde_json::to_vec(&document).map_err(invalid)
}

/// An index with other manifests.
fn with_manifests(bytes: &[u8], changed: &BTreeMap<Digest, Descriptor>) -> Result<Vec<u8>, Failure> {
    let mut document: Value = serde_json::from_slice(bytes).map_err(invalid)?;
    document["mediaType"] = json!(OCI_INDEX);
    let by_text = |value: &Value| value.as_str()?.parse().ok().and_then(|digest: Digest| changed.get(&digest));
    for entry in document["manifests"].as_array_mut().into_iter().flatten() {
        if let Some(new) = by_text(&entry["digest"]) {
            entry.as_object_mut().map(|entry| entry.remove("data"));
            entry["mediaType"] = json!(new.media_type);
            entry["digest"] = json!(new.digest.to_string());
            entry["size"] = json!(new.size);
        }
        if let Some(about) = entry.get_mut("annotations").and_then(|annotations| annotations.get_mut(ABOUT))
            && let Some(new) = by_text(about)
        {
            *about = json!(new.digest.to_string());
        }
    }
    serde_json::to_vec(&document).map_err(invalid)
}

/// A document that was made here.
fn written<B>(bytes: Vec<u8>) -> Result<Held<B>, Failure> {
    let document = Document::parse(&bytes, None).map_err(invalid)?;
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let descriptor = Descriptor::new(document.media_type(), digest, bytes.len() as u64);
    Ok(Held { descriptor, document, bytes, blob: None })
}
