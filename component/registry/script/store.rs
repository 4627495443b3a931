//! A content store in memory. It checks what a real one traps on.

use super::{ScriptStream, clock::Clock};
use crate::{
    host::{Blob, Claim, Extraction, Ingest, Layer, Made, Result, Snapshot, Transaction, TreeClaim},
    nouns::{digest::Digest, problem::ErrorCode},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

/// What there is, verified and not.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) blobs: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) ingests: RefCell<BTreeMap<String, Vec<u8>>>,
    /// What each of the next calls of `ingest` finds finished when it returns.
    pub(super) finished_meanwhile: RefCell<VecDeque<Option<Vec<u8>>>>,
    /// For how long the next call of `ingest` waits for somebody else.
    pub(super) held_ms: Cell<u64>,
    /// Whether nothing can be written.
    pub(super) is_full: Cell<bool>,
    pub(super) log: RefCell<Vec<String>>,
}

impl Store {
    fn log(&self, text: impl Into<String>) {
        self.log.borrow_mut().push(text.into());
    }
}

/// An upload.
#[derive(Debug)]
pub(crate) struct ScriptIngest {
    pub(super) name: String,
    pub(super) store: Rc<Store>,
    pub(super) clock: Rc<Clock>,
    pub(super) busy: Cell<bool>,
}

/// A real host traps on what this asserts.
struct Busy<'a>(&'a Cell<bool>);

impl<'a> Busy<'a> {
    fn take(busy: &'a Cell<bool>) -> Self {
        assert!(!busy.replace(true), "one append at a time");
        Busy(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Ingest for ScriptIngest {
    type Stream = ScriptStream;
    type Blob = ScriptBlob;

    fn offset(&self) -> u64 {
        self.store.ingests.borrow()[&self.name].len() as u64
    }

    async fn append(&self, mut data: ScriptStream, limit: u64) -> Result<(u64, Option<ScriptStream>)> {
        let _busy = Busy::take(&self.busy);
        if self.store.is_full.get() {
            return Err(ErrorCode::NoSpace);
        }
        let mut taken = 0;
        while taken < limit {
            let Some(bytes) = data.next(&self.clock, (limit - taken) as usize).await else { return Ok((taken, None)) };
            taken += bytes.len() as u64;
            self.store.ingests.borrow_mut().get_mut(&self.name).expect("an ingest is held").extend(bytes);
        }
        Ok((taken, Some(data)))
    }

    async fn restart(&self) -> Result<()> {
        let _busy = Busy::take(&self.busy);
        self.store.log("restart");
        self.store.ingests.borrow_mut().insert(self.name.clone(), vec![]);
        Ok(())
    }

    async fn commit(self, expected: &Digest, size: u64) -> Result<ScriptBlob> {
        let _busy = Busy::take(&self.busy);
        self.store.log("commit");
        let bytes = self.store.ingests.borrow_mut().remove(&self.name).expect("an ingest is held");
        if bytes.len() as u64 != size {
            return Err(ErrorCode::SizeMismatch(bytes.len() as u64));
        }
        if !expected.verify(&bytes) {
            return Err(ErrorCode::DigestMismatch(Digest::of(expected.algorithm(), &bytes)));
        }
        self.store.blobs.borrow_mut().insert(expected.to_string(), bytes.clone());
        Ok(ScriptBlob(bytes))
    }

    async fn discard(self) -> Result<()> {
        self.store.log("discard");
        self.store.ingests.borrow_mut().remove(&self.name);
        Ok(())
    }
}

/// Verified bytes.
#[derive(Debug)]
pub(crate) struct ScriptBlob(pub(crate) Vec<u8>);

impl Blob for ScriptBlob {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let start = self.0.len().min(offset as usize);
        let end = self.0.len().min(start + length as usize);
        Ok(self.0[start..end].to_vec())
    }

    async fn verify(&self) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }
}

/// Nothing is extracted, so there is never one of these.
#[derive(Debug)]
pub(crate) enum NoLayer {}

impl Layer for NoLayer {
    fn usage(&self) -> (u64, u64) {
        match *self {}
    }

    fn warnings(&self) -> Vec<String> {
        match *self {}
    }

    async fn verify(&self) -> Made<()> {
        match *self {}
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        match *self {}
    }

    async fn rebuild(&self) -> Made<()> {
        match *self {}
    }
}

impl Snapshot for NoLayer {
    fn parent(&self) -> Option<String> {
        match *self {}
    }

    fn layer(&self) -> Option<Digest> {
        match *self {}
    }

    fn usage(&self) -> (u64, u64) {
        match *self {}
    }

    async fn verify(&self) -> Made<()> {
        match *self {}
    }
}

impl Extraction for NoLayer {
    type Blob = ScriptBlob;
    type Layer = NoLayer;

    async fn finish(self, _: &ScriptBlob, _: &Digest) -> Made<NoLayer> {
        match self {}
    }
}

/// Nothing is collected, so there is never one of these.
#[derive(Debug)]
pub(crate) enum NoClaim {}

impl Claim for NoClaim {
    fn digests(&self) -> Vec<Digest> {
        match *self {}
    }

    async fn remove(self, _: &[Digest]) -> Result<u64> {
        match self {}
    }
}

impl TreeClaim for NoClaim {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        match *self {}
    }

    async fn remove(self, _: &[String], _: &[Digest]) -> Result<()> {
        match self {}
    }
}

/// The registry keeps no records, so there is never one of these.
#[derive(Debug)]
pub(crate) enum NoTransaction {}

impl Transaction for NoTransaction {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>> {
        match *self {}
    }

    async fn scan(&self, _: &str, _: &str, _: Option<&str>, _: u32) -> Result<Vec<(String, Vec<u8>)>> {
        match *self {}
    }

    async fn namespaces(&self, _: Option<&str>, _: u32) -> Result<Vec<String>> {
        match *self {}
    }

    fn put(&self, _: &str, _: &str, _: Vec<u8>) {
        match *self {}
    }

    fn delete(&self, _: &str, _: &str) {
        match *self {}
    }

    async fn commit(self) -> Result<()> {
        match self {}
    }
}
