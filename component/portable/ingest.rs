//! Bytes on their way to become a blob: `content.ingest`, on files that have one
//! writer each.
//!
//! A holder writes to a file of its own. What an earlier holder of the same name
//! left is read and copied into it, because it has to be hashed anyway, and then
//! removed, unless somebody still writes to it. That happens at the first call that
//! needs the bytes: to begin an ingest only in order to ask for its offset
//! changes nothing.
//!
//! ```text
//! begin ─► the longest file of that name, open: its length is the offset
//! append ─► a file of one's own ◄─ copied and hashed ─ the other file, removed if nobody has written it for 10 s
//!           ◄─ appended and hashed ─ the stream
//! commit ─► sync, the other files of the name go, rename to blobs/<algorithm>/<hex>, sync the directory
//! ```
//!
//! Invariant: a file of an ingest only ever grows, until it is removed. So what
//! was seen to be there can be read as long as it is open.

use super::{
    Blob, Chunks, Shared, blob,
    disk::{self, TEMPORARY, failed},
    hash::Hasher,
    turn,
};
use crate::{
    host::{self, Result, Unfinished},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
};
use futures_util::lock::OwnedMutexGuard;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    marker::PhantomData,
    rc::Rc,
};

/// Where the files are.
pub(super) const INGEST: &str = ".wharf/ingest";
/// A file that nobody has written for so many seconds has no writer any more, or
/// one that can do without its name.
pub const LIVE_S: u64 = 10;
/// How many digits the hash of a name has.
const HASH_DIGITS: usize = 64;
/// The most that is asked of a stream, or copied, at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Bytes that arrive from streams of the type `S`. Dropping it keeps them.
pub struct Ingest<S> {
    store: Rc<Shared>,
    hashed: String,
    /// The algorithm that the name promises.
    algorithm: Algorithm,
    offset: Cell<u64>,
    is_busy: Cell<bool>,
    state: RefCell<State>,
    _guard: OwnedMutexGuard<()>,
    _streams: PhantomData<fn(S)>,
}

#[derive(Default)]
struct State {
    own: Option<Own>,
    source: Option<Source>,
}

/// The file that this holder writes.
struct Own {
    below: String,
    file: File,
    length: u64,
    hasher: Hasher,
}

/// What an earlier holder left, or another process is writing.
struct Source {
    file: File,
    length: u64,
}

/// Returns what the files of a name begin with.
pub(super) fn hashed(name: &str) -> String {
    Digest::of(Algorithm::Sha256, name.as_bytes()).encoded().to_owned()
}

/// Another `append` at the same time is a broken promise.
struct Busy<'i>(&'i Cell<bool>);

