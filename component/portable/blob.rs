//! Blobs: files below `blobs/` whose name is what their bytes hash to, or should
//! be. A blob that wharf committed was hashed and synced before it got its name;
//! what other tools wrote, and what a disk has forgotten, is found by
//! [`Blob::verify`] and by everybody who reads a document.

use super::{
    Shared,
    disk::{Disk, failed},
    hash::Hasher,
    turn,
};
use crate::{
    host::{self, Result},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
};
use std::{
    fmt,
    io::{ErrorKind, Read, Seek, SeekFrom},
    rc::{Rc, Weak},
};

/// The most that one call reads, in bytes.
const READ_BYTES_MAX: u64 = 4 << 20;
/// The most blobs that one answer lists.
const ENTRIES_MAX: usize = 10_000;
/// The most blobs that one claim has.
const CLAIMED_MAX: usize = 1_000;
/// How much is read at once to be hashed, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// A blob. Holding it pins it, in this process.
#[derive(Clone)]
pub struct Blob {
    store: Rc<Shared>,
    digest: Digest,
    size: u64,
    _pin: Rc<()>,
}

/// Returns where a blob is.
pub(super) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.encoded())
}

/// Opens a blob; none if it is absent.
pub(super) fn open(store: &Rc<Shared>, digest: &Digest) -> Result<Option<Blob>> {
    let Some((size, _)) = store.disk.look(&path(digest))? else { return Ok(None) };
    let mut pins = store.pins.borrow_mut();
    let pin = pins.get(digest).and_then(Weak::upgrade).unwrap_or_else(|| {
        pins.retain(|_, pin| pin.strong_count() > 0);
        let pin = Rc::new(());
        pins.insert(digest.clone(), Rc::downgrade(&pin));
        pin
    });
    Ok(Some(Blob { store: Rc::clone(store), digest: digest.clone(), size, _pin: pin }))
}

pub(super) fn sync(store: &Shared) -> Result<()> {
    ["blobs/sha256", "blobs/sha512", "blobs"].into_iter().try_for_each(|below| store.disk.sync(below))
}

pub(super) fn remove(store: &Shared, digest: &Digest) -> Result<()> {
    if is_pinned(store, digest) {
        return Err(ErrorCode::InUse);
    }
    store.disk.remove(&path(digest))
}

fn is_pinned(store: &Shared, digest: &Digest) -> bool {
    store.pins.borrow().get(digest).is_some_and(|pin| pin.strong_count() > 0)
}

/// Blobs that nobody in this process held when they were claimed. There is no
/// lock: see [`super`].
pub struct Claim {
    store: Rc<Shared>,
    digests: Vec<Digest>,
}

/// Claims those of these blobs that are here and that nobody in this process holds.
pub(super) fn claim(store: &Rc<Shared>, digests: &[Digest]) -> Result<Claim> {
    let mut claim = Claim { store: Rc::clone(store), digests: Vec::new() };
    for digest in digests.iter().take(CLAIMED_MAX) {
        if !is_pinned(store, digest) && store.disk.look(&path(digest))?.is_some() {
            claim.digests.push(digest.clone());
        }
    }
    Ok(claim)
}

impl host::Claim for Claim {
    fn digests(&self) -> Vec<Digest> {
        self.digests.clone()
    }

    async fn remove(self, digests: &[Digest]) -> Result<u64> {
        let mut freed = 0;
        for digest in digests.iter().filter(|digest| self.digests.contains(digest)) {
            let size = self.store.disk.look(&path(digest))?.map_or(0, |(size, _)| size);
            match remove(&self.store, digest) {
                Ok(()) => freed += size,
                Err(ErrorCode::InUse) => {}
                Err(other) => return Err(other),
            }
        }
        sync(&self.store)?;
        Ok(freed)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("digests", &self.digests).finish_non_exhaustive()
    }
}

pub(super) fn entries(store: &Shared, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
    let limit = ENTRIES_MAX.min(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        for name in store.disk.names(&format!("blobs/{algorithm}"))? {
            if found.len() == limit {
                return Ok(found);
            }
            // What is not named by a digest is somebody's temporary file.
            let Ok(digest) = format!("{algorithm}:{name}").parse::<Digest>() else { continue };
            if after.is_some_and(|after| digest <= *after) {
                continue;
            }
            if let Some((size, _)) = store.disk.look(&path(&digest))? {
                found.push((digest, size));
            }
        }
    }
    Ok(found)
}

/// Reads up to `length` bytes of a file at `offset`.
fn read(disk: &Disk, digest: &Digest, offset: u64, length: u64) -> Result<Vec<u8>> {
    let below = path(digest);
    let mut file = disk.open(&below).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ErrorCode::NotFound,
        _ => failed("open", &below)(error),
    })?;
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(length).read_to_end(&mut bytes));
    read.map_err(failed("read", &below))?;
    Ok(bytes)
}

/// Reads a whole blob that is a document and has `size` bytes at most.
pub(super) fn document(disk: &Disk, digest: &Digest, size: u64) -> Result<Vec<u8>> {
    read(disk, digest, 0, size)
}

impl Blob {
    /// See `content.blob.digest`.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl host::Blob for Blob {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        if length > READ_BYTES_MAX {
            return Err(ErrorCode::TooLarge(READ_BYTES_MAX));
        }
        let length = length.min(self.size.saturating_sub(offset));
        if length == 0 { Ok(Vec::new()) } else { read(&self.store.disk, &self.digest, offset, length) }
    }

    /// Fails with [`ErrorCode::NotFound`] if another process has removed the blob.
    async fn verify(&self) -> Result<()> {
        let below = path(&self.digest);
        let mut file = self.store.disk.open(&below).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ErrorCode::NotFound,
            _ => failed("open", &below)(error),
        })?;
        let mut hasher = Hasher::new(self.digest.algorithm());
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut chunk).map_err(failed("read", &below))? {
                0 => break,
                length => hasher.update(&chunk[..length]),
            }
            turn().await;
        }
        let found = hasher.finish();
        if found == self.digest { Ok(()) } else { Err(ErrorCode::DigestMismatch(found)) }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("digest", &self.digest).field("size", &self.size).finish_non_exhaustive()
    }
}
