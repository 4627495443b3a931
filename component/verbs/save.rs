//! Save: images that are here become one archive. The archive is a list of pieces,
//! headers and blobs, and whoever asked puts them one after the other: no layer is
//! read here.
//!
//! ```text
//! oci-layout  index.json  [manifest.json  repositories]  blobs/sha256/…
//! ```
//!
//! What tells what is inside comes first, and documents come before layers, so that
//! a reader of a pipe knows what it gets. The same images make the same bytes.
//! OCI image-spec, image-layout.md; Docker image spec v1.2, “Combined Image JSON +
//! Filesystem Changeset Format”.

mod layout;

use super::{
    contract::{Access, Caller, Form, SaveOptions, Saved, SavedImage, Wanted},
    documents::{self, Held, INDEX, RECORD},
    failing::{because, fail, problem, try_this},
    given_up,
    history::{self, Opened},
    library::{self, Entry, Library, Meant},
    pull, store,
};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        manifest::{Document, INDEX_DEPTH_MAX},
        media_type::Kind,
        problem::{ErrorCode, Problem},
        record::Present,
        reference::{self, Any, Reference},
        tar,
    },
    registry::Failure,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many blobs an archive may have. Each is held by a handle until the archive
/// has begun, and the host's table takes 3 072.
const BLOBS_MAX: usize = 900;

/// A piece of an archive.
#[derive(Debug)]
pub enum Piece<B> {
    /// Literal bytes.
    Bytes(Vec<u8>),
    /// A whole blob, which has so many bytes.
    Blob(B, u64),
}

/// Returns an archive of the images that `references` name, piece by piece, and what
/// is in it. See `images.save`.
pub async fn save<H: Host>(
    host: &H,
    caller: &Caller,
    references: &[String],
    options: &SaveOptions,
) -> Result<(Saved, Vec<Piece<H::Blob>>), Problem> {
    let work = async {
        let mut library = Library::load(host, caller).await?;
        if let Some(access) = &options.complete {
            complete(host, caller, &library, references, &options.platforms, access).await?;
            library = Library::load(host, caller).await?;
        }
        let mut archive = Archive { host, blobs: BTreeMap::new(), made: BTreeMap::new() };
        let mut images = Vec::new();
        for asked in choose(&library, references, options)?.into_values() {
            images.push(archive.add(&library, asked).await?);
        }
        let written = archive.write(images, options.form).await?;
        for text in references {
            let Entry { name, record } = library.find(text)?.entry;
            store::touch(host, caller, name, record.updated).await;
        }
        Ok(written)
    };
    work.await.map_err(problem(match references {
        [one] => format!("cannot save `{}`", one.escape_debug()),
        _ => "cannot save these images".to_owned(),
    }))
}

/// Fetches what is not here of the images. What failed leaves what has arrived, for the
/// next attempt, and no archive.
async fn complete<H: Host>(
    host: &H,
    caller: &Caller,
    library: &Library,
    references: &[String],
    platforms: &[String],
    access: &Access,
) -> Result<(), Failure> {
    for text in references {
        let meant = library.find(text)?;
        // What is meant by the digest of one manifest is that alone, and is here.
        if meant.present.is_some() && platforms.is_empty() {
            continue;
        }
        let wanted = match platforms {
            [] => Wanted::All,
            these => Wanted::These(these.to_vec()),
        };
        let told = because(format!("what is not here of `{}` cannot be fetched", text.escape_debug()));
        // A pull is deep, and this is called from deep enough.
        Box::pin(pull::complete(host, caller, &meant.entry.name, wanted, access)).await.map_err(told)?;
    }
    Ok(())
}

/// What was asked for of one target.
struct Asked<'l> {
    entry: &'l Entry,
    names: BTreeSet<String>,
    /// By manifest.
    platforms: BTreeMap<&'l Digest, &'l Present>,
}

/// Finds out what is to be saved, by target.
fn choose<'l>(
    library: &'l Library,
    references: &[String],
    options: &SaveOptions,
) -> Result<BTreeMap<&'l Digest, Asked<'l>>, Failure> {
    let mut all: BTreeMap<&Digest, Asked<'_>> = BTreeMap::new();
    for text in references {
        let found = library.find(text).and_then(|found| Ok((found, platforms(library, found, &options.platforms)?)));
        let (found, platforms) = found.map_err(|failure| match references.len() {
            1 => failure,
            _ => because(format!("`{}` cannot be saved", text.escape_debug()))(failure),
        })?;
        let target = &found.entry.record.target.digest;
        let asked = all.entry(target).or_insert_with(|| Asked {
            entry: found.entry,
            names: BTreeSet::new(),
            platforms: BTreeMap::new(),
        });
        asked.names.extend(name(text, found.entry));
        asked.platforms.extend(platforms.into_iter().map(|present| (&present.manifest.digest, present)));
    }
    Ok(all)
}

