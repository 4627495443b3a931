//! `content.inflate`: a guest's stream without its compression. A thread of its own undoes
//! it, with the limits of `layers::unwrap`, because reading blocks: on whoever sends, who
//! may be a person.

use super::stream::{Chunks, Served, serve};
use crate::engine::state::HasState;
use crate::layers::inflate::{Error, ZSTD_WINDOW_LOG_MAX};
use crate::layers::unwrap::{self, Unwrap};
use bytes::{Buf, Bytes};
use std::io::{self, BufRead, Read};
use std::thread;
use tokio::sync::{mpsc, oneshot};
use wasmtime::Result;
use wasmtime::component::{Access, FutureReader, StreamReader};
use wharf_vocabulary::types::ErrorCode;

/// The bytes that are inflated at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait to be read.
pub(super) const CHUNKS_MAX: usize = 4;

/// Serves what `data` is without its compression.
pub(super) fn inflate<T: Send + 'static>(mut store: Access<'_, T, HasState>, data: StreamReader<u8>) -> Result<Served> {
    store.get().crossings.note("content.inflate");
    let (rest, receiver, share) = Chunks::pipe(&mut store, data)?.into_parts();
    let reader = Arriving::new(rest, receiver);
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("inflate".to_owned()).spawn(move || {
        // Nobody asks why: then nobody needs to know.
        let poured = Unwrap::new(reader).and_then(|inflated| pour(inflated, &sender));
        let _ = ended.send(poured.map_err(|error| code(&error)));
    })?;
    let stream = serve(&mut store, receiver, share)?;
    let end = FutureReader::new(&mut store, async move { Ok::<_, wasmtime::Error>(end.await.unwrap_or(Ok(()))) })?;
    Ok((stream, end))
}

/// Sends all that there is to read. Stops when nobody takes it any more.
pub(super) fn pour(mut reader: impl Read, sender: &mpsc::Sender<Bytes>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let length = reader.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        if length == 0 || sender.blocking_send(chunk.into()).is_err() {
            return Ok(());
        }
    }
}

fn code(error: &io::Error) -> ErrorCode {
    match unwrap::Error::of(error) {
        Some(unwrap::Error::Memory) => return ErrorCode::TooLarge(1 << ZSTD_WINDOW_LOG_MAX),
        Some(unwrap::Error::Damaged(..)) => return ErrorCode::Invalid,
        None => {}
    }
    match Error::of(error) {
        Some(Error::Unsupported(_)) => ErrorCode::Unsupported,
        Some(Error::Window) => ErrorCode::TooLarge(1 << ZSTD_WINDOW_LOG_MAX),
        Some(Error::Truncated(_) | Error::Damaged(..)) => ErrorCode::Invalid,
        None => ErrorCode::Other(error.to_string()),
    }
}

/// Bytes as they arrive, for a thread that may block.
pub(super) struct Arriving {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Arriving {
    pub(super) fn new(rest: Option<Bytes>, receiver: mpsc::Receiver<Bytes>) -> Self {
        Self { receiver, chunk: rest.unwrap_or_default() }
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl BufRead for Arriving {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => break,
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, length: usize) {
        self.chunk.advance(length);
    }
}
