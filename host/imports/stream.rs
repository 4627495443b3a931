//! Streams of bytes between a guest's handles and the services.
//!
//! [`Chunks`] drains a guest's stream in the host; [`read`] serves bytes and
//! ranges of blobs as a stream. Neither looks at the bytes.

use crate::content;
use crate::engine::state::HasState;
use crate::engine::{Budget, Share};
use crate::hash::Hasher;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::component::{
    Access, Accessor, Destination, FutureReader, Source, StreamConsumer, StreamProducer, StreamReader, StreamResult,
};
use wasmtime::{AsContextMut, Result, StoreContextMut};
use wharf_vocabulary::types::ErrorCode;

/// The bytes that are copied out of a guest's write at once.
const CHUNK_BYTES_MAX: usize = 256 << 10;
/// Chunks that wait between the stream's producer and its consumer.
const CHUNKS_MAX: usize = 4;
/// The bytes that are passed over at once.
const PASSED_BYTES: usize = 1 << 20;
/// The bytes of a blob that are read at once.
const READ_BYTES: u64 = 256 << 10;

/// A guest's stream as chunks.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    /// What was received and not asked for yet.
    rest: Option<Bytes>,
    share: Share,
}

impl Chunks {
    /// Starts to drain `data`. Dropping the result closes the stream.
    pub(super) fn pipe<T: Send + 'static>(store: &mut Access<'_, T, HasState>, data: StreamReader<u8>) -> Result<Self> {
        // What was handed out before comes back as it was, so that a stream which is taken apart piece by piece does
        // not go through one more channel for each.
        let data = match data.try_into::<Rest>(&mut *store) {
            Ok(Rest { receiver, rest, share }) => return Ok(Self { receiver, rest, share }),
            Err(data) => data,
        };
        let share = store.get().budget.stream()?;
        Ok(Self { receiver: drain(&mut *store, data)?, rest: None, share })
    }

    /// Returns what there is, at least one byte and at most `bytes_max`, or
    /// `None` at the end of the stream.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Option<Vec<Bytes>> {
        let mut left = bytes_max;
        let mut batch = Vec::new();
        while left > 0 {
            let next = match self.rest.take() {
                Some(rest) => Some(rest),
                None if batch.is_empty() => self.receiver.recv().await,
                None => self.receiver.try_recv().ok(),
            };
            let Some(mut chunk) = next else { break };
            if chunk.len() > left {
                self.rest = Some(chunk.split_off(left));
            }
            left -= chunk.len();
            batch.push(chunk);
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Gives what was not taken back as a stream.
    pub(super) fn into_stream<T: Send + 'static>(self, mut store: Access<'_, T, HasState>) -> Result<StreamReader<u8>> {
        let Self { receiver, rest, share } = self;
        StreamReader::new(&mut store, Rest { receiver, rest, share })
    }

    /// Returns what was received, what is to come, and what the store counts the stream by.
    pub(super) fn into_parts(self) -> (Option<Bytes>, mpsc::Receiver<Bytes>, Share) {
        (self.rest, self.receiver, self.share)
    }
}

/// Takes the bytes of a guest's stream as fast as they are received. Dropping the result closes the stream.
pub(crate) fn drain(store: impl AsContextMut, data: StreamReader<u8>) -> Result<mpsc::Receiver<Bytes>> {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    data.pipe(store, Drain { sender: PollSender::new(sender) })?;
    Ok(receiver)
}

struct Drain {
    sender: PollSender<Bytes>,
}

