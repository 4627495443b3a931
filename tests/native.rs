//! A host without a sandbox: the component's trait `Host` over the real services, so that the same decisions run
//! natively, with real sockets and files, and a switch in them can be turned.
//!
//! It is for one thread: a current-thread runtime and no `Send`. What works on files blocks that thread, but for what
//! may wait for a claim: who has that may be on the same thread.

#[path = "native/body.rs"]
mod body;
#[path = "native/content.rs"]
mod contents;
#[path = "native/layers.rs"]
mod layers;
#[path = "native/top.rs"]
mod top;

use body::Body;
use contents::{Blob, Claim, Ingest};
use futures::future::LocalBoxFuture;
use http_body_util::BodyExt as _;
use layers::{Extraction, Layer, Snapshot, TreeClaim};
use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use top::Top;
use wharf::content;
use wharf::credentials;
use wharf::engine::Services;
use wharf::hash;
use wharf::images::ErrorCode as Told;
use wharf::imports::credentials::condition;
use wharf::metadata;
use wharf::network::{self, Timeouts};
use wharf_component::host::{
    self, Challenge, Departure, Diff, Host, HttpError, Made, Method, Origin, Refusal, Request, Response, Result,
    Unfinished, Visit,
};
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;

/// How often somebody who waits for an ingest looks again.
const LOOK: Duration = Duration::from_millis(5);

/// One machine: services, and a clock that began with it.
#[derive(Debug)]
pub(crate) struct Native {
    services: Services,
    began: Instant,
}

impl Native {
    /// Works on these services, on behalf of somebody who typed these registries, as in `127.0.0.1:5000`.
    pub(crate) fn new(services: &Services, registries: &[String]) -> Self {
        for registry in registries {
            services.network.allow(registry).expect("the test names registries");
        }
        let credentials = services.credentials.named(registries);
        Self { services: Services { credentials, ..services.clone() }, began: Instant::now() }
    }
}

/// Says a condition of the boundary in the component's own words, as `component/edge` does.
pub(crate) fn code(told: impl Into<Told>) -> ErrorCode {
    match told.into() {
        Told::NotFound => ErrorCode::NotFound,
        Told::Denied => ErrorCode::Denied,
        Told::Invalid => ErrorCode::Invalid,
        Told::DigestMismatch(actual) => ErrorCode::DigestMismatch(actual.parse().expect("the host writes digests")),
        Told::SizeMismatch(actual) => ErrorCode::SizeMismatch(actual),
        Told::TooLarge(limit) => ErrorCode::TooLarge(limit),
        Told::InUse => ErrorCode::InUse,
        Told::Conflict => ErrorCode::Conflict,
        Told::NoSpace => ErrorCode::NoSpace,
        Told::Unavailable => ErrorCode::Unavailable,
        Told::Unsupported => ErrorCode::Unsupported,
        Told::Cancelled => ErrorCode::Cancelled,
        Told::Other(what) => ErrorCode::Other(what),
    }
}

/// Says why a layer could not be made, as `host/imports` does.
pub(crate) fn refusal(error: wharf::layers::Error) -> Refusal {
    Refusal { why: error.to_string(), code: code(error) }
}

fn native(digest: &Digest) -> hash::Digest {
    digest.as_str().parse().expect("the grammar of digests is one")
}

/// Does on a thread of its own what may wait for a claim.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("opening does not panic")
}

fn told(digest: &hash::Digest) -> Digest {
    digest.to_string().parse().expect("the grammar of digests is one")
}

impl Host for Native {
    type Stream = Body;
    type Claim = Claim;
    type TreeClaim = TreeClaim;
    type Ingest = Ingest;
    type Blob = Blob;
    type Layer = Layer;
    type Extraction = Extraction;
    type Snapshot = Snapshot;
    type Top = Top;
    type Transaction = Transaction;
    type Grant = Grant;

    async fn open(&self, digest: &Digest) -> Result<Blob> {
        let (content, digest) = (self.services.content.clone(), native(digest));
        aside(move || content.blob(&digest)).await.map(Blob).map_err(code)
    }

