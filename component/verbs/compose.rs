//! Compose: an index that is made here, of images that are here, and changed.
//!
//! ```text
//! record of the name ─► index ─► edit ─► another index ─► record of the name
//!                                 ▲                        only if nobody was faster
//!                      members, from their records
//! ```
//!
//! An index keeps what it is not asked to change: the order, annotations, entries of which
//! nothing is here. The same edits make the same bytes. It downloads nothing.

use super::{
    brought::Brought,
    choose::{self, Wish},
    contract::{Caller, Composed, Edit, Entry, Member, Wording},
    documents::{self, RECORD},
    failing::{because, fail, invalid, problem, try_this},
    library::{self, Library},
    listen::Board,
    load::{
        image::{self, Image},
        record,
        shelf::Shelf,
    },
    store,
};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        json::DOCUMENT_BYTES_MAX,
        manifest::{Document, INDEX_ENTRIES_MAX, Index},
        media_type::{Kind, OCI_INDEX},
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::Action,
        reference::Reference,
    },
    registry::Failure,
};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// How many members, annotations or features one call may be about.
const WORDS_MAX: usize = 1_000;

/// Makes or changes an index. See `images.compose`.
pub async fn compose<H: Host>(host: &H, caller: &Caller, name: &str, edit: &Edit) -> Result<Composed, Problem> {
    let brought = Brought::default();
    let work = async {
        let name = image::name(name)?;
        for _ in 0..store::CONFLICTS_MAX {
            let call = Compose { host, caller, name: &name, brought: &brought };
            if let Some(composed) = call.once(edit).await? {
                return Ok(composed);
            }
        }
        Err(store::conflict())
    };
    let outcome = work.await;
    // What is left over costs space and nothing else, and a collection finds it as well.
    let _ = brought.tidy(host, caller).await;
    let what = if matches!(edit, Edit::Create(_) | Edit::Amend(_)) { "make" } else { "change" };
    outcome.map_err(problem(format!("cannot {what} the index `{}`", name.escape_debug())))
}

/// One attempt.
struct Compose<'c, H: Host> {
    host: &'c H,
    caller: &'c Caller,
    name: &'c Reference,
    brought: &'c Brought,
}