impl<D> StreamConsumer<D> for Drain {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        match self.sender.poll_reserve(cx) {
            Poll::Ready(Ok(())) => {
                let mut source = source.as_direct(store);
                let remaining = source.remaining();
                let bytes = Bytes::copy_from_slice(&remaining[..remaining.len().min(CHUNK_BYTES_MAX)]);
                source.mark_read(bytes.len());
                // A write of no bytes asks whether there is room; there is.
                if !bytes.is_empty() && self.sender.send_item(bytes).is_err() {
                    return Poll::Ready(Ok(StreamResult::Dropped));
                }
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Serves what arrives in a channel. The store counts the stream by `share`.
pub(crate) fn serve(
    store: impl AsContextMut,
    receiver: mpsc::Receiver<Bytes>,
    share: Share,
) -> Result<StreamReader<u8>> {
    StreamReader::new(store, Rest { receiver, rest: None, share })
}

struct Rest {
    receiver: mpsc::Receiver<Bytes>,
    rest: Option<Bytes>,
    share: Share,
}

impl<D> StreamProducer<D> for Rest {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, u8, Bytes>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let next = match self.rest.take() {
            Some(rest) => Poll::Ready(Some(rest)),
            None => self.receiver.poll_recv(cx),
        };
        match next {
            Poll::Ready(Some(chunk)) => {
                give(&mut store, &mut destination, chunk, |rest| self.rest = Some(rest));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn try_into(me: Pin<Box<Self>>, wanted: TypeId) -> std::result::Result<Box<dyn Any>, Pin<Box<Self>>> {
        if wanted != TypeId::of::<Self>() {
            return Err(me);
        }
        let me: Box<Self> = Pin::into_inner(me);
        Ok(me)
    }
}

/// Hands `chunk` to whoever reads, as much as there is room for, and keeps what is
/// left: bytes that the runtime holds would be lost to [`Chunks::pipe`].
fn give<D>(
    store: &mut StoreContextMut<'_, D>,
    destination: &mut Destination<'_, u8, Bytes>,
    mut chunk: Bytes,
    keep: impl FnOnce(Bytes),
) {
    let room = destination.remaining(store.as_context_mut());
    if let Some(room) = room.filter(|room| *room < chunk.len()) {
        keep(chunk.split_off(room));
    }
    if !chunk.is_empty() {
        destination.set_buffer(chunk);
    }
}

/// Shows the next `length` bytes of a stream to `visit`. Returns how many there were, and the unread rest.
pub(super) async fn pass<T: Send + 'static>(
    store: &Accessor<T, HasState>,
    call: &'static str,
    data: StreamReader<u8>,
    length: u64,
    mut visit: impl FnMut(Bytes),
) -> Result<(u64, Option<StreamReader<u8>>)> {
    let mut chunks = store.with(|mut access| {
        access.get().crossings.note(call);
        Chunks::pipe(&mut access, data)
    })?;
    let mut passed = 0;
    while passed < length {
        let want = usize::try_from(length - passed).unwrap_or(usize::MAX).min(PASSED_BYTES);
        let Some(batch) = chunks.next(want).await else { return Ok((passed, None)) };
        for chunk in batch {
            passed += chunk.len() as u64;
            visit(chunk);
        }
    }
    let rest = store.with(|access| chunks.into_stream(access))?;
    Ok((passed, Some(rest)))
}

/// A part of what [`read`] serves.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    /// `length` bytes of the blob from `offset` on.
    Blob {
        blob: Arc<content::Blob>,
        offset: u64,
        length: u64,
        /// There if all bytes of the blob are served.
        hasher: Option<Box<Hasher>>,
    },
}

impl Piece {
    /// A range of a blob. One that is all of it is compared with its digest.
    pub(super) fn range(blob: Arc<content::Blob>, offset: u64, length: u64) -> Self {
        let is_whole = offset == 0 && length == blob.size();
        let hasher = is_whole.then(|| Box::new(Hasher::new(blob.digest().algorithm())));
        Self::Blob { blob, offset, length, hasher }
    }
}

/// A stream, and why it ended.
pub(super) type Served = (StreamReader<u8>, FutureReader<std::result::Result<(), ErrorCode>>);

/// Serves the pieces one after the other. The future says why the stream ended.
/// `share` is given back when it has.
pub(super) fn read<T: Send + 'static>(
    store: &mut Access<'_, T, HasState>,
    pieces: Vec<Piece>,
    share: Option<Share>,
) -> Result<Served> {
    count(store, pieces, share, Arc::default())
}

/// The same, and counts the bytes that have been taken.
pub(super) fn count<T: Send + 'static>(
    store: &mut Access<'_, T, HasState>,
    pieces: Vec<Piece>,
    share: Option<Share>,
    taken: Arc<AtomicU64>,
) -> Result<Served> {
    let budget = store.get().budget.clone();
    let shares = (budget.stream()?, share);
    let (ended, end) = oneshot::channel();
    let pieces =
        Pieces { pieces: pieces.into(), reading: None, kept: None, taken, ended: Some(ended), budget, _shares: shares };
    let stream = StreamReader::new(&mut *store, pieces)?;
    let end = FutureReader::new(&mut *store, async move {
        // A reader that goes away has what it wanted.
        Ok::<_, wasmtime::Error>(end.await.unwrap_or(Ok(())))
    })?;
    Ok((stream, end))
}

/// Bytes of a blob, and what they were hashed with.
type Read = std::result::Result<(Bytes, Option<Box<Hasher>>), ErrorCode>;

struct Pieces {
    pieces: VecDeque<Piece>,
    reading: Option<BoxFuture<'static, Read>>,
    kept: Option<Bytes>,
    taken: Arc<AtomicU64>,
    ended: Option<oneshot::Sender<std::result::Result<(), ErrorCode>>>,
    budget: Budget,
    _shares: (Share, Option<Share>),
}

impl Pieces {
    /// Gives the hasher of a blob to what is left of it, or compares it at the end.
    fn check(&mut self, hashed: Option<Box<Hasher>>) -> std::result::Result<(), ErrorCode> {
        let (Some(hashed), Some(Piece::Blob { blob, length, hasher, .. })) = (hashed, self.pieces.front_mut()) else {
            return Ok(());
        };
        if *length > 0 {
            *hasher = Some(hashed);
            return Ok(());
        }
        let (expected, actual) = (blob.digest(), hashed.finish());
        if actual == *expected { Ok(()) } else { Err(ErrorCode::DigestMismatch(actual.to_string())) }
    }