    async fn sync(&self) -> Result<()> {
        self.services.content.sync().map_err(code)
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.services.content.remove(&native(digest)).map_err(code)
    }

    async fn claim(&self, digests: &[Digest]) -> Result<Claim> {
        let digests: Vec<_> = digests.iter().map(native).collect();
        self.services.content.claim(&digests).map(Claim).map_err(code)
    }

    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>> {
        let after = after.map(|after| content::Key::from_encoded(after).ok_or(ErrorCode::Invalid)).transpose()?;
        let page = self.services.content.ingests(after.as_ref(), limit as usize).map_err(code)?;
        let described = |one: content::Unfinished| Unfinished {
            key: one.key.encoded(),
            name: one.name,
            size: one.bytes,
            age_s: one.age.as_secs(),
            held: one.held,
        };
        Ok(page.into_iter().map(described).collect())
    }

    async fn discard(&self, key: &str) -> Result<()> {
        let key = content::Key::from_encoded(key).ok_or(ErrorCode::Invalid)?;
        self.services.content.discard(key).map_err(code)
    }

    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>> {
        let entries = self.services.content.entries(after.map(native).as_ref(), limit as usize).map_err(code)?;
        Ok(entries.iter().map(|(digest, size)| (told(digest), *size)).collect())
    }