impl<H: Host> Compose<'_, H> {
    /// None if somebody else was faster.
    async fn once(&self, edit: &Edit) -> Result<Option<Composed>, Failure> {
        let library = Library::load(self.host, self.caller).await?;
        let board = Board::deaf();
        let mut shelf = Shelf::new(self.host, &board, self.brought);
        let before = library.entries.iter().find(|entry| entry.name == *self.name);
        let mut index = match (before, edit) {
            (None, Edit::Create(_) | Edit::Amend(_)) => empty(),
            (Some(_), Edit::Create(_)) => {
                let failure = fail(ErrorCode::InUse, "an image has this name");
                let familiar = self.name.familiar();
                let fix = format!("wharf manifest create --amend {familiar} REF, or wharf rm {familiar}");
                return Err(try_this(failure, fix));
            }
            (Some(entry), _) => self.index(&mut shelf, &entry.record.target).await?,
            (None, _) => {
                let failure = fail(ErrorCode::NotFound, format!("no image here is called `{}`", self.name));
                return Err(try_this(failure, format!("wharf manifest create {} REF", self.name.familiar())));
            }
        };
        match edit {
            Edit::Create(members) | Edit::Amend(members) => {
                if members.is_empty() {
                    return Err(invalid("an index lists at least one manifest"));
                }
                for member in members {
                    self.add(&mut index, &library, &mut shelf, member).await?;
                }
            }
            Edit::Add(member) => self.add(&mut index, &library, &mut shelf, member).await?,
            Edit::Remove(which) => {
                for text in which {
                    let digest = entry(&index, &library, text)?;
                    index.manifests.retain(|entry| entry.digest != digest);
                }
            }
            Edit::Annotate(which, wording) => {
                let digest = entry(&index, &library, which)?;
                let entry = index.manifests.iter_mut().find(|entry| entry.digest == digest);
                reword(entry.expect("it was just found"), wording)?;
            }
            Edit::AnnotateIndex(wording) => {
                let Wording { annotations, .. } = wording;
                if *wording != (Wording { annotations: annotations.clone(), ..Wording::default() }) {
                    let failure = invalid("an index is for no platform; what it lists is");
                    return Err(try_this(failure, "name one of what it lists, by its digest or its platform"));
                }
                check_words(annotations.len())?;
                index.annotations.extend(annotations.iter().cloned());
            }
        }
        let expected = before.map(|entry| entry.record.target.digest.clone());
        self.put(&index, &mut shelf, &library.machine, expected.as_ref()).await
    }

    async fn index(&self, shelf: &mut Shelf<'_, H>, target: &Descriptor) -> Result<Index, Failure> {
        let lost = || fail(ErrorCode::NotFound, format!("`{}` is gone", target.digest));
        let bytes = shelf.read(target).await?.ok_or_else(lost)?;
        match Document::parse(&bytes, Some(&target.media_type)).map_err(invalid)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => {
                let failure = invalid("it is one image, and no index");
                Err(try_this(failure, "make an index of it under another name: `wharf manifest create NAME REF`"))
            }
        }
    }

    /// Adds what is here of a member; what is listed already is replaced in its place.
    async fn add(
        &self,
        index: &mut Index,
        library: &Library,
        shelf: &mut Shelf<'_, H>,
        member: &Member,
    ) -> Result<(), Failure> {
        let Member { reference, platform, wording } = member;
        let told = because(format!("`{}` cannot be listed", reference.escape_debug()));
        let found = async {
            let meant = library.find(reference)?;
            let record = &meant.entry.record;
            let presents = match (meant.present, platform) {
                (_, Some(text)) => {
                    let wish = Wish::parse(text, &library.machine)?;
                    let offer = "it has here";
                    let here = record.platforms.iter().filter_map(|here| here.platform.as_deref());
                    let here: Vec<Platform> =
                        here.filter_map(|text| Platform::parse(text, &library.machine).ok()).collect();
                    let chosen = library::choice(&record.platforms, &wish, &library.machine);
                    vec![chosen.ok_or_else(|| choose::none_matches(&wish, offer, &here))?]
                }
                (Some(present), None) => vec![present],
                (None, None) => record.platforms.iter().collect(),
            };
            if presents.len() > 1 && *wording != Wording::default() {
                let why = format!("{} platforms of it are here, and what is said is about one", presents.len());
                return Err(try_this(invalid(why), "choose one with `--platform`"));
            }
            let listed = match Kind::Index == record.target.kind() {
                true => self.index(shelf, &record.target).await?.manifests,
                false => Vec::new(),
            };
            let mut entries = Vec::new();
            for present in presents {
                let mut entry = match listed.iter().find(|entry| entry.digest == present.manifest.digest) {
                    Some(entry) => entry.clone(),
                    None => present.manifest.clone(),
                };
                if entry.platform.is_none() {
                    let whole = image::whole(shelf, &entry, &library.machine).await?;
                    entry.platform =
                        whole.config.map(|config| config.platform()).filter(|platform| !platform.os.is_empty());
                    entry.artifact_type =
                        entry.artifact_type.or_else(|| whole.manifest.artifact_type().map(str::to_owned));
                }
                reword(&mut entry, wording)?;
                entries.push(entry);
            }
            Ok(entries)
        };
        for entry in found.await.map_err(told)? {
            match index.manifests.iter_mut().find(|known| known.digest == entry.digest) {
                Some(known) => *known = entry,
                None => index.manifests.push(entry),
            }
        }
        Ok(())
    }

    /// Writes the index, and records it unless the name points elsewhere by now.
    async fn put(
        &self,
        index: &Index,
        shelf: &mut Shelf<'_, H>,
        machine: &Platform,
        expected: Option<&Digest>,
    ) -> Result<Option<Composed>, Failure> {
        let bytes = written(index)?;
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        let target = Descriptor::new(index.media_type, digest.clone(), bytes.len() as u64);
        shelf.write(&digest, &bytes).await?;
        let absent = |failure: Failure| match failure.code {
            ErrorCode::NotFound => {
                let failure = fail(ErrorCode::NotFound, "nothing of what the index would list is here");
                try_this(failure, format!("to remove it, `wharf rm {}`", self.name.familiar()))
            }
            _ => failure,
        };
        let mut image: Image = image::image(shelf, &target, machine).await.map_err(absent)?;
        image.names.push(self.name.clone());
        self.host.sync().await?;
        let is_faster = store::change(self.host, self.caller, async |records| {
            let now = records.get(self.name).await?.and_then(Result::ok);
            if now.map(|record| record.target.digest).as_ref() != expected {
                return Ok(true);
            }
            record::point(self.host, records, &image, self.name, (Action::Tag, None)).await.map(|_| false)
        });
        if is_faster.await? {
            return Ok(None);
        }
        store::forget(self.host, self.caller).await;
        self.brought.keep(image.blobs.iter().map(|blob| &blob.digest));
        let here = |digest: &Digest| image.wholes.iter().any(|whole| whole.present.manifest.digest == *digest);
        let entries = index.manifests.iter().map(|entry| Entry {
            manifest: Descriptor::new(entry.media_type.clone(), entry.digest.clone(), entry.size),
            platform: entry.platform.as_ref().map(Platform::format_all),
            annotations: entry.annotations.clone().into_iter().collect(),
            is_here: here(&entry.digest),
        });
        Ok(Some(Composed {
            name: self.name.to_string(),
            target,
            entries: entries.collect(),
            before: expected.cloned().filter(|before| *before != digest),
        }))
    }
}

