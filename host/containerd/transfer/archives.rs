//! Archives through streams. Either side sends as many bytes as the other has allowed, by `WindowUpdate`; `Data` are
//! the bytes, 32 KiB at a time. The end of the sender's stream is the end of the archive; if it breaks instead, the
//! archive cannot be read. containerd, `core/transfer/streaming`.

use super::super::streaming::{Line, unpacked};
use bytes::{Buf, Bytes};
use std::io::{self, Read};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use wharf_containerd_api::types::transfer::{Data, WindowUpdate};

/// How many bytes a client may send ahead.
const WINDOW_BYTES: i32 = 2 << 20;
/// How many bytes go at once.
const CHUNK_BYTES: usize = 32 << 10;
/// The most that a client may allow. What is more is no number of bytes that anybody waits for.
const ALLOWED_BYTES_MAX: i64 = 1 << 40;

/// An archive that a client sends. Reading blocks, and fails once `stop` is cancelled.
#[derive(Debug)]
pub(super) struct Received {
    line: Line,
    chunk: Bytes,
    /// How many bytes the client may still send.
    window: i32,
    stop: CancellationToken,
    runtime: Handle,
}

impl Received {
    /// To be called on a runtime.
    pub(super) fn new(line: Line, stop: CancellationToken) -> Self {
        Self { line, chunk: Bytes::new(), window: 0, stop, runtime: Handle::current() }
    }

    /// Returns the next bytes; none at the end.
    async fn next(line: &mut Line, window: &mut i32) -> Result<Option<Bytes>, Status> {
        if *window < WINDOW_BYTES / 2 {
            let update = WINDOW_BYTES - *window;
            line.send(&WindowUpdate { update }).await?;
            *window += update;
        }
        let Some(message) = line.next().await? else { return Ok(None) };
        let Data { data } = unpacked(&message)?;
        let left = i32::try_from(data.len()).ok().and_then(|length| window.checked_sub(length));
        *window = left.filter(|left| *left >= 0).ok_or_else(|| {
            Status::resource_exhausted(format!("the client may send {window} bytes, and sent {}", data.len()))
        })?;
        Ok(Some(data))
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let (line, window, stop) = (&mut self.line, &mut self.window, &self.stop);
            let next = self.runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => Err(io::Error::other("it was stopped")),
                    next = Self::next(line, window) => next.map_err(|status| io::Error::other(status.message())),
                }
            });
            match next? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Sends an archive to a client, as fast as that allows. Blocks, on a thread that may. Ends once `stop` is cancelled.
pub(super) fn send(
    mut line: Line,
    archive: &mut dyn Read,
    stop: &CancellationToken,
    runtime: &Handle,
) -> io::Result<()> {
    let (mut allowed, mut chunk) = (0_i64, vec![0; CHUNK_BYTES]);
    let refused = |status: Status| io::Error::other(status.message());
    loop {
        let most = usize::try_from(allowed).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        if most == 0 {
            let update = runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => Err(io::Error::other("it was stopped")),
                    update = window(&mut line) => update.map_err(refused),
                }
            });
            allowed = (allowed + update?).min(ALLOWED_BYTES_MAX);
            continue;
        }
        let length = archive.read(&mut chunk[..most])?;
        if length == 0 {
            return Ok(());
        }
        let data = Data { data: Bytes::copy_from_slice(&chunk[..length]) };
        runtime.block_on(async {
            tokio::select! {
                () = stop.cancelled() => Err(io::Error::other("it was stopped")),
                sent = line.send(&data) => sent.map_err(refused),
            }
        })?;
        allowed -= i64::try_from(length).expect("a chunk is small");
    }
}

/// Waits until a client allows more.
async fn window(line: &mut Line) -> Result<i64, Status> {
    let message = line.next().await?;
    let message = message.ok_or_else(|| Status::cancelled("the client has ended the stream"))?;
    let WindowUpdate { update } = unpacked(&message)?;
    match update {
        1.. => Ok(update.into()),
        _ => Err(Status::invalid_argument(format!("a window does not grow by {update} bytes"))),
    }
}
