//! `content.deflate`: a guest's stream compressed, on a thread of its own as in `inflate`.
//!
//! Nothing of the machine and of the moment goes into it: a gzip member has neither a name nor a time.

use super::inflate::{Arriving, CHUNKS_MAX, pour};
use super::stream::{Chunks, Served, serve};
use crate::bindings::wharf::images::content::Compressor;
use crate::engine::state::HasState;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use std::io::{self, BufRead};
use std::thread;
use tokio::sync::{mpsc, oneshot};
use wasmtime::Result;
use wasmtime::component::{Access, FutureReader, StreamReader};
use wharf_vocabulary::types::ErrorCode;
use zstd::stream::read::Encoder;

/// Serves what `data` is, compressed.
pub(super) fn deflate<T: Send + 'static>(
    mut store: Access<'_, T, HasState>,
    data: StreamReader<u8>,
    how: Compressor,
) -> Result<Served> {
    store.get().crossings.note("content.deflate");
    let (rest, receiver, share) = Chunks::pipe(&mut store, data)?.into_parts();
    let reader = Arriving::new(rest, receiver);
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("deflate".to_owned()).spawn(move || {
        // Nobody asks why: then nobody needs to know.
        let _ = ended.send(compress(reader, how, &sender));
    })?;
    let stream = serve(&mut store, receiver, share)?;
    let end = FutureReader::new(&mut store, async move { Ok::<_, wasmtime::Error>(end.await.unwrap_or(Ok(()))) })?;
    Ok((stream, end))
}

fn compress(reader: impl BufRead, how: Compressor, sender: &mpsc::Sender<Bytes>) -> Result<(), ErrorCode> {
    let failed = |error: io::Error| ErrorCode::Other(error.to_string());
    match how {
        Compressor::Gzip(level @ 1..=9) => {
            pour(GzEncoder::new(reader, Compression::new(level.into())), sender).map_err(failed)
        }
        Compressor::Zstd(level @ 1..=19) => {
            let mut encoder = Encoder::with_buffer(reader, level.into()).map_err(failed)?;
            encoder.include_checksum(true).map_err(failed)?;
            pour(encoder, sender).map_err(failed)
        }
        Compressor::Gzip(_) | Compressor::Zstd(_) => Err(ErrorCode::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::inflate::{Compression as Found, Inflate};
    use std::io::Read;

    fn compressed(bytes: &[u8], how: Compressor) -> Result<Vec<u8>, ErrorCode> {
        let (sender, mut receiver) = mpsc::channel(1_000);
        compress(bytes, how, &sender)?;
        drop(sender);
        let mut whole = Vec::new();
        while let Some(chunk) = receiver.blocking_recv() {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    #[test]
    fn what_is_compressed_is_the_same_again_and_always_the_same() {
        let bytes = b"a layer of an image ".repeat(40_000);
        for (how, again, found) in [
            (Compressor::Gzip(1), Compressor::Gzip(1), Found::Gzip),
            (Compressor::Gzip(9), Compressor::Gzip(9), Found::Gzip),
            (Compressor::Zstd(1), Compressor::Zstd(1), Found::Zstd),
            (Compressor::Zstd(19), Compressor::Zstd(19), Found::Zstd),
        ] {
            let packed = compressed(&bytes, how).unwrap();
            assert_eq!(packed, compressed(&bytes, again).unwrap());
            let mut inflate = Inflate::new(&packed[..]).unwrap();
            assert_eq!((inflate.compression(), packed.len() < bytes.len() / 20), (found, true));
            let mut plain = Vec::new();
            inflate.read_to_end(&mut plain).unwrap();
            assert!(plain == bytes);
        }
        assert!(compressed(b"", Compressor::Zstd(3)).is_ok_and(|bytes| !bytes.is_empty()), "an empty frame is a frame");
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        for how in [Compressor::Gzip(0), Compressor::Gzip(10), Compressor::Zstd(0), Compressor::Zstd(20)] {
            assert!(matches!(compressed(b"bytes", how), Err(ErrorCode::Invalid)), "{how:?}");
        }
    }
}
