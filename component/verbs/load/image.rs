//! The images of an archive: what each points to, what it is called, and which of its
//! manifests are whole. It makes none up: see `docker` for archives that have no
//! manifests.

use super::shelf::{INDEX, LAYOUT, Shelf};
use crate::{
    host::Host,
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        json::{self, Shape},
        manifest::{Document, INDEX_DEPTH_MAX, Manifest},
        media_type::{Kind, OCI_INDEX},
        platform::{Platform, best},
        problem::ErrorCode,
        record::Present,
        reference::Reference,
    },
    registry::Failure,
    verbs::{
        choose::{self, Wish},
        failing::{because, fail, invalid},
    },
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The whole name, as containerd and docker write it.
const NAME: &str = "io.containerd.image.name";
/// The tag, or with some tools the name. OCI image-spec, annotations.md.
const TAG: &str = "org.opencontainers.image.ref.name";

/// An image of the archive.
pub(in crate::verbs) struct Image {
    pub(in crate::verbs) target: Descriptor,
    /// In order, none twice.
    pub(in crate::verbs) names: Vec<Reference>,
    /// The tag that it has without a repository.
    pub(in crate::verbs) tag: Option<String>,
    pub(in crate::verbs) wholes: Vec<Whole>,
    /// Everything that it needs, the target included.
    pub(in crate::verbs) blobs: Vec<Descriptor>,
}

/// A manifest with all its parts.
pub(in crate::verbs) struct Whole {
    pub(in crate::verbs) present: Present,
    pub(in crate::verbs) manifest: Manifest,
    /// None if it is no image.
    pub(in crate::verbs) config: Option<Config>,
    /// What it runs on.
    pub(in crate::verbs) platform: Option<Platform>,
}

/// Why a manifest is not whole.
pub(in crate::verbs) enum Lack {
    /// This blob is nowhere.
    Missing(Digest),
    Failed(Failure),
}

impl From<Failure> for Lack {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Lack> for Failure {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Missing(digest) => {
                fail(ErrorCode::NotFound, format!("`{digest}` is neither in the archive nor here"))
            }
            Lack::Failed(failure) => failure,
        }
    }
}

