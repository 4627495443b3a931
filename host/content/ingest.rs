//! Ingests: bytes that are arriving, and the commit that makes a blob of them.
//!
//! One holder at a time on the whole machine, by an exclusive lock on the ingest's directory. The bytes outlive the
//! holder; what they hash to does not, and is computed again by the next one. An ingest without bytes leaves nothing.

mod arrival;
mod place;
mod queue;
mod write_back;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use self::arrival::Arrival;
pub use self::arrival::{Follower, Outcome, Run};
pub(super) use self::queue::Queues;
pub use self::queue::Turn;
use self::write_back::WriteBack;
use super::directory::Directory;
use super::{Blob, Content, Error, listing, pin};
use crate::hash::{Algorithm, Digest, Hasher};
use crate::planted::{self, Bug};

/// How long the name of an ingest may be, in bytes.
pub const NAME_BYTES_MAX: usize = 4096;

/// How often a commit tries to put its blob into a place that others fill and empty at the same time.
const PUBLISH_ATTEMPTS_MAX: u32 = 64;

/// How many bytes are read at once when a file is hashed.
const HASH_BUFFER_BYTES: usize = 256 << 10;

pub(super) const DATA: &str = "data";
pub(super) const NAME: &str = "name";

/// What an ingest is called on disk: the SHA-256 of its name, so that a name may hold any character.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Digest);

impl Key {
    /// Returns the key of the ingest that has this name.
    pub fn of(name: &str) -> Self {
        Self(Digest::of(Algorithm::Sha256, name.as_bytes()))
    }

    /// Reads a key as [`Key::encoded`] writes it. Returns none if it is none.
    pub fn from_encoded(encoded: &str) -> Option<Self> {
        Digest::from_encoded(Algorithm::Sha256, encoded).ok().map(Self)
    }

    /// Returns the key as text: 64 hexadecimal digits.
    pub fn encoded(&self) -> String {
        self.0.encoded()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encoded())
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

/// An upload that is still arriving. Dropping it keeps the bytes.
#[derive(Debug)]
pub struct Ingest {
    content: Content,
    key: Key,
    /// Locked. Closing it lets the next holder in.
    directory: Directory,
    /// It changes under the lock of `state` only, and is locked for as long as that takes and no longer.
    arrival: Arc<Arrival>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    data: File,
    /// Has taken in the first `hashed` bytes. Less than the offset only for what an earlier holder left.
    hasher: Hasher,
    hashed: u64,
    written_back: WriteBack,
}

impl Content {
    /// Waits until no other caller in this process that came before wants the ingest `name`. Whoever has the turn may
    /// look with [`Content::try_ingest`] until it holds the ingest, or gives up.
    pub async fn turn(&self, name: &str) -> Turn {
        self.store.queues.turn(Key::of(name)).await
    }

    /// Holds the ingest that has this name, and makes it if there is none. Waits while somebody else holds it; what
    /// was wanted may be a blob by then, so look again with [`Content::blob`].
    ///
    /// Fails with [`Error::Invalid`] if the name is longer than [`NAME_BYTES_MAX`].
    pub fn ingest(&self, name: &str) -> Result<Ingest, Error> {
        loop {
            let claim = |directory: &Directory| pin::claim(directory).map(|()| true);
            if let Attempt::Held(ingest) = self.attempt(name, claim)? {
                return Ok(*ingest);
            }
        }
    }

    /// Does what [`Content::ingest`] does, without waiting: `None` while somebody else holds the ingest.
    pub fn try_ingest(&self, name: &str) -> Result<Option<Ingest>, Error> {
        loop {
            match self.attempt(name, |directory| pin::try_claim(directory))? {
                Attempt::Held(ingest) => return Ok(Some(*ingest)),
                Attempt::Busy => return Ok(None),
                Attempt::Gone => {}
            }
        }
    }

    /// Removes the ingest that has this name or key, with its bytes. Does nothing if it is absent.
    ///
    /// Fails with [`Error::InUse`] while somebody holds it.
    pub fn discard(&self, key: impl Into<Key>) -> Result<(), Error> {
        let key = key.into();
        let directory = match self.store.ingest.enter(&key.encoded()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => return self.repair(key),
            Err(error) => return Err(Error::io("cannot open an ingest")(error)),
        };
        if !pin::try_claim(&directory).map_err(Error::io("cannot lock an ingest"))? {
            return Err(Error::InUse);
        }
        self.clear(key, &directory)
    }

