//! A read-only distribution registry on `127.0.0.1`, with its content in memory, that counts what
//! it is asked for and what it sends.
//!
//! It takes no uploads, asks for no login and speaks no TLS. It serves what it was given without
//! looking into it, so that tests can have it serve wrong content as well.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use wharf::demo::{image, registry::{Images, Registry}};
//! let registry = Registry::start(Images::new().with("library/demo", "latest", &image::demo())).unwrap();
//! println!("wharf pull {}/library/demo:latest", registry.address());
//! # });
//! ```

use super::image::{Document, Image};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// How much of a body is handed to the socket at once: small enough that [`Registry::cut_blob_after`] cuts in
/// the middle of a blob, and that the count of sent bytes follows what really leaves.
const CHUNK_BYTES: usize = 16 << 10;

/// How long the registry waits before it accepts again after the machine refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long a body rests before it breaks. hyper flushes what it has buffered when a body is not ready, so the
/// bytes before the cut really leave.
const CUT_PAUSE: Duration = Duration::from_millis(20);

/// What [`Registry::cut_blob_after`] stores when nothing is to be cut.
const NO_CUT: u64 = u64::MAX;

/// What a registry holds.
#[derive(Clone, Debug, Default)]
pub struct Images {
    repositories: BTreeMap<String, Repository>,
}

#[derive(Clone, Debug, Default)]
struct Repository {
    /// Tag to digest. Ordered, as `tags/list` returns them.
    tags: BTreeMap<String, String>,
    documents: BTreeMap<String, Document>,
    blobs: BTreeMap<String, Bytes>,
}

impl Images {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `image` to `repository`, as in `library/demo`, and points `tag` to it. A tag that exists moves.
    #[must_use]
    pub fn with(mut self, repository: &str, tag: &str, image: &Image) -> Self {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.tags.insert(tag.to_owned(), image.root().digest.clone());
        repository.documents.extend(image.documents.iter().map(|document| (document.digest.clone(), document.clone())));
        repository.blobs.extend(image.blobs.clone());
        self
    }
}

/// What a registry was asked for and what it sent, since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests of any kind.
    pub requests: u64,
    /// Requests for blobs, `HEAD` included.
    pub blob_requests: u64,
    /// Bytes of response bodies that were handed to a socket.
    pub sent_bytes: u64,
}

/// A registry that answers until it is dropped. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    images: Images,
    requests: AtomicU64,
    blob_requests: AtomicU64,
    sent_bytes: AtomicU64,
    cut: AtomicU64,
}

impl Registry {
    /// Starts on a free port of `127.0.0.1`.
    ///
    /// Fails if the machine gives no port.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(images: Images) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared {
            images,
            requests: AtomicU64::new(0),
            blob_requests: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            cut: AtomicU64::new(NO_CUT),
        });
        let serving = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, serving })
    }

    /// Where it listens, as in `127.0.0.1:40123`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked for and what it sent.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.shared.requests.load(Relaxed),
            blob_requests: self.shared.blob_requests.load(Relaxed),
            sent_bytes: self.shared.sent_bytes.load(Relaxed),
        }
    }

    /// Breaks the connection once, in the first blob response that gets longer than `bytes`.
    pub fn cut_blob_after(&self, bytes: u64) {
        self.shared.cut.store(bytes, Relaxed);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Owns every connection, so that aborting this one task ends them all.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let shared = shared.clone();
                let service = hyper::service::service_fn(move |request| {
                    let shared = shared.clone();
                    async move { Ok::<_, Infallible>(answer(&shared, &request)) }
                });
                // A connection that breaks is the client's affair; the registry goes on.
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

fn answer(shared: &Arc<Shared>, request: &Request<Incoming>) -> Response<Body> {
    shared.requests.fetch_add(1, Relaxed);
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        route(shared, request)
    } else {
        failure(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only")
    };
    response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    let shared = shared.clone();
    response.map(|body| {
        let count = move |frame: &io::Result<Frame<Bytes>>| {
            let sent = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            shared.sent_bytes.fetch_add(sent as u64, Relaxed);
        };
        StreamBody::new(BodyStream::new(body).inspect(count)).boxed_unsync()
    })
}

/// OCI distribution-spec, “Endpoints”: end-1, end-2, end-3 and end-8.
fn route(shared: &Arc<Shared>, request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if path == "/v2/" || path == "/v2" {
        return body(StatusCode::OK, "application/json", Bytes::from_static(b"{}"));
    }
    // A repository's name may contain any of these words, so the last one counts.
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let parts = ["/manifests/", "/blobs/", "/tags/list"]
        .into_iter()
        .filter_map(|word| rest.rfind(word).map(|at| (at, word)))
        .max()
        .map(|(at, word)| (&rest[..at], word, &rest[at + word.len()..]));
    let Some((name, word, rest)) = parts else {
        return failure(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such endpoint");
    };
    let Some(repository) = shared.images.repositories.get(name) else {
        return failure(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "there is no such repository");
    };
    match word {
        "/manifests/" => {
            let digest = repository.tags.get(rest).map_or(rest, String::as_str);
            match repository.documents.get(digest) {
                Some(document) => {
                    let response = body(StatusCode::OK, document.media_type, document.bytes.clone());
                    with_digest(response, &document.digest)
                }
                None => failure(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "there is no such manifest"),
            }
        }
        "/blobs/" => {
            shared.blob_requests.fetch_add(1, Relaxed);
            match repository.blobs.get(rest) {
                Some(bytes) => with_digest(blob(shared, request, bytes), rest),
                None => failure(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "there is no such blob"),
            }
        }
        _ => tags(name, repository, request.uri().query().unwrap_or_default()),
    }
}

fn blob(shared: &Arc<Shared>, request: &Request<Incoming>, bytes: &Bytes) -> Response<Body> {
    const KIND: &str = "application/octet-stream";
    let size = bytes.len();
    let asked = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    let mut response = match asked.map_or(Asked::Everything, |text| range(text, size)) {
        Asked::Everything => body(StatusCode::OK, KIND, bytes.clone()),
        Asked::Part(part) => {
            let position = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let mut response = body(StatusCode::PARTIAL_CONTENT, KIND, bytes.slice(part));
            response.headers_mut().insert(header::CONTENT_RANGE, text(position));
            response
        }
        Asked::Nothing => {
            let mut response =
                failure(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "the range begins past the end");
            response.headers_mut().insert(header::CONTENT_RANGE, text(format!("bytes */{size}")));
            response
        }
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    cut(shared, response)
}

/// What a `Range` header asks of a blob.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Everything,
    Part(Range<usize>),
    Nothing,
}

/// Reads a `Range` header. RFC 9110 section 14.2: a server may ignore one that it does not understand, and
/// this one understands a single range of bytes.
fn range(text: &str, size: usize) -> Asked {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|set| set.split_once('-')) else {
        return Asked::Everything;
    };
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(start), Ok(last)) if start <= last => (start, last.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if last.is_empty() => (start, size),
        (Err(_), Ok(suffix)) if first.is_empty() => {
            (if suffix == 0 { size } else { size.saturating_sub(suffix) }, size)
        }
        _ => return Asked::Everything,
    };
    if start < end { Asked::Part(start..end) } else { Asked::Nothing }
}

