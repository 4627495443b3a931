//! The `Host` trait over plain WASI: files below one directory, `wasi:http`,
//! clocks and random numbers. Whatever else `wit/` asks of a host is answered
//! with [`ErrorCode::Unsupported`].

use super::stream::{Part, Stream};
use super::wire::Wire;
use crate::edge::http;
use crate::host::{
    self, Challenge, Departure, Host, HttpError, Made, NoTop, Origin, Refusal, Request, Response, Result, Unfinished,
    Visit,
};
use crate::nouns::digest::Digest;
use crate::nouns::problem::ErrorCode;
use crate::portable::{Ambient, Blob, Chunks, Claim, Ingest, Rights, Store, Transaction};
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};
use wasip3::clocks::monotonic_clock;

/// Who wharf is to a registry.
const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

/// How many bytes of a document are taken at once.
const READ_BYTES: usize = 64 << 10;
/// How many bytes of a blob are handed on at once.
const SEND_BYTES: usize = 256 << 10;

/// The machine that plain WASI makes.
pub(super) struct Plain {
    store: Store,
    rights: Rights<Wire>,
}

impl Plain {
    /// Works in `store` with these rights.
    pub(super) fn new(store: Store, rights: Rights<Wire>) -> Self {
        Self { store, rights }
    }

    /// Takes what is to be said about logins.
    pub(super) fn said(&self) -> Vec<String> {
        self.rights.said()
    }
}

/// What the store takes from the runtime.
pub(super) fn ambient() -> Ambient {
    Ambient { sleep: Box::new(|ms| Box::pin(sleep(ms))), random: Box::new(wasip3::random::random::get_random_u64) }
}

/// Waits.
pub(super) async fn sleep(ms: u64) {
    monotonic_clock::wait_for(ms.saturating_mul(1_000_000)).await;
}

/// Returns the wall clock in seconds since 1970, and nanoseconds.
fn clock() -> (i64, u32) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

/// Returns the wall clock in seconds since 1970.
pub(super) fn now() -> i64 {
    clock().0
}

/// A layer, a snapshot or an extraction: there are none.
pub(super) struct Absent;

fn lacking() -> Refusal {
    let why = "this runtime has no layers: only the native program extracts them".to_owned();
    Refusal { code: ErrorCode::Unsupported, why }
}

impl host::Layer for Absent {
    fn usage(&self) -> (u64, u64) {
        (0, 0)
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    async fn verify(&self) -> Made<()> {
        Err(lacking())
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        Err(ErrorCode::Unsupported)
    }

    async fn rebuild(&self) -> Made<()> {
        Err(lacking())
    }
}

impl host::Snapshot for Absent {
    fn parent(&self) -> Option<String> {
        None
    }

    fn layer(&self) -> Option<Digest> {
        None
    }

    fn usage(&self) -> (u64, u64) {
        (0, 0)
    }

    async fn verify(&self) -> Made<()> {
        Err(lacking())
    }
}

impl host::Extraction for Absent {
    type Blob = Blob;
    type Layer = Self;

    async fn finish(self, _: &Blob, _: &Digest) -> Made<Self> {
        Err(lacking())
    }
}

impl host::TreeClaim for Absent {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        (Vec::new(), Vec::new())
    }

    async fn remove(self, _: &[String], _: &[Digest]) -> Result<()> {
        Ok(())
    }
}

impl Plain {
    async fn exchange(
        &self,
        mut request: Request,
        body: Option<Stream>,
    ) -> std::result::Result<Response<Stream>, HttpError> {
        request.headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        let grant = self.rights.exchange(&mut request)?;
        let sent = match body {
            None => http::send(request).await,
            Some(mut body) => http::send_chunks(request, async || body.next(SEND_BYTES).await).await,
        };
        let Response { status, headers, body, end } = sent?;
        if status == 401
            && let Some(grant) = grant
        {
            self.rights.refused(&grant);
        }
        Ok(Response { status, headers, body: Stream::Body(body), end })
    }
}

impl Host for Plain {
    type Claim = Claim;
    type TreeClaim = Absent;
    type Stream = Stream;
    type Ingest = Ingest<Stream>;
    type Blob = Blob;
    type Layer = Absent;
    type Extraction = Absent;
    type Snapshot = Absent;
    type Top = NoTop<Self::Stream, Self::Blob, Self::Snapshot>;
    type Transaction = Transaction;
    type Grant = wharf_credentials::Grant;

