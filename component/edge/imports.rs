//! The `Host` trait over the imports of `wit/`. It translates names and types
//! and decides nothing.

mod top;

use super::guest::wharf::images::{content, credentials, layers, metadata, writable};
use super::guest::wit_stream;
use super::http;
use crate::host::{
    Blob, Challenge, Claim, Departure, Diff, Extraction, Grant, Host, HttpError, Ingest, Layer, Made, Origin, Refusal,
    Request, Response, Result, Snapshot, Transaction, TreeClaim, Unfinished, Visit,
};
use crate::nouns::compressor::Compressor;
use crate::nouns::digest::Digest;
use crate::nouns::problem::ErrorCode;
use futures_util::future::LocalBoxFuture;
use wharf_vocabulary::types;
use wit_bindgen::StreamReader;
use wit_bindgen::rt::async_support::StreamResult;

/// How many bytes of a document are asked for at once.
const READ_BYTES: usize = 64 << 10;

/// The host that this component runs in.
pub(super) struct Imports;

impl From<types::ErrorCode> for ErrorCode {
    fn from(code: types::ErrorCode) -> Self {
        match code {
            types::ErrorCode::NotFound => Self::NotFound,
            types::ErrorCode::Denied => Self::Denied,
            types::ErrorCode::Invalid => Self::Invalid,
            types::ErrorCode::DigestMismatch(actual) => match actual.parse() {
                Ok(actual) => Self::DigestMismatch(actual),
                Err(_) => Self::Other(format!("the host reported `{actual}`, which is no digest")),
            },
            types::ErrorCode::SizeMismatch(actual) => Self::SizeMismatch(actual),
            types::ErrorCode::TooLarge(limit) => Self::TooLarge(limit),
            types::ErrorCode::InUse => Self::InUse,
            types::ErrorCode::Conflict => Self::Conflict,
            types::ErrorCode::NoSpace => Self::NoSpace,
            types::ErrorCode::Unavailable => Self::Unavailable,
            types::ErrorCode::Unsupported => Self::Unsupported,
            types::ErrorCode::Cancelled => Self::Cancelled,
            types::ErrorCode::Other(what) => Self::Other(what),
        }
    }
}

impl From<layers::Refusal> for Refusal {
    fn from(refusal: layers::Refusal) -> Self {
        Self { code: refusal.code.into(), why: refusal.why }
    }
}

/// Reads what the host says is a digest.
fn digest(name: String) -> Result<Digest> {
    name.parse().map_err(|_| ErrorCode::Other(format!("the host has something called `{name}`, which is no digest")))
}

fn texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(Digest::to_string).collect()
}

impl Host for Imports {
    type Claim = content::Claimed;
    type TreeClaim = layers::Claimed;
    type Stream = StreamReader<u8>;
    type Ingest = content::Ingest;
    type Blob = content::Blob;
    type Layer = layers::Layer;
    type Extraction = layers::Extraction;
    type Snapshot = layers::Snapshot;
    type Top = writable::Top;
    type Transaction = metadata::Transaction;
    type Grant = credentials::Grant;

    async fn open(&self, digest: &Digest) -> Result<Self::Blob> {
        Ok(content::open(digest.to_string()).await?)
    }

    async fn sync(&self) -> Result<()> {
        Ok(content::sync().await?)
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        Ok(content::remove(digest.to_string()).await?)
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        let entries = content::entries(after.map(Digest::to_string), limit).await?;
        entries.into_iter().map(|(name, size)| Ok((digest(name)?, size))).collect()
    }