    async fn ingest(&self, name: &str) -> Result<Ingest> {
        loop {
            if let Some(ingest) = self.services.content.try_ingest(name).map_err(code)? {
                return Ok(Ingest(ingest));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn stream(&self, bytes: Vec<u8>) -> Body {
        Body::of(bytes)
    }

    async fn collect(&self, mut stream: Body, limit: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = stream.next().await {
            all.extend_from_slice(&chunk);
            if all.len() as u64 > limit {
                return Err(ErrorCode::TooLarge(limit));
            }
        }
        Ok(all)
    }

    async fn take(&self, stream: Body, length: u64) -> Result<(Vec<u8>, Option<Body>)> {
        const TAKEN_BYTES_MAX: u64 = 4 << 20;
        if length > TAKEN_BYTES_MAX {
            return Err(ErrorCode::TooLarge(TAKEN_BYTES_MAX));
        }
        let mut bytes = Vec::new();
        let (_, rest) = stream.pass(length, |chunk| bytes.extend_from_slice(chunk)).await;
        Ok((bytes, rest))
    }

    async fn skip(&self, stream: Body, length: u64) -> Result<(u64, Option<Body>)> {
        Ok(stream.pass(length, |_| {}).await)
    }

    fn inflate(&self, stream: Body) -> (Body, LocalBoxFuture<'static, Result<()>>) {
        let (body, end) = stream.inflated();
        (body, Box::pin(std::future::ready(end)))
    }

    async fn layer(&self, diff_id: &Digest) -> Result<Layer> {
        let (layers, diff_id) = (self.services.layers.clone(), native(diff_id));
        aside(move || layers.layer(&diff_id)).await.map(Layer).map_err(code)
    }

    async fn unpack(&self, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
        layers::unpack(&self.services.layers, blob, diff_id)
    }

    async fn describe(&self, layer: &Layer, blob: &Blob) -> Made<u64> {
        layers::describe(&self.services.layers, layer, blob)
    }

    fn follow(&self, ingest: &Ingest) -> Extraction {
        Extraction::begin(&self.services.layers, &ingest.0)
    }

    async fn stack(&self, name: &Digest, parent: Option<&Snapshot>, top: &Layer) -> Made<Snapshot> {
        let (layers, name) = (self.services.layers.clone(), name.to_string());
        let (parent, top) = (parent.map(|parent| parent.0.clone()), top.0.clone());
        aside(move || layers.stack(&name, parent.as_ref(), &top)).await.map(Snapshot).map_err(refusal)
    }

    async fn snapshot(&self, name: &Digest) -> Result<Snapshot> {
        let (layers, name) = (self.services.layers.clone(), name.to_string());
        aside(move || layers.snapshot(&name)).await.map(Snapshot).map_err(code)
    }

    async fn sync_layers(&self) -> Result<()> {
        self.services.layers.sync().map_err(code)
    }

    async fn snapshots(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.services.layers.entries(after, limit as usize).map_err(code)
    }

    async fn layers(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<Digest>> {
        let page = self.services.layers.layer_entries(after.map(native).as_ref(), limit as usize).map_err(code)?;
        Ok(page.iter().map(told).collect())
    }

    async fn remove_snapshot(&self, name: &str) -> Result<()> {
        self.services.layers.remove(name).map_err(code)
    }

    async fn remove_layer(&self, diff_id: &Digest) -> Result<()> {
        self.services.layers.remove_layer(&native(diff_id)).map_err(code)
    }

    async fn claim_trees(&self, snapshots: &[String], layers: &[Digest]) -> Result<TreeClaim> {
        let layers: Vec<_> = layers.iter().map(native).collect();
        self.services.layers.claim(snapshots, &layers).map(TreeClaim).map_err(code)
    }

    async fn mounted(&self) -> Result<Vec<String>> {
        self.services.layers.mounted().map_err(code)
    }

    async fn revoke_snapshot(&self, name: &str) -> Result<()> {
        self.services.layers.revoke(name).map_err(code)
    }

    async fn revoke_layer(&self, diff_id: &Digest) -> Result<()> {
        self.services.layers.revoke_layer(&native(diff_id)).map_err(code)
    }

    async fn prepare(&self, name: &str, writable: bool, parent: Option<&Snapshot>) -> Made<Top> {
        self.services.layers.prepare(name, writable, parent.map(|parent| &parent.0)).map(Top).map_err(refusal)
    }

    async fn top(&self, name: &str) -> Result<Top> {
        self.services.layers.find_top(name).map(Top).map_err(code)
    }

    async fn tops(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.services.layers.tops(after, limit as usize).map_err(code)
    }

    fn diff(&self, of: &Snapshot) -> Diff<Body> {
        top::changes(|out| self.services.layers.diff(&of.0, out))
    }

    async fn remove_top(&self, name: &str) -> Result<()> {
        self.services.layers.remove_top(name).map_err(code)
    }

    async fn begin(&self) -> Result<Transaction> {
        self.services.metadata.begin().map(|service| Transaction(RefCell::new(service))).map_err(code)
    }

    async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Grant> {
        let registry = network::Origin::new(registry.secure, &registry.authority).map_err(|_| ErrorCode::Invalid)?;
        let challenge = match challenge.clone() {
            Challenge::Basic => credentials::Challenge::Basic,
            Challenge::Bearer { realm, service, scopes } => {
                credentials::Challenge::Bearer(credentials::Bearer { realm, service, scopes })
            }
        };
        let visit = match visit {
            Visit::WithLogin => credentials::Visit::WithLogin,
            Visit::Anonymous => credentials::Visit::Anonymous,
        };
        let grant = self.services.credentials.authorize(&registry, repository, &challenge, visit).await;
        grant.map(Grant).map_err(|error| code(condition(&error)))
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<Body>, HttpError> {
        self.send_body(request, Body::of(Vec::new())).await
    }

    fn depart(&self, blob: &Blob, offset: u64, length: u64) -> Departure<Body> {
        const PIECE_BYTES: u64 = 1 << 20;
        let (mut bytes, mut end) = (Vec::new(), Ok(()));
        while (bytes.len() as u64) < length && end.is_ok() {
            let left = length - bytes.len() as u64;
            match blob.0.read(offset + bytes.len() as u64, left.min(PIECE_BYTES)) {
                Ok(piece) if piece.is_empty() => end = Err(ErrorCode::SizeMismatch(blob.0.size())),
                Ok(piece) => bytes.extend(piece),
                Err(error) => end = Err(code(error)),
            }
        }
        let taken = bytes.len() as u64;
        Departure { body: Body::of(bytes), taken: Box::new(move || taken), end: Box::pin(std::future::ready(end)) }
    }

    /// What is sent is in memory, unlike in the sandbox's host: tests send little.
    async fn send_body(&self, request: Request, body: Body) -> std::result::Result<Response<Body>, HttpError> {
        let body = self.collect(body, u64::MAX).await.map_err(|code| HttpError::Broken(code.to_string()))?;
        let scheme = if request.origin.secure { "https" } else { "http" };
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let uri = format!("{scheme}://{}{}", request.origin.authority, request.path);
        let mut outgoing = http::Request::builder().method(method).uri(uri);
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        let body = http_body_util::Full::from(body).map_err(|never| match never {}).boxed_unsync();
        let outgoing = outgoing.body(body).map_err(|error| HttpError::Denied(error.to_string()))?;
        let response = self.services.network.send(outgoing, Timeouts::default()).await.map_err(failure)?;
        let (head, body) = response.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let (body, end) = Body::arriving(body);
        Ok(Response { status: head.status.as_u16(), headers, body, end })
    }

    fn clock(&self) -> (i64, u32) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        (since.as_secs().try_into().expect("the year has four digits"), since.subsec_nanos())
    }

    fn uptime_ms(&self) -> u64 {
        self.began.elapsed().as_millis().try_into().expect("a test is short")
    }

    async fn sleep(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn random(&self) -> u64 {
        use std::hash::BuildHasher as _;
        std::collections::hash_map::RandomState::new().hash_one(0)
    }
}

/// Says what `host/imports` and `component/edge` make of an error together.
fn failure(error: network::Error) -> HttpError {
    use network::Error;
    let text = error.to_string();
    match error {
        Error::Name { why, .. } => HttpError::Name(why),
        Error::Refused { .. } => HttpError::Connect("connection refused".to_owned()),
        Error::Certificate { flaw, why, .. } => HttpError::Certificate(kind(flaw), why),
        Error::Client { why, .. } => HttpError::Client(why),
        Error::Tls { why, .. } => HttpError::Tls(why),
        Error::Denied { .. } | Error::Settings { .. } => HttpError::Denied(text),
        Error::Timeout { .. } => HttpError::Timeout,
        Error::Connect { why, .. } | Error::Broken { why, .. } => HttpError::Broken(why),
        Error::Proxy { .. } | Error::Upload { .. } | Error::Invalid { .. } => HttpError::Broken(text),
    }
}

fn kind(flaw: network::Flaw) -> host::Flaw {
    match flaw {
        network::Flaw::Name => host::Flaw::Name,
        network::Flaw::Time => host::Flaw::Time,
        network::Flaw::Other => host::Flaw::Other,
        network::Flaw::Authority => host::Flaw::Authority,
    }
}

/// See `metadata.transaction`.
#[derive(Debug)]
pub(crate) struct Transaction(RefCell<metadata::Transaction>);

impl host::Transaction for Transaction {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.0.borrow_mut().get(namespace, key).map_err(code)
    }

    async fn scan(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        self.0.borrow_mut().scan(namespace, prefix, after, limit).map_err(code)
    }

    async fn namespaces(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.0.borrow_mut().namespaces(after, limit).map_err(code)
    }

    fn put(&self, namespace: &str, key: &str, value: Vec<u8>) {
        self.0.borrow_mut().put(namespace, key, value);
    }

    fn delete(&self, namespace: &str, key: &str) {
        self.0.borrow_mut().delete(namespace, key);
    }

    async fn commit(self) -> Result<()> {
        self.0.into_inner().commit().map_err(code)
    }
}

/// See `credentials.grant`.
#[derive(Debug)]
pub(crate) struct Grant(credentials::Grant);

impl host::Grant for Grant {
    fn id(&self) -> String {
        self.0.id().to_owned()
    }

    fn anonymous(&self) -> bool {
        self.0.anonymous()
    }
}