/// Reads the images that `index.json` lists.
pub(super) async fn images<H: Host>(shelf: &mut Shelf<'_, H>, machine: &Platform) -> Result<Vec<Image>, Failure> {
    check_layout(shelf)?;
    let bytes = shelf.documents.get(INDEX).cloned().unwrap_or_default();
    let document = Document::parse(&bytes, Some(OCI_INDEX)).map_err(invalid);
    let Document::Index(index) = document.map_err(because(format!("`{INDEX}` is not usable")))? else {
        return Err(invalid(format!("`{INDEX}` is a manifest, and has to be an index")));
    };
    let mut images: Vec<Image> = Vec::new();
    for entry in index.manifests {
        if !matches!(entry.kind(), Kind::Index | Kind::Manifest) {
            shelf.board.note(format!("`{}` is `{}`, and is passed over", entry.digest, entry.media_type));
            continue;
        }
        let (name, tag) = name_of(&entry)?;
        let image = match images.iter_mut().position(|image| image.target.digest == entry.digest) {
            Some(at) => &mut images[at],
            None => {
                let told = because(format!("`{}` cannot be taken in", entry.digest));
                images.push(image(shelf, &entry, machine).await.map_err(told)?);
                images.last_mut().expect("one was just put there")
            }
        };
        image.names.extend(name.filter(|name| !image.names.contains(name)));
        image.tag = image.tag.take().or(tag);
    }
    Ok(images)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// image-spec, image-layout.md, “oci-layout file”. Some archives do without.
fn check_layout<H: Host>(shelf: &Shelf<'_, H>) -> Result<(), Failure> {
    let Some(bytes) = shelf.documents.get(LAYOUT) else { return Ok(()) };
    let layout: Layout = json::parse(bytes, &Shape::Object(&[("imageLayoutVersion", &Shape::Any)]))
        .map_err(invalid)
        .map_err(because(format!("`{LAYOUT}` is not usable")))?;
    match layout.image_layout_version.starts_with("1.") {
        true => Ok(()),
        false => {
            let version = json::shown(&layout.image_layout_version, 40);
            Err(fail(ErrorCode::Unsupported, format!("the layout has version `{version}`, and 1 is supported")))
        }
    }
}

/// Returns what an entry of `index.json` is called, or else its tag.
fn name_of(entry: &Descriptor) -> Result<(Option<Reference>, Option<String>), Failure> {
    let said = |key: &str| entry.annotations.get(key).filter(|text| !text.is_empty());
    if let Some(text) = said(NAME) {
        return name(text).map(|name| (Some(name), None));
    }
    match said(TAG) {
        Some(text) if text.contains([':', '/']) => name(text).map(|name| (Some(name), None)),
        tag => Ok((None, tag.cloned())),
    }
}

/// Reads a name. It has a tag, and no digest: that would be a promise about what it
/// points to.
pub(in crate::verbs) fn name(text: &str) -> Result<Reference, Failure> {
    let why = format!("`{}` cannot be the name of an image", json::shown(text, 300));
    let name = Reference::parse_docker(text).map_err(invalid).map_err(because(why.clone()))?;
    if name.digest().is_some() {
        return Err(because(why)(invalid("it has a digest, and a tag is what can point anywhere")));
    }
    Ok(name.with_default_tag())
}

/// Reads what an entry points to.
pub(in crate::verbs) async fn image<H: Host>(
    shelf: &mut Shelf<'_, H>,
    entry: &Descriptor,
    machine: &Platform,
) -> Result<Image, Failure> {
    let mut image = Image {
        target: Descriptor::new(entry.media_type.clone(), entry.digest.clone(), entry.size),
        names: Vec::new(),
        tag: None,
        wholes: Vec::new(),
        blobs: Vec::new(),
    };
    if entry.kind() == Kind::Manifest {
        image.add(whole(shelf, entry, machine).await?);
        return Ok(image);
    }
    let mut pending = vec![(entry.clone(), 1)];
    let mut missing = BTreeMap::new();
    while let Some((what, depth)) = pending.pop() {
        let bytes = match shelf.read(&what).await? {
            Some(bytes) => bytes,
            None if depth == 1 => return Err(Lack::Missing(what.digest).into()),
            None => {
                missing.insert(what.digest.clone(), what);
                continue;
            }
        };
        let Document::Index(index) = parse(&what, &bytes)? else {
            return Err(invalid(format!("`{}` is a manifest, and its descriptor says an index", what.digest)));
        };
        image.blobs.push(bare(&what));
        for part in &index.manifests {
            if part.kind() == Kind::Index && depth < INDEX_DEPTH_MAX {
                pending.push((part.clone(), depth + 1));
                continue;
            }
            match whole(shelf, part, machine).await {
                Ok(whole) => image.add(whole),
                Err(Lack::Missing(_)) => drop(missing.insert(part.digest.clone(), part.clone())),
                Err(Lack::Failed(failure)) => return Err(failure),
            }
        }
    }
    if image.wholes.is_empty() {
        return Err(fail(ErrorCode::NotFound, "none of the manifests that its index lists is whole in the archive"));
    }
    for part in missing.values().filter(|part| !choose::is_attestation(part)) {
        let platform = choose::stated(part).map_or_else(|| "something".to_owned(), Platform::format_all);
        shelf.board.note(format!("`{}`, for {platform}, is not whole in the archive, and is passed over", part.digest));
    }
    Ok(image)
}

impl Image {
    pub(in crate::verbs) fn add(&mut self, whole: Whole) {
        if self.wholes.iter().any(|other| other.present.manifest.digest == whole.present.manifest.digest) {
            return;
        }
        self.blobs.extend(whole.parts());
        self.wholes.push(whole);
    }

    /// Leaves the best manifest for each of these platforms, and what it needs.
    pub(super) fn narrow(&mut self, wishes: &[Wish]) -> Result<(), Failure> {
        let marked = || self.wholes.iter().filter_map(|whole| Some((whole.platform.as_ref()?, whole)));
        let mut kept = BTreeSet::new();
        for wish in wishes {
            let found = best(wish.matcher(), marked()).ok_or_else(|| {
                let images = marked().filter(|(platform, _)| platform.os != "unknown");
                choose::none_matches(wish, "the archive has", images.map(|(platform, _)| platform))
            })?;
            kept.insert(found.present.manifest.digest.clone());
        }
        let (stays, goes): (Vec<Whole>, Vec<Whole>) =
            self.wholes.drain(..).partition(|whole| kept.contains(&whole.present.manifest.digest));
        let parts = |wholes: &[Whole]| -> BTreeSet<Digest> {
            wholes.iter().flat_map(Whole::parts).map(|part| part.digest).collect()
        };
        let (needed, gone) = (parts(&stays), parts(&goes));
        self.blobs.retain(|blob| needed.contains(&blob.digest) || !gone.contains(&blob.digest));
        self.wholes = stays;
        Ok(())
    }
}

impl Whole {
    /// Everything that belongs to it, the manifest first.
    fn parts(&self) -> Vec<Descriptor> {
        let parts = self.manifest.layers.iter().chain([&self.manifest.config]).map(bare);
        [self.present.manifest.clone()].into_iter().chain(parts).collect()
    }
}

/// Reads a manifest of which every part is here, and holds them.
pub(in crate::verbs) async fn whole<H: Host>(
    shelf: &mut Shelf<'_, H>,
    what: &Descriptor,
    machine: &Platform,
) -> Result<Whole, Lack> {
    let missing = |what: &Descriptor| Lack::Missing(what.digest.clone());
    let bytes = shelf.read(what).await?.ok_or_else(|| missing(what))?;
    let Document::Manifest(manifest) = parse(what, &bytes)? else {
        return Err(invalid(format!("`{}` is an index, and its descriptor says a manifest", what.digest)).into());
    };
    for part in manifest.layers.iter().chain([&manifest.config]) {
        shelf.find(part).await?.ok_or_else(|| missing(part))?;
    }
    let mut config = None;
    if manifest.is_image() {
        let told = because(format!("the config `{}` is not usable", manifest.config.digest));
        let bytes = shelf.read(&manifest.config).await?.ok_or_else(|| missing(&manifest.config))?;
        let read = Config::parse(&bytes).and_then(|config| config.check_layers(manifest.layers.len()).map(|()| config));
        config = Some(read.map_err(invalid).map_err(told)?);
    }
    let of_config = config.as_ref().map(|config| config.platform().completed_on(machine));
    let platform = choose::stated(what).cloned().or(of_config);
    let descriptor = Descriptor::new(manifest.media_type, what.digest.clone(), what.size);
    let present = Present::new(&descriptor, &manifest, config.as_ref(), platform.as_ref());
    Ok(Whole { present, manifest, config, platform })
}

fn parse(what: &Descriptor, bytes: &[u8]) -> Result<Document, Failure> {
    let told = because(format!("`{}` is not usable", what.digest));
    Document::parse(bytes, Some(&what.media_type)).map_err(invalid).map_err(told)
}

/// Type, digest and size.
pub(in crate::verbs) fn bare(what: &Descriptor) -> Descriptor {
    Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size)
}
