//! The registry of the races, in the process that starts the others: without logins, and the tags that are pulled move all
//! the time. It notes when each of them moved. Now and then it takes its time. What is pushed goes to repositories that
//! nobody pulls from: `dock`.

mod dock;

use super::checker;
use super::history::{Moment, Move};
use super::world::{Dice, REPOSITORIES, TAGS, VICTIM, image, names};
use bytes::Bytes;
use dock::Dock;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::TcpListener;

/// A tag moves with every so manyth request.
const REQUESTS_PER_MOVE: u64 = 8;
/// One of so many answers takes its time.
const SLOW_ANSWERS: u64 = 4;
/// How long such an answer takes at most, in milliseconds.
const SLOW_MS_MAX: u64 = 6;

/// What is served.
#[derive(Debug)]
struct Shelf {
    /// By `repository:tag`: version and digest.
    tags: BTreeMap<String, (u32, String)>,
    /// By digest: media type and bytes. Documents and blobs, of all repositories together.
    objects: BTreeMap<String, (&'static str, Bytes)>,
    log: checker::Registry,
    dock: Dock,
    dice: Dice,
    requests: u64,
    clock: fn() -> Moment,
}

/// The registry. It answers until the runtime ends.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    shelf: Arc<Mutex<Shelf>>,
    address: SocketAddr,
}

impl Registry {
    /// Starts on a free port of this machine, inside a runtime.
    pub(crate) async fn start(seed: u64, clock: fn() -> Moment) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (tags, objects, log) = Default::default();
        let (dock, dice) = (Dock::new(clock), Dice::new(seed));
        let shelf = Shelf { tags, objects, log, dock, dice, requests: 0, clock };
        let shelf = Arc::new(Mutex::new(shelf));
        let registry = Self { shelf, address };
        for name in names().into_iter().chain([format!("{VICTIM}:{}", TAGS[0])]) {
            registry.shelf().advance(&name);
        }
        let serving = registry.clone();
        tokio::spawn(async move {
            // A listener that fails is seen by everybody who pulls.
            while let Ok((socket, _)) = listener.accept().await {
                let registry = serving.clone();
                let service = hyper::service::service_fn(move |request| {
                    let registry = registry.clone();
                    async move { Ok::<_, Infallible>(registry.answer(request).await) }
                });
                // A worker that was killed breaks its connections.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Ok(registry)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it had, and when.
    pub(crate) fn log(&self) -> checker::Registry {
        let shelf = self.shelf();
        let (pushed, flaws) = (shelf.dock.moves.clone(), shelf.dock.flaws.clone());
        checker::Registry { pushed, flaws, ..shelf.log.clone() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("nobody panics while the registry answers")
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let wait_ms = self.shelf().turn();
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        if dock::is_for(request.uri().path()) {
            let (head, body) = request.into_parts();
            // A process that is killed, or stops, breaks off what it sends: then nothing has come.
            let Ok(body) = body.collect().await else {
                return answer(StatusCode::BAD_REQUEST, "text/plain", None, Bytes::new(), false);
            };
            return self.shelf().dock.answer(&Request::from_parts(head, ()), &body.to_bytes());
        }
        let is_head = *request.method() == Method::HEAD;
        self.shelf().find(request.uri().path(), is_head)
    }
}

impl Shelf {
    /// Notes a request, and returns how long its answer takes, in milliseconds.
    fn turn(&mut self) -> u64 {
        self.requests += 1;
        if self.requests.is_multiple_of(REQUESTS_PER_MOVE) {
            let name = self.dice.choose(&names()).clone();
            self.advance(&name);
        }
        if self.dice.below(SLOW_ANSWERS) == 0 { self.dice.below(SLOW_MS_MAX + 1) } else { 0 }
    }

    /// Moves a tag to an image that never was.
    fn advance(&mut self, name: &str) {
        let version = self.tags.get(name).map_or(1, |(version, _)| version + 1);
        let (image, texts) = image(name, version);
        let target = image.root().digest.clone();
        for (document, text) in std::iter::zip(&image.documents, texts) {
            self.log.targets.entry(text.clone()).or_default().insert(target.clone());
            self.log.texts.insert(document.digest.clone(), text);
        }
        for document in image.documents {
            self.objects.insert(document.digest, (document.media_type, document.bytes));
        }
        let blobs = image.blobs.into_iter().map(|(digest, bytes)| (digest, ("application/octet-stream", bytes)));
        self.objects.extend(blobs);
        let began = (self.clock)();
        self.tags.insert(name.to_owned(), (version, target.clone()));
        self.log.moves.push(Move { name: name.to_owned(), digest: target, began, ended: (self.clock)() });
    }

    /// OCI distribution-spec, “Endpoints”: end-1, end-2, end-3 and end-8.
    fn find(&self, path: &str, is_head: bool) -> Response<Full<Bytes>> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let [.., _, _, kind, which] = parts[..] else {
            return answer(StatusCode::OK, "application/json", None, Bytes::from_static(b"{}"), is_head);
        };
        let repository = parts[1..parts.len() - 2].join("/");
        if kind == "tags" && REPOSITORIES.contains(&repository.as_str()) {
            let list = serde_json::json!({ "name": repository, "tags": TAGS }).to_string();
            return answer(StatusCode::OK, "application/json", None, list.into(), is_head);
        }
        let digest = self.tags.get(&format!("{repository}:{which}")).map_or(which, |(_, digest)| digest);
        match self.objects.get(digest) {
            Some((kind, bytes)) => answer(StatusCode::OK, kind, Some(digest), bytes.clone(), is_head),
            None => answer(StatusCode::NOT_FOUND, "application/json", None, Bytes::from_static(b"{}"), is_head),
        }
    }
}

fn answer(status: StatusCode, kind: &str, digest: Option<&str>, bytes: Bytes, is_head: bool) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, bytes.len());
    if let Some(digest) = digest {
        response = response.header("docker-content-digest", digest);
    }
    let body = if is_head { Bytes::new() } else { bytes };
    response.body(Full::new(body)).expect("the headers are those of this file")
}