impl<'i> Busy<'i> {
    fn take(busy: &'i Cell<bool>) -> Self {
        assert!(!busy.replace(true), "one append at a time");
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<S> Ingest<S> {
    pub(super) fn begin(store: Rc<Shared>, name: &str, hashed: String, guard: OwnedMutexGuard<()>) -> Result<Self> {
        let mut source: Option<Source> = None;
        for below in files(&store, &hashed)? {
            // Whoever finished meanwhile has removed it.
            let Ok(file) = store.disk.open(&below) else { continue };
            let length = file.metadata().map_err(failed("look at", &below))?.len();
            if length > source.as_ref().map_or(0, |best| best.length) {
                source = Some(Source { file, length });
            }
        }
        Ok(Self {
            hashed,
            algorithm: if name.starts_with("sha512:") { Algorithm::Sha512 } else { Algorithm::Sha256 },
            offset: Cell::new(source.as_ref().map_or(0, |source| source.length)),
            is_busy: Cell::new(false),
            state: RefCell::new(State { own: None, source }),
            store,
            _guard: guard,
            _streams: PhantomData,
        })
    }

    /// Brings what was left into a file of one's own. A call that is dropped has
    /// copied a part, and the next one goes on there.
    async fn settle(&self) -> Result<()> {
        loop {
            let step = self.step();
            match step {
                Ok(true) => return Ok(()),
                Ok(false) => turn().await,
                Err(error) => {
                    self.forget(true)?;
                    return Err(failed("copy into", INGEST)(error));
                }
            }
        }
    }

    /// Copies one piece. Returns whether everything is here.
    fn step(&self) -> io::Result<bool> {
        let mut state = self.state.borrow_mut();
        let State { own, source } = &mut *state;
        let own = match own {
            Some(own) => own,
            None => own.insert(self.create()?),
        };
        let Some(left) = source else { return Ok(true) };
        if own.length < left.length {
            let mut chunk = vec![0; CHUNK_BYTES.min((left.length - own.length).try_into().unwrap_or(CHUNK_BYTES))];
            left.file.seek(SeekFrom::Start(own.length))?;
            left.file.read_exact(&mut chunk)?;
            own.write(&chunk)?;
            return Ok(false);
        }
        *source = None;
        drop(state);
        // Also the shorter ones, which would stay for ever. What cannot be removed now is removed another time.
        let _ = self.sweep();
        Ok(true)
    }

    fn create(&self) -> io::Result<Own> {
        std::fs::create_dir_all(self.store.disk.path(INGEST))?;
        let below = format!("{INGEST}/{}.{}", self.hashed, self.store.id());
        let file = self.store.disk.create(&below)?;
        Ok(Own { below, file, length: 0, hasher: Hasher::new(self.algorithm) })
    }

    /// Removes the other files of this name that have no writer.
    fn sweep(&self) -> Result<()> {
        let own = self.state.borrow().own.as_ref().map(|own| own.below.clone());
        let others = self.others(own.as_deref())?;
        if others.is_empty() {
            return Ok(());
        }
        let now = self.store.disk.now(&self.store.id())?;
        for below in others {
            let Some((_, changed)) = self.store.disk.look(&below)? else { continue };
            if now.duration_since(changed).is_ok_and(|age| age.as_secs() >= LIVE_S) {
                self.store.disk.remove(&below)?;
            }
        }
        Ok(())
    }

    /// Removes every other file of this name: whoever still writes one finishes
    /// without its name.
    fn retire(&self, own: Option<&str>) -> Result<()> {
        self.others(own)?.iter().try_for_each(|below| self.store.disk.remove(below))
    }

    fn others(&self, own: Option<&str>) -> Result<Vec<String>> {
        Ok(all_files(&self.store, &self.hashed)?.into_iter().filter(|it| Some(it.as_str()) != own).collect())
    }

    /// Forgets the bytes. With `is_wrong` also those of whoever they were copied
    /// from: they are not taken again by this process, although they may have a
    /// writer.
    fn forget(&self, is_wrong: bool) -> Result<()> {
        let State { own, .. } = self.state.take();
        self.offset.set(0);
        if let Some(own) = own {
            self.store.disk.remove(&own.below)?;
        }
        if is_wrong {
            let others = all_files(&self.store, &self.hashed)?;
            self.store.distrusted.borrow_mut().extend(others);
        }
        self.sweep()
    }

    /// Adds bytes. What fails here leaves the ingest empty.
    fn take(&self, bytes: &[u8]) -> Result<()> {
        let written = {
            let mut state = self.state.borrow_mut();
            state.own.as_mut().expect("`settle` has made it").write(bytes)
        };
        if let Err(error) = written {
            self.forget(false)?;
            return Err(failed("write to", INGEST)(error));
        }
        self.offset.set(self.offset.get() + bytes.len() as u64);
        Ok(())
    }

    /// Makes a blob of the file. It is gone afterwards, one way or the other.
    async fn finish(&self, expected: &Digest, size: u64) -> Result<Blob> {
        let offset = self.offset.get();
        if offset != size {
            return Err(ErrorCode::SizeMismatch(offset));
        }
        self.settle().await?;
        let mut own = self.state.borrow_mut().own.take().expect("`settle` has made it");
        let found = self.hash(&mut own, expected.algorithm()).await;
        let placed = found.and_then(|found| {
            if found != *expected {
                return Err(ErrorCode::DigestMismatch(found));
            }
            own.file.sync_all().map_err(failed("sync", &own.below))?;
            // Before there is a blob: whoever finds one looks for them no more.
            let _ = self.retire(Some(&own.below));
            self.place(&mut own, expected)
        });
        if placed.is_err() {
            self.store.disk.remove(&own.below)?;
        }
        placed?;
        blob::open(&self.store, expected)?.ok_or(ErrorCode::NotFound)
    }

    /// Returns the digest of all bytes: what was hashed on the way, or again by
    /// another algorithm than the name promised.
    async fn hash(&self, own: &mut Own, algorithm: Algorithm) -> Result<Digest> {
        if own.hasher.algorithm() == algorithm {
            return Ok(own.hasher.clone().finish());
        }
        let mut hasher = Hasher::new(algorithm);
        let mut chunk = vec![0; CHUNK_BYTES];
        own.file.seek(SeekFrom::Start(0)).map_err(failed("read", &own.below))?;
        loop {
            match own.file.read(&mut chunk).map_err(failed("read", &own.below))? {
                0 => return Ok(hasher.finish()),
                length => hasher.update(&chunk[..length]),
            }
            turn().await;
        }
    }

    /// Gives the file the name of the blob, and makes it durable.
    fn place(&self, own: &mut Own, digest: &Digest) -> Result<()> {
        let disk = &self.store.disk;
        let directory = format!("blobs/{}", digest.algorithm());
        if !disk.path(&directory).is_dir() {
            disk.directory(&directory)?;
            disk.sync("blobs")?;
        }
        let to = blob::path(digest);
        match disk.rename(&own.below, &to) {
            // Somebody was faster.
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_there(&to, own.length)? => {}
            // Somebody took this process for dead. The bytes are there as long as they are open.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let copy = format!("{TEMPORARY}/{}", self.store.id());
                disk.directory(TEMPORARY)?;
                let rescued = disk.create(&copy).and_then(|mut file| {
                    own.file.seek(SeekFrom::Start(0))?;
                    io::copy(&mut own.file, &mut file)?;
                    file.sync_all()?;
                    disk.rename(&copy, &to)
                });
                if rescued.is_err() {
                    disk.remove(&copy)?;
                }
                rescued.map_err(failed("write", &to))?;
            }
            other => other.map_err(failed("name", &to))?,
        }
        disk.sync(&directory)
    }

    fn is_there(&self, blob: &str, size: u64) -> Result<bool> {
        Ok(self.store.disk.look(blob)?.is_some_and(|(found, _)| found == size))
    }
}

impl Own {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        disk::write_at(&self.file, bytes, self.length)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Returns what was begun and not finished, by the hash of its name: the name
/// itself is nowhere. One whose file was written a moment ago is held.
pub(super) fn unfinished(store: &Shared, after: Option<&str>, limit: usize) -> Result<Vec<Unfinished>> {
    let now = store.disk.now(&store.id())?;
    let mut found: BTreeMap<String, Unfinished> = BTreeMap::new();
    for file in store.disk.names(INGEST)? {
        let Some((key, _)) = file.split_once('.') else { continue };
        let Some((size, changed)) = store.disk.look(&format!("{INGEST}/{file}"))? else { continue };
        let age_s = now.duration_since(changed).unwrap_or_default().as_secs();
        let one = found.entry(key.to_owned()).or_insert_with(|| Unfinished {
            key: key.to_owned(),
            name: None,
            size,
            age_s,
            held: false,
        });
        one.size = one.size.max(size);
        one.age_s = one.age_s.min(age_s);
        one.held = one.age_s < LIVE_S;
    }
    Ok(found.into_values().filter(|one| after.is_none_or(|after| *one.key > *after)).take(limit).collect())
}

/// Removes the files of an ingest.
pub(super) fn discard(store: &Shared, key: &str) -> Result<()> {
    if key.len() != HASH_DIGITS || !key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ErrorCode::Invalid);
    }
    let files = all_files(store, key)?;
    let now = store.disk.now(&store.id())?;
    for below in &files {
        let Some((_, changed)) = store.disk.look(below)? else { continue };
        if now.duration_since(changed).unwrap_or_default().as_secs() < LIVE_S {
            return Err(ErrorCode::InUse);
        }
    }
    files.iter().try_for_each(|below| store.disk.remove(below))
}

