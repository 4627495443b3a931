//! What refers to an image, and goes to a registry with it: signatures, bills of materials
//! and other artifacts that have the image or a manifest of it as their subject, and what
//! refers to those.
//!
//! ```text
//! subjects ─► lists of referrers ─► manifests, with what they list ─┐
//!    ▲        or the records here                                   │
//!    └────────────────────── their digests ◄────────────────────────┘
//! ```
//!
//! They come before the name of the image: who looks at the name finds them. What only
//! says that it refers to the image in a list, and not itself, is passed over and told.

use super::{
    contract::{PushedPart, Way},
    documents::{self, INDEX, RECORD},
    failing::{because, fail},
    library::Library,
    quay::{Quay, part, sort},
};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        manifest::{Document, INDEX_DEPTH_MAX},
        media_type::Kind,
        problem::ErrorCode,
    },
    registry::{Bytes, Failure, Fetched, Repository},
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// How many manifests may go with an image.
const ATTACHED_MAX: usize = 1_000;
/// What they may weigh together, in bytes.
const TOGETHER_BYTES_MAX: usize = 16 << 20;
/// How far what refers may stand from the image: a signature of a bill of materials has 2.
const DEPTH_MAX: usize = 8;

/// A manifest or an index that goes with an image.
pub(super) struct Attached<'s, 'h, H: Host> {
    descriptor: Descriptor,
    document: Document,
    bytes: Vec<u8>,
    /// Where it comes from; from here if there is none.
    from: Option<&'s Repository<'h, H>>,
    /// Whether it refers to something, and is not only listed by what does.
    is_referrer: bool,
}

/// What goes with an image.
pub(super) struct Train<'s, 'h, H: Host> {
    /// Each once, and after what it lists.
    all: Vec<Attached<'s, 'h, H>>,
    /// What is in it, and the manifests of the image.
    known: BTreeSet<Digest>,
    /// The manifests of the image.
    subjects: Vec<Digest>,
    weight: usize,
    /// What a person may not expect.
    pub(super) notes: Vec<String>,
}

impl<'s, 'h, H: Host> Train<'s, 'h, H> {
    /// Nothing, of an image that has these manifests.
    pub(super) fn new(subjects: impl Iterator<Item = Digest>) -> Self {
        let subjects: Vec<Digest> = subjects.collect();
        let known = subjects.iter().cloned().collect();
        Self { all: Vec::new(), known, subjects, weight: 0, notes: Vec::new() }
    }

