//! The record of an image, made of an entry of `index.json` and the documents that
//! it points to: which platforms are here with all their parts. It writes nothing.
//!
//! In a layout nobody has recorded that. So each document is read and hashed, and
//! each layer is looked for; layers are hashed only when somebody asks for it. All
//! documents are untrusted: limits are those of `nouns`, and what one name may read is
//! bounded by [`TOGETHER_BYTES_MAX`].

use super::{Shared, blob, edit, names::Reading};
use crate::nouns::{
    config::Config,
    descriptor::Descriptor,
    digest::Digest,
    json::DOCUMENT_BYTES_MAX,
    manifest::{Document, INDEX_DEPTH_MAX, INDEX_ENTRIES_MAX, Manifest},
    media_type::Kind,
    platform::Platform,
    problem::ErrorCode,
    record::{ImageRecord, Present, weight},
    time,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

/// What the documents of one name may weigh together, as for a pull.
const TOGETHER_BYTES_MAX: u64 = 16 << 20;
/// The system of the few images whose config names none. Everybody else takes
/// that of the machine; a layout is no machine.
const SYSTEM: &str = "linux";

/// The sizes of blobs, each looked up once; none if it is absent.
pub(super) type Sizes = RefCell<BTreeMap<Digest, Option<u64>>>;

/// Why there is no record.
type Why = String;

/// Makes the record of an entry. Fails with a sentence for a person.
pub(super) fn record(store: &Shared, sizes: &Sizes, entry: &Reading) -> Result<ImageRecord, Why> {
    let target = entry.descriptor.as_ref().map_err(ToString::to_string)?;
    let mut reader = Reader { store, sizes, left: TOGETHER_BYTES_MAX };
    let document = reader.document(target)?.ok_or_else(|| absent(&target.digest))?;
    let bare = Descriptor::new(document.media_type(), target.digest.clone(), target.size);
    let (indexes, found) = match &document {
        Document::Manifest(manifest) => {
            let (present, parts) = reader.present(&bare, manifest, None)?;
            (Vec::new(), Found { platforms: vec![present], blobs: parts, missing: None })
        }
        Document::Index(_) => reader.walk(bare.clone(), document)?,
    };
    if found.platforms.is_empty() {
        return Err(found.missing.unwrap_or_else(|| "its index lists no image".to_owned()));
    }
    let said = |key: &str| target.annotations.get(key).and_then(|text| time::parse(text));
    let written = || changed(store, &target.digest);
    let created = said(edit::CREATED).unwrap_or_else(written);
    let labels = target.annotations.iter();
    let labels = labels.filter_map(|(key, value)| Some((key.strip_prefix(edit::LABEL)?.to_owned(), value.clone())));
    Ok(ImageRecord {
        size: weight(indexes.iter().chain(&found.blobs)),
        target: bare,
        created,
        updated: said(edit::UPDATED).unwrap_or(created),
        labels: labels.collect(),
        platforms: found.platforms,
    })
}

/// When the target came here, as the file says.
fn changed(store: &Shared, digest: &Digest) -> i64 {
    let time = store.disk.look(&blob::path(digest)).ok().flatten().map(|(_, changed)| changed);
    let seconds = time.and_then(|time: SystemTime| time.duration_since(UNIX_EPOCH).ok());
    seconds.and_then(|since| since.as_secs().try_into().ok()).unwrap_or_default()
}

/// What of an index is here.
#[derive(Default)]
struct Found {
    platforms: Vec<Present>,
    blobs: Vec<Descriptor>,
    /// Why the first that is not here is not here.
    missing: Option<Why>,
}

struct Reader<'s> {
    store: &'s Shared,
    sizes: &'s Sizes,
    left: u64,
}