    fn attempt(&self, name: &str, claim: impl Fn(&Directory) -> rustix::io::Result<bool>) -> Result<Attempt, Error> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Error::Invalid("the name of an ingest is longer than 4096 bytes"));
        }
        let key = Key::of(name);
        let ingests = &self.store.ingest;
        ingests.make(&key.encoded()).map_err(Error::io("cannot make an ingest"))?;
        let directory = match ingests.enter(&key.encoded()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(Attempt::Gone),
            Err(Errno::NOTDIR | Errno::LOOP) => return self.repair(key).map(|()| Attempt::Gone),
            Err(error) => return Err(Error::io("cannot open an ingest")(error)),
        };
        if !claim(&directory).map_err(Error::io("cannot lock an ingest"))? {
            return Ok(Attempt::Busy);
        }
        if !ingests.leads_to(&key.encoded(), &directory).map_err(Error::io("cannot describe an ingest"))? {
            return Ok(Attempt::Gone);
        }
        let (data, offset) = match prepare(&directory, name) {
            Ok(prepared) => prepared,
            Err(error) => {
                // On a full disk even an empty ingest takes space, unless it holds bytes that somebody paid for.
                if matches!(directory.stat(DATA), Err(Errno::NOENT)) {
                    self.clear(key, &directory)?;
                }
                return Err(error);
            }
        };
        let hasher = Hasher::new(Algorithm::Sha256);
        let state = Mutex::new(State { data, hasher, hashed: 0, written_back: WriteBack::default() });
        let arrival = Arrival::at(offset);
        Ok(Attempt::Held(Box::new(Ingest { content: self.clone(), key, directory, arrival, state })))
    }

    /// Removes what has the name of an ingest and is no directory.
    fn repair(&self, key: Key) -> Result<(), Error> {
        match self.store.ingest.unlink(&key.encoded()) {
            // Somebody else may have repaired it first.
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
            Err(error) => Err(Error::io("cannot repair an ingest")(error)),
        }
    }

    /// Removes the ingest `key` if its name still leads to `directory`, which the caller has locked. Otherwise it is
    /// gone, and what has its name belongs to somebody else.
    fn clear(&self, key: Key, directory: &Directory) -> Result<(), Error> {
        let ingests = &self.store.ingest;
        if ingests.leads_to(&key.encoded(), directory).map_err(Error::io("cannot describe an ingest"))? {
            ingests.remove_tree(&key.encoded()).map_err(Error::io("cannot remove an ingest"))?;
        }
        Ok(())
    }
}

enum Attempt {
    Held(Box<Ingest>),
    /// Somebody else holds it.
    Busy,
    /// Whoever held it has committed or discarded it. The name is free for another attempt.
    Gone,
}

/// Opens the data file of an ingest that is locked, and sees to it that its name can be read.
fn prepare(directory: &Directory, name: &str) -> Result<(File, u64), Error> {
    if !has_plain(directory, NAME)? || listing::name(directory).as_deref() != Some(name) {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = directory.open(NAME, flags).map_err(Error::io("cannot write the name of an ingest"))?;
        file.write_all(name.as_bytes()).map_err(Error::io("cannot write the name of an ingest"))?;
    }
    if has_plain(directory, DATA)? {
        // A commit that died before its rename has taken the permission to write away.
        directory.permit(DATA).map_err(Error::io("cannot open an ingest"))?;
    }
    let data = directory.open(DATA, OFlags::RDWR | OFlags::CREATE).map_err(Error::io("cannot open an ingest"))?;
    let offset = data.metadata().map_err(Error::io("cannot describe an ingest"))?.len();
    Ok((data, offset))
}

/// Whether an ingest has the file `name`. Anything else of that name is removed: it may be what a damaged file system
/// shows, or bytes that have another name as well and are not ours to change.
fn has_plain(directory: &Directory, name: &str) -> Result<bool, Error> {
    let stat = match directory.stat(name) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(Error::io("cannot describe an ingest")(error)),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink == 1 => return Ok(true),
        FileType::Directory => directory.remove_tree(name).map_err(Error::io("cannot repair an ingest"))?,
        _ => directory.unlink(name).map_err(Error::io("cannot repair an ingest"))?,
    }
    Ok(false)
}

impl Ingest {
    /// Returns how many bytes have arrived. It grows while another thread appends.
    pub fn offset(&self) -> u64 {
        self.arrival.offset()
    }

