//! Sockets in front of a [`Door`]: who comes in there, and how many.

use super::attend::attend;
use super::tasks::Tasks;
use super::tls::Tls;
use super::{Body, Door, refuse, whole};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long nobody is accepted after the machine has refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many are connected at once who only look at the numbers. They have places of their own, so that a door that is
/// full can be looked at.
const WATCHERS_MAX: usize = 16;

/// Where clients come in.
#[derive(Debug)]
pub enum Listener {
    /// Whoever may open the socket.
    Unix(UnixListener),
    /// Whoever reaches the address. Requests have to name it by an address or by `localhost`: a page in a browser
    /// that was led here by a name cannot.
    Tcp(TcpListener),
    /// Whoever reaches the address and shows a certificate.
    Tls(TcpListener, Tls),
    /// Whoever reaches the address and asks for `/metrics`, under the rule of [`Self::Tcp`]. Nothing else is answered.
    Metrics(TcpListener),
}

/// What was left when the door was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whether every request was answered to its end.
    pub is_all_done: bool,
}

impl Door {
    /// Answers whoever comes until `stop` is cancelled; then nobody new is let in, and who is there has `patience` to
    /// be answered.
    pub async fn serve(&self, listeners: Vec<Listener>, stop: &CancellationToken, patience: Duration) -> Stopped {
        let (watchers, clients) = (Arc::new(Semaphore::new(WATCHERS_MAX)), Tasks::default());
        let accepting = listeners.into_iter().map(|listener| {
            let places = if matches!(listener, Listener::Metrics(_)) { &watchers } else { &self.places.clients };
            accept(self, listener, places.clone(), &clients, stop)
        });
        futures::future::join_all(accepting).await;
        self.closing.cancel();
        let all = async {
            // A client may ask for something until it is gone.
            clients.wait().await;
            self.tasks.wait().await;
        };
        match timeout(patience, all).await {
            Ok(()) => Stopped { is_all_done: true },
            Err(_) => Stopped { is_all_done: false },
        }
    }
}

async fn accept(door: &Door, listener: Listener, places: Arc<Semaphore>, clients: &Tasks, stop: &CancellationToken) {
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => return,
            place = places.clone().acquire_owned() => place.expect("nobody closes the semaphore"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.next() => accepted,
        };
        let coming = match accepted {
            Ok(coming) => coming,
            Err(error) => {
                // Of a client that is gone already, or of a machine without descriptors, which has some again later.
                tracing::warn!("a client was not let in: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (door, stop) = (door.clone(), stop.clone());
        clients.spawn(async move {
            coming.meet(&door, &stop).await;
            drop(place);
        });
    }
}

/// A client that was accepted, and what it may ask for.
enum Coming {
    Local(UnixStream),
    Near(TcpStream),
    Far(TcpStream, Tls),
    Watching(TcpStream),
}

impl Listener {
    /// Returns the next client.
    async fn next(&self) -> io::Result<Coming> {
        let listener = match self {
            Self::Unix(listener) => return Ok(Coming::Local(listener.accept().await?.0)),
            Self::Tcp(listener) | Self::Tls(listener, _) | Self::Metrics(listener) => listener,
        };
        let stream = listener.accept().await?.0;
        stream.set_nodelay(true)?;
        Ok(match self {
            Self::Tls(_, tls) => Coming::Far(stream, tls.clone()),
            Self::Metrics(_) => Coming::Watching(stream),
            _ => Coming::Near(stream),
        })
    }
}

impl Coming {
    /// Answers a client until it goes away.
    async fn meet(self, door: &Door, stop: &CancellationToken) {
        let bounds = &door.bounds;
        let _connected = (!matches!(self, Self::Watching(_))).then(|| door.metrics.connected());
        match self {
            Self::Local(stream) => attend(|request| door.answer(request), stream, bounds, stop).await,
            Self::Near(stream) => {
                let answer = |request: Request<_>| async move {
                    match is_expected(&request) {
                        true => door.answer(request).await,
                        false => stranger(),
                    }
                };
                attend(answer, stream, bounds, stop).await;
            }
            Self::Far(stream, tls) => {
                let shaken = tokio::select! {
                    () = stop.cancelled() => return,
                    shaken = tls.accept(stream, bounds.handshake) => shaken,
                };
                match shaken {
                    Ok(stream) => attend(|request| door.answer(request), stream, bounds, stop).await,
                    Err(error) => tracing::info!("a client was refused in the handshake: {error}"),
                }
            }
            Self::Watching(stream) => {
                let answer = |request: Request<_>| async move { numbers(door, &request) };
                attend(answer, stream, bounds, stop).await;
            }
        }
    }
}

fn stranger() -> Response<Body> {
    let why = "the request names this machine by a name that it does not have; use an address or `localhost`";
    refuse(StatusCode::FORBIDDEN, why)
}

/// Answers who asks for the numbers.
fn numbers<B>(door: &Door, request: &Request<B>) -> Response<Body> {
    if !is_expected(request) {
        return stranger();
    }
    if request.method() != http::Method::GET || request.uri().path() != "/metrics" {
        return refuse(StatusCode::NOT_FOUND, "there is `GET /metrics` here, and nothing else");
    }
    let mut response = Response::new(whole(door.metrics().into()));
    let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, openmetrics);
    response
}

/// Whether a request over the network means this machine.
fn is_expected<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() => host,
        _ => host,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_here_is_not_enough() {
        let rows = [
            ("localhost", true),
            ("localhost:2375", true),
            ("127.0.0.1:2375", true),
            ("[::1]:2375", true),
            // RFC 3986 section 3.2.2 has brackets around it.
            ("::1", false),
            ("evil.example:2375", false),
            ("localhost.evil.example", false),
            ("", false),
        ];
        for (host, expected) in rows {
            let request = Request::builder().header(HOST, host).body(()).unwrap();
            assert_eq!(is_expected(&request), expected, "{host}");
        }
    }
}
