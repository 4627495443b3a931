//! Bytes on their way through this component. Unlike in wharf's own host they do
//! enter its memory here, one chunk at a time.

use crate::host::Blob as _;
use crate::nouns::problem::ErrorCode;
use crate::portable::{Blob, Chunks, Hasher};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Read;
use std::rc::Rc;
use wit_bindgen::StreamReader;
use wit_bindgen::rt::async_support::StreamResult;

/// How many bytes are asked for at once: what one read of a socket brings is less.
const READ_BYTES_MAX: usize = 256 << 10;

/// See `Host::Stream`.
pub(super) enum Stream {
    /// The body of a response.
    Body(StreamReader<u8>),
    /// A file, or standard input. It is read on the spot.
    File(Box<dyn Read>),
    /// What is in memory already.
    Bytes(VecDeque<u8>),
    /// A part of a blob.
    Part(Box<Part>),
}

/// A part of a blob on its way out.
pub(super) struct Part {
    blob: Blob,
    offset: u64,
    left: u64,
    /// There if all of it goes.
    hasher: Option<Hasher>,
    pub(super) account: Rc<Account>,
}

/// How far a part is, and why it has ended too early if it has.
#[derive(Default)]
pub(super) struct Account {
    pub(super) taken: Cell<u64>,
    pub(super) failed: RefCell<Option<ErrorCode>>,
}

impl Part {
    pub(super) fn of(blob: &Blob, offset: u64, length: u64) -> Self {
        let is_whole = offset == 0 && length == blob.size();
        let hasher = is_whole.then(|| Hasher::new(blob.digest().algorithm()));
        Self { blob: blob.clone(), offset, left: length, hasher, account: Rc::default() }
    }

    async fn next(&mut self, most: usize) -> Result<Option<Vec<u8>>, ErrorCode> {
        let length = self.left.min(most.min(READ_BYTES_MAX) as u64);
        if length == 0 {
            return Ok(None);
        }
        let bytes = self.blob.read(self.offset, length).await?;
        if bytes.is_empty() {
            return Err(ErrorCode::SizeMismatch(self.blob.size()));
        }
        (self.offset, self.left) = (self.offset + bytes.len() as u64, self.left - bytes.len() as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes);
        }
        // Before the last bytes are gone: a blob that the disk has changed does not arrive.
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
        {
            let found = hasher.finish();
            if found != *self.blob.digest() {
                return Err(ErrorCode::DigestMismatch(found));
            }
        }
        Ok(Some(bytes))
    }
}

impl Chunks for Stream {
    async fn next(&mut self, most: usize) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => {
                let taken = bytes.len().min(most);
                (taken > 0).then(|| bytes.drain(..taken).collect())
            }
            Self::Part(part) => match part.next(most).await {
                Ok(bytes) => {
                    let taken = &part.account.taken;
                    taken.set(taken.get() + bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
                    bytes
                }
                Err(code) => {
                    part.account.failed.replace(Some(code));
                    None
                }
            },
            Self::File(file) => {
                let mut chunk = vec![0; most.min(READ_BYTES_MAX)];
                // What cannot be read has ended too early, which the archive tells.
                let length = file.read(&mut chunk).unwrap_or(0);
                chunk.truncate(length);
                (length > 0).then_some(chunk)
            }
            Self::Body(body) => loop {
                let (result, chunk) = body.read(Vec::with_capacity(most.min(READ_BYTES_MAX))).await;
                match result {
                    _ if !chunk.is_empty() => return Some(chunk),
                    StreamResult::Complete(_) => {}
                    StreamResult::Dropped | StreamResult::Cancelled => return None,
                }
            },
        }
    }
}