    async fn claim(&self, digests: &[Digest]) -> Result<Self::Claim> {
        Ok(content::claim(texts(digests)).await?)
    }

    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        let ingests = content::ingests(after.map(str::to_owned), limit).await?;
        let unfinished =
            |content::Unfinished { key, name, size, age_s, held }| Unfinished { key, name, size, age_s, held };
        Ok(ingests.into_iter().map(unfinished).collect())
    }

    async fn discard(&self, key: &str) -> Result<()> {
        Ok(content::discard(key.to_owned()).await?)
    }

    async fn ingest(&self, name: &str) -> Result<Self::Ingest> {
        Ok(content::begin(name.to_owned()).await?)
    }

    fn stream(&self, bytes: Vec<u8>) -> Self::Stream {
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            // What is refused is the reader's matter: it saw less than it asked for.
            writer.write_all(bytes).await;
        });
        reader
    }

    async fn collect(&self, mut stream: Self::Stream, limit: u64) -> Result<Vec<u8>> {
        let mut document = Vec::new();
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            let result;
            (result, buffer) = stream.read(buffer).await;
            if (document.len() + buffer.len()) as u64 > limit {
                return Err(ErrorCode::TooLarge(limit));
            }
            document.append(&mut buffer);
            if !matches!(result, StreamResult::Complete(_)) {
                return Ok(document);
            }
        }
    }

    async fn take(&self, stream: Self::Stream, length: u64) -> Result<(Vec<u8>, Option<Self::Stream>)> {
        Ok(content::take(stream, length).await?)
    }

    async fn skip(&self, stream: Self::Stream, length: u64) -> Result<(u64, Option<Self::Stream>)> {
        Ok(content::skip(stream, length).await)
    }

    async fn sum(&self, stream: Self::Stream, limit: u64) -> Result<(u64, Digest)> {
        let (size, name) = content::sum(stream, limit).await?;
        Ok((size, digest(name)?))
    }

    fn inflate(&self, stream: Self::Stream) -> (Self::Stream, LocalBoxFuture<'static, Result<()>>) {
        let (stream, end) = content::inflate(stream);
        (stream, Box::pin(async move { Ok(end.await?) }))
    }

    fn deflate(&self, stream: Self::Stream, how: Compressor) -> (Self::Stream, LocalBoxFuture<'static, Result<()>>) {
        let (stream, end) = content::deflate(
            stream,
            match how {
                Compressor::Gzip(level) => content::Compressor::Gzip(level),
                Compressor::Zstd(level) => content::Compressor::Zstd(level),
            },
        );
        (stream, Box::pin(async move { Ok(end.await?) }))
    }

    async fn layer(&self, diff_id: &Digest) -> Result<Self::Layer> {
        Ok(layers::open(diff_id.to_string()).await?)
    }

    async fn unpack(&self, blob: &Self::Blob, diff_id: &Digest) -> Made<Self::Layer> {
        Ok(layers::unpack(blob, diff_id.to_string()).await?)
    }

    async fn describe(&self, layer: &Self::Layer, blob: &Self::Blob) -> Made<u64> {
        Ok(layer.describe(blob).await?)
    }

    fn follow(&self, ingest: &Self::Ingest) -> Self::Extraction {
        layers::follow(ingest)
    }

    async fn stack(&self, name: &Digest, parent: Option<&Self::Snapshot>, top: &Self::Layer) -> Made<Self::Snapshot> {
        Ok(layers::stack(name.to_string(), parent, top).await?)
    }

    async fn snapshot(&self, name: &Digest) -> Result<Self::Snapshot> {
        Ok(layers::find(name.to_string()).await?)
    }

    async fn sync_layers(&self) -> Result<()> {
        Ok(layers::sync().await?)
    }

    async fn snapshots(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        Ok(layers::entries(after.map(str::to_owned), limit).await?)
    }

    async fn layers(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<Digest>> {
        let entries = layers::layer_entries(after.map(Digest::to_string), limit).await?;
        entries.into_iter().map(digest).collect()
    }

    async fn remove_snapshot(&self, name: &str) -> Result<()> {
        Ok(layers::remove(name.to_owned()).await?)
    }

    async fn remove_layer(&self, diff_id: &Digest) -> Result<()> {
        Ok(layers::remove_layer(diff_id.to_string()).await?)
    }

    async fn claim_trees(&self, snapshots: &[String], layers: &[Digest]) -> Result<Self::TreeClaim> {
        Ok(layers::claim(snapshots.to_vec(), texts(layers)).await?)
    }

    async fn mounted(&self) -> Result<Vec<String>> {
        Ok(layers::mounted().await?)
    }

    async fn revoke_snapshot(&self, name: &str) -> Result<()> {
        Ok(layers::revoke(name.to_owned()).await?)
    }

    async fn revoke_layer(&self, diff_id: &Digest) -> Result<()> {
        Ok(layers::revoke_layer(diff_id.to_string()).await?)
    }

    async fn prepare(&self, name: &str, writable: bool, parent: Option<&Self::Snapshot>) -> Made<Self::Top> {
        Ok(writable::prepare(name.to_owned(), writable, parent).await?)
    }

    async fn top(&self, name: &str) -> Result<Self::Top> {
        Ok(writable::find(name.to_owned()).await?)
    }

    async fn tops(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        Ok(writable::entries(after.map(str::to_owned), limit).await?)
    }

    fn diff(&self, of: &Self::Snapshot) -> Diff<Self::Stream> {
        top::told(writable::diff(of))
    }

    async fn remove_top(&self, name: &str) -> Result<()> {
        Ok(writable::remove(name.to_owned()).await?)
    }

    async fn begin(&self) -> Result<Self::Transaction> {
        Ok(metadata::begin().await?)
    }

    async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Self::Grant> {
        let origin = types::Origin { secure: registry.secure, authority: registry.authority.clone() };
        let challenge = match challenge {
            Challenge::Basic => credentials::Challenge::Basic,
            Challenge::Bearer { realm, service, scopes } => credentials::Challenge::Bearer(credentials::Bearer {
                realm: realm.clone(),
                service: service.clone(),
                scopes: scopes.clone(),
            }),
        };
        let visit = match visit {
            Visit::WithLogin => credentials::Visit::WithLogin,
            Visit::Anonymous => credentials::Visit::Anonymous,
        };
        Ok(credentials::authorize(origin, repository.map(str::to_owned), challenge, visit).await?)
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<Self::Stream>, HttpError> {
        http::send(request).await
    }

    fn depart(&self, blob: &Self::Blob, offset: u64, length: u64) -> Departure<Self::Stream> {
        let (departure, body, end) = content::depart(blob, offset, length);
        let end = async move { Ok(end.await?) };
        Departure { body, taken: Box::new(move || departure.taken()), end: Box::pin(end) }
    }

    async fn send_body(
        &self,
        request: Request,
        body: Self::Stream,
    ) -> std::result::Result<Response<Self::Stream>, HttpError> {
        http::send_body(request, body).await
    }

    fn clock(&self) -> (i64, u32) {
        let now = wasip3::clocks::system_clock::now();
        (now.seconds, now.nanoseconds)
    }

    fn uptime_ms(&self) -> u64 {
        wasip3::clocks::monotonic_clock::now() / 1_000_000
    }

    async fn sleep(&self, ms: u64) {
        wasip3::clocks::monotonic_clock::wait_for(ms.saturating_mul(1_000_000)).await;
    }

    fn random(&self) -> u64 {
        wasip3::random::random::get_random_u64()
    }
}

impl Ingest for content::Ingest {
    type Stream = StreamReader<u8>;
    type Blob = content::Blob;

    fn offset(&self) -> u64 {
        self.offset()
    }

    async fn append(&self, data: Self::Stream, limit: u64) -> Result<(u64, Option<Self::Stream>)> {
        Ok(self.append(data, limit).await?)
    }

    async fn digest(&self) -> Result<Digest> {
        digest(self.digest().await?)
    }

    async fn restart(&self) -> Result<()> {
        Ok(self.restart().await?)
    }

    async fn commit(self, expected: &Digest, size: u64) -> Result<Self::Blob> {
        Ok(content::Ingest::commit(self, expected.to_string(), size).await?)
    }

    async fn discard(self) -> Result<()> {
        Ok(content::Ingest::discard(self).await?)
    }
}

impl Claim for content::Claimed {
    fn digests(&self) -> Vec<Digest> {
        // What is no digest was not asked for.
        self.digests().into_iter().filter_map(|name| name.parse().ok()).collect()
    }

    async fn remove(self, digests: &[Digest]) -> Result<u64> {
        Ok(content::Claimed::remove(self, texts(digests)).await?)
    }
}

impl TreeClaim for layers::Claimed {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        let (snapshots, layers) = self.names();
        (snapshots, layers.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn remove(self, snapshots: &[String], layers: &[Digest]) -> Result<()> {
        Ok(layers::Claimed::remove(self, snapshots.to_vec(), texts(layers)).await?)
    }
}

impl Blob for content::Blob {
    fn size(&self) -> u64 {
        self.size()
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        Ok(self.read(offset, length).await?)
    }

    async fn verify(&self) -> Result<()> {
        Ok(self.verify().await?)
    }
}

impl Layer for layers::Layer {
    fn usage(&self) -> (u64, u64) {
        self.usage()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings()
    }

    async fn verify(&self) -> Made<()> {
        Ok(self.verify().await?)
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        Ok(self.recipe().await?)
    }

    async fn rebuild(&self) -> Made<()> {
        Ok(self.rebuild().await?)
    }
}

impl Snapshot for layers::Snapshot {
    fn parent(&self) -> Option<String> {
        self.parent()
    }

    fn layer(&self) -> Option<Digest> {
        // What is no digest is no layer that anybody could open.
        self.layer()?.parse().ok()
    }

    fn usage(&self) -> (u64, u64) {
        self.usage()
    }

    async fn verify(&self) -> Made<()> {
        Ok(self.verify().await?)
    }
}

impl Extraction for layers::Extraction {
    type Blob = content::Blob;
    type Layer = layers::Layer;

    async fn finish(self, blob: &Self::Blob, diff_id: &Digest) -> Made<Self::Layer> {
        Ok(layers::Extraction::finish(self, blob, diff_id.to_string()).await?)
    }
}

impl Transaction for metadata::Transaction {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get(namespace.to_owned(), key.to_owned()).await?)
    }

    async fn scan(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let entries = self.scan(namespace.to_owned(), prefix.to_owned(), after.map(str::to_owned), limit).await?;
        Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
    }

    async fn namespaces(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        Ok(self.namespaces(after.map(str::to_owned), limit).await?)
    }

    fn put(&self, namespace: &str, key: &str, value: Vec<u8>) {
        self.put(namespace, key, &value);
    }

    fn delete(&self, namespace: &str, key: &str) {
        self.delete(namespace, key);
    }

    async fn commit(self) -> Result<()> {
        Ok(metadata::Transaction::commit(self).await?)
    }
}

impl Grant for credentials::Grant {
    fn id(&self) -> String {
        self.id()
    }

    fn anonymous(&self) -> bool {
        self.anonymous()
    }
}