/// The name that a text is, unless it means an image by a digest or an ID.
fn name(text: &str, entry: &Entry) -> Option<String> {
    let Ok(Any::Reference(typed)) = reference::parse_any(text) else { return None };
    let is_name = typed.digest().is_none() && typed.with_default_tag() == entry.name;
    is_name.then(|| entry.name.to_string())
}

fn platforms<'l>(library: &Library, meant: Meant<'l>, wanted: &[String]) -> Result<Vec<&'l Present>, Failure> {
    if wanted.is_empty() {
        return Ok(match meant.present {
            Some(present) => vec![present],
            None => meant.entry.record.platforms.iter().collect(),
        });
    }
    wanted.iter().map(|platform| history::present(library, meant, Some(platform))).collect()
}

/// An image with the documents that the archive needs of it.
struct Image {
    names: Vec<Reference>,
    /// What the names point to in the archive.
    target: Descriptor,
    /// What they point to here.
    original: Digest,
    platforms: Vec<String>,
    /// How many manifests are saved, and how many the original lists, if it is an index
    /// that is not whole.
    part: Option<(usize, usize)>,
    /// What runs on the machine, or else the first image: config and layers.
    best: Option<(Descriptor, Vec<Descriptor>)>,
}

struct Archive<'h, H: Host> {
    host: &'h H,
    /// Blobs that are here, with their sizes.
    blobs: BTreeMap<(Kept, Digest), u64>,
    /// Documents that were made for the archive.
    made: BTreeMap<Digest, Vec<u8>>,
}

/// What a blob is, in the order of the archive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Document,
    Layer,
}

