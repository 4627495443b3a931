//! Manifests and indexes in memory, for as long as one verb runs: from the
//! content store if they are there, else from the registry. It decides nothing
//! about what is in them, and stores nothing.

use super::failing::{because, fail, invalid};
use crate::{
    host::{Blob, Host},
    nouns::{descriptor::Descriptor, digest::Digest, json::DOCUMENT_BYTES_MAX, manifest::Document, problem::ErrorCode},
    registry::{Failure, Repository},
};
use std::{cell::Cell, rc::Rc};

/// What the documents of one verb may weigh together. Those of a usual index
/// with twenty platforms have 100 KiB.
const TOGETHER_BYTES_MAX: u64 = 16 << 20;

/// A document, and a handle on it if the content store has it.
pub(super) struct Held<B> {
    /// Type, digest and size; nothing else is set.
    pub(super) descriptor: Descriptor,
    pub(super) document: Document,
    pub(super) bytes: Vec<u8>,
    pub(super) blob: Option<B>,
}

/// Where documents come from.
pub(super) struct Documents<'r, 'h, H: Host> {
    host: &'h H,
    repository: &'r Repository<'h, H>,
    weight: Cell<u64>,
    fetched: Cell<u64>,
}

impl<'r, 'h, H: Host> Documents<'r, 'h, H> {
    pub(super) fn new(host: &'h H, repository: &'r Repository<'h, H>) -> Self {
        Self { host, repository, weight: Cell::new(0), fetched: Cell::new(0) }
    }

    /// How many bytes came over the network.
    pub(super) fn fetched(&self) -> u64 {
        self.fetched.get()
    }

    /// Asks the registry for what a tag or a digest points to now.
    pub(super) async fn ask(&self, which: &str) -> Result<Rc<Held<H::Blob>>, Failure> {
        let fetched = self.repository.manifest(which).await?;
        self.fetched.set(self.fetched.get() + fetched.bytes.len() as u64);
        self.weigh(fetched.bytes.len())?;
        let blob = find(self.host, &fetched.descriptor).await?;
        let (descriptor, document, bytes) = (fetched.descriptor, fetched.document, fetched.bytes);
        Ok(Rc::new(Held { descriptor, document, bytes, blob }))
    }

    /// Returns what a descriptor points to.
    pub(super) async fn get(&self, what: &Descriptor) -> Result<Rc<Held<H::Blob>>, Failure> {
        if let Some(held) = self.local(what).await? {
            return Ok(held);
        }
        let held = self.ask(what.digest.as_str()).await?;
        if held.descriptor.size != what.size {
            let found = held.descriptor.size;
            let why = format!("`{}` has {found} bytes, and {} were promised", what.digest, what.size);
            return Err(fail(ErrorCode::SizeMismatch(found), why));
        }
        Ok(held)
    }

    /// Returns what a descriptor points to, if the content store has it.
    pub(super) async fn local(&self, what: &Descriptor) -> Result<Option<Rc<Held<H::Blob>>>, Failure> {
        let Some(blob) = find(self.host, what).await? else { return Ok(None) };
        let held = read(what, blob).await?;
        self.weigh(held.bytes.len())?;
        Ok(Some(Rc::new(held)))
    }

    fn weigh(&self, bytes: usize) -> Result<(), Failure> {
        self.weight.set(self.weight.get() + bytes as u64);
        if self.weight.get() > TOGETHER_BYTES_MAX {
            let why = format!("the manifests that are wanted have more than {TOGETHER_BYTES_MAX} bytes together");
            return Err(fail(ErrorCode::TooLarge(TOGETHER_BYTES_MAX), why));
        }
        Ok(())
    }
}

/// Opens a blob if the content store has it.
pub(super) async fn find<H: Host>(host: &H, what: &Descriptor) -> Result<Option<H::Blob>, Failure> {
    match host.open(&what.digest).await {
        Ok(blob) if blob.size() == what.size => Ok(Some(blob)),
        Ok(blob) => {
            let why = format!("`{}` has {} bytes, and {} were promised", what.digest, blob.size(), what.size);
            Err(fail(ErrorCode::SizeMismatch(blob.size()), why))
        }
        Err(ErrorCode::NotFound) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Reads a manifest or an index.
pub(super) async fn read<B: Blob>(what: &Descriptor, blob: B) -> Result<Held<B>, Failure> {
    let bytes = bytes(&what.digest, &blob).await?;
    let document = Document::parse(&bytes, Some(&what.media_type))
        .map_err(|error| because(format!("`{}` is not usable", what.digest))(invalid(error)))?;
    let descriptor = Descriptor::new(document.media_type(), what.digest.clone(), bytes.len() as u64);
    Ok(Held { descriptor, document, bytes, blob: Some(blob) })
}

/// Reads a whole blob that is a document.
pub(super) async fn bytes<B: Blob>(digest: &Digest, blob: &B) -> Result<Vec<u8>, Failure> {
    let limit = DOCUMENT_BYTES_MAX as u64;
    if blob.size() > limit {
        let why = format!("`{digest}` has {} bytes; a document has at most {limit}", blob.size());
        return Err(fail(ErrorCode::TooLarge(limit), why));
    }
    Ok(blob.read(0, blob.size()).await?)
}