impl Reader<'_> {
    /// Goes through an index and the indexes in it, level by level, as a pull
    /// does. Returns the indexes that are here.
    fn walk(&mut self, target: Descriptor, document: Document) -> Result<(Vec<Descriptor>, Found), Why> {
        let mut seen = BTreeSet::from([target.digest.clone()]);
        let mut indexes = vec![target];
        let mut found = Found::default();
        let mut level = vec![document];
        let mut entries = 0;
        for _ in 0..INDEX_DEPTH_MAX {
            let mut nested = Vec::new();
            for entry in level.iter().flat_map(Document::parts) {
                entries += 1;
                if entries > INDEX_ENTRIES_MAX {
                    return Err(format!("its indexes list more than {INDEX_ENTRIES_MAX} manifests together"));
                }
                if !seen.insert(entry.digest.clone()) {
                    continue;
                }
                let outcome = match entry.kind() {
                    Kind::Index => self.nested(entry, &mut indexes, &mut nested),
                    Kind::Manifest => self.manifest(entry, &mut found),
                    _ => Ok(()),
                };
                // What is not here, or is damaged, costs itself only.
                if let Err(why) = outcome {
                    found.missing.get_or_insert(why);
                }
            }
            level = nested;
        }
        if level.iter().any(|document| document.parts().next().is_some()) {
            return Err(format!("there are indexes in indexes deeper than {INDEX_DEPTH_MAX} levels"));
        }
        Ok((indexes, found))
    }

    fn nested(
        &mut self,
        entry: &Descriptor,
        indexes: &mut Vec<Descriptor>,
        nested: &mut Vec<Document>,
    ) -> Result<(), Why> {
        let document = self.document(entry)?.ok_or_else(|| absent(&entry.digest))?;
        indexes.push(Descriptor::new(document.media_type(), entry.digest.clone(), entry.size));
        nested.push(document);
        Ok(())
    }

    fn manifest(&mut self, entry: &Descriptor, found: &mut Found) -> Result<(), Why> {
        let document = self.document(entry)?.ok_or_else(|| absent(&entry.digest))?;
        let Document::Manifest(manifest) = &document else {
            unreachable!("a document of a manifest's type is parsed as a manifest, or refused")
        };
        let descriptor = Descriptor::new(document.media_type(), entry.digest.clone(), entry.size);
        // An empty platform says nothing.
        let stated = entry.platform.as_ref().filter(|platform| !platform.os.is_empty());
        let (present, mut parts) = self.present(&descriptor, manifest, stated)?;
        found.platforms.push(present);
        found.blobs.append(&mut parts);
        Ok(())
    }

    /// Returns what is recorded of a manifest, and its blobs, if all are here.
    fn present(
        &mut self,
        descriptor: &Descriptor,
        manifest: &Manifest,
        stated: Option<&Platform>,
    ) -> Result<(Present, Vec<Descriptor>), Why> {
        let parts: Vec<&Descriptor> = std::iter::once(&manifest.config).chain(&manifest.layers).collect();
        for part in &parts {
            self.whole(part)?.ok_or_else(|| absent(&part.digest))?;
        }
        let config = if manifest.is_image() {
            let digest = &manifest.config.digest;
            let bytes = self.bytes(&manifest.config)?.ok_or_else(|| absent(digest))?;
            let unusable = |error| format!("the config `{digest}` is not usable: {error}");
            let config = Config::parse(&bytes).map_err(unusable)?;
            config.check_layers(manifest.layers.len()).map_err(unusable)?;
            Some(config)
        } else {
            None
        };
        let system = Platform::new(SYSTEM, "");
        let said = config.as_ref().map(|config| config.platform().completed_on(&system));
        let present = Present::new(descriptor, manifest, config.as_ref(), stated.or(said.as_ref()));
        Ok((present, std::iter::once(descriptor).chain(parts).cloned().collect()))
    }

    /// Reads a manifest or an index as what `what` says that it is; none if it
    /// is absent.
    fn document(&mut self, what: &Descriptor) -> Result<Option<Document>, Why> {
        let Some(bytes) = self.bytes(what)? else { return Ok(None) };
        let document = Document::parse(&bytes, Some(&what.media_type));
        document.map(Some).map_err(|error| format!("`{}` is not usable: {error}", what.digest))
    }

    /// Reads a document, and hashes it; none if it is absent.
    fn bytes(&mut self, what: &Descriptor) -> Result<Option<Vec<u8>>, Why> {
        if what.size > DOCUMENT_BYTES_MAX as u64 {
            return Err(format!(
                "`{}` has {} bytes; a document has at most {DOCUMENT_BYTES_MAX}",
                what.digest, what.size
            ));
        }
        let Some(size) = self.whole(what)? else { return Ok(None) };
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| format!("its documents have more than {TOGETHER_BYTES_MAX} bytes together"))?;
        let bytes = blob::document(&self.store.disk, &what.digest, size);
        let bytes = match bytes {
            Err(ErrorCode::NotFound) => return Ok(None),
            other => other.map_err(|error| error.to_string())?,
        };
        let found = Digest::of(what.digest.algorithm(), &bytes);
        if found != what.digest {
            return Err(format!("`{}` is damaged: what is in `blobs` hashes to `{found}`", what.digest));
        }
        Ok(Some(bytes))
    }

    /// Returns the size of a blob; none if it is absent. Fails if it has another
    /// size than was promised.
    fn whole(&self, what: &Descriptor) -> Result<Option<u64>, Why> {
        let known = self.sizes.borrow().get(&what.digest).copied();
        let size = match known {
            Some(size) => size,
            None => {
                let found = self.store.disk.look(&blob::path(&what.digest)).map_err(|error| error.to_string())?;
                let size = found.map(|(size, _)| size);
                self.sizes.borrow_mut().insert(what.digest.clone(), size);
                size
            }
        };
        match size {
            Some(size) if size != what.size => Err(format!(
                "`{}` is damaged: there are {size} bytes of it, and {} were promised",
                what.digest, what.size
            )),
            other => Ok(other),
        }
    }
}

fn absent(digest: &Digest) -> Why {
    format!("`{digest}` is not here")
}
