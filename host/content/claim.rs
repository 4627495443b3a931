//! Claims: blobs that nobody else can open, so that whoever collects can look once more whether a record needs them.
//! And the removal of blobs, which is a claim that ends at once.
//!
//! It does not know what needs a blob. A claim is the exclusive lock of [`super`], on many blobs at once: who wants to
//! open one waits for the unlink, or for the claim to be dropped.

use std::collections::HashSet;
use std::fs::File;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::{Content, Error, pin};
use crate::hash::{Algorithm, Digest};
use crate::planted::{self, Bug};

/// How many blobs [`Content::claim`] looks at. Each takes a descriptor.
pub const CLAIM_MAX: usize = 1_000;

/// Blobs that nobody else holds or can open. Dropping it lets go of them.
#[derive(Debug)]
pub struct Claim {
    content: Content,
    /// In the order in which they were asked for.
    blobs: Vec<Claimed>,
}

/// What has the name of a blob, and cannot be opened by anybody else.
#[derive(Debug)]
struct Claimed {
    digest: Digest,
    /// Locked. None if it is no file, which nobody can hold.
    file: Option<File>,
}

/// What has the name of a blob, for whoever wants to remove it.
#[derive(Debug)]
enum Found {
    Nothing,
    Held,
    Claimed(Claimed),
}

impl Content {
    /// Claims those of these blobs that are here and that nobody holds, without waiting. Looks at [`CLAIM_MAX`] of them;
    /// where the process is short of descriptors, the claim has fewer than it could.
    pub fn claim(&self, digests: &[Digest]) -> Result<Claim, Error> {
        let mut seen = HashSet::new();
        let wanted = digests.iter().take(CLAIM_MAX).filter(|digest| seen.insert(**digest));
        let claim = |digest| match self.seize(digest)? {
            Found::Claimed(claimed) => Ok(Some(claimed)),
            Found::Nothing | Found::Held => Ok(None),
        };
        let is_short = |error: &Error| matches!(error, Error::Io { source, .. } if pin::is_short(source));
        let blobs = pin::gather(wanted, claim, is_short)?;
        Ok(Claim { content: self.clone(), blobs })
    }

    /// Removes a blob, durably. Does nothing if it is absent.
    ///
    /// Fails with [`Error::InUse`] while anybody holds a handle.
    pub fn remove(&self, digest: &Digest) -> Result<(), Error> {
        match self.seize(digest)? {
            Found::Nothing => Ok(()),
            Found::Held => Err(Error::InUse),
            Found::Claimed(claimed) => {
                self.take_away(claimed)?;
                self.sync_removals(digest.algorithm())
            }
        }
    }

    /// Removes what has the name of a blob and is no file: a damaged file system may show anything. A file has come
    /// since, and may be pinned.
    pub(super) fn evict(&self, digest: &Digest) -> Result<(), Error> {
        let (directory, name) = (self.blobs(digest), digest.encoded());
        let stat = match directory.stat(&name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(Error::io("cannot describe a blob")(error)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            FileType::Directory => directory.remove_tree(&name).map_err(Error::io("cannot remove a blob")),
            _ => directory.unlink(&name).map_err(Error::io("cannot remove a blob")),
        }
    }

    /// Takes the exclusive lock of a blob, if nobody holds it.
    fn seize(&self, digest: &Digest) -> Result<Found, Error> {
        let (directory, name) = (self.blobs(digest), digest.encoded());
        loop {
            let stat = match directory.stat(&name) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return Ok(Found::Nothing),
                Err(error) => return Err(Error::io("cannot describe a blob")(error)),
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(Found::Claimed(Claimed { digest: *digest, file: None }));
            }
            let file = match directory.open(&name, OFlags::RDONLY) {
                Ok(file) => file,
                // By now something else has the name, or nothing.
                Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => continue,
                Err(error) => return Err(Error::io("cannot open a blob")(error)),
            };
            if !pin::try_claim(&file).map_err(Error::io("cannot lock a blob"))? {
                return Ok(Found::Held);
            }
            if pin::is_linked(&file).map_err(Error::io("cannot describe a blob"))? {
                return Ok(Found::Claimed(Claimed { digest: *digest, file: Some(file) }));
            }
        }
    }

    /// Removes a claimed blob, and returns the bytes that this has freed. The lock ends here, and not with the sync: who
    /// waits for it need not wait for the disk.
    fn take_away(&self, claimed: Claimed) -> Result<u64, Error> {
        let Claimed { digest, file } = claimed;
        let Some(file) = file else { return self.evict(&digest).map(|()| 0) };
        let size = file.metadata().map_err(Error::io("cannot describe a blob"))?.len();
        self.blobs(&digest).unlink(&digest.encoded()).map_err(Error::io("cannot remove a blob"))?;
        Ok(size)
    }

    fn sync_removals(&self, algorithm: Algorithm) -> Result<(), Error> {
        if planted::has(Bug::RemovalUnsynced) {
            return Ok(());
        }
        self.directory(algorithm).sync().map_err(Error::io("cannot sync a directory of blobs"))
    }
}

impl Claim {
    /// Returns the digests of the blobs, in the order in which they were asked for.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.blobs.iter().map(|claimed| &claimed.digest)
    }

    /// Removes those of the blobs that `digests` lists, durably, and lets go of the others. Returns the bytes that this
    /// has freed. A failure may have removed some.
    pub fn remove(self, digests: &[Digest]) -> Result<u64, Error> {
        let Self { content, blobs } = self;
        let listed: HashSet<_> = digests.iter().collect();
        let (going, staying): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|blob| listed.contains(&blob.digest));
        drop(staying);
        let algorithms: HashSet<_> = going.iter().map(|blob| blob.digest.algorithm()).collect();
        let freed = going.into_iter().map(|blob| content.take_away(blob)).sum::<Result<u64, Error>>();
        // One sync a directory, also for what was removed before a failure.
        let synced = algorithms.into_iter().try_for_each(|algorithm| content.sync_removals(algorithm));
        freed.and_then(|freed| synced.map(|()| freed))
    }
}

#[cfg(test)]
mod tests;