    /// Returns the next bytes, `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<std::result::Result<Bytes, ErrorCode>>> {
        if let Some(kept) = self.kept.take() {
            return Poll::Ready(Some(Ok(kept)));
        }
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                return Poll::Ready(Some(read.and_then(|(bytes, hasher)| self.check(hasher).map(|()| bytes))));
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Piece::Blob { length: 0, .. }) => {}
                Some(Piece::Blob { blob, offset, length, hasher }) => {
                    if offset.checked_add(length).is_none_or(|end| end > blob.size()) {
                        return Poll::Ready(Some(Err(ErrorCode::SizeMismatch(blob.size()))));
                    }
                    let now = length.min(READ_BYTES);
                    self.reading = Some(Box::pin(read_range(self.budget.clone(), blob.clone(), offset, now, hasher)));
                    let (offset, length) = (offset + now, length - now);
                    self.pieces.push_front(Piece::Blob { blob, offset, length, hasher: None });
                }
            }
        }
    }
}

/// Reads a range that is inside the blob.
async fn read_range(
    budget: Budget,
    blob: Arc<content::Blob>,
    offset: u64,
    length: u64,
    mut hasher: Option<Box<Hasher>>,
) -> Read {
    let share = budget.disk().await;
    let read = tokio::task::spawn_blocking(move || {
        let bytes = blob.read(offset, length);
        if let (Ok(bytes), Some(hasher)) = (&bytes, &mut hasher) {
            hasher.update(bytes);
        }
        // The bytes belong to the stream's share: its reader may take its time, and nobody has to wait for it.
        drop(share);
        bytes.map(|bytes| (Bytes::from(bytes), hasher))
    });
    Ok(read.await.map_err(|error| ErrorCode::Other(error.to_string()))??)
}

impl<D> StreamProducer<D> for Pieces {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, u8, Bytes>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let outcome = match self.poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                let taken = self.taken.clone();
                taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                give(&mut store, &mut destination, chunk, |rest| {
                    taken.fetch_sub(rest.len() as u64, Ordering::Relaxed);
                    self.kept = Some(rest);
                });
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            Poll::Ready(Some(Err(code))) => Err(code),
            Poll::Ready(None) => Ok(()),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(ended) = self.ended.take() {
            // Nobody asks why: then nobody needs to know.
            let _ = ended.send(outcome);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}
