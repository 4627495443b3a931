//! Verify: every blob is hashed again, and what is not as it should be is told,
//! with the images that need it. Only what does not hash to its name may be
//! removed: a size is a claim of whoever wrote a manifest.

use super::{
    contract::{Caller, Flaw, Harm, Verification},
    documents,
    failing::{fail, problem},
    library::Library,
    listen::{Board, Listener, accompany},
};
use crate::{
    host::{Blob, Host},
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        manifest::Document,
        problem::{ErrorCode, Problem},
        record::Present,
    },
    registry::{Failure, Phase},
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// How many blobs are hashed at once.
const AT_ONCE: usize = 4;
/// How many blobs are listed at once.
const PAGE_BLOBS: u32 = 1_000;
/// The type of a blob of which nobody says one.
const UNKNOWN: &str = "application/octet-stream";

/// A blob that is to be hashed, and who needs it.
#[derive(Default)]
struct Needed {
    /// In bytes, by a descriptor that points to it or by the content store.
    size: Option<u64>,
    images: BTreeSet<String>,
}

type Blobs = BTreeMap<Digest, Needed>;

/// Hashes blobs again. See `images.verify`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub async fn verify<H: Host>(
    host: &H,
    caller: &Caller,
    references: &[String],
    remove: bool,
    listener: &impl Listener,
) -> Result<Verification, Problem> {
    let board = Board::default();
    let work = async {
        let library = Library::load(host, caller).await?;
        let mut blobs = Blobs::new();
        if references.is_empty() {
            for entry in &library.entries {
                needed_by(host, &entry.record.target, &entry.record.platforms, &entry.name.to_string(), &mut blobs)
                    .await?;
            }
            all(host, &mut blobs).await?;
        }
        for reference in references {
            let entry = library.find(reference)?.entry;
            needed_by(host, &entry.record.target, &entry.record.platforms, &entry.name.to_string(), &mut blobs).await?;
        }
        let damaged = library.damaged.iter().filter(|_| references.is_empty());
        let damaged = damaged.map(|(name, error)| format!("`{name}`: {error}")).collect();
        check(host, blobs, damaged, remove, &board).await
    };
    let stopped = || fail(ErrorCode::Cancelled, "the caller stopped it");
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    outcome.map_err(problem(match references {
        [] => "cannot verify what is here".to_owned(),
        [reference] => format!("cannot verify `{}`", reference.escape_debug()),
        [..] => "cannot verify these images".to_owned(),
    }))
}

/// Adds the blobs of an image: the target, and of what is here the manifests and
/// what they list. A manifest that cannot be read lists nothing, and is found
/// when it is hashed.
async fn needed_by<H: Host>(
    host: &H,
    target: &Descriptor,
    platforms: &[Present],
    name: &str,
    blobs: &mut Blobs,
) -> Result<(), Failure> {
    let mut need = |digest: &Digest, size: Option<u64>| {
        let needed = blobs.entry(digest.clone()).or_default();
        needed.size = needed.size.or(size);
        needed.images.insert(name.to_owned());
    };
    need(&target.digest, Some(target.size));
    for present in platforms {
        need(&present.manifest.digest, Some(present.manifest.size));
        need(&present.config, None);
        let manifest = match documents::find(host, &present.manifest).await {
            Ok(Some(blob)) => documents::read(&present.manifest, blob, documents::RECORD).await,
            Ok(None) => continue,
            Err(failure) => Err(failure),
        };
        match manifest.map(|held| held.document) {
            Ok(Document::Manifest(manifest)) => {
                for part in manifest.layers.iter().chain([&manifest.config]) {
                    need(&part.digest, Some(part.size));
                }
            }
            Ok(Document::Index(_)) => {}
            Err(failure) if documents::is_damage(&failure) || failure.code == ErrorCode::Invalid => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Adds every blob of the content store.
async fn all<H: Host>(host: &H, blobs: &mut Blobs) -> Result<(), Failure> {
    let mut last: Option<Digest> = None;
    loop {
        let page = host.blobs(last.as_ref(), PAGE_BLOBS).await?;
        let Some((end, _)) = page.last() else { return Ok(()) };
        last = Some(end.clone());
        for (digest, size) in page {
            let needed = blobs.entry(digest).or_default();
            needed.size = needed.size.or(Some(size));
        }
    }
}

async fn check<H: Host>(
    host: &H,
    blobs: Blobs,
    damaged: Vec<String>,
    remove: bool,
    board: &Board,
) -> Result<Verification, Failure> {
    let blobs: Vec<(Descriptor, Option<u64>, Vec<String>)> = blobs
        .into_iter()
        .map(|(digest, Needed { size, images })| {
            (Descriptor::new(UNKNOWN, digest, size.unwrap_or_default()), size, images.into_iter().collect())
        })
        .collect();
    let check = async |(blob, size, images): (Descriptor, Option<u64>, Vec<String>)| {
        let (bytes, wrong) = one(host, &blob.digest, size, remove).await?;
        board.about(&blob).announce(Phase::Complete, blob.size);
        Ok::<_, Failure>((bytes, wrong.map(|(harm, why)| Flaw { blob: blob.digest, why, images, harm })))
    };
    let mut verification = Verification { blobs: 0, bytes: 0, flaws: Vec::new(), damaged };
    let mut checked = std::pin::pin!(stream::iter(blobs).map(check).buffered(AT_ONCE));
    while let Some((bytes, flaw)) = checked.try_next().await? {
        verification.blobs += u64::from(bytes.is_some());
        verification.bytes += bytes.unwrap_or_default();
        verification.flaws.extend(flaw);
    }
    Ok(verification)
}

/// Hashes one blob. Returns its size if it is there, and what is wrong.
async fn one<H: Host>(
    host: &H,
    digest: &Digest,
    size: Option<u64>,
    remove: bool,
) -> Result<(Option<u64>, Option<(Harm, String)>), Failure> {
    let missing = || Ok((None, Some((Harm::Missing, "it is not here".to_owned()))));
    let blob = match host.open(digest).await {
        Ok(blob) => blob,
        Err(ErrorCode::NotFound) => return missing(),
        Err(other) => return Err(other.into()),
    };
    let found = blob.size();
    let why = match blob.verify().await {
        Ok(()) => {
            let promised = size.filter(|promised| *promised != found);
            let why = promised.map(|promised| format!("it has {found} bytes, and a manifest says {promised}"));
            return Ok((Some(found), why.map(|why| (Harm::Disputed, why))));
        }
        Err(ErrorCode::DigestMismatch(actual)) => format!("its bytes hash to `{actual}`"),
        // Somebody has removed it meanwhile.
        Err(ErrorCode::NotFound) => return missing(),
        // What a disk says of bytes that it has lost.
        Err(ErrorCode::Other(why)) => format!("it cannot be read: {why}"),
        Err(other) => return Err(other.into()),
    };
    drop(blob);
    if !remove {
        return Ok((Some(found), Some((Harm::Damaged, why))));
    }
    match documents::evict(host, digest).await {
        Ok(()) => Ok((Some(found), Some((Harm::Removed, why)))),
        Err(ErrorCode::InUse) => Ok((Some(found), Some((Harm::Damaged, format!("{why}; it is in use and stays"))))),
        Err(other) => Err(other.into()),
    }
}