fn empty() -> Index {
    Index {
        media_type: OCI_INDEX,
        manifests: Vec::new(),
        artifact_type: None,
        subject: None,
        annotations: BTreeMap::new(),
    }
}

/// Writes an index, the same one always in the same way.
fn written(index: &Index) -> Result<Vec<u8>, Failure> {
    let Index { media_type, manifests, artifact_type, subject, annotations } = index;
    if manifests.is_empty() {
        return Err(invalid("an index lists at least one manifest; `wharf rm` removes the name"));
    }
    if manifests.len() > INDEX_ENTRIES_MAX {
        return Err(fail(ErrorCode::TooLarge(INDEX_ENTRIES_MAX as u64), "the index would list too many manifests"));
    }
    let mut all = Map::new();
    all.insert("schemaVersion".to_owned(), json!(2));
    all.insert("mediaType".to_owned(), json!(media_type));
    all.insert("manifests".to_owned(), json!(manifests));
    if let Some(kind) = artifact_type {
        all.insert("artifactType".to_owned(), json!(kind));
    }
    if let Some(subject) = subject {
        all.insert("subject".to_owned(), json!(subject));
    }
    if !annotations.is_empty() {
        all.insert("annotations".to_owned(), json!(annotations));
    }
    let bytes = serde_json::to_vec(&all).expect("texts and numbers can always be written");
    match bytes.len() > DOCUMENT_BYTES_MAX {
        true => Err(fail(ErrorCode::TooLarge(DOCUMENT_BYTES_MAX as u64), "the index would be too large")),
        false => Ok(bytes),
    }
}

