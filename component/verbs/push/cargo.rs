//! What goes to a registry with one name: everything that its target needs, as far as
//! it is here, in the order in which a registry may get it. It sends nothing.

use crate::{
    host::Host,
    nouns::{
        compressor::Compressor,
        descriptor::Descriptor,
        digest::Digest,
        json::DOCUMENT_BYTES_MAX,
        manifest::{Document, INDEX_DEPTH_MAX},
        media_type::Kind,
        problem::ErrorCode,
        reference::Reference,
        retention::Retention,
    },
    registry::Failure,
    verbs::{
        documents::{self, Held, INDEX, RECORD},
        failing::{fail, try_this},
        given_up,
        history::{self, pull_again},
        library::{Library, Meant},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// How many blobs one name may need.
const BLOBS_MAX: usize = 20_000;
/// How many of them are held by a handle from the beginning on, so that no collection
/// takes them: the host's table takes 3 072. The others are looked for again when it is
/// their turn.
const HELD_MAX: usize = 800;
/// What the documents of one name may weigh together.
const TOGETHER_BYTES_MAX: usize = 4 * DOCUMENT_BYTES_MAX;
/// How many repositories of the registry are remembered as sources: rights are asked
/// for each.
const SOURCES_MAX: usize = 8;
/// How many names are looked at for that.
const NAMES_MAX: usize = 64;

/// What goes with one name.
pub(super) struct Cargo<H: Host> {
    /// The name in the registry.
    pub(super) name: Reference,
    /// The name of the record.
    pub(super) here: Reference,
    /// What the name is to point to.
    pub(super) target: Descriptor,
    /// What it points to here, if that is something else.
    pub(super) reduced_from: Option<Digest>,
    /// Configs and layers, each once, the largest first, and with a handle as far as
    /// there may be so many.
    pub(super) blobs: Vec<(Descriptor, Option<H::Blob>)>,
    /// Layers that registries need not hold.
    pub(super) foreign: Vec<Descriptor>,
    /// Each once, and after everything that it lists; the target is the last.
    pub(super) manifests: Vec<Held<H::Blob>>,
    /// What an index lists and is not here, or not as a whole.
    pub(super) absent: Vec<Descriptor>,
    /// When the record changed last, in seconds since 1970.
    pub(super) updated: i64,
    /// What compression on the way has made of it.
    pub(super) changed: Option<Changed>,
}

/// See `recompress`.
pub(super) struct Changed {
    pub(super) how: Compressor,
    /// What would have been the target.
    pub(super) target: Digest,
    pub(super) layers: usize,
    /// Bytes of these layers.
    pub(super) before: u64,
    pub(super) after: u64,
}

impl<H: Host> Cargo<H> {
    /// Finds everything that goes with `name`, which means `meant` here.
    pub(super) async fn load(
        host: &H,
        library: &Library,
        name: Reference,
        meant: Meant<'_>,
        platform: Option<&str>,
    ) -> Result<Self, Failure> {
        let record = &meant.entry.record;
        let target = match (platform, meant.present) {
            (Some(_), _) => history::present(library, meant, platform)?.manifest.clone(),
            (None, Some(present)) if name.digest().is_none_or(|digest| *digest == present.manifest.digest) => {
                present.manifest.clone()
            }
            (None, _) => record.target.clone(),
        };
        let reduced_from = (target.digest != record.target.digest).then(|| record.target.digest.clone());
        let updated = record.updated;
        let (blobs, foreign, manifests) = (Vec::new(), Vec::new(), Vec::new());
        let absent = Vec::new();
        let here = meant.entry.name.clone();
        let changed = None;
        let mut cargo = Self { name, here, target, reduced_from, blobs, foreign, manifests, absent, updated, changed };
        cargo.gather(host).await.map_err(|failure| {
            let is_gone = failure.code == ErrorCode::NotFound;
            if failure.fix.is_some() || !(is_gone || documents::is_damage(&failure)) {
                return failure;
            }
            if is_gone && Retention::of(&record.labels) == Retention::Unpacked {
                return try_this(failure, given_up::bring_back(meant.entry));
            }
            let again = meant.present.or(record.platforms.first()).map(|present| pull_again(meant.entry, present));
            try_this(failure, again.unwrap_or_else(|| format!("wharf pull {}", meant.entry.name.familiar())))
        })?;
        Ok(cargo)
    }

    async fn gather(&mut self, host: &H) -> Result<(), Failure> {
        let mut blobs: BTreeMap<Digest, (Descriptor, Option<H::Blob>)> = BTreeMap::new();
        let mut foreign = BTreeMap::new();
        let mut pending = vec![(self.target.clone(), RECORD, 1)];
        let (mut found, mut weight) = (Vec::new(), 0);
        while !pending.is_empty() {
            let mut below = Vec::new();
            for (what, who, depth) in pending {
                let is_listed = who == INDEX;
                let Some(blob) = documents::find(host, &what).await? else {
                    if !is_listed {
                        return Err(gone(&what));
                    }
                    self.absent.push(what);
                    continue;
                };
                let mut held = documents::read(&what, blob, who).await?;
                // The bytes are here, and the handles are for blobs.
                held.blob = None;
                weight += held.bytes.len();
                if weight > TOGETHER_BYTES_MAX {
                    let why = format!("its manifests have more than {TOGETHER_BYTES_MAX} bytes together");
                    return Err(fail(ErrorCode::TooLarge(TOGETHER_BYTES_MAX as u64), why));
                }
                if let Document::Index(index) = &held.document {
                    if depth > INDEX_DEPTH_MAX {
                        return Err(fail(ErrorCode::Invalid, "its indexes stand too deep in indexes"));
                    }
                    below.extend(index.manifests.iter().map(|part| (part.clone(), INDEX, depth + 1)));
                    found.push(held);
                    continue;
                }
                let mut own = BTreeMap::new();
                for part in held.document.parts().filter(|part| !blobs.contains_key(&part.digest)) {
                    if matches!(part.kind(), Kind::Layer { foreign: true, .. }) {
                        foreign.insert(part.digest.clone(), part.clone());
                    } else if let Some(blob) = documents::find(host, part).await? {
                        let is_held = blobs.len() + own.len() < HELD_MAX;
                        own.insert(part.digest.clone(), (part.clone(), Some(blob).filter(|_| is_held)));
                    } else if is_listed {
                        own.clear();
                        self.absent.push(what.clone());
                        break;
                    } else {
                        return Err(gone(part));
                    }
                }
                if self.absent.last().is_some_and(|absent| absent.digest == what.digest) {
                    continue;
                }
                blobs.append(&mut own);
                if blobs.len() > BLOBS_MAX {
                    let failure = fail(
                        ErrorCode::TooLarge(BLOBS_MAX as u64),
                        format!("it has more than {BLOBS_MAX} blobs, which are too many to push at once"),
                    );
                    return Err(try_this(failure, "push the platforms one by one with `--platform`"));
                }
                found.push(held);
            }
            pending = below;
        }
        // Whatever stands at two depths goes before everything that lists it.
        let mut seen = BTreeSet::new();
        self.manifests = found.into_iter().rev().filter(|held| seen.insert(held.descriptor.digest.clone())).collect();
        self.blobs = blobs.into_values().collect();
        // The largest would be alone at the end otherwise.
        self.blobs.sort_by(|(one, _), (other, _)| other.size.cmp(&one.size).then(one.digest.cmp(&other.digest)));
        self.foreign = foreign.into_values().collect();
        let mut seen = BTreeSet::new();
        self.absent.retain(|what| seen.insert(what.digest.clone()));
        Ok(())
    }

    /// The tag or the digest under which the target goes.
    pub(super) fn which(&self) -> &str {
        match (self.name.digest(), self.name.tag()) {
            (Some(digest), _) => digest.as_str(),
            (None, tag) => tag.unwrap_or("latest"),
        }
    }

    /// What a person may not expect.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(Changed { how, target, layers, before, after }) = &self.changed {
            let (name, there) = (self.name.familiar(), &self.target.digest);
            notes.push(format!(
                "`{name}` is `{target}` here, and `{there}` there: {layers} of its layers are compressed by {how} there, \
                 {after} bytes in the place of {before}; what is signed or attested about the one is not about the other"
            ));
        } else if let Some(whole) = &self.reduced_from {
            let (name, part) = (self.name.familiar(), &self.target.digest);
            notes.push(format!("`{name}` is the index `{whole}` here, and one manifest of it, `{part}`, there"));
        }
        match self.foreign.len() {
            0 => {}
            1 => notes.push(
                "a layer is not for registries to hold, and is not pushed; who pulls the image gets it from elsewhere"
                    .to_owned(),
            ),
            many => notes.push(format!(
                "{many} layers are not for registries to hold, and are not pushed; who pulls the image gets them from \
                 elsewhere"
            )),
        }
        notes
    }
}

