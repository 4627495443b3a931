//! What refers to a manifest, in an index under a tag: where a registry keeps no list,
//! clients keep it. Whoever pushes a manifest that has a subject reads the index, adds
//! the manifest, and pushes the index again, with everything in it that others have put
//! there.
//!
//! Between reading and pushing somebody else may do the same, and no registry has to
//! prevent that. So the index is read once more afterwards, and what is missing then is
//! added again.
//!
//! OCI distribution-spec 1.1, “Pushing Manifests with Subject” and “Referrers Tag
//! Schema”.

use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        json::DOCUMENT_BYTES_MAX,
        manifest::{Document, INDEX_ENTRIES_MAX, Index},
        media_type::OCI_INDEX,
        problem::ErrorCode,
    },
    registry::{Failure, Repository, rounds::Need},
};
use serde_json::{Value, json};

/// How long either half of the tag may be, in bytes. distribution-spec,
/// “Referrers Tag Schema”.
const TAG_ALGORITHM_BYTES_MAX: usize = 32;
const TAG_ENCODED_BYTES_MAX: usize = 64;
/// How often an index is pushed in which something was missing afterwards.
const WRITTEN_MAX: u32 = 5;
/// How long others have before it is tried again, at most and for each time.
const PAUSE_MS: u64 = 200;

/// An index that clients keep.
pub(super) struct List {
    pub(super) index: Index,
    bytes: Vec<u8>,
}

/// Returns the tag under which a client leaves what refers to a manifest where
/// the registry keeps no list.
pub(super) fn tag(subject: &Digest) -> String {
    let (algorithm, encoded) = subject.as_str().split_once(':').expect("a digest has an algorithm");
    let cut = |text: &str, bytes_max: usize| text[..text.len().min(bytes_max)].to_owned();
    format!("{}-{}", cut(algorithm, TAG_ALGORITHM_BYTES_MAX), cut(encoded, TAG_ENCODED_BYTES_MAX))
}

impl<H: Host> Repository<'_, H> {
    /// Reads the index under a tag. None if there is none.
    pub(super) async fn tagged_list(&self, need: Need, tag: &str, subject: &Digest) -> Result<Option<List>, Failure> {
        let fetched = match self.manifest_of(need, tag, None).await {
            Ok(fetched) => fetched.expect("nothing was known, so that nothing could be the same"),
            Err(failure) if failure.code == ErrorCode::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        match fetched.document {
            Document::Index(index) => Ok(Some(List { index, bytes: fetched.bytes })),
            Document::Manifest(_) => {
                let why = format!("the tag `{tag}` is to name what refers to `{subject}`, and names no index");
                Err(Failure::new(ErrorCode::Invalid, why))
            }
        }
    }

    /// Lists a manifest that is in the registry as a referrer of its subject, unless the
    /// registry does. Of one that was there before it is asked whether it does: nobody has
    /// said so. Returns the tag.
    pub(in crate::registry) async fn list_referrer(
        &self,
        subject: &Digest,
        what: &Descriptor,
        document: &Document,
        was_there: bool,
    ) -> Result<Option<String>, Failure> {
        let attempts_max = self.common.attempts_max;
        if was_there
            && self.persist(Need::Push, attempts_max, async |server| server.keeps_referrers(subject).await).await?
        {
            return Ok(None);
        }
        let tag = tag(subject);
        let entry = entry(what, document);
        let _turn = self.common.lists.lock().await;
        for written in 0..=WRITTEN_MAX {
            let list = self.tagged_list(Need::Push, &tag, subject).await?;
            let listed = list.iter().flat_map(|list| &list.index.manifests);
            if listed.into_iter().any(|listed| listed.digest == entry.digest) {
                return Ok(Some(tag));
            }
            if written == WRITTEN_MAX {
                break;
            }
            if written > 0 {
                let host = self.common.host;
                host.sleep(host.random() % (PAUSE_MS * u64::from(written))).await;
            }
            let (descriptor, bytes) = with(list, &entry, &tag)?;
            self.leave(&tag, &descriptor, &bytes).await?;
        }
        let why = format!(
            "others change the list under the tag `{tag}` at the same time, and `{}` is lost from it",
            entry.digest
        );
        let fix = Some("push again when nobody else pushes what refers to this image".to_owned());
        Err(Failure { fix, ..Failure::new(ErrorCode::Conflict, why) })
    }
}

/// What a list says of a manifest: its annotations, and what it is.
fn entry(what: &Descriptor, document: &Document) -> Descriptor {
    let (kind, annotations) = match document {
        Document::Index(index) => (index.artifact_type.clone(), &index.annotations),
        Document::Manifest(manifest) => {
            let kind = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
            (Some(kind.clone()).filter(|kind| !kind.is_empty()), &manifest.annotations)
        }
    };
    let mut entry = Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size);
    entry.artifact_type = kind;
    entry.annotations = annotations.clone();
    entry
}

/// Returns an index with one entry more. Everything else in it stays as it is written.
fn with(list: Option<List>, entry: &Descriptor, tag: &str) -> Result<(Descriptor, Vec<u8>), Failure> {
    let too_large = |limit: usize, what: &str| {
        let why = format!("the list under the tag `{tag}` would have more than {limit} {what}");
        Failure::new(ErrorCode::TooLarge(limit as u64), why)
    };
    let (media_type, mut document) = match list {
        None => (OCI_INDEX, json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})),
        Some(list) => {
            let document: Value = serde_json::from_slice(&list.bytes).expect("it was read as an index");
            (list.index.media_type, document)
        }
    };
    let entries = document["manifests"].as_array_mut().expect("an index has a list of manifests");
    if entries.len() >= INDEX_ENTRIES_MAX {
        return Err(too_large(INDEX_ENTRIES_MAX, "entries"));
    }
    entries.push(json!(entry));
    let bytes = serde_json::to_vec(&document).expect("texts and numbers can always be written");
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(too_large(DOCUMENT_BYTES_MAX, "bytes"));
    }
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    Ok((Descriptor::new(media_type, digest, bytes.len() as u64), bytes))
}

#[cfg(test)]
mod stories;
