//! `wharf:images/content` over the content service.
//!
//! Bytes that a guest hands on as a stream go from the stream's producer into
//! the service and never into guest memory. Blocking work runs on tokio's
//! blocking threads; a little that the kernel has in memory is read at once,
//! since to change threads takes longer. What works on one ingest takes turns, so that a call
//! finds no rest of one that was dropped; a dropped `append` ends its run,
//! which stops the batch that is under way at the chunk that it is writing.

mod appending;

use super::departures::{self, Departing};
use super::stream::{self, Chunks};
use super::{deflate, inflate};
use crate::bindings::wharf::images::content::{
    Compressor, Host, HostBlob, HostBlobWithStore, HostClaimed, HostClaimedWithStore, HostIngest, HostIngestWithStore,
    HostWithStore, Part, Unfinished,
};
use crate::content::{self, Content, Error, Key, READ_BYTES_MAX};
use crate::engine::state::{HasState, Push, State};
use crate::engine::{Budget, Share};
use crate::hash::{Algorithm, Digest, Hasher};
use appending::Appending;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use wasmtime::component::{Access, Accessor, Resource, StreamReader};
use wasmtime::{Result, bail};
use wharf_vocabulary::types::{self, ErrorCode};

/// The bytes that are written and hashed in one go on a blocking thread.
const BATCH_BYTES: usize = 1 << 20;
/// How often the first of those who wait for an ingest looks again.
const WAIT_MIN: Duration = Duration::from_millis(5);
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The host's side of `content.ingest`.
#[derive(Debug)]
pub struct Ingest {
    service: Arc<content::Ingest>,
    /// Held by whatever works on the ingest on a blocking thread, until it has ended.
    lane: Arc<Mutex<()>>,
    appending: Arc<AtomicBool>,
}

/// The service, for the one who may work with it now. The fields are dropped in
/// this order: whoever has the lane next is the service's only holder.
struct Lane {
    service: Arc<content::Ingest>,
    _turn: OwnedMutexGuard<()>,
}

impl Lane {
    async fn enter(service: Arc<content::Ingest>, lane: Arc<Mutex<()>>) -> Self {
        Self { service, _turn: lane.lock_owned().await }
    }
}

/// The host's side of `content.blob`.
#[derive(Debug)]
pub struct Blob {
    service: Arc<content::Blob>,
}

/// The host's side of `content.claimed`.
#[derive(Debug)]
pub struct Claimed {
    service: content::Claim,
    /// One of the claims that the store may hold.
    share: Share,
}

impl Ingest {
    /// Returns the service, for another interface that takes an ingest.
    pub(super) fn service(&self) -> &content::Ingest {
        &self.service
    }
}

impl Blob {
    /// Returns the service, for another interface that takes a blob.
    pub(super) fn service(&self) -> &Arc<content::Blob> {
        &self.service
    }
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

/// Runs `work` on a blocking thread, within the store's budget.
async fn blocking<T: Send + 'static>(
    budget: &Budget,
    work: impl FnOnce() -> std::result::Result<T, Error> + Send + 'static,
) -> Answer<T> {
    Ok(budget.blocking(work).await?.map_err(ErrorCode::from))
}

