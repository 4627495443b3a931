//! The content store in memory: blobs, ingests and who holds them.
//!
//! It keeps to `wit/content.wit` in what callers can see: an ingest has one
//! holder, keeps its bytes when it is dropped, and becomes a blob only if size
//! and digest are right. It does not remove anything by itself.

use super::{Call, Memory, clock::Clock, locks::Locks, stream::Stream};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use wharf_component::{
    host::{self, Result, Unfinished},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
};

/// The limit of `content.blob.read`.
const READ_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The longest name of an ingest.
const NAME_SIZE_BYTES_MAX: usize = 4_096;
/// So many ingests are listed at once.
const INGESTS_MAX: usize = 1_000;

/// What is on the disk, so to speak: it survives [`Memory::restart`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Verified bytes, by digest.
    pub blobs: BTreeMap<String, Rc<[u8]>>,
    /// Bytes that have arrived, by the ingest's name.
    pub ingests: BTreeMap<String, Vec<u8>>,
}

/// The store of one machine that runs.
#[derive(Debug, Default)]
pub struct Content {
    pub(super) disk: RefCell<Disk>,
    /// The blobs whose names are durable: a power cut leaves these.
    pub(super) durable: RefCell<BTreeMap<String, Rc<[u8]>>>,
    /// The ingests that somebody holds.
    held: Locks<String>,
    /// The blobs that somebody has for himself. Nobody holds these.
    pub(super) claimed: Locks<String>,
    pins: RefCell<BTreeMap<String, usize>>,
    /// When something last arrived for an ingest, in milliseconds.
    arrived: RefCell<BTreeMap<String, u64>>,
}

impl Content {
    /// What is on the disk is taken to have just arrived.
    pub(super) fn new(disk: Disk, now_ms: u64) -> Self {
        let durable = RefCell::new(disk.blobs.clone());
        let arrived = RefCell::new(disk.ingests.keys().map(|name| (name.clone(), now_ms)).collect());
        Self { disk: RefCell::new(disk), durable, arrived, ..Self::default() }
    }

    /// Makes the names of all blobs that are visible durable.
    pub(super) fn anchor(&self) {
        self.durable.replace(self.disk.borrow().blobs.clone());
    }

    /// Whether nobody holds this blob, or has it for himself.
    pub fn is_free(&self, digest: &str) -> bool {
        !self.pins.borrow().contains_key(digest) && !self.claimed.has(&digest.to_owned())
    }

    /// The names of the ingests that somebody holds.
    pub fn ingests_held(&self) -> Vec<String> {
        self.held.taken()
    }

    /// What is visible now.
    pub fn visible(&self) -> Disk {
        self.disk.borrow().clone()
    }

    /// The bytes that are visible under a digest.
    pub fn bytes(&self, digest: &str) -> Option<Rc<[u8]>> {
        self.disk.borrow().blobs.get(digest).cloned()
    }

    /// Changes the bytes of a blob behind everybody's back, as a disk does.
    pub fn harm(&self, digest: &str, bytes: &[u8]) {
        for blobs in [&mut self.disk.borrow_mut().blobs, &mut *self.durable.borrow_mut()] {
            if let Some(blob) = blobs.get_mut(digest) {
                *blob = Rc::from(bytes);
            }
        }
    }

