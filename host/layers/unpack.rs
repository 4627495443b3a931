//! Unpacks one layer: two threads, one that inflates and hashes and one that writes files, with a few buffers between.
//!
//! ```text
//! source ─► inflate ─┬─► sha256 = DiffID        (this thread's child)
//!                    └─► buffers ─► archive ─► apply ─► private directory
//! ```
//!
//! The tree is private until [`Unpacked::publish`], which compares the DiffID. A failure leaves nothing behind.

use super::apply::{self, Applied, Budget};
use super::archive::Archive;
use super::inflate::{self, Inflate};
use super::{Error, Layer, Layers, Nascent};
use crate::hash::{Algorithm, Digest, Hasher};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// The size of a buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// How many of them are on their way from one thread to the other.
const BUFFERS: usize = 4;

/// A layer whose tree is whole and which nobody sees yet. Dropping it removes the tree.
#[derive(Debug)]
pub struct Unpacked {
    pub(super) nascent: Nascent,
    pub(super) applied: Applied,
    pub(super) whole: Whole,
}

/// What was uncompressed, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// What it hashes to.
    pub(super) diff_id: Digest,
    /// How many bytes that were.
    pub(super) bytes: u64,
}

impl Unpacked {
    /// Makes it a layer.
    ///
    /// Fails with [`Error::DigestMismatch`] if its DiffID is not `expected`.
    pub fn publish(self, expected: &Digest) -> Result<Layer, Error> {
        let Self { nascent, applied, whole } = self;
        if whole.diff_id != *expected {
            return Err(Error::DigestMismatch { expected: Box::new(*expected), actual: Box::new(whole.diff_id) });
        }
        nascent.publish(expected, applied)
    }
}

/// Unpacks what `source` has into a private directory. Ends soon after `stop` is set.
pub fn unpack(
    layers: &Layers,
    source: impl Read + Send,
    budget: &Budget,
    stop: &AtomicBool,
) -> Result<Unpacked, Error> {
    let nascent = layers.begin()?;
    let stopped = || stop.load(Ordering::Relaxed);
    let (applied, whole) = reading(source, stop, |bytes| {
        let mut archive = Archive::new(bytes);
        let applied = apply::apply(&mut archive, nascent.tree(), layers.rights(), budget, &stopped)?;
        archive.finish(budget.bytes)?;
        Ok(applied)
    })?;
    Ok(Unpacked { nascent, applied, whole })
}

/// Inflates `source` on a thread of its own, while `read` takes what comes of it to its end. Returns what `read` does, and
/// what the uncompressed bytes were. Ends soon after `stop` is set.
pub(super) fn reading<T>(
    source: impl Read + Send,
    stop: &AtomicBool,
    read: impl FnOnce(Buffers<'_>) -> Result<T, Error>,
) -> Result<(T, Whole), Error> {
    let (full, arriving) = sync_channel(BUFFERS);
    let (spent, empty) = sync_channel(BUFFERS + 2);
    let failure = RefCell::new(None);
    thread::scope(|scope| {
        let inflating = thread::Builder::new()
            .name("inflate".to_owned())
            .spawn_scoped(scope, move || inflate(source, &full, &empty))
            .map_err(Error::io("cannot start a thread"))?;
        let outcome = read(Buffers { arriving, spent, current: Buffer::default(), failure: &failure, stop });
        // The buffers are gone, so that it ends.
        let whole = inflating.join().expect("inflating does not panic");
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        // What is wrong with the bytes comes before what that meant for the archive.
        match (failure.take(), outcome, whole) {
            (Some(error), ..) | (None, Err(error), _) => Err(error),
            (None, Ok(outcome), Some(whole)) => Ok((outcome, whole)),
            (None, Ok(_), None) => unreachable!("the archive was read to its end, or somebody failed"),
        }
    })
}

/// Inflates and hashes to the end, into buffers that come back empty. Returns what they were, unless it failed or nobody wants
/// the bytes any more.
fn inflate(source: impl Read, full: &SyncSender<Result<Buffer, Error>>, empty: &Receiver<Buffer>) -> Option<Whole> {
    let (mut hasher, mut bytes) = (Hasher::new(Algorithm::Sha256), 0);
    let inflated = (|| {
        let mut inflate = Inflate::new(BufReader::with_capacity(BUFFER_BYTES, source))?;
        loop {
            let mut buffer = empty.try_recv().unwrap_or_else(|_| Buffer::with_capacity(BUFFER_BYTES));
            match buffer.fill(&mut inflate)? {
                0 => return Ok(true),
                _ => hasher.update(buffer.rest()),
            }
            bytes += buffer.rest().len() as u64;
            if full.send(Ok(buffer)).is_err() {
                return Ok(false);
            }
        }
    })();
    match inflated {
        Ok(is_whole) => is_whole.then(|| Whole { diff_id: hasher.finish(), bytes }),
        Err(error) => {
            // If nobody hears it, the other thread has failed by itself.
            let _ = full.send(Err(refusal(error)));
            None
        }
    }
}

fn refusal(error: io::Error) -> Error {
    match inflate::Error::of(&error) {
        Some(refusal) => Error::Compression(refusal.to_string()),
        None => Error::io("cannot read the layer")(error),
    }
}

/// Bytes, of which some have been taken.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Buffer {
    fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], filled: 0, taken: 0 }
    }

    /// Replaces what is in it by what `reader` has next. Returns how many bytes that are.
    fn fill(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        (self.filled, self.taken) = (0, 0);
        self.filled = loop {
            match reader.read(&mut self.bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        Ok(self.filled)
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.filled]
    }
}

/// The reader's end of the buffers.
pub(super) struct Buffers<'f> {
    arriving: Receiver<Result<Buffer, Error>>,
    spent: SyncSender<Buffer>,
    current: Buffer,
    /// What the writer's end failed of. A reader hears only that it did.
    failure: &'f RefCell<Option<Error>>,
    stop: &'f AtomicBool,
}

impl BufRead for Buffers<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.rest().is_empty() {
            // A long skip asks nobody else.
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("the work was stopped"));
            }
            match self.arriving.recv() {
                Ok(Ok(buffer)) => {
                    let spent = std::mem::replace(&mut self.current, buffer);
                    if !spent.bytes.is_empty() {
                        // One too many is not needed, and neither is any for a writer that has ended.
                        let _ = self.spent.try_send(spent);
                    }
                }
                Ok(Err(error)) => {
                    *self.failure.borrow_mut() = Some(error);
                    return Err(io::Error::other("the layer does not decompress"));
                }
                // The writer has ended, and told so before if it failed.
                Err(_) if self.failure.borrow().is_some() => {
                    return Err(io::Error::other("the layer does not decompress"));
                }
                Err(_) => {}
            }
        }
        Ok(self.current.rest())
    }

    fn consume(&mut self, amount: usize) {
        self.current.taken += amount;
    }
}

impl Read for Buffers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