/// OCI distribution-spec, “Listing Tags”: `n` limits the answer, `last` says where the previous one ended.
fn tags(name: &str, repository: &Repository, query: &str) -> Response<Body> {
    let parameter = |key| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == key);
    let last = parameter("last").map_or("", |pair| pair.1);
    let limit = parameter("n").and_then(|pair| pair.1.parse().ok()).unwrap_or(usize::MAX);
    let mut later = repository.tags.keys().map(String::as_str).filter(|tag| *tag > last);
    let page: Vec<_> = later.by_ref().take(limit).collect();
    let listing = json!({ "name": name, "tags": page });
    let mut response = body(StatusCode::OK, "application/json", Bytes::from(listing.to_string()));
    if let (Some(end), Some(_)) = (page.last(), later.next()) {
        let next = format!("</v2/{name}/tags/list?n={limit}&last={end}>; rel=\"next\"");
        response.headers_mut().insert(header::LINK, text(next));
    }
    response
}

/// OCI distribution-spec, “Error Codes”.
fn failure(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let errors = json!({ "errors": [{ "code": code, "message": message }] });
    body(status, "application/json", Bytes::from(errors.to_string()))
}

/// For `HEAD`, hyper sends the headers and drops the body.
fn body(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let length = bytes.len();
    let mut rest = bytes;
    let chunks = std::iter::from_fn(move || {
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        (!chunk.is_empty()).then(|| Ok(Frame::data(chunk)))
    });
    let mut response = Response::new(StreamBody::new(stream::iter(chunks)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Lets a body end in an error, which closes the connection, where [`Registry::cut_blob_after`] says so.
fn cut(shared: &Arc<Shared>, response: Response<Body>) -> Response<Body> {
    let shared = shared.clone();
    let mut sent = 0;
    response.map(|body| {
        let frames = BodyStream::new(body).then(move |frame| {
            sent += frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
            let broken = sent > shared.cut.load(Relaxed) && shared.cut.swap(NO_CUT, Relaxed) != NO_CUT;
            async move {
                if broken {
                    tokio::time::sleep(CUT_PAUSE).await;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                frame
            }
        });
        StreamBody::new(frames).boxed_unsync()
    })
}

fn with_digest(mut response: Response<Body>, digest: &str) -> Response<Body> {
    if response.status().is_success() {
        response.headers_mut().insert("docker-content-digest", text(digest.to_owned()));
    }
    response
}

/// A header value of names that came from code or are in [`Images`].
fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("names in a registry are visible ASCII")
}

#[cfg(test)]
mod tests;
