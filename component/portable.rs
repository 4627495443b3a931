//! Content and records in one directory, over `std::fs` alone: for a runtime of
//! WebAssembly that brings files and no store. The directory is a valid OCI image
//! layout (image-spec, image-layout.md), in which `index.json` is the truth. A map:
//!
//! - `layout`: whether a directory is one, and how an empty one becomes one.
//! - `disk`, `hash`, `lock`: files, digests, and the lock of `index.json`.
//! - `ingest`, `blob`: how bytes arrive, and what they are then.
//! - `index`, `names`, `edit`: `index.json` as it stands, which names are in it,
//!   and how one of them changes.
//! - `picture`: the record of an image, made of what is in the directory.
//! - `view`, `transaction`: `metadata.transaction`, translated to all this.
//! - `rights`: `credentials`, which are no files.
//!
//! ```text
//! oci-layout, index.json
//! blobs/sha256/<hex>, blobs/sha512/<hex>
//! .wharf/ingest/<SHA-256 of the name>.<id>   bytes on their way; one writer each
//! .wharf/records/<SHA-256 of the key>        records that are not an image's
//! .wharf/tmp/<id>                            what has no name yet
//! .wharf/lock                                there while `index.json` is replaced
//! ```
//!
//! It has no clock, no random numbers and no WASI: see [`Ambient`]. Files block;
//! between chunks other tasks have their turn.
//!
//! # What cannot be locked, and what may happen
//!
//! WASI has no locks on files. So no two processes ever write to one file, and
//! what has a name is never written again, only replaced by a rename:
//!
//! - Two processes that want one blob both fetch it; the second rename replaces
//!   equal bytes. A process that is stopped for [`LIVE_S`] seconds loses the name of
//!   its ingest file and not the file: it finishes from its open handle.
//! - A blob is pinned by its handles within this process only. Another process may
//!   remove it; the next reader then finds it absent, never changed.
//! - `index.json` is replaced under the lock, and only if it is, byte for byte, what
//!   the new one was made from. A process that is stopped for more than 10 seconds
//!   (`lock::STALE_S`) exactly between its last look at the lock and the rename that
//!   follows overwrites what others have committed meanwhile: names get lost, blobs
//!   do not, and the layout stays valid.
//! - A tool that does not know the lock and writes between the last read and the
//!   rename, which takes microseconds, loses its change in the same way. Most of
//!   them also read, wait and write without a lock, and may undo a commit of
//!   wharf: that can be prevented by nobody but them.
//! - Records that are not an image's are written before `index.json`. After a crash
//!   between the two they tell about a change of a name that did not happen.
//! - A collection sees what is pinned in its own process only. What another process
//!   pulls at the same time may lose blobs that no name reached yet: it is fetched
//!   again when it is pulled again, and `wharf fsck` finds it.

#![allow(
    clippy::disallowed_methods,
    reason = "below one path that the edge gives, which in a sandbox is the preopened directory; cap-std is for hosts"
)]

mod blob;
mod disk;
mod edit;
mod hash;
mod index;
mod ingest;
mod layout;
mod lock;
mod names;
mod picture;
mod rights;
#[cfg(test)]
mod tests;
mod transaction;
mod view;

pub use blob::{Blob, Claim};
#[cfg(target_family = "wasm")]
pub(crate) use hash::Hasher;
pub use ingest::{Ingest, LIVE_S};
pub use layout::Refusal;
pub use rights::Rights;
pub use transaction::Transaction;

use crate::{
    host::{Result, Unfinished},
    nouns::{digest::Digest, problem::ErrorCode},
};
use disk::Disk;
use futures_util::{future::LocalBoxFuture, lock::Mutex};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::poll_fn,
    path::Path,
    rc::{Rc, Weak as Pin},
    sync::{Arc, Weak},
    task::Poll,
};

/// The most ingests that one answer lists.
const INGESTS_MAX: usize = 1_000;
/// The longest name of an ingest, in bytes.
const INGEST_NAME_BYTES_MAX: usize = 4_096;

/// Bytes on their way, which can be read in pieces.
pub trait Chunks {
    /// Returns the next bytes, at least one and at most `most`; none at the end,
    /// whatever the reason. What is not returned stays in the stream. A call that
    /// is dropped before it returned has taken nothing.
    #[allow(async_fn_in_trait, reason = "one thread, and no caller needs a Send bound")]
    async fn next(&mut self, most: usize) -> Option<Vec<u8>>;
}