    /// What refers to something, each once.
    pub(super) fn referrers(&self) -> Vec<Descriptor> {
        let referrers = self.all.iter().filter(|one| one.is_referrer).map(|one| &one.descriptor);
        referrers.map(|what| Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size)).collect()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.all.iter().map(|one| &one.descriptor)
    }

    /// Adds what a repository has. `lists` is the same repository without its mirrors.
    pub(super) async fn add_from(
        &mut self,
        source: &'s Repository<'h, H>,
        lists: &Repository<'h, H>,
        at_once: usize,
    ) -> Result<(), Failure> {
        let mut level: Vec<Digest> = self.all_subjects();
        for _ in 0..DEPTH_MAX {
            let listed = stream::iter(level).map(async |subject| {
                let listed = lists.referrers(&subject, None).await?;
                Ok::<_, Failure>((subject, listed.entries))
            });
            let listed: Vec<_> = listed.buffered(at_once).try_collect().await?;
            let mut next = Vec::new();
            for (subject, entries) in listed {
                for entry in entries {
                    if self.known.contains(&entry.digest) {
                        continue;
                    }
                    let told = because(format!("`{}`, which refers to it, cannot be had", entry.digest));
                    if self.fetch(source, &subject, &entry).await.map_err(told)? {
                        next.push(entry.digest);
                    }
                }
            }
            if next.is_empty() {
                return Ok(());
            }
            level = next;
        }
        Err(too_deep())
    }

    /// The manifests of the image, and what is known to refer to them.
    fn all_subjects(&self) -> Vec<Digest> {
        let attached = self.all.iter().filter(|one| one.is_referrer).map(|one| one.descriptor.digest.clone());
        self.subjects.iter().cloned().chain(attached).collect()
    }

    /// Fetches what is listed as a referrer, with what it lists. Returns whether it is one.
    async fn fetch(
        &mut self,
        source: &'s Repository<'h, H>,
        subject: &Digest,
        entry: &Descriptor,
    ) -> Result<bool, Failure> {
        let fetched = match source.manifest(entry.digest.as_str()).await {
            Ok(fetched) => fetched,
            // A registry that has collected it may list it still.
            Err(failure) if failure.code == ErrorCode::NotFound => {
                self.notes.push(format!("`{}` is listed to refer to `{subject}`, and is not there", entry.digest));
                return Ok(false);
            }
            Err(failure) => return Err(failure),
        };
        if fetched.document.subject().is_none_or(|says| says.digest != *subject) {
            self.notes.push(format!("`{}` is listed to refer to `{subject}`, and does not", entry.digest));
            return Ok(false);
        }
        let mut found = vec![(fetched, true)];
        let mut level: Vec<Descriptor> = listed(&found[0].0.document);
        for _ in 0..INDEX_DEPTH_MAX {
            let mut next = Vec::new();
            for what in level {
                let fetched = source.manifest(what.digest.as_str()).await?;
                next.extend(listed(&fetched.document));
                found.push((fetched, false));
                if found.len() > ATTACHED_MAX {
                    return Err(too_many());
                }
            }
            level = next;
        }
        if !level.is_empty() {
            return Err(too_deep());
        }
        for (Fetched { descriptor, document, bytes, .. }, is_referrer) in found.into_iter().rev() {
            self.add(Attached { descriptor, document, bytes, from: Some(source), is_referrer })?;
        }
        Ok(true)
    }

    fn add(&mut self, one: Attached<'s, 'h, H>) -> Result<(), Failure> {
        if !self.known.insert(one.descriptor.digest.clone()) {
            return Ok(());
        }
        self.weight += one.bytes.len();
        if self.weight > TOGETHER_BYTES_MAX {
            let why = format!("what refers to it has manifests of more than {TOGETHER_BYTES_MAX} bytes together");
            return Err(fail(ErrorCode::TooLarge(TOGETHER_BYTES_MAX as u64), why));
        }
        if self.all.len() == ATTACHED_MAX {
            return Err(too_many());
        }
        self.all.push(one);
        Ok(())
    }

    /// Adds what is here, under whatever name.
    pub(super) async fn add_here(&mut self, host: &H, library: &Library) -> Result<(), Failure> {
        let mut referring: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for entry in &library.entries {
            let record = &entry.record;
            let index = Some(&record.target).filter(|target| target.kind() == Kind::Index);
            for what in record.platforms.iter().map(|present| &present.manifest).chain(index) {
                // What cannot be read refers to nothing.
                if !seen.insert(what.digest.clone()) {
                    continue;
                }
                let Ok(Some(blob)) = documents::find(host, what).await else { continue };
                let Ok(held) = documents::read(what, blob, RECORD).await else { continue };
                if let Some(subject) = held.document.subject() {
                    referring.entry(subject.digest.clone()).or_default().push(what.clone());
                }
            }
        }
        let mut level = self.all_subjects();
        for _ in 0..DEPTH_MAX {
            let mut next = Vec::new();
            for what in level.iter().filter_map(|subject| referring.get(subject)).flatten() {
                if !self.known.contains(&what.digest) && self.open(host, what).await? {
                    next.push(what.digest.clone());
                }
            }
            if next.is_empty() {
                return Ok(());
            }
            level = next;
        }
        Err(too_deep())
    }

    /// Reads what refers to something and is here, with what it lists. Returns whether it
    /// is here as a whole.
    async fn open(&mut self, host: &H, what: &Descriptor) -> Result<bool, Failure> {
        let (mut found, mut level) = (Vec::new(), vec![what.clone()]);
        for _ in 0..=INDEX_DEPTH_MAX {
            let mut next = Vec::new();
            for part in level {
                let Some(blob) = documents::find(host, &part).await? else { return Ok(self.lacks(what, &part)) };
                let who = if found.is_empty() { RECORD } else { INDEX };
                let held = documents::read(&part, blob, who).await?;
                for blob in blobs(&held.document) {
                    if documents::find(host, blob).await?.is_none() {
                        return Ok(self.lacks(what, blob));
                    }
                }
                next.extend(listed(&held.document));
                found.push(held);
                if found.len() > ATTACHED_MAX {
                    return Err(too_many());
                }
            }
            level = next;
        }
        if !level.is_empty() {
            return Err(too_deep());
        }
        for held in found.into_iter().rev() {
            let is_referrer = held.descriptor.digest == what.digest;
            let (descriptor, document, bytes) = (held.descriptor, held.document, held.bytes);
            self.add(Attached { descriptor, document, bytes, from: None, is_referrer })?;
        }
        Ok(true)
    }

    fn lacks(&mut self, what: &Descriptor, part: &Descriptor) -> bool {
        let note = format!("`{}` refers to it, and stays here: its part `{}` is not here", what.digest, part.digest);
        self.notes.push(note);
        false
    }

    /// Brings all of it, blobs first. `others` has what came with the image itself.
    pub(super) async fn bring(
        &self,
        host: &H,
        quay: &Quay<'h, H>,
        sources: &[String],
        others: &[PushedPart],
    ) -> Result<Vec<PushedPart>, Failure> {
        let mut wanted: BTreeMap<&Digest, (&Descriptor, Option<&'s Repository<'h, H>>)> = BTreeMap::new();
        let mut foreign = BTreeMap::new();
        for one in &self.all {
            if let Document::Manifest(manifest) = &one.document {
                wanted.extend(blobs(&one.document).map(|what| (&what.digest, (what, one.from))));
                let elsewhere = manifest.layers.iter().filter(|layer| is_foreign(layer));
                foreign.extend(elsewhere.map(|layer| (&layer.digest, layer)));
            }
        }
        wanted.retain(|digest, _| others.iter().all(|other| other.part.digest != **digest));
        let uploads = stream::iter(wanted.into_values()).map(async |(what, from)| {
            if let Some(settled) = quay.settled(what, sources).await? {
                return Ok(settled);
            }
            let opened;
            let bytes = match from {
                Some(repository) => Bytes::At(repository),
                None => {
                    let gone = || fail(ErrorCode::NotFound, format!("`{}` is gone", what.digest));
                    opened = documents::find(host, what).await?.ok_or_else(gone)?;
                    Bytes::Here(&opened)
                }
            };
            quay.bring(what, bytes, sources).await
        });
        let mut parts: Vec<PushedPart> = uploads.buffer_unordered(quay.at_once).try_collect().await?;
        sort(&mut parts);
        parts.extend(foreign.values().map(|what| part(what, Way::Elsewhere, 0)));
        for one in &self.all {
            let digest = one.descriptor.digest.as_str();
            parts.push(quay.leave(digest, &one.descriptor, &one.bytes, &one.document).await?);
        }
        Ok(parts)
    }
}

fn listed(document: &Document) -> Vec<Descriptor> {
    match document {
        Document::Index(index) => index.manifests.clone(),
        Document::Manifest(_) => Vec::new(),
    }
}

/// The blobs that a registry has to hold for a manifest.
fn blobs(document: &Document) -> impl Iterator<Item = &Descriptor> {
    let is_manifest = matches!(document, Document::Manifest(_));
    document.parts().filter(move |part| is_manifest && !is_foreign(part))
}

fn is_foreign(what: &Descriptor) -> bool {
    matches!(what.kind(), Kind::Layer { foreign: true, .. })
}

fn too_many() -> Failure {
    let why = format!("more than {ATTACHED_MAX} manifests refer to it");
    fail(ErrorCode::TooLarge(ATTACHED_MAX as u64), why)
}

fn too_deep() -> Failure {
    let why = format!("what refers to it stands more than {DEPTH_MAX} steps away from it");
    fail(ErrorCode::TooLarge(DEPTH_MAX as u64), why)
}
