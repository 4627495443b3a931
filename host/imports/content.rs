//! `wharf:images/content` over the content service.
//!
//! Bytes that a guest hands on as a stream go from the stream's producer into
//! the service and never into guest memory. Blocking work runs on tokio's
//! blocking threads, one batch at a time, so that dropping a call stops it
//! within one batch.

use super::stream::{self, Chunks};
use crate::bindings::wharf::images::content::{
    Host, HostBlob, HostBlobWithStore, HostIngest, HostIngestWithStore, HostWithStore, Part,
};
use crate::bindings::wharf::images::types::{self, ErrorCode};
use crate::content::{self, Content, Error};
use crate::engine::state::{HasState, Push, State};
use crate::hash::Digest;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime::{Result, bail};

/// The bytes that are written and hashed in one go on a blocking thread.
const BATCH_BYTES: usize = 1 << 20;
/// How often a caller that waits for an ingest looks again.
const WAIT_MIN: Duration = Duration::from_millis(5);
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The host's side of `content.ingest`.
#[derive(Debug)]
pub struct Ingest {
    service: Arc<content::Ingest>,
    appending: Arc<AtomicBool>,
}

/// The host's side of `content.blob`.
#[derive(Debug)]
pub struct Blob {
    service: Arc<content::Blob>,
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::NotFound,
            Error::Invalid(_) => Self::Invalid,
            Error::DigestMismatch { actual, .. } => Self::DigestMismatch(actual.to_string()),
            Error::SizeMismatch { actual, .. } => Self::SizeMismatch(actual),
            Error::TooLarge { limit } => Self::TooLarge(limit),
            Error::InUse => Self::InUse,
            Error::NoSpace => Self::NoSpace,
            error @ Error::Io { .. } => Self::Other(error.to_string()),
        }
    }
}

/// A call's answer: a trap, or a result that the guest sees.
type Answer<T> = Result<std::result::Result<T, ErrorCode>>;

/// Runs `work` on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, Error> + Send + 'static,
) -> Answer<T> {
    Ok(spawn_blocking(work).await?.map_err(ErrorCode::from))
}

