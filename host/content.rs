//! The content store: verified blobs by digest, and the ingests that become blobs. `wit/content.wit` is the
//! specification; this is what stands behind it on a disk.
//!
//! It does not know what an image is, which blobs belong together, or who may see them. It is synchronous: a caller
//! that must not block runs it on a thread that may.
//!
//! ```text
//! <root>                            the store's directory; others keep their files beside these
//! ├── blobs/                        0700
//! │   ├── sha256/<64 digits>        0400  complete, verified, durable; never written again
//! │   └── sha512/<128 digits>       0400  the same
//! └── ingest/                       0700
//!     └── <sha256 of the name>/     0700  held under an exclusive lock by whoever appends
//!         ├── data                  0600  bytes 0 to offset: the file's length is the only state
//!         └── name                  0600  the name itself, for listings
//! ```
//!
//! **Nothing half-done is ever visible.** A blob appears by one rename, after its bytes were hashed and synced; the
//! directory is synced before `commit` returns. An ingest has no state but its bytes, so a process may die anywhere:
//! the next one hashes them again from byte 0 before it believes them.
//!
//! **Why blobs are 0400.** The directories keep everybody else out already. Taking the owner's write permission away
//! keeps the owner's own tools from changing a file under a name that says what is in it.
//!
//! **Pins are kernel locks.** A [`Blob`] holds a shared `flock` on its file; [`Content::remove`] takes the exclusive
//! one without waiting, and answers [`Error::InUse`]. The two meet like this:
//!
//! ```text
//! open                                    remove
//!   open the file                           open the file
//!   shared lock   (waits for an unlink)     exclusive lock, or `InUse`
//!   still linked? else begin again          still linked? else begin again
//!   → a pin                                 unlink, unlock, sync the directory
//! ```
//!
//! Whoever gets the lock first decides, and the other one notices: a lock on a file that has no link left is worth
//! nothing. A [`Claim`] is the right column for many blobs, with time to look at the records between lock and unlink: who
//! opens one of them waits for that long. A new blob is locked before the rename that makes it visible, so that no collection can come between.
//! The rename never replaces a file, because the file might be pinned. A process that dies lets go of its locks.
//!
//! Locks belong to open files, so two handles in one process exclude each other as two processes do.

mod blob;
mod claim;
pub(crate) mod directory;
mod error;
mod ingest;
mod listing;
pub(crate) mod pin;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::fs::Dir;

pub use self::blob::{Blob, READ_BYTES_MAX, Reader};
pub use self::claim::{CLAIM_MAX, Claim};
pub use self::error::Error;
pub use self::ingest::{Follower, Ingest, Key, NAME_BYTES_MAX, Outcome, Run, Turn};
pub use self::listing::{ENTRIES_MAX, INGESTS_MAX, Unfinished};

use self::directory::Directory;
use self::ingest::Queues;
use crate::hash::{Algorithm, Digest};
use crate::planted::{self, Bug};

/// The content store of one directory. Clones are the same store; so are other processes that opened the directory.
#[derive(Clone, Debug)]
pub struct Content {
    store: Arc<Store>,
}

#[derive(Debug)]
struct Store {
    root: Directory,
    blobs: Directory,
    sha256: Directory,
    sha512: Directory,
    ingest: Directory,
    queues: Queues,
    /// Whether this process has made the directories themselves durable.
    anchored: AtomicBool,
}

impl Content {
    /// Opens the content store below `root`, and makes its directories if they are missing. Directories that others
    /// may enter are closed to them.
    pub fn open(root: &Dir) -> Result<Self, Error> {
        let private = |parent: &Directory, name: &str| {
            parent.make(name).map_err(Error::io("cannot make a directory of the content store"))?;
            let directory = parent.enter(name).map_err(Error::io("cannot open a directory of the content store"))?;
            directory.close_to_others().map_err(Error::io("cannot close the content store to others"))?;
            Ok(directory)
        };
        let root = Directory::of(root).map_err(Error::io("cannot open the store's directory"))?;
        let blobs = private(&root, "blobs")?;
        let sha256 = private(&blobs, Algorithm::Sha256.name())?;
        let sha512 = private(&blobs, Algorithm::Sha512.name())?;
        let ingest = private(&root, "ingest")?;
        let (queues, anchored) = (Queues::default(), AtomicBool::new(false));
        Ok(Self { store: Arc::new(Store { root, blobs, sha256, sha512, ingest, queues, anchored }) })
    }

    /// The directory that holds the blobs of `digest`'s algorithm.
    fn blobs(&self, digest: &Digest) -> &Directory {
        self.directory(digest.algorithm())
    }

    fn directory(&self, algorithm: Algorithm) -> &Directory {
        match algorithm {
            Algorithm::Sha256 => &self.store.sha256,
            Algorithm::Sha512 => &self.store.sha512,
        }
    }

    /// Makes every blob that is visible now durable under its name. A commit does so for its own blob; this is for what
    /// [`Content::blob`] found, which a process may have committed that died a moment before its own sync.
    pub fn sync(&self) -> Result<(), Error> {
        if planted::has(Bug::BlobNameUnsynced) {
            return Ok(());
        }
        [&self.store.sha256, &self.store.sha512, &self.store.blobs, &self.store.root]
            .into_iter()
            .try_for_each(|directory| directory.sync().map_err(Error::io("cannot sync a directory of blobs")))
    }

    /// Makes the name of the blob `digest` durable, and the way that leads to it.
    ///
    /// The directories above are synced by the first commit rather than by `open`: a process that only reads pays
    /// nothing, and one that was killed between making and syncing them is made good.
    fn anchor(&self, digest: &Digest) -> Result<(), Error> {
        if planted::has(Bug::BlobNameUnsynced) {
            return Ok(());
        }
        let sync = |directory: &Directory| directory.sync().map_err(Error::io("cannot sync a directory of blobs"));
        sync(self.blobs(digest))?;
        if !self.store.anchored.load(Ordering::Relaxed) {
            sync(&self.store.blobs)?;
            sync(&self.store.root)?;
            self.store.anchored.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