    /// Returns the run that appends belong to from here on.
    pub fn run(&self) -> Run {
        self.arrival.run()
    }

    /// Ends the run. Once this has returned, no byte of the appends that belong to it arrives any more: the offset
    /// is where the next append begins. Does not wait.
    pub fn interrupt(&self) {
        self.arrival.interrupt();
    }

    /// Appends the whole of `chunk`, or nothing.
    ///
    /// The first call after an ingest was resumed hashes what was there before, which takes half a second a gigabyte.
    /// Fails with [`Error::NoSpace`] when the disk is full; the ingest is then empty and its space is free.
    pub fn append(&self, chunk: &[u8]) -> Result<(), Error> {
        loop {
            let run = self.run();
            if self.append_in(run, chunk)? {
                return Ok(());
            }
        }
    }

    /// Does what [`Ingest::append`] does if `run` has not been interrupted, and says whether it did.
    pub fn append_in(&self, run: Run, chunk: &[u8]) -> Result<bool, Error> {
        let mut state = self.state();
        let Some(offset) = self.arrival.offset_in(run) else { return Ok(false) };
        state.catch_up(offset)?;
        let written = state.data.write_all_at(chunk, offset).map_err(Error::io("cannot write to an ingest"));
        let end = match &written {
            Ok(()) => offset + chunk.len() as u64,
            Err(Error::NoSpace) => 0,
            Err(_) => offset,
        };
        // The file is ahead of the offset here, or of what a full disk leaves of it. Only now is it decided which of
        // them counts, in one step with whoever interrupts.
        let counts = self.arrival.advance(run, end);
        match written {
            Ok(()) if counts => {
                state.hasher.update(chunk);
                state.hashed = end;
                let State { data, written_back, .. } = &mut *state;
                written_back.grown(data, end);
                Ok(true)
            }
            Ok(()) => {
                state.cut(offset)?;
                Ok(false)
            }
            Err(error) => {
                state.cut(if counts { end } else { offset })?;
                if counts { Err(error) } else { Ok(false) }
            }
        }
    }

    /// Returns a reader of what has arrived and of what will. It ends when the ingest was verified, and fails once
    /// `stop` is set. It does not hold the ingest.
    pub fn follow(&self, stop: Arc<AtomicBool>) -> Result<Follower, Error> {
        let file = self.directory.open(DATA, OFlags::RDONLY).map_err(Error::io("cannot open an ingest"))?;
        Ok(Follower::new(self.arrival.clone(), file, stop))
    }

    /// Returns what the bytes that have arrived hash to, by SHA-256.
    pub fn digest(&self) -> Result<Digest, Error> {
        let mut state = self.state();
        state.catch_up(self.offset())?;
        Ok(state.hasher.clone().finish())
    }

    /// Forgets the bytes that have arrived, and begins again at offset 0.
    pub fn restart(&self) -> Result<(), Error> {
        let mut state = self.state();
        self.arrival.restart();
        state.cut(0)
    }

    /// Verifies the bytes, makes them durable, and makes them visible as a blob. Whatever the outcome, the ingest is
    /// gone. Returns the blob that exists if the store has it already.
    ///
    /// Fails with [`Error::SizeMismatch`] or [`Error::DigestMismatch`] if the bytes are not what was expected, with
    /// [`Error::InUse`] if a damaged blob of that digest is there and somebody holds it, with [`Error::NoSpace`] if the
    /// disk turns out to be full.
    pub fn commit(self, expected: &Digest, size: u64) -> Result<Blob, Error> {
        let outcome = self.verify(expected, size).and_then(|()| self.publish(expected, size));
        // The outcome is about the blob. A directory that cannot be removed is garbage, which collection removes.
        if let Err(error) = self.content.clear(self.key, &self.directory) {
            tracing::warn!(key = ?self.key, %error, "an ingest could not be cleared after its commit");
        }
        outcome
    }

    /// Removes the ingest and its bytes.
    pub fn discard(self) -> Result<(), Error> {
        self.content.clear(self.key, &self.directory)
    }