/// Returns the files of a name, whoever writes them.
fn all_files(store: &Shared, hashed: &str) -> Result<Vec<String>> {
    let names = store.disk.names(INGEST)?.into_iter();
    let is_of = |name: &String| name.strip_prefix(hashed).is_some_and(|rest| rest.starts_with('.'));
    Ok(names.filter(is_of).map(|name| format!("{INGEST}/{name}")).collect())
}

/// Returns those of them that may be continued.
fn files(store: &Shared, hashed: &str) -> Result<Vec<String>> {
    let distrusted = store.distrusted.borrow();
    Ok(all_files(store, hashed)?.into_iter().filter(|below| !distrusted.contains(below)).collect())
}

impl<S: Chunks> host::Ingest for Ingest<S> {
    type Stream = S;
    type Blob = Blob;

    fn offset(&self) -> u64 {
        self.offset.get()
    }

    async fn append(&self, mut data: S, limit: u64) -> Result<(u64, Option<S>)> {
        let _busy = Busy::take(&self.is_busy);
        self.settle().await?;
        let mut taken = 0;
        while taken < limit {
            let most = usize::try_from(limit - taken).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let Some(bytes) = data.next(most).await else { return Ok((taken, None)) };
            assert!(bytes.len() <= most, "a stream gives no more than it is asked for");
            self.take(&bytes)?;
            taken += bytes.len() as u64;
        }
        Ok((taken, Some(data)))
    }

    async fn digest(&self) -> Result<Digest> {
        let _busy = Busy::take(&self.is_busy);
        self.settle().await?;
        let mut own = self.state.borrow_mut().own.take().expect("`settle` has made it");
        let found = self.hash(&mut own, Algorithm::Sha256).await;
        self.state.borrow_mut().own = Some(own);
        found
    }

    async fn restart(&self) -> Result<()> {
        let _busy = Busy::take(&self.is_busy);
        self.forget(true)
    }

    async fn commit(self, expected: &Digest, size: u64) -> Result<Blob> {
        let committed = self.finish(expected, size).await;
        // The outcome is what it is, also if a file of somebody else cannot be removed.
        let _ = if committed.is_ok() { self.retire(None) } else { self.forget(true) };
        committed
    }

    async fn discard(self) -> Result<()> {
        self.forget(false)
    }
}

impl<S> Drop for Ingest<S> {
    /// A file that has less than where it was copied from is of no use.
    fn drop(&mut self) {
        let State { own, source } = self.state.take();
        if let Some(own) = own
            && (own.length == 0 || source.is_some_and(|source| own.length < source.length))
        {
            let _ = self.store.disk.remove(&own.below);
        }
    }
}

impl<S> fmt::Debug for Ingest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("offset", &self.offset).finish_non_exhaustive()
    }
}
