//! What of a target is here: its manifests of which every part is. It is read now, document by document, each hashed
//! again; what is not here, or is no image, is no failure, because a client may record a name before the rest comes.

use crate::{
    host::{Blob, Host},
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        manifest::{Document, INDEX_DEPTH_MAX, INDEX_ENTRIES_MAX},
        media_type::Kind,
        platform::Platform,
        problem::ErrorCode,
        record::{Present, weight},
    },
    registry::Failure,
    verbs::{
        choose, documents,
        failing::{fail, try_this},
        load::image::bare,
    },
};
use std::collections::BTreeMap;

/// How many blobs are held at once: their handles have to fit among those of one call.
const BLOBS_MAX: usize = 900;

/// What is here, held until it is recorded: nothing of it can be collected meanwhile.
pub(super) struct Here<'h, H: Host> {
    host: &'h H,
    machine: &'h Platform,
    held: BTreeMap<Digest, H::Blob>,
    /// The manifests that are here with all their parts, in the order of the index.
    pub(super) platforms: Vec<Present>,
    /// All that belongs to them, the indexes included.
    pub(super) blobs: Vec<Descriptor>,
}

impl<'h, H: Host> Here<'h, H> {
    /// Looks at a target.
    pub(super) async fn look(host: &'h H, machine: &'h Platform, target: &Descriptor) -> Result<Self, Failure> {
        let (platforms, blobs) = (Vec::new(), Vec::new());
        let mut here = Self { host, machine, held: BTreeMap::new(), platforms, blobs };
        let mut pending = vec![(target.clone(), 1)];
        let mut listed = 0;
        while let Some((what, depth)) = pending.pop() {
            match what.kind() {
                Kind::Manifest => here.manifest(&what).await?,
                Kind::Index if depth <= INDEX_DEPTH_MAX => {
                    let Some(Document::Index(index)) = here.document(&what).await? else { continue };
                    here.blobs.push(bare(&what));
                    listed += index.manifests.len();
                    if listed > INDEX_ENTRIES_MAX {
                        let why = format!("its indexes list more than {INDEX_ENTRIES_MAX} manifests together");
                        return Err(fail(ErrorCode::TooLarge(INDEX_ENTRIES_MAX as u64), why));
                    }
                    // The last one is looked at first.
                    pending.extend(index.manifests.into_iter().rev().map(|entry| (entry, depth + 1)));
                }
                _ => {}
            }
        }
        // Without a manifest there is no image, and nothing of it counts.
        if here.platforms.is_empty() {
            here.blobs.clear();
        }
        Ok(here)
    }

    /// What is here, compressed, in bytes, each blob once.
    pub(super) fn size(&self) -> u64 {
        weight(&self.blobs)
    }

    /// Adds a manifest, if everything is here that it lists.
    async fn manifest(&mut self, what: &Descriptor) -> Result<(), Failure> {
        if self.platforms.iter().any(|present| present.manifest.digest == what.digest) {
            return Ok(());
        }
        let Some(Document::Manifest(manifest)) = self.document(what).await? else { return Ok(()) };
        for part in manifest.layers.iter().chain([&manifest.config]) {
            if !self.hold(part).await? {
                return Ok(());
            }
        }
        let mut config = None;
        if manifest.is_image() {
            let Some(bytes) = self.bytes(&manifest.config).await? else { return Ok(()) };
            let read = Config::parse(&bytes).ok();
            config = read.filter(|config| config.check_layers(manifest.layers.len()).is_ok());
            if config.is_none() {
                return Ok(());
            }
        }
        let of_config = config.as_ref().map(|config| config.platform().completed_on(self.machine));
        let platform = choose::stated(what).cloned().or(of_config);
        let descriptor = Descriptor::new(manifest.media_type, what.digest.clone(), what.size);
        self.platforms.push(Present::new(&descriptor, &manifest, config.as_ref(), platform.as_ref()));
        self.blobs.push(descriptor);
        self.blobs.extend(manifest.layers.iter().chain([&manifest.config]).map(bare));
        Ok(())
    }

    /// Reads a manifest or an index, if it is here and is what it is said to be.
    async fn document(&mut self, what: &Descriptor) -> Result<Option<Document>, Failure> {
        let Some(bytes) = self.bytes(what).await? else { return Ok(None) };
        Ok(Document::parse(&bytes, Some(&what.media_type)).ok())
    }

    /// Reads a document, if it is here and whole.
    async fn bytes(&mut self, what: &Descriptor) -> Result<Option<Vec<u8>>, Failure> {
        if !self.hold(what).await? {
            return Ok(None);
        }
        let Some(blob) = self.held.get(&what.digest) else { return Ok(None) };
        absent(documents::bytes(what, blob).await.map(Some))
    }

    /// Holds a blob. Returns whether it is here.
    async fn hold(&mut self, what: &Descriptor) -> Result<bool, Failure> {
        if let Some(blob) = self.held.get(&what.digest) {
            return Ok(blob.size() == what.size);
        }
        let Some(blob) = absent(documents::find(self.host, what).await)? else { return Ok(false) };
        if self.held.len() == BLOBS_MAX {
            let why = format!("more than {BLOBS_MAX} blobs of it are here");
            let fix = "give the name to an index of fewer platforms";
            return Err(try_this(fail(ErrorCode::TooLarge(BLOBS_MAX as u64), why), fix));
        }
        self.held.insert(what.digest.clone(), blob);
        Ok(true)
    }
}

/// What is damaged, too large for a document, or of another size than a client says, is not here.
fn absent<T>(found: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if documents::is_damage(&failure) || matches!(failure.code, ErrorCode::TooLarge(_)) => Ok(None),
        other => other,
    }
}