    fn verify(&self, expected: &Digest, size: u64) -> Result<(), Error> {
        let mut state = self.state();
        let offset = self.offset();
        // Nothing but a write that failed and could not be undone leaves bytes behind the offset.
        state.data.set_len(offset).map_err(Error::io("cannot shorten an ingest"))?;
        if offset != size {
            return Err(Error::SizeMismatch { expected: size, actual: offset });
        }
        if planted::has(Bug::IngestUnhashed) {
            self.arrival.verified(*expected);
            return Ok(());
        }
        let actual = match expected.algorithm() {
            Algorithm::Sha256 => {
                state.catch_up(offset)?;
                state.hasher.clone().finish()
            }
            Algorithm::Sha512 => {
                let mut hasher = Hasher::new(Algorithm::Sha512);
                hash(&state.data, 0..offset, &mut hasher)?;
                hasher.finish()
            }
        };
        if actual != *expected {
            return Err(Error::DigestMismatch { expected: Box::new(*expected), actual: Box::new(actual) });
        }
        self.arrival.verified(*expected);
        Ok(())
    }

    /// Makes a blob of bytes that were verified. An error of a sync is final: the kernel reports it once, and a second
    /// attempt would succeed without the bytes being on disk.
    fn publish(&self, expected: &Digest, size: u64) -> Result<Blob, Error> {
        let state = self.state();
        rustix::fs::fchmod(&state.data, Mode::RUSR).map_err(Error::io("cannot protect a blob"))?;
        if !planted::has(Bug::BlobUnsynced) {
            let synced = state.data.sync_all().map_err(Error::io("cannot sync a blob"));
            if !planted::has(Bug::SyncErrorIgnored) {
                synced?;
            }
        }
        // A second open file: it cannot write, and it has the lock before anybody can see the blob.
        let file = self.directory.open(DATA, OFlags::RDONLY).map_err(Error::io("cannot open a blob"))?;
        pin::share(&file).map_err(Error::io("cannot pin a blob"))?;

        let name = expected.encoded();
        let blobs = self.content.blobs(expected);
        for _ in 0..PUBLISH_ATTEMPTS_MAX {
            match place::place(&self.directory, DATA, blobs, &name) {
                Ok(()) => {
                    if let Err(error) = self.content.anchor(expected) {
                        if let Err(error) = blobs.unlink(&name) {
                            tracing::error!(digest = %expected, %error, "a blob that is not durable stays visible");
                        }
                        return Err(error);
                    }
                    return Ok(Blob::pinned(*expected, size, file));
                }
                Err(Errno::EXIST) => match self.content.blob(expected) {
                    Ok(blob) if blob.size() == size => {
                        // Its name may not be durable yet: whoever committed it may be about to sync, or dead.
                        self.content.anchor(expected)?;
                        return Ok(blob);
                    }
                    Ok(damaged) => {
                        tracing::warn!(digest = %expected, size = damaged.size(), "replacing a damaged blob");
                        drop(damaged);
                        self.content.remove(expected)?;
                    }
                    Err(Error::NotFound) => self.content.evict(expected)?,
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(Error::io("cannot give a blob its name")(error)),
            }
        }
        Err(Error::InUse)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state of an ingest")
    }
}

impl State {
    /// Shortens the file to `length`, which is the offset.
    fn cut(&mut self, length: u64) -> Result<(), Error> {
        if length < self.hashed {
            self.hasher = Hasher::new(Algorithm::Sha256);
            self.hashed = 0;
        }
        self.written_back = WriteBack::default();
        self.data.set_len(length).map_err(Error::io("cannot shorten an ingest"))
    }

    /// Hashes what an earlier holder left.
    fn catch_up(&mut self, offset: u64) -> Result<(), Error> {
        if self.hashed < offset {
            hash(&self.data, self.hashed..offset, &mut self.hasher)?;
            self.hashed = offset;
        }
        Ok(())
    }
}

/// Adds a range of `file` to `hasher`.
fn hash(file: &File, range: std::ops::Range<u64>, hasher: &mut Hasher) -> Result<(), Error> {
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    let mut offset = range.start;
    while offset < range.end {
        let wanted = usize::try_from(range.end - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = match file.read_at(&mut buffer[..wanted], offset) {
            Ok(0) => {
                return Err(Error::io("an ingest was cut short by somebody else")(io::Error::from(
                    io::ErrorKind::UnexpectedEof,
                )));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("cannot read an ingest")(error)),
        };
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
    Ok(())
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.arrival.leave();
        if self.offset() == 0
            && let Err(error) = self.content.clear(self.key, &self.directory)
        {
            tracing::warn!(key = ?self.key, %error, "an empty ingest could not be cleared");
        }
    }
}
