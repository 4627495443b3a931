//! The content store in memory: blobs, ingests and who holds them.
//!
//! It keeps to `wit/content.wit` in what callers can see: an ingest has one
//! holder, keeps its bytes when it is dropped, and becomes a blob only if size
//! and digest are right. It does not remove anything by itself.

use super::{Call, Memory, clock::Clock, stream::Stream, tally::Tally};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    task::Waker,
};
use wharf_component::{
    host::{self, Result},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
};

/// The limit of `content.blob.read`.
const READ_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The limit of handles that a guest holds at once. One more is a trap.
const HANDLES_MAX: usize = 1_024;

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
    held: RefCell<BTreeMap<String, Vec<Waker>>>,
    pins: RefCell<BTreeMap<String, usize>>,
    handles: Cell<usize>,
    tally: Tally,
}

impl Content {
    pub(super) fn new(disk: Disk, tally: Tally) -> Self {
        Self { disk: RefCell::new(disk), tally, ..Self::default() }
    }

    pub(super) fn push_handle(&self) {
        self.handles.set(self.handles.get() + 1);
        assert!(self.handles.get() <= HANDLES_MAX, "trap: more than {HANDLES_MAX} handles");
    }

    pub(super) fn drop_handle(&self) {
        self.handles.set(self.handles.get() - 1);
    }

    /// Removes a blob, as collection does.
    ///
    /// Fails with [`ErrorCode::InUse`] while anybody holds a handle.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        if self.pins.borrow().contains_key(&digest.to_string()) {
            return Err(ErrorCode::InUse);
        }
        self.disk.borrow_mut().blobs.remove(&digest.to_string());
        Ok(())
    }

    pub(super) fn open(self: &Rc<Self>, digest: &Digest) -> Result<Blob> {
        let key = digest.to_string();
        let bytes = self.disk.borrow().blobs.get(&key).cloned().ok_or(ErrorCode::NotFound)?;
        *self.pins.borrow_mut().entry(key.clone()).or_default() += 1;
        self.push_handle();
        Ok(Blob { store: self.clone(), key, bytes })
    }

    pub(super) fn entries(&self, after: Option<&Digest>, limit: u32) -> Vec<(Digest, u64)> {
        let disk = self.disk.borrow();
        let later = disk.blobs.iter().filter(|(name, _)| after.is_none_or(|after| name.as_str() > after.as_str()));
        let named = later.map(|(name, bytes)| (name.parse().expect("blobs have digests"), bytes.len() as u64));
        named.take(limit as usize).collect()
    }

    pub(super) async fn hold(self: &Rc<Self>, memory: &Memory, name: &str) -> Result<Ingest> {
        std::future::poll_fn(|context| {
            let mut held = self.held.borrow_mut();
            match held.get_mut(name) {
                Some(waiting) => {
                    waiting.push(context.waker().clone());
                    std::task::Poll::Pending
                }
                None => {
                    held.insert(name.to_owned(), Vec::new());
                    std::task::Poll::Ready(())
                }
            }
        })
        .await;
        self.disk.borrow_mut().ingests.entry(name.to_owned()).or_default();
        self.push_handle();
        Ok(Ingest {
            memory: memory.clone(),
            name: name.to_owned(),
            appending: Cell::new(false),
            restarts: Rc::default(),
        })
    }
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
        self.store().drop_handle();
        let waiting = self.store().held.borrow_mut().remove(&self.name).unwrap_or_default();
        waiting.into_iter().for_each(Waker::wake);
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
        if let Err(code) = self.memory.before(Call::Append) {
            // What a full disk does: the ingest is empty again.
            self.store().disk.borrow_mut().ingests.insert(self.name.clone(), Vec::new());
            return Err(code);
        }
        let mut taken = 0;
        while taken < limit {
            let room = usize::try_from(limit - taken).unwrap_or(usize::MAX);
            let Some(chunk) = data.next(room).await else { return Ok((taken, None)) };
            taken += chunk.len() as u64;
            let mut disk = self.store().disk.borrow_mut();
            disk.ingests.entry(self.name.clone()).or_default().extend_from_slice(&chunk);
        }
        let finished = data.finished().await;
        Ok((taken, (!finished).then_some(data)))
    }

    async fn restart(&self) -> Result<()> {
        self.restarts.set(self.restarts.get() + 1);
        self.store().disk.borrow_mut().ingests.insert(self.name.clone(), Vec::new());
        Ok(())
    }

    async fn commit(self, expected: &Digest, size: u64) -> Result<Blob> {
        self.memory.before(Call::CommitIngest)?;
        let bytes = self.forget();
        if bytes.len() as u64 != size {
            return Err(ErrorCode::SizeMismatch(bytes.len() as u64));
        }
        let found = digest_of(&bytes);
        if found != *expected {
            return Err(ErrorCode::DigestMismatch(found));
        }
        let there = self.store().disk.borrow().blobs.get(expected.as_str()).map(|there| there.len() as u64);
        if there.is_some_and(|there| there != size) {
            // The bytes are verified, so what is there is damaged.
            self.store().remove(expected)?;
        }
        self.store().disk.borrow_mut().blobs.entry(found.to_string()).or_insert_with(|| bytes.into());
        self.store().open(expected)
    }

    async fn discard(self) -> Result<()> {
        self.forget();
        Ok(())
    }
}

/// See `content.blob`. Counted, so that a removal can refuse.
#[derive(Debug)]
pub struct Blob {
    store: Rc<Content>,
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
        self.store.drop_handle();
        let mut pins = self.store.pins.borrow_mut();
        let count = pins.get_mut(&self.key).expect("an open blob is counted");
        *count -= 1;
        if *count == 0 {
            pins.remove(&self.key);
        }
    }
}

impl host::Blob for Blob {
    fn size(&self) -> u64 {
        self.store.tally.note("content.blob.size");
        self.bytes.len() as u64
    }

    async fn verify(&self) -> Result<()> {
        self.store.tally.note("content.blob.verify");
        match digest_of(&self.bytes) {
            found if found.as_str() == self.key => Ok(()),
            found => Err(ErrorCode::DigestMismatch(found)),
        }
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.store.tally.note("content.blob.read");
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
