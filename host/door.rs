//! The component as a server: HTTP in front of its `wasi:http/handler`. Each
//! request gets a store of its own, and what it says about logins stays here.
//!
//! - `login`: what the component does not see.
//! - `listen`: sockets, and who comes in there. `tls`: how it is known who. `tasks`: what goes on, so that somebody can
//!   wait for it.
//! - `attend`: one client. `bounds`: what clients may hold, and for how long; `pace`: those that stand still.
//! - `metrics`: what is counted. `spans`: what is told of single requests.
//!
//! ```text
//! client ─► listen ─► attend ─► login, registries ─► a store ══ handler ══► component/docker
//! ```

mod attend;
mod bounds;
mod listen;
mod login;
mod metrics;
mod pace;
mod spans;
mod tasks;
mod tls;

pub use crate::bindings::wharf::images::serving::{Settings, Station};
pub use bounds::Bounds;
pub use listen::{Listener, Stopped};
pub use tls::{Papers, Tls, Unusable};

use crate::credentials::Credentials;
use crate::engine::state::{State, Visit};
use crate::engine::{Engine, Limits, Services, is_full};
use crate::images::{ErrorCode, Failure, Problem};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, Limited, StreamBody};
use metrics::{Counted, Metrics};
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;
use tasks::Tasks;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::{Error as WasiError, WasiHttpView};
use wharf_terminal::{named, requested};

/// The largest body that says who logs in, in bytes.
const LOGIN_BYTES_MAX: usize = 64 << 10;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, WasiError>;

/// Makes what a request works with that names these images, or registries with a slash at the end.
pub type Prepare = Arc<dyn Fn(&[String]) -> Result<(Services, Settings), Problem> + Send + Sync>;

/// Whoever answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    engine: Engine,
    limits: Limits,
    prepare: Prepare,
    bounds: Arc<Bounds>,
    places: Arc<Places>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    /// Ends what has no end of its own.
    closing: CancellationToken,
}

/// How many more there may be.
#[derive(Debug)]
struct Places {
    clients: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

impl Places {
    fn new(bounds: &Bounds) -> Arc<Self> {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            clients: places(bounds.connections),
            requests: places(bounds.requests),
            followers: places(bounds.followers),
        })
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Door {
    /// Loads the component, with a place in a pool for every request that is answered at once.
    pub fn new(prepare: Prepare, bounds: Bounds) -> Result<Self, Failure> {
        let (engine, limits) = (Engine::pool(bounds.stores())?, Limits::default());
        let (places, metrics) = (Places::new(&bounds), Arc::new(Metrics::new()));
        let (tasks, closing) = (Tasks::default(), CancellationToken::new());
        Ok(Self { engine, limits, prepare, bounds: Arc::new(bounds), places, metrics, tasks, closing })
    }

    /// Replaces the limits of each request.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Returns what was counted, as OpenMetrics has it.
    pub fn metrics(&self) -> String {
        let taken = |most: usize, left: &Semaphore| most.saturating_sub(left.available_permits());
        let (bounds, places) = (&self.bounds, &self.places);
        self.metrics.text(taken(bounds.requests, &places.requests), taken(bounds.followers, &places.followers))
    }

    /// Answers a request. What it asks for goes on if whoever asked goes away, as far as it does not need them.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let wanted = request.uri().path_and_query().and_then(|target| requested::references(target.as_str()).pop());
        let counted = Arc::new(Counted::new(self.metrics.clone(), request.method(), wanted));
        let is_endless = request.uri().path_and_query().is_some_and(|target| requested::is_endless(target.as_str()));
        let response = match self.admit(request, is_endless, &counted).await {
            Ok(response) if is_endless => response.map(|body| until(body, &self.closing)),
            Ok(response) => response,
            Err(Refusal { status, message }) => refuse(status, &message),
        };
        let over = counted.answered(response.status(), is_endless);
        response.map(|body| kept(body, over))
    }

    /// Waits until it is the turn of a request.
    async fn turn(&self, is_endless: bool) -> Result<OwnedSemaphorePermit, Refusal> {
        if !is_endless {
            return Ok(self.places.requests.clone().acquire_owned().await.expect("nobody closes the semaphore"));
        }
        self.places.followers.clone().try_acquire_owned().map_err(|_| {
            let why = format!("{} clients follow events already, and more are not served", self.bounds.followers);
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
        })
    }