impl Host for State {}
impl HostIngest for State {}
impl HostBlob for State {}
impl HostClaimed for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn open(store: &Accessor<T, Self>, digest: types::Digest) -> Answer<Resource<Blob>> {
        let (content, budget) = store.content("content.open");
        let Ok(digest) = digest.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        let found = match content.blob_ready(&digest) {
            Some(blob) => Ok(blob),
            None => blocking(&budget, move || content.blob(&digest)).await?,
        };
        match found {
            Ok(blob) => Ok(Ok(store.push(Blob { service: Arc::new(blob) })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn sync(store: &Accessor<T, Self>) -> Answer<()> {
        let (content, budget) = store.content("content.sync");
        blocking(&budget, move || content.sync()).await
    }

    async fn begin(store: &Accessor<T, Self>, name: String) -> Answer<Resource<Ingest>> {
        let (content, budget) = store.content("content.begin");
        if name.len() > content::NAME_BYTES_MAX {
            return Ok(Err(ErrorCode::Invalid));
        }
        let _turn = content.turn(&name).await;
        let mut wait = WAIT_MIN;
        loop {
            let (content, name) = (content.clone(), name.clone());
            match blocking(&budget, move || content.try_ingest(&name)).await? {
                Ok(Some(ingest)) => {
                    let (service, lane) = (Arc::new(ingest), Arc::default());
                    return Ok(Ok(store.push(Ingest { service, lane, appending: Arc::default() })?));
                }
                Ok(None) => tokio::time::sleep(wait).await,
                Err(code) => return Ok(Err(code)),
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    fn concat(mut store: Access<'_, T, Self>, parts: Vec<Part>) -> Result<stream::Served> {
        store.get().crossings.note("content.concat");
        let literal = parts.iter().map(|part| if let Part::Bytes(bytes) = part { bytes.len() } else { 0 });
        let share = store.get().budget.parts(parts.len(), literal.sum())?;
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            pieces.push(match part {
                Part::Bytes(bytes) => stream::Piece::Bytes(Bytes::from(bytes)),
                Part::Range((blob, offset, length)) => {
                    let blob = store.get().table.get(&blob)?.service.clone();
                    stream::Piece::range(blob, offset, length)
                }
            });
        }
        stream::read(&mut store, pieces, Some(share))
    }

    fn depart(mut store: Access<'_, T, Self>, blob: Resource<Blob>, offset: u64, length: u64) -> Result<Departing> {
        let blob = store.get().table.get(&blob)?.service.clone();
        departures::depart(store, blob, offset, length)
    }

    async fn take(
        store: &Accessor<T, Self>,
        data: StreamReader<u8>,
        length: u64,
    ) -> Answer<(Vec<u8>, Option<StreamReader<u8>>)> {
        if length > READ_BYTES_MAX {
            return Ok(Err(ErrorCode::TooLarge(READ_BYTES_MAX)));
        }
        let mut bytes = Vec::new();
        let (_, rest) =
            stream::pass(store, "content.take", data, length, |chunk| bytes.extend_from_slice(&chunk)).await?;
        store.with(|mut access| access.get().crossings.entered(bytes.len() as u64));
        Ok(Ok((bytes, rest)))
    }

    async fn skip(
        store: &Accessor<T, Self>,
        data: StreamReader<u8>,
        length: u64,
    ) -> Result<(u64, Option<StreamReader<u8>>)> {
        stream::pass(store, "content.skip", data, length, drop).await
    }

    async fn sum(store: &Accessor<T, Self>, data: StreamReader<u8>, limit: u64) -> Answer<(u64, types::Digest)> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        // One byte more, so that a longer stream is noticed.
        let most = limit.saturating_add(1);
        let (size, _) = stream::pass(store, "content.sum", data, most, |chunk| hasher.update(&chunk)).await?;
        Ok(if size > limit { Err(ErrorCode::TooLarge(limit)) } else { Ok((size, hasher.finish().to_string())) })
    }

    fn inflate(store: Access<'_, T, Self>, data: StreamReader<u8>) -> Result<stream::Served> {
        inflate::inflate(store, data)
    }

    fn deflate(store: Access<'_, T, Self>, data: StreamReader<u8>, how: Compressor) -> Result<stream::Served> {
        deflate::deflate(store, data, how)
    }

    async fn entries(
        store: &Accessor<T, Self>,
        after: Option<types::Digest>,
        limit: u32,
    ) -> Answer<Vec<(types::Digest, u64)>> {
        let (content, budget) = store.content("content.entries");
        let after = match after.map(|after| after.parse::<Digest>()).transpose() {
            Ok(after) => after,
            Err(_) => return Ok(Err(ErrorCode::Invalid)),
        };
        let entries = blocking(&budget, move || content.entries(after.as_ref(), limit as usize)).await?;
        Ok(entries.map(|entries| entries.into_iter().map(|(digest, size)| (digest.to_string(), size)).collect()))
    }

    async fn remove(store: &Accessor<T, Self>, digest: types::Digest) -> Answer<()> {
        let (content, budget) = store.content("content.remove");
        let Ok(digest) = digest.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        blocking(&budget, move || content.remove(&digest)).await
    }

    async fn claim(store: &Accessor<T, Self>, digests: Vec<types::Digest>) -> Answer<Resource<Claimed>> {
        let (content, budget) = store.content("content.claim");
        let Some(digests) = parsed(&digests) else { return Ok(Err(ErrorCode::Invalid)) };
        let share = budget.claim()?;
        match blocking(&budget, move || content.claim(&digests)).await? {
            Ok(service) => Ok(Ok(store.push(Claimed { service, share })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn ingests(store: &Accessor<T, Self>, after: Option<String>, limit: u32) -> Answer<Vec<Unfinished>> {
        let (content, budget) = store.content("content.ingests");
        let after = match after.map(|after| Key::from_encoded(&after).ok_or(ErrorCode::Invalid)).transpose() {
            Ok(after) => after,
            Err(code) => return Ok(Err(code)),
        };
        let page = blocking(&budget, move || content.ingests(after.as_ref(), limit as usize)).await?;
        Ok(page.map(|page| page.into_iter().map(Unfinished::from).collect()))
    }

    async fn discard(store: &Accessor<T, Self>, key: String) -> Answer<()> {
        let (content, budget) = store.content("content.discard");
        let Some(key) = Key::from_encoded(&key) else { return Ok(Err(ErrorCode::Invalid)) };
        blocking(&budget, move || content.discard(key)).await
    }
}

impl From<content::Unfinished> for Unfinished {
    fn from(ingest: content::Unfinished) -> Self {
        let content::Unfinished { key, name, bytes, age, held } = ingest;
        Self { key: key.encoded(), name, size: bytes, age_s: age.as_secs(), held }
    }
}

impl<T: Send + 'static> HostClaimedWithStore<T> for HasState {
    fn digests(mut store: Access<'_, T, Self>, claim: Resource<Claimed>) -> Result<Vec<types::Digest>> {
        Ok(store.get().table.get(&claim)?.service.digests().map(Digest::to_string).collect())
    }

    async fn remove(store: &Accessor<T, Self>, this: Resource<Claimed>, digests: Vec<types::Digest>) -> Answer<u64> {
        let (_, budget) = store.content("content.claimed.remove");
        let (Claimed { service, share }, metadata) = store.with(|mut access| {
            let state = access.get();
            Ok::<_, wasmtime::Error>((state.table.delete(this)?, state.services.metadata.clone()))
        })?;
        // What is no digest is not among the blobs either.
        let digests: Vec<Digest> = digests.iter().filter_map(|digest| digest.parse().ok()).collect();
        let work = move || {
            let _share = share;
            metadata.settle()?;
            service.remove(&digests).map_err(ErrorCode::from)
        };
        budget.blocking(work).await
    }

    fn drop(mut store: Access<'_, T, Self>, claim: Resource<Claimed>) -> Result<()> {
        store.get().table.delete(claim)?;
        Ok(())
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
        let (run, mut chunks) = store.with(|mut access| {
            access.get().crossings.note("content.ingest.append");
            let state = access.get();
            let budget = state.budget.clone();
            let run = Appending::begin(state.table.get(&ingest)?, budget)?;
            Ok::<_, wasmtime::Error>((run, Chunks::pipe(&mut access, data)?))
        })?;
        let mut taken = 0;
        while taken < limit {
            let want = usize::try_from(limit - taken).unwrap_or(usize::MAX).min(BATCH_BYTES);
            let Some(batch) = chunks.next(want).await else {
                store.with(|mut access| access.get().crossings.passed(taken));
                return Ok(Ok((taken, None)));
            };
            match run.write(batch).await? {
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

    async fn digest(store: &Accessor<T, Self>, ingest: Resource<Ingest>) -> Answer<types::Digest> {
        let (lane, budget) = lane(store, &ingest, "content.ingest.digest").await?;
        let digest = blocking(&budget, move || lane.service.digest()).await?;
        Ok(digest.map(|digest| digest.to_string()))
    }

    async fn restart(store: &Accessor<T, Self>, ingest: Resource<Ingest>) -> Answer<()> {
        let (lane, budget) = lane(store, &ingest, "content.ingest.restart").await?;
        blocking(&budget, move || lane.service.restart()).await
    }

    async fn commit(
        store: &Accessor<T, Self>,
        this: Resource<Ingest>,
        expected: types::Digest,
        size: u64,
    ) -> Answer<Resource<Blob>> {
        let (ingest, budget) = take(store, this, "content.ingest.commit").await?;
        let Ok(expected) = expected.parse::<Digest>() else {
            // Letting go of it keeps its bytes, and an empty one needs the disk to go.
            budget.blocking(move || drop(ingest)).await?;
            return Ok(Err(ErrorCode::Invalid));
        };
        match blocking(&budget, move || ingest.commit(&expected, size)).await? {
            Ok(blob) => Ok(Ok(store.push(Blob { service: Arc::new(blob) })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn discard(store: &Accessor<T, Self>, this: Resource<Ingest>) -> Answer<()> {
        let (ingest, budget) = take(store, this, "content.ingest.discard").await?;
        blocking(&budget, move || ingest.discard()).await
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
        let (service, budget) = store.with(|mut access| {
            access.get().crossings.note("content.blob.read");
            let state = access.get();
            Ok::<_, wasmtime::Error>((state.table.get(&blob)?.service.clone(), state.budget.clone()))
        })?;
        let answer = match service.read_ready(offset, length) {
            Some(bytes) => Ok(bytes),
            None => blocking(&budget, move || service.read(offset, length)).await?,
        };
        if let Ok(bytes) = &answer {
            store.with(|mut access| access.get().crossings.entered(bytes.len() as u64));
        }
        Ok(answer)
    }

    async fn verify(store: &Accessor<T, Self>, blob: Resource<Blob>) -> Answer<()> {
        let (service, budget) = store.with(|mut access| {
            access.get().crossings.note("content.blob.verify");
            let state = access.get();
            Ok::<_, wasmtime::Error>((state.table.get(&blob)?.service.clone(), state.budget.clone()))
        })?;
        let mut verifier = service.verifier();
        loop {
            match blocking(&budget, move || verifier.step().map(|is_over| (verifier, is_over))).await? {
                Ok((_, true)) => return Ok(Ok(())),
                Ok((rest, false)) => verifier = rest,
                Err(code) => return Ok(Err(code)),
            }
        }
    }

    fn stream(mut store: Access<'_, T, Self>, blob: Resource<Blob>, offset: u64) -> Result<stream::Served> {
        let blob = store.get().table.get(&blob)?.service.clone();
        let length = blob.size().saturating_sub(offset);
        store.get().crossings.note("content.blob.stream");
        stream::read(&mut store, vec![stream::Piece::range(blob, offset, length)], None)
    }

    fn drop(mut store: Access<'_, T, Self>, blob: Resource<Blob>) -> Result<()> {
        store.get().table.delete(blob)?;
        Ok(())
    }
}

/// Waits for what a cancelled `append` has under way on an ingest.
async fn lane<T: Send + 'static>(
    store: &Accessor<T, HasState>,
    ingest: &Resource<Ingest>,
    call: &'static str,
) -> Result<(Lane, Budget)> {
    let (service, lane, budget) = store.with(|mut access| {
        access.get().crossings.note(call);
        let state = access.get();
        let ingest = state.table.get(ingest)?;
        Ok::<_, wasmtime::Error>((ingest.service.clone(), ingest.lane.clone(), state.budget.clone()))
    })?;
    Ok((Lane::enter(service, lane).await, budget))
}

/// Reads digests, if each of them is one.
pub(super) fn parsed(digests: &[types::Digest]) -> Option<Vec<Digest>> {
    digests.iter().map(|digest| digest.parse().ok()).collect()
}

/// Takes an ingest out of the table, and waits for the batch that a dropped
/// `append` may still have on a blocking thread.
async fn take<T: Send + 'static>(
    store: &Accessor<T, HasState>,
    this: Resource<Ingest>,
    call: &'static str,
) -> Result<(content::Ingest, Budget)> {
    let (ingest, budget) = store.with(|mut access| {
        access.get().crossings.note(call);
        let state = access.get();
        Ok::<_, wasmtime::Error>((state.table.delete(this)?, state.budget.clone()))
    })?;
    let Lane { service, .. } = Lane::enter(ingest.service, ingest.lane).await;
    match Arc::try_unwrap(service) {
        Ok(service) => Ok((service, budget)),
        Err(_) => bail!("the component ends an ingest while it works with it"),
    }
}

/// What every call begins with.
trait Calls {
    /// Returns the content service and the store's budget, and counts the call.
    fn content(&self, call: &'static str) -> (Content, Budget);
}

impl<T: Send + 'static> Calls for Accessor<T, HasState> {
    fn content(&self, call: &'static str) -> (Content, Budget) {
        self.with(|mut access| {
            let state = access.get();
            state.crossings.note(call);
            (state.services.content.clone(), state.budget.clone())
        })
    }
}
