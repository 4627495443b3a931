//! The `Host` trait over the imports of `wit/`. It translates names and types
//! and decides nothing.

use super::guest::wharf::images::{content, credentials, layers, metadata};
use super::guest::wit_stream;
use super::http;
use crate::host::{
    Blob, Challenge, Extraction, Grant, Host, HttpError, Ingest, Layer, Made, Origin, Refusal, Request, Response,
    Result, Snapshot, Transaction, Visit,
};
use crate::nouns::digest::Digest;
use crate::nouns::problem::ErrorCode;
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

impl Host for Imports {
    type Stream = StreamReader<u8>;
    type Ingest = content::Ingest;
    type Blob = content::Blob;
    type Layer = layers::Layer;
    type Extraction = layers::Extraction;
    type Snapshot = layers::Snapshot;
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
        let named = |(name, size): (String, u64)| match name.parse() {
            Ok(digest) => Ok((digest, size)),
            Err(_) => Err(ErrorCode::Other(format!("the host lists a blob called `{name}`, which is no digest"))),
        };
        entries.into_iter().map(named).collect()
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

    async fn layer(&self, diff_id: &Digest) -> Result<Self::Layer> {
        Ok(layers::open(diff_id.to_string()).await?)
    }

    async fn unpack(&self, blob: &Self::Blob, diff_id: &Digest) -> Made<Self::Layer> {
        Ok(layers::unpack(blob, diff_id.to_string()).await?)
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
        let named = |name: String| match name.parse() {
            Ok(digest) => Ok(digest),
            Err(_) => Err(ErrorCode::Other(format!("the host lists a layer called `{name}`, which is no digest"))),
        };
        entries.into_iter().map(named).collect()
    }

    async fn remove_snapshot(&self, name: &str) -> Result<()> {
        Ok(layers::remove(name.to_owned()).await?)
    }

    async fn remove_layer(&self, diff_id: &Digest) -> Result<()> {
        Ok(layers::remove_layer(diff_id.to_string()).await?)
    }

    async fn revoke_snapshot(&self, name: &str) -> Result<()> {
        Ok(layers::revoke(name.to_owned()).await?)
    }

    async fn revoke_layer(&self, diff_id: &Digest) -> Result<()> {
        Ok(layers::revoke_layer(diff_id.to_string()).await?)
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

    fn now(&self) -> i64 {
        wasip3::clocks::system_clock::now().seconds
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
    fn warnings(&self) -> Vec<String> {
        self.warnings()
    }

    async fn verify(&self) -> Made<()> {
        Ok(self.verify().await?)
    }
}

impl Snapshot for layers::Snapshot {
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