    /// Removes a blob, as collection does.
    ///
    /// Fails with [`ErrorCode::InUse`] while anybody holds a handle or a claim.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        if !self.is_free(digest.as_str()) {
            return Err(ErrorCode::InUse);
        }
        self.disk.borrow_mut().blobs.remove(&digest.to_string());
        Ok(())
    }

    pub(super) fn entries(&self, after: Option<&Digest>, limit: u32) -> Vec<(Digest, u64)> {
        let disk = self.disk.borrow();
        let later = disk.blobs.iter().filter(|(name, _)| after.is_none_or(|after| name.as_str() > after.as_str()));
        let named = later.map(|(name, bytes)| (name.parse().expect("blobs have digests"), bytes.len() as u64));
        named.take(limit as usize).collect()
    }

    pub(super) async fn hold(self: &Rc<Self>, memory: &Memory, name: &str) -> Result<Ingest> {
        if name.len() > NAME_SIZE_BYTES_MAX {
            return Err(ErrorCode::Invalid);
        }
        self.held.free(&name.to_owned()).await;
        self.held.take(name.to_owned());
        if !self.disk.borrow().ingests.contains_key(name) {
            self.fill(memory, name, Vec::new());
        }
        memory.process.push_handle();
        Ok(Ingest {
            memory: memory.clone(),
            name: name.to_owned(),
            appending: Cell::new(false),
            restarts: Rc::default(),
        })
    }

    /// Gives an ingest these bytes.
    fn fill(&self, memory: &Memory, name: &str, bytes: Vec<u8>) {
        self.arrived.borrow_mut().insert(name.to_owned(), memory.inner.clock.now_ms());
        self.disk.borrow_mut().ingests.insert(name.to_owned(), bytes);
    }

    pub(super) fn ingests(&self, now_ms: u64, after: Option<&str>, limit: u32) -> Vec<Unfinished> {
        let (disk, arrived) = (self.disk.borrow(), self.arrived.borrow());
        let described = disk.ingests.iter().map(|(name, bytes)| Unfinished {
            key: key_of(name),
            name: Some(name.clone()),
            size: bytes.len() as u64,
            age_s: arrived.get(name).map_or(0, |arrived_ms| (now_ms - arrived_ms) / 1_000),
            held: self.held.has(name),
        });
        let mut later: Vec<_> =
            described.filter(|ingest| after.is_none_or(|after| ingest.key.as_str() > after)).collect();
        later.sort_by(|one, other| one.key.cmp(&other.key));
        later.truncate(INGESTS_MAX.min(limit as usize));
        later
    }

    pub(super) fn discard(&self, key: &str) -> Result<()> {
        if format!("sha256:{key}").parse::<Digest>().is_err() {
            return Err(ErrorCode::Invalid);
        }
        let name = self.disk.borrow().ingests.keys().find(|name| key_of(name) == key).cloned();
        match name {
            Some(name) if self.held.has(&name) => Err(ErrorCode::InUse),
            Some(name) => {
                self.disk.borrow_mut().ingests.remove(&name);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The key of the ingest that has this name.
fn key_of(name: &str) -> String {
    digest_of(name.as_bytes()).as_str().trim_start_matches("sha256:").to_owned()
}

/// See `content.ingest`.
#[derive(Debug)]
pub struct Ingest {
    memory: Memory,
    name: String,
    appending: Cell<bool>,
    /// How often it was begun again.
    restarts: Rc<Cell<u64>>,
}

impl Ingest {
    /// Its name and how often it was begun again, for who follows it.
    pub(super) fn followed(&self) -> (String, Rc<Cell<u64>>) {
        (self.name.clone(), self.restarts.clone())
    }

    fn store(&self) -> &Rc<Content> {
        &self.memory.inner.content
    }

    fn forget(&self) -> Vec<u8> {
        self.store().disk.borrow_mut().ingests.remove(&self.name).unwrap_or_default()
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        let store = self.store();
        let is_empty = store.disk.borrow().ingests.get(&self.name).is_some_and(Vec::is_empty);
        if is_empty && !self.memory.process.is_dead.get() {
            self.forget();
        }
        store.held.release(&self.name);
    }
}

/// Takes the mark off when an append is dropped half-way.
struct Appending<'a>(&'a Cell<bool>);

impl Drop for Appending<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl host::Ingest for Ingest {
    type Stream = Stream;
    type Blob = Blob;

    fn offset(&self) -> u64 {
        self.store().disk.borrow().ingests.get(&self.name).map_or(0, |bytes| bytes.len() as u64)
    }

    async fn append(&self, mut data: Stream, limit: u64) -> Result<(u64, Option<Stream>)> {
        assert!(!self.appending.replace(true), "trap: two appends on the ingest `{}`", self.name);
        let _appending = Appending(&self.appending);
        if let Err(code) = self.memory.step(Call::Append, &self.name).await {
            // What a full disk does: the ingest is empty again.
            self.store().fill(&self.memory, &self.name, Vec::new());
            return Err(code);
        }
        let mut taken = 0;
        while taken < limit {
            let room = usize::try_from(limit - taken).unwrap_or(usize::MAX);
            let Some(chunk) = data.next(room).await else { return Ok((taken, None)) };
            taken += chunk.len() as u64;
            let mut bytes = self.store().disk.borrow_mut().ingests.remove(&self.name).unwrap_or_default();
            bytes.extend_from_slice(&chunk);
            self.store().fill(&self.memory, &self.name, bytes);
        }
        let finished = data.finished().await;
        Ok((taken, (!finished).then_some(data)))
    }

    async fn digest(&self) -> Result<Digest> {
        let digest = async {
            let disk = self.store().disk.borrow();
            Ok(Digest::of(Algorithm::Sha256, disk.ingests.get(&self.name).map_or(&[][..], Vec::as_slice)))
        };
        self.memory.call(Call::Digest, &self.name, digest).await
    }

    async fn restart(&self) -> Result<()> {
        let restart = async {
            self.restarts.set(self.restarts.get() + 1);
            self.store().fill(&self.memory, &self.name, Vec::new());
            Ok(())
        };
        self.memory.call(Call::Restart, &self.name, restart).await
    }

    async fn commit(self, expected: &Digest, size: u64) -> Result<Blob> {
        self.memory.call(Call::CommitIngest, expected.as_str(), self.publish(expected, size)).await.inspect_err(|_| {
            // Whatever the outcome, the ingest is gone.
            self.forget();
        })
    }

    async fn discard(self) -> Result<()> {
        let discard = async {
            self.forget();
            Ok(())
        };
        self.memory.call(Call::Discard, &self.name, discard).await
    }
}

impl Ingest {
    async fn publish(&self, expected: &Digest, size: u64) -> Result<Blob> {
        let (memory, store, name) = (&self.memory, self.store(), expected.as_str());
        let bytes = store.disk.borrow().ingests.get(&self.name).cloned().unwrap_or_default();
        if bytes.len() as u64 != size {
            return Err(ErrorCode::SizeMismatch(bytes.len() as u64));
        }
        let found = Digest::of(expected.algorithm(), &bytes);
        if found != *expected {
            return Err(ErrorCode::DigestMismatch(found));
        }
        memory.step(Call::Synced, name).await?;
        // Who has the blob that is there lets go of it, or removes it.
        store.claimed.free(&name.to_owned()).await;
        let there = store.disk.borrow().blobs.get(name).map(|there| there.len() as u64);
        if there.is_some_and(|there| there != size) {
            // The bytes are verified, so what is there is damaged.
            store.remove(expected)?;
        }
        self.forget();
        store.disk.borrow_mut().blobs.entry(name.to_owned()).or_insert_with(|| bytes.into());
        // Nobody can take it before this handle is there.
        let blob = memory.pin_blob(expected)?;
        memory.step(Call::Renamed, name).await?;
        let named = store.disk.borrow().blobs.get(name).cloned();
        store.durable.borrow_mut().extend(named.map(|bytes| (name.to_owned(), bytes)));
        memory.step(Call::Named, name).await?;
        Ok(blob)
    }
}

impl Memory {
    pub(super) async fn open_blob(&self, digest: &Digest) -> Result<Blob> {
        self.wait(&self.inner.content.claimed, &digest.to_string()).await;
        self.pin_blob(digest)
    }

    /// Opens a blob that nobody has for himself.
    fn pin_blob(&self, digest: &Digest) -> Result<Blob> {
        let (key, content) = (digest.to_string(), &self.inner.content);
        let bytes = content.disk.borrow().blobs.get(&key).cloned().ok_or(ErrorCode::NotFound)?;
        *content.pins.borrow_mut().entry(key.clone()).or_default() += 1;
        self.process.push_handle();
        Ok(Blob { memory: self.clone(), key, bytes })
    }
}

/// See `content.blob`. Counted, so that a removal can refuse.
#[derive(Debug)]
pub struct Blob {
    memory: Memory,
    key: String,
    bytes: Rc<[u8]>,
}

impl Blob {
    pub(super) fn name(&self) -> &str {
        &self.key
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        let mut pins = self.memory.inner.content.pins.borrow_mut();
        let count = pins.get_mut(&self.key).expect("an open blob is counted");
        *count -= 1;
        if *count == 0 {
            pins.remove(&self.key);
        }
    }
}

impl host::Blob for Blob {
    fn size(&self) -> u64 {
        self.memory.inner.tally.note("content.blob.size");
        self.bytes.len() as u64
    }

    async fn verify(&self) -> Result<()> {
        self.memory.inner.tally.note("content.blob.verify");
        let verify = async {
            let known: Digest = self.key.parse().expect("blobs have digests");
            match Digest::of(known.algorithm(), &self.bytes) {
                found if found == known => Ok(()),
                found => Err(ErrorCode::DigestMismatch(found)),
            }
        };
        self.memory.call(Call::Verify, &self.key, verify).await
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.memory.inner.tally.note("content.blob.read");
        self.memory.step(Call::Read, &self.key).await?;
        if length > READ_SIZE_BYTES_MAX {
            return Err(ErrorCode::TooLarge(READ_SIZE_BYTES_MAX));
        }
        let size = self.bytes.len();
        let start = usize::try_from(offset).unwrap_or(size).min(size);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(size)).min(size);
        Ok(self.bytes[start..end].to_vec())
    }
}

/// The digest of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// A stream that is no response.
pub(super) fn literal(clock: &Clock, bytes: Vec<u8>) -> Stream {
    Stream::new(clock, bytes.into(), super::stream::Pace { chunk: usize::MAX, wait_ms: 0 }, None)
}