/// Finds an entry by its digest, by its platform, or by an image that is here.
fn entry(index: &Index, library: &Library, text: &str) -> Result<Digest, Failure> {
    let mut found: Vec<&Digest> = match text.parse::<Digest>() {
        Ok(digest) => {
            index.manifests.iter().filter(|entry| entry.digest == digest).map(|entry| &entry.digest).collect()
        }
        Err(_) => by_platform(index, library, text),
    };
    if found.is_empty()
        && let Ok(meant) = library.find(text)
    {
        let presents = meant.entry.record.platforms.iter();
        let presents: Vec<_> = match meant.present {
            Some(present) => vec![present],
            None => presents.collect(),
        };
        let is_meant = |digest: &Digest| presents.iter().any(|present| present.manifest.digest == *digest);
        found = index.manifests.iter().map(|entry| &entry.digest).filter(|digest| is_meant(digest)).collect();
    }
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(fail(ErrorCode::NotFound, format!("nothing in it is `{}`", text.escape_debug()))),
        [..] => {
            let mut failure = invalid(format!("{} manifests in it are `{}`", found.len(), text.escape_debug()));
            failure.why.extend(found.iter().take(20).map(|digest| format!("one is `{digest}`")));
            Err(try_this(failure, "name one by its digest"))
        }
    }
}

/// The system and the architecture have to be the same, and a variant if one is named.
fn by_platform<'i>(index: &'i Index, library: &Library, text: &str) -> Vec<&'i Digest> {
    let Ok(wanted) = Platform::parse(text, &library.machine) else { return Vec::new() };
    let names_variant = text.split('/').count() > 2;
    let is_meant = |entry: &&Descriptor| {
        entry.platform.as_ref().is_some_and(|platform| {
            let completed = platform.clone().completed_on(&library.machine);
            (&completed.os, &completed.architecture) == (&wanted.os, &wanted.architecture)
                && (!names_variant || completed.variant == wanted.variant || platform.variant == wanted.variant)
        })
    };
    // A word alone is a name, too.
    match text.contains('/') {
        true => index.manifests.iter().filter(is_meant).map(|entry| &entry.digest).collect(),
        false => Vec::new(),
    }
}

fn check_words(count: usize) -> Result<(), Failure> {
    match count > WORDS_MAX {
        true => Err(invalid(format!("there are more than {WORDS_MAX} annotations or features"))),
        false => Ok(()),
    }
}

/// Changes what an index says of an entry. What is not said stays.
fn reword(entry: &mut Descriptor, wording: &Wording) -> Result<(), Failure> {
    let Wording { os, architecture, variant, os_version, os_features, annotations } = wording;
    check_words(os_features.len().max(annotations.len()))?;
    let is_about_platform = [os, architecture, variant, os_version].iter().any(|word| word.is_some());
    if is_about_platform || !os_features.is_empty() {
        let mut platform = entry.platform.take().unwrap_or_else(|| Platform::new("", ""));
        let set = |place: &mut String, word: &Option<String>| {
            if let Some(word) = word {
                place.clone_from(word);
            }
        };
        set(&mut platform.os, os);
        set(&mut platform.architecture, architecture);
        set(&mut platform.variant, variant);
        set(&mut platform.os_version, os_version);
        if !os_features.is_empty() {
            platform.os_features.clone_from(os_features);
        }
        if platform.os.is_empty() || platform.architecture.is_empty() {
            return Err(invalid("a platform has a system and an architecture; say both with `--os` and `--arch`"));
        }
        entry.platform = Some(platform);
    }
    entry.annotations.extend(annotations.iter().cloned());
    Ok(())
}

/// Returns the document that a name, an ID or a digest points to here. None if it is not
/// here. See `images.manifest`.
pub(super) async fn here<H: Host>(host: &H, caller: &Caller, reference: &str) -> Result<Option<Vec<u8>>, Failure> {
    let mut missed = None;
    loop {
        let library = Library::load(host, caller).await?;
        let meant = match library.find(reference) {
            Ok(meant) => meant,
            Err(failure) if failure.code == ErrorCode::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let what = meant.present.map_or(&meant.entry.record.target, |present| &present.manifest);
        if let Some(blob) = documents::find(host, what).await? {
            return Ok(Some(documents::read(what, blob, RECORD).await?.bytes));
        }
        // It may have gone together with its record, or with what its name pointed to a moment before.
        if missed.as_ref() == Some(&what.digest) {
            return Err(fail(ErrorCode::NotFound, format!("`{}` is gone", what.digest)));
        }
        missed = Some(what.digest.clone());
    }
}