impl Host for State {}
impl HostIngest for State {}
impl HostBlob for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn open(store: &Accessor<T, Self>, digest: types::Digest) -> Answer<Resource<Blob>> {
        let content = store.content("content.open");
        let Ok(digest) = digest.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        match blocking(move || content.blob(&digest)).await? {
            Ok(blob) => Ok(Ok(store.push(Blob { service: Arc::new(blob) })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn sync(store: &Accessor<T, Self>) -> Answer<()> {
        let content = store.content("content.sync");
        blocking(move || content.sync()).await
    }

    async fn begin(store: &Accessor<T, Self>, name: String) -> Answer<Resource<Ingest>> {
        let content = store.content("content.begin");
        let mut wait = WAIT_MIN;
        loop {
            let (content, name) = (content.clone(), name.clone());
            match blocking(move || content.try_ingest(&name)).await? {
                Ok(Some(ingest)) => {
                    let ingest = Ingest { service: Arc::new(ingest), appending: Arc::default() };
                    return Ok(Ok(store.push(ingest)?));
                }
                Ok(None) => tokio::time::sleep(wait).await,
                Err(code) => return Ok(Err(code)),
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    fn concat(
        mut store: Access<'_, T, Self>,
        parts: Vec<Part>,
    ) -> Result<(StreamReader<u8>, FutureReader<std::result::Result<(), ErrorCode>>)> {
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            pieces.push(match part {
                Part::Bytes(bytes) => stream::Piece::Bytes(Bytes::from(bytes)),
                Part::Range((blob, offset, length)) => {
                    let blob = store.get().table.get(&blob)?.service.clone();
                    stream::Piece::Blob { blob, offset, length }
                }
            });
        }
        store.get().crossings.note("content.concat");
        stream::read(&mut store, pieces)
    }

    async fn entries(
        store: &Accessor<T, Self>,
        after: Option<types::Digest>,
        limit: u32,
    ) -> Answer<Vec<(types::Digest, u64)>> {
        let content = store.content("content.entries");
        let after = match after.map(|after| after.parse::<Digest>()).transpose() {
            Ok(after) => after,
            Err(_) => return Ok(Err(ErrorCode::Invalid)),
        };
        let entries = blocking(move || content.entries(after.as_ref(), limit as usize)).await?;
        Ok(entries.map(|entries| entries.into_iter().map(|(digest, size)| (digest.to_string(), size)).collect()))
    }

    async fn remove(store: &Accessor<T, Self>, digest: types::Digest) -> Answer<()> {
        let content = store.content("content.remove");
        let Ok(digest) = digest.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        blocking(move || content.remove(&digest)).await
    }
}

impl<T: Send + 'static> HostIngestWithStore<T> for HasState {
    fn offset(mut store: Access<'_, T, Self>, ingest: Resource<Ingest>) -> Result<u64> {
        Ok(store.get().table.get(&ingest)?.service.offset())
    }

    async fn append(
        store: &Accessor<T, Self>,
        ingest: Resource<Ingest>,
        data: StreamReader<u8>,
        limit: u64,
    ) -> Answer<(u64, Option<StreamReader<u8>>)> {
        let (service, _guard, mut chunks) = store.with(|mut access| {
            access.get().crossings.note("content.ingest.append");
            let ingest = access.get().table.get(&ingest)?;
            let guard = Appending::begin(&ingest.appending)?;
            let service = ingest.service.clone();
            Ok::<_, wasmtime::Error>((service, guard, Chunks::pipe(access, data)?))
        })?;
        let mut taken = 0;
        while taken < limit {
            let want = usize::try_from(limit - taken).unwrap_or(usize::MAX).min(BATCH_BYTES);
            let Some(batch) = chunks.next(want).await else {
                store.with(|mut access| access.get().crossings.passed(taken));
                return Ok(Ok((taken, None)));
            };
            let service = service.clone();
            match blocking(move || {
                let mut written = 0;
                for chunk in &batch {
                    service.append(chunk)?;
                    written += chunk.len() as u64;
                }
                Ok(written)
            })
            .await?
            {
                Ok(written) => taken += written,
                Err(code) => return Ok(Err(code)),
            }
        }
        let rest = store.with(|mut access| {
            access.get().crossings.passed(taken);
            chunks.into_stream(access)
        })?;
        Ok(Ok((taken, Some(rest))))
    }

    async fn restart(store: &Accessor<T, Self>, ingest: Resource<Ingest>) -> Answer<()> {
        let service = store.with(|mut access| {
            access.get().crossings.note("content.ingest.restart");
            Ok::<_, wasmtime::Error>(access.get().table.get(&ingest)?.service.clone())
        })?;
        blocking(move || service.restart()).await
    }

    async fn commit(
        store: &Accessor<T, Self>,
        this: Resource<Ingest>,
        expected: types::Digest,
        size: u64,
    ) -> Answer<Resource<Blob>> {
        let ingest = take(store, this, "content.ingest.commit").await?;
        let Ok(expected) = expected.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        match blocking(move || ingest.commit(&expected, size)).await? {
            Ok(blob) => Ok(Ok(store.push(Blob { service: Arc::new(blob) })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn discard(store: &Accessor<T, Self>, this: Resource<Ingest>) -> Answer<()> {
        let ingest = take(store, this, "content.ingest.discard").await?;
        blocking(move || ingest.discard()).await
    }

    fn drop(mut store: Access<'_, T, Self>, ingest: Resource<Ingest>) -> Result<()> {
        store.get().table.delete(ingest)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostBlobWithStore<T> for HasState {
    fn digest(mut store: Access<'_, T, Self>, blob: Resource<Blob>) -> Result<types::Digest> {
        Ok(store.get().table.get(&blob)?.service.digest().to_string())
    }

    fn size(mut store: Access<'_, T, Self>, blob: Resource<Blob>) -> Result<u64> {
        Ok(store.get().table.get(&blob)?.service.size())
    }

    async fn read(store: &Accessor<T, Self>, blob: Resource<Blob>, offset: u64, length: u64) -> Answer<Vec<u8>> {
        let service = store.with(|mut access| {
            access.get().crossings.note("content.blob.read");
            Ok::<_, wasmtime::Error>(access.get().table.get(&blob)?.service.clone())
        })?;
        let answer = blocking(move || service.read(offset, length)).await?;
        if let Ok(bytes) = &answer {
            store.with(|mut access| access.get().crossings.entered(bytes.len() as u64));
        }
        Ok(answer)
    }

    fn stream(
        mut store: Access<'_, T, Self>,
        blob: Resource<Blob>,
        offset: u64,
    ) -> Result<(StreamReader<u8>, FutureReader<std::result::Result<(), ErrorCode>>)> {
        let blob = store.get().table.get(&blob)?.service.clone();
        let length = blob.size().saturating_sub(offset);
        store.get().crossings.note("content.blob.stream");
        stream::read(&mut store, vec![stream::Piece::Blob { blob, offset, length }])
    }

    fn drop(mut store: Access<'_, T, Self>, blob: Resource<Blob>) -> Result<()> {
        store.get().table.delete(blob)?;
        Ok(())
    }
}

/// Takes an ingest out of the table, and waits for the batch that a cancelled
/// `append` may still have on a blocking thread.
async fn take<T: Send + 'static>(
    store: &Accessor<T, HasState>,
    this: Resource<Ingest>,
    call: &'static str,
) -> Result<content::Ingest> {
    let mut service = store.with(|mut access| {
        access.get().crossings.note(call);
        Ok::<_, wasmtime::Error>(access.get().table.delete(this)?.service)
    })?;
    loop {
        match Arc::try_unwrap(service) {
            Ok(ingest) => return Ok(ingest),
            Err(shared) => service = shared,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One `append` at a time on one ingest.
struct Appending(Arc<AtomicBool>);

impl Appending {
    fn begin(flag: &Arc<AtomicBool>) -> Result<Self> {
        if flag.swap(true, Ordering::AcqRel) {
            bail!("the component appends to one ingest twice at the same time");
        }
        Ok(Self(flag.clone()))
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl State {
    /// Returns the content service, and counts the call.
    fn content_for(&mut self, call: &'static str) -> Content {
        self.crossings.note(call);
        self.services.content.clone()
    }
}

/// Short forms for what every call does first and last.
trait Calls {
    fn content(&self, call: &'static str) -> Content;
}

impl<T: Send + 'static> Calls for Accessor<T, HasState> {
    fn content(&self, call: &'static str) -> Content {
        self.with(|mut access| access.get().content_for(call))
    }
}