impl<H: Host> Archive<'_, H> {
    async fn add(&mut self, library: &Library, asked: Asked<'_>) -> Result<Image, Failure> {
        let Asked { entry, names, platforms } = asked;
        let mut opened = Vec::new();
        for present in platforms.values() {
            let manifest = history::open(self.host, entry, present).await?;
            given_up::refuse(self.host, entry, manifest.manifest()).await?;
            self.blobs.insert((Kept::Document, present.manifest.digest.clone()), present.manifest.size);
            let Opened { held, .. } = &manifest;
            for (at, part) in held.document.parts().enumerate() {
                let kind = if at == 0 { Kept::Document } else { Kept::Layer };
                self.blobs.insert((kind, part.digest.clone()), part.size);
            }
            opened.push((*present, manifest));
        }
        let here: Vec<Present> =
            opened.iter().filter(|(_, it)| it.config.is_some()).map(|(it, _)| (*it).clone()).collect();
        let best = library::best_present(&here, &library.machine).map(|best| best.manifest.digest.clone());
        let best = opened.iter().find(|(present, _)| Some(&present.manifest.digest) == best.as_ref());
        let best = best.map(|(_, it)| (it.manifest().config.clone(), it.manifest().layers.clone()));
        let original = &entry.record.target;
        let (target, part) = match opened.iter().find(|(present, _)| present.manifest.digest == original.digest) {
            Some((_, it)) => (it.held.descriptor.clone(), None),
            None => self.index(entry, &platforms.keys().copied().collect()).await?,
        };
        let names = names.iter().map(|name| Reference::parse_canonical(name).map_err(super::failing::invalid));
        Ok(Image {
            names: names.collect::<Result<_, _>>()?,
            target,
            original: original.digest.clone(),
            platforms: platforms.values().filter_map(|present| present.platform.clone()).collect(),
            part,
            best,
        })
    }

    /// The index of an image if everything in it is saved; or else the one manifest
    /// that is, or an index of those that are.
    async fn index(
        &mut self,
        entry: &Entry,
        saved: &BTreeSet<&Digest>,
    ) -> Result<(Descriptor, Option<(usize, usize)>), Failure> {
        let mut indexes = Vec::new();
        let mut entries: Vec<Descriptor> = Vec::new();
        let mut pending = vec![(entry.record.target.clone(), RECORD, 1)];
        while let Some((what, who, depth)) = pending.pop() {
            let held = match self.document(entry, &what, who).await {
                // An index in the index is here if something of it was wanted.
                Err(failure) if failure.code == ErrorCode::NotFound && who == INDEX => {
                    entries.push(what);
                    continue;
                }
                held => held?,
            };
            let Document::Index(index) = &held.document else { continue };
            for part in &index.manifests {
                if part.kind() == Kind::Index && depth < INDEX_DEPTH_MAX {
                    pending.push((part.clone(), INDEX, depth + 1));
                } else {
                    entries.push(part.clone());
                }
            }
            indexes.push(held);
        }
        if entries.iter().all(|part| saved.contains(&part.digest)) {
            for held in &indexes {
                self.blobs.insert((Kept::Document, held.descriptor.digest.clone()), held.descriptor.size);
            }
            return Ok((indexes[0].descriptor.clone(), None));
        }
        let offered = entries.len();
        entries.retain(|part| saved.contains(&part.digest));
        let part = Some((entries.len(), offered));
        if let [one] = &*entries {
            return Ok((one.clone(), part));
        }
        let (descriptor, bytes) = layout::subset(&indexes[0], &entries);
        self.made.insert(descriptor.digest.clone(), bytes);
        Ok((descriptor, part))
    }

    async fn document(&self, entry: &Entry, what: &Descriptor, who: &str) -> Result<Held<H::Blob>, Failure> {
        let read = async {
            let gone = || fail(ErrorCode::NotFound, format!("`{}`, which the image needs, is gone", what.digest));
            let blob = documents::find(self.host, what).await?.ok_or_else(gone)?;
            documents::read(what, blob, who).await
        };
        read.await.map_err(|failure| try_this(failure, format!("wharf pull {}", entry.name.familiar())))
    }

    async fn write(self, images: Vec<Image>, form: Form) -> Result<(Saved, Vec<Piece<H::Blob>>), Failure> {
        if self.blobs.len() > BLOBS_MAX {
            let why = format!("they have {} blobs; an archive has at most {BLOBS_MAX}", self.blobs.len());
            let fix = match &*images {
                [_] => "save some of its platforms, with `--platform`, and the others after them",
                _ => "save fewer images at once, or some of their platforms, with `--platform`",
            };
            return Err(try_this(fail(ErrorCode::TooLarge(BLOBS_MAX as u64), why), fix));
        }
        let mut pieces = Vec::new();
        let mut size = tar::END_BYTES as u64;
        let mut put = |path: &str, piece: Piece<H::Blob>| {
            let bytes = match &piece {
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::Blob(_, size) => *size,
            };
            let (header, padding) = (tar::file(path, bytes), tar::padding(bytes));
            size += header.len() as u64 + bytes + padding as u64;
            pieces.extend([Piece::Bytes(header), piece, Piece::Bytes(vec![0; padding])]);
        };
        for (path, document) in layout::documents(&images, form) {
            put(path, Piece::Bytes(document));
        }
        for (digest, bytes) in self.made {
            put(&layout::path(&digest), Piece::Bytes(bytes));
        }
        for ((_, digest), size) in &self.blobs {
            let what = Descriptor::new(String::new(), digest.clone(), *size);
            let gone = || fail(ErrorCode::NotFound, format!("`{digest}`, which an image needs, is gone"));
            let blob = documents::find(self.host, &what).await?.ok_or_else(gone);
            let blob = blob.map_err(|failure| try_this(failure, "wharf fsck --repair"))?;
            put(&layout::path(digest), Piece::Blob(blob, *size));
        }
        pieces.push(Piece::Bytes(vec![0; tar::END_BYTES]));
        let notes = images.iter().filter_map(note).collect();
        Ok((Saved { images: images.into_iter().map(Into::into).collect(), size, notes }, pieces))
    }
}

/// What a person may not expect of an image.
fn note(image: &Image) -> Option<String> {
    let (saved, offered) = image.part?;
    let name = image.names.first().map_or_else(|| image.original.to_string(), Reference::familiar);
    Some(format!(
        "`{name}` has {saved} of the {offered} manifests that its index lists, so that it is `{}` in the archive",
        image.target.digest
    ))
}

impl From<Image> for SavedImage {
    fn from(image: Image) -> Self {
        Self {
            names: image.names.iter().map(ToString::to_string).collect(),
            reduced_from: (image.original != image.target.digest).then_some(image.original),
            target: image.target,
            platforms: image.platforms,
        }
    }
}