    async fn admit<B>(
        &self,
        request: Request<B>,
        is_endless: bool,
        counted: &Arc<Counted>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (head, body) = request.into_parts();
        let asked = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let target = asked.as_str();
        let mut references = requested::references(target);
        let authority = requested::authority(target);
        // What is fetched from there has a network of its own too.
        references.extend(authority.iter().map(|authority| format!("{authority}/")));
        let mut login = login::of_headers(&head.headers)?;
        let body = body.map_err(broken).boxed_unsync();
        let body = if requested::is_login(target) {
            let body = Limited::new(body, LOGIN_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?.to_bytes();
            let (registry, given) = login::of_body(&body)?;
            references = vec![format!("{registry}/")];
            login = Some(given);
            whole(requested::login_shown(&registry).into())
        } else {
            body
        };
        let turn = self.turn(is_endless).await?;
        let prepare = self.prepare.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&references).map(|made| (references, made))).await;
        let (references, (mut services, settings)) = prepared.map_err(|error| Refusal::internal(&error))??;
        let registries: Vec<_> = references.iter().flat_map(|name| named::registries(name, &settings.access)).collect();
        for registry in registries.iter().chain(&authority) {
            // What is no authority allows nothing, and the component says what is wrong with it.
            let _ = services.network.allow(registry);
        }
        let documents = login
            .zip(references.first().filter(|_| authority.is_none()))
            .map(|(login, reference)| login.document(named::registry(reference, &settings.access.aliases)));
        let logins = crate::credentials::Settings { documents: documents.into_iter().collect(), ..Default::default() };
        let credentials =
            Credentials::new(logins, services.network.clone()).map_err(|error| Refusal::internal(&error))?;
        services.credentials = credentials.named(&registries);
        let (sender, receiver) = oneshot::channel();
        let (door, request, counted) = (self.clone(), seen(head, asked, body), counted.clone());
        let noting = counted.clone();
        let visit = Visit { settings, note: Box::new(move |what| noting.note(what)) };
        let limits = if is_endless { self.limits.endless() } else { self.limits.clone() };
        self.tasks.spawn(async move {
            door.run(&services, &limits, visit, request, sender, &counted).await;
            drop(turn);
        });
        receiver.await.map_err(|_| Refusal::internal(&"the request was dropped"))?
    }

    /// Has the component answer, and waits until all of it is done.
    async fn run(
        &self,
        services: &Services,
        limits: &Limits,
        visit: Visit,
        request: Request<Body>,
        sender: oneshot::Sender<Result<Response<Body>, Refusal>>,
        counted: &Counted,
    ) {
        let mut sender = Some(sender);
        let begin = Instant::now();
        let made = self.engine.visit(services, limits, visit).await;
        match &made {
            Ok(_) => self.metrics.made(begin.elapsed()),
            Err(_) => self.metrics.unmade(),
        }
        let outcome = async {
            let (mut store, service) = made?;
            let answered = store.run_concurrent(async |accessor| {
                let response = respond(accessor, &service, request).await?;
                let (reader, gone) = oneshot::channel::<Infallible>();
                let response = response.map(|body| kept(body, reader));
                if let Some(sender) = sender.take() {
                    // Whoever went away gets no answer.
                    let _ = sender.send(Ok(response));
                }
                poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                // Bytes that the host itself moves are no task of the component's.
                let _ = gone.await;
                Ok::<_, wasmtime::Error>(())
            });
            let outcome = answered.await.flatten();
            let fuel = limits.fuel.saturating_sub(store.get_fuel()?);
            counted.left(fuel, &store.data().limits, &outcome);
            outcome
        };
        if let Err(error) = outcome.await {
            tracing::error!("the sandbox stopped a request: {error:#}");
            if let Some(sender) = sender.take() {
                let _ = sender.send(Err(stopped(&error)));
            }
        }
    }
}

/// Calls the handler.
async fn respond(
    accessor: &Accessor<State>,
    service: &Service,
    request: Request<Body>,
) -> wasmtime::Result<Response<Body>> {
    // What comes beside it says how the sending of the body went, which nobody here asks.
    let request = accessor.with(|mut access| {
        let (request, _) = wasmtime_wasi_http::p3::Request::from_http(access.data_mut().http().hooks, request);
        request
    });
    let response = service.handle(accessor, request).await?;
    let response = response.map_err(|code| wasmtime::format_err!("the component has no answer: {code:?}"))?;
    accessor.with(|access| response.into_http(access, std::future::ready(Ok(()))))
}

/// The same body, which ends when the server does.
fn until(body: Body, closing: &CancellationToken) -> Body {
    let frames = BodyStream::new(body).take_until(closing.clone().cancelled_owned());
    StreamBody::new(frames).boxed_unsync()
}

/// The same body, which drops `kept` when nobody reads it any more.
fn kept(body: Body, kept: impl Send + 'static) -> Body {
    let keep = move |frame| {
        let _ = &kept;
        frame
    };
    body.map_frame(keep).boxed_unsync()
}

/// What the component sees of a request: nothing that it has no use for.
fn seen(head: Parts, asked: PathAndQuery, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = asked.into();
    let mut headers = HeaderMap::new();
    for name in [ACCEPT, CONTENT_TYPE] {
        for value in head.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    *request.headers_mut() = headers;
    request
}

/// Why a request does not reach the component.
#[derive(Clone, Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: String) -> Self {
        Self { status, message }
    }

    fn internal(why: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
    }
}

impl From<Problem> for Refusal {
    fn from(Problem { code, what, why, .. }: Problem) -> Self {
        let status = match code {
            ErrorCode::Invalid => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, [std::slice::from_ref(&what), &why].concat().join(": "))
    }
}

/// What a request is told that came to no answer.
fn stopped(error: &wasmtime::Error) -> Refusal {
    if is_full(error) {
        let why = format!("every sandbox is taken, and this request can be made again later: {error}");
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    Refusal::internal(&format!("the sandbox stopped the request: {error:#}"))
}

/// As docker's clients read it.
fn refuse(status: StatusCode, message: &str) -> Response<Body> {
    let text = serde_json::json!({ "message": message }).to_string();
    let length = text.len();
    let mut response = Response::new(whole(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn broken(error: impl std::error::Error) -> WasiError {
    WasiError::InternalError(Some(error.to_string()))
}