/// What the store needs beside files.
pub struct Ambient {
    /// Waits for so many milliseconds.
    pub sleep: Box<dyn Fn(u64) -> LocalBoxFuture<'static, ()>>,
    /// Returns a random number that no other process will return: file names are
    /// made of two.
    pub random: Box<dyn Fn() -> u64>,
}

/// One image layout. Cloning it is another handle.
#[derive(Clone)]
pub struct Store {
    shared: Rc<Shared>,
}

/// What all handles of one store share.
struct Shared {
    disk: Disk,
    ambient: Ambient,
    /// Who holds an ingest in this process, by the hash of its name.
    held: RefCell<BTreeMap<String, Weak<Mutex<()>>>>,
    /// Which blobs somebody holds in this process.
    pins: RefCell<BTreeMap<Digest, Pin<()>>>,
    /// Ingest files of others whose bytes were wrong.
    distrusted: RefCell<BTreeSet<String>>,
}

impl Shared {
    /// Returns a name that nobody else has.
    fn id(&self) -> String {
        let random = &self.ambient.random;
        format!("{:016x}{:016x}", random(), random())
    }
}

impl Store {
    /// Opens the layout in a directory, and makes one in an empty directory.
    ///
    /// A layout is not changed by being opened, whoever made it. Anything else
    /// is refused and not changed either.
    pub async fn open(root: &Path, ambient: Ambient) -> std::result::Result<Self, Refusal> {
        let (held, pins, distrusted) = (RefCell::default(), RefCell::default(), RefCell::default());
        let shared = Rc::new(Shared { disk: Disk::new(root), ambient, held, pins, distrusted });
        layout::open(&shared).await?;
        Ok(Self { shared })
    }

    /// See `content.open`.
    pub async fn blob(&self, digest: &Digest) -> Result<Blob> {
        blob::open(&self.shared, digest)?.ok_or(ErrorCode::NotFound)
    }

    /// See `content.sync`. What other tools wrote is as durable as they made it.
    pub async fn sync(&self) -> Result<()> {
        blob::sync(&self.shared)
    }

    /// See `content.remove`. Handles of other processes are not seen.
    pub async fn remove(&self, digest: &Digest) -> Result<()> {
        blob::remove(&self.shared, digest)
    }

    /// See `content.claim`. Handles of other processes are not seen.
    pub async fn claim(&self, digests: &[Digest]) -> Result<Claim> {
        blob::claim(&self.shared, digests)
    }

    /// See `content.ingests`. Names are not known.
    pub async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        ingest::unfinished(&self.shared, after, INGESTS_MAX.min(usize::try_from(limit).unwrap_or(INGESTS_MAX)))
    }

    /// See `content.discard`.
    pub async fn discard(&self, key: &str) -> Result<()> {
        ingest::discard(&self.shared, key)
    }

    /// See `content.entries`.
    pub async fn entries(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        blob::entries(&self.shared, after, limit)
    }

    /// See `content.begin`. Only within this process one waits for another.
    pub async fn ingest<S: Chunks>(&self, name: &str) -> Result<Ingest<S>> {
        if name.len() > INGEST_NAME_BYTES_MAX {
            return Err(ErrorCode::Invalid);
        }
        let hashed = ingest::hashed(name);
        let mutex = self.holder(&hashed);
        let guard = mutex.lock_owned().await;
        Ingest::begin(Rc::clone(&self.shared), name, hashed, guard)
    }

    fn holder(&self, hashed: &str) -> Arc<Mutex<()>> {
        let mut held = self.shared.held.borrow_mut();
        if let Some(mutex) = held.get(hashed).and_then(Weak::upgrade) {
            return mutex;
        }
        held.retain(|_, mutex| mutex.strong_count() > 0);
        let mutex = Arc::new(Mutex::new(()));
        held.insert(hashed.to_owned(), Arc::downgrade(&mutex));
        mutex
    }

    /// See `metadata.begin`.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(Transaction::new(Rc::clone(&self.shared)))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ambient").finish_non_exhaustive()
    }
}

/// Lets other tasks have their turn.
async fn turn() {
    let mut had = false;
    poll_fn(|context| {
        if std::mem::replace(&mut had, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
