//! What is in the store: blobs, and ingests that nobody has finished, page by page.
//!
//! It keeps no locks. What it lists may be gone by the time the caller looks, and removing it answers for that.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::directory::Directory;
use super::ingest::{DATA, NAME};
use super::{Content, Error, Key, NAME_BYTES_MAX, pin};
use crate::hash::{Algorithm, Digest};

/// How many entries a page has at most, whatever is asked for.
pub const ENTRIES_MAX: usize = 10_000;
/// The same for ingests, each of which is opened.
pub const INGESTS_MAX: usize = 1_000;

/// An ingest that has been begun and neither committed nor discarded. Somebody may be appending to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// By this it can be discarded.
    pub key: Key,
    /// The name it was begun with. `None` if whoever began it died before the name was on disk.
    pub name: Option<String>,
    /// How many bytes have arrived.
    pub bytes: u64,
    /// How long ago something last arrived, by the wall clock; zero if that is in the future.
    pub age: Duration,
    /// Whether somebody held it at the moment of looking.
    pub held: bool,
}

impl Content {
    /// Returns up to `limit` blobs as digest and size, in order of digest, that come after `after`, and never more than
    /// [`ENTRIES_MAX`]. No blobs, and a limit above 0, means that there are no more. Files that have no name of a blob
    /// are not the store's, and left out.
    pub fn entries(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<(Digest, u64)>, Error> {
        let limit = limit.min(ENTRIES_MAX);
        let mut after = after.copied();
        loop {
            let page = self.digests(after.as_ref(), limit)?;
            let Some(last) = page.last().copied() else { return Ok(Vec::new()) };
            let mut entries = Vec::with_capacity(page.len());
            for digest in page {
                if let Some(size) = self.size(&digest)? {
                    entries.push((digest, size));
                }
            }
            if !entries.is_empty() {
                return Ok(entries);
            }
            // The whole page was removed meanwhile, which is not yet the end.
            after = Some(last);
        }
    }

    /// The first `limit` names of blobs after `after`, in order.
    fn digests(&self, after: Option<&Digest>, limit: usize) -> Result<BTreeSet<Digest>, Error> {
        let mut page = BTreeSet::new();
        for (algorithm, directory) in Algorithm::ALL.into_iter().zip([&self.store.sha256, &self.store.sha512]) {
            let digests = |name: &str| Digest::from_encoded(algorithm, name).ok();
            first(directory, after, limit, digests, &mut page)?;
        }
        Ok(page)
    }

    /// The size of a blob, if it is there and is a file.
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.blobs(digest).stat(&digest.encoded()) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Some(length(&stat))),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("cannot describe a blob")(error)),
        }
    }

    /// Returns up to `limit` unfinished ingests, in order of key, that come after `after`, and never more than
    /// [`INGESTS_MAX`]. None, and a limit above 0, means that there are no more. Among them is what processes left that
    /// died: an ingest without a name, or without bytes, because they have become a blob.
    pub fn ingests(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Unfinished>, Error> {
        let limit = limit.min(INGESTS_MAX);
        let mut after = after.copied();
        loop {
            let mut page = BTreeSet::new();
            first(&self.store.ingest, after.as_ref(), limit, Key::from_encoded, &mut page)?;
            let Some(last) = page.last().copied() else { return Ok(Vec::new()) };
            let mut ingests = Vec::with_capacity(page.len());
            for key in page {
                ingests.extend(self.unfinished(key)?);
            }
            if !ingests.is_empty() {
                return Ok(ingests);
            }
            after = Some(last);
        }
    }

    /// Describes the ingest `key`, if it is there.
    pub fn unfinished(&self, key: Key) -> Result<Option<Unfinished>, Error> {
        let directory = match self.store.ingest.enter(&key.encoded()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return self.intruder(key),
            Err(error) => return Err(Error::io("cannot open an ingest")(error)),
        };
        let (bytes, changed) = match directory.stat(DATA) {
            Ok(stat) => (length(&stat), stat),
            Err(Errno::NOENT) => (0, rustix::fs::fstat(&directory).map_err(Error::io("cannot describe an ingest"))?),
            Err(error) => return Err(Error::io("cannot describe an ingest")(error)),
        };
        let name = name(&directory).filter(|name| Key::of(name) == key);
        let held = pin::is_claimed(&directory).map_err(Error::io("cannot lock an ingest"))?;
        Ok(Some(Unfinished { key, name, bytes, age: age(&changed), held }))
    }

    /// Describes what has the name of an ingest and is no directory: a damaged file system may show anything, and nobody
    /// can hold it.
    fn intruder(&self, key: Key) -> Result<Option<Unfinished>, Error> {
        match self.store.ingest.stat(&key.encoded()) {
            Ok(stat) => Ok(Some(Unfinished { key, name: None, bytes: length(&stat), age: age(&stat), held: false })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("cannot describe an ingest")(error)),
        }
    }
}

/// Adds to `page` what `read` makes of the names in `directory`, keeping the first `limit` after `after`. So the memory
/// for a page does not depend on how much there is.
fn first<T: Ord>(
    directory: &Directory,
    after: Option<&T>,
    limit: usize,
    read: impl Fn(&str) -> Option<T>,
    page: &mut BTreeSet<T>,
) -> Result<(), Error> {
    let names = directory.names().map_err(Error::io("cannot list the content store"))?;
    for name in names {
        let Some(item) = read(&name.map_err(Error::io("cannot list the content store"))?) else { continue };
        if after.is_some_and(|after| item <= *after) {
            continue;
        }
        page.insert(item);
        if page.len() > limit {
            page.pop_last();
        }
    }
    Ok(())
}

/// The name in an ingest's directory, as far as it can be read. A listing does not fail for a damaged label.
pub(super) fn name(directory: &Directory) -> Option<String> {
    let mut bytes = Vec::new();
    let limit = NAME_BYTES_MAX as u64 + 1;
    directory.open(NAME, OFlags::RDONLY).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).expect("the size of a file is not negative")
}

fn age(stat: &Stat) -> Duration {
    // Signed in the kernel's interface; the field's type differs between platforms.
    #[allow(clippy::unnecessary_cast, reason = "it is needed where the field is unsigned")]
    let seconds = u64::try_from(stat.st_mtime as i64).unwrap_or(0);
    let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    modified.and_then(|modified| SystemTime::now().duration_since(modified).ok()).unwrap_or_default()
}