pub(super) fn gone(what: &Descriptor) -> Failure {
    fail(ErrorCode::NotFound, format!("`{}`, which the image needs, is not here", what.digest))
}

/// Returns which other repositories of the registry of `name` should have which of
/// these blobs: those that have a name here with them.
pub(super) async fn sources<H: Host>(
    host: &H,
    library: &Library,
    name: &Reference,
    wanted: &BTreeSet<Digest>,
) -> BTreeMap<Digest, Vec<String>> {
    let mut sources: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let others = library.entries.iter().map(|entry| (&entry.name, &entry.record));
    let others = others.filter(|(other, _)| other.domain() == name.domain() && other.path() != name.path());
    for (other, record) in others.take(NAMES_MAX) {
        for present in &record.platforms {
            if known.len() == SOURCES_MAX && !known.contains(other.path()) {
                continue;
            }
            // What cannot be read is no source.
            let Ok(Some(blob)) = documents::find(host, &present.manifest).await else { continue };
            let Ok(held) = documents::read(&present.manifest, blob, RECORD).await else { continue };
            for part in held.document.parts().filter(|part| wanted.contains(&part.digest)) {
                known.insert(other.path());
                let paths = sources.entry(part.digest.clone()).or_default();
                if !paths.iter().any(|path| path == other.path()) {
                    paths.push(other.path().to_owned());
                }
            }
        }
    }
    sources
}