    async fn open(&self, digest: &Digest) -> Result<Blob> {
        self.store.blob(digest).await
    }

    async fn sync(&self) -> Result<()> {
        self.store.sync().await
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.store.remove(digest).await
    }

    async fn claim(&self, digests: &[Digest]) -> Result<Claim> {
        self.store.claim(digests).await
    }

    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        self.store.ingests(after, limit).await
    }

    async fn discard(&self, key: &str) -> Result<()> {
        self.store.discard(key).await
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        self.store.entries(after, limit).await
    }

    async fn ingest(&self, name: &str) -> Result<Self::Ingest> {
        self.store.ingest(name).await
    }

    fn stream(&self, bytes: Vec<u8>) -> Stream {
        Stream::Bytes(VecDeque::from(bytes))
    }

    async fn collect(&self, mut stream: Stream, limit: u64) -> Result<Vec<u8>> {
        let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut document = Vec::new();
        while let Some(chunk) = stream.next(READ_BYTES).await {
            if chunk.len() > limit_bytes - document.len() {
                return Err(ErrorCode::TooLarge(limit));
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }

    async fn take(&self, mut stream: Stream, length: u64) -> Result<(Vec<u8>, Option<Stream>)> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let room = usize::try_from(length).unwrap_or(usize::MAX) - bytes.len();
            let Some(chunk) = stream.next(room).await else { return Ok((bytes, None)) };
            bytes.extend(chunk);
        }
        Ok((bytes, Some(stream)))
    }

    async fn skip(&self, mut stream: Stream, length: u64) -> Result<(u64, Option<Stream>)> {
        let mut passed = 0;
        while passed < length {
            let room = usize::try_from(length - passed).unwrap_or(usize::MAX).min(READ_BYTES);
            let Some(chunk) = stream.next(room).await else { return Ok((passed, None)) };
            passed += chunk.len() as u64;
        }
        Ok((passed, Some(stream)))
    }

    async fn layer(&self, _: &Digest) -> Result<Absent> {
        Err(ErrorCode::Unsupported)
    }

    async fn unpack(&self, _: &Blob, _: &Digest) -> Made<Absent> {
        Err(lacking())
    }

    async fn describe(&self, _: &Absent, _: &Blob) -> Made<u64> {
        Err(lacking())
    }

    fn follow(&self, _: &Self::Ingest) -> Absent {
        Absent
    }

    async fn stack(&self, _: &Digest, _: Option<&Absent>, _: &Absent) -> Made<Absent> {
        Err(lacking())
    }

    async fn snapshot(&self, _: &Digest) -> Result<Absent> {
        Err(ErrorCode::Unsupported)
    }

    async fn sync_layers(&self) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn snapshots(&self, _: Option<&str>, _: u32) -> Result<Vec<String>> {
        Err(ErrorCode::Unsupported)
    }

    async fn layers(&self, _: Option<&Digest>, _: u32) -> Result<Vec<Digest>> {
        Err(ErrorCode::Unsupported)
    }

    async fn remove_snapshot(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn remove_layer(&self, _: &Digest) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn claim_trees(&self, _: &[String], _: &[Digest]) -> Result<Absent> {
        Ok(Absent)
    }

    async fn mounted(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn revoke_snapshot(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn revoke_layer(&self, _: &Digest) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn begin(&self) -> Result<Transaction> {
        self.store.begin().await
    }

    async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Self::Grant> {
        self.rights.authorize(registry, repository, challenge, visit).await
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<Stream>, HttpError> {
        self.exchange(request, None).await
    }

    fn depart(&self, blob: &Blob, offset: u64, length: u64) -> Departure<Stream> {
        let part = Part::of(blob, offset, length);
        let (account, ended) = (part.account.clone(), part.account.clone());
        let end = async move { ended.failed.take().map_or(Ok(()), Err) };
        Departure {
            body: Stream::Part(Box::new(part)),
            taken: Box::new(move || account.taken.get()),
            end: Box::pin(end),
        }
    }

    async fn send_body(&self, request: Request, body: Stream) -> std::result::Result<Response<Stream>, HttpError> {
        self.exchange(request, Some(body)).await
    }

    fn clock(&self) -> (i64, u32) {
        clock()
    }

    fn uptime_ms(&self) -> u64 {
        monotonic_clock::now() / 1_000_000
    }

    async fn sleep(&self, ms: u64) {
        sleep(ms).await;
    }

    fn random(&self) -> u64 {
        wasip3::random::random::get_random_u64()
    }
}
