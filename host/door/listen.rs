//! Sockets in front of a [`Door`]: HTTP/1.1, with limits for what clients may hold.

use super::tasks::Tasks;
use super::{Door, refuse};
use http::{Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How many clients are connected at once. More of them wait until they are accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a client may take to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How many headers a request may have.
const HEADERS_MAX: usize = 100;
/// How long nobody is accepted after the machine has refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where clients come in.
#[derive(Debug)]
pub enum Listener {
    /// Whoever may open the socket.
    Unix(UnixListener),
    /// Whoever reaches the address. Requests have to name it by an address or by `localhost`: a page in a browser
    /// that was led here by a name cannot.
    Tcp(TcpListener),
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
        let (places, clients) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Tasks::default());
        let accepting = listeners.into_iter().map(|listener| accept(self, listener, &places, &clients, stop));
        futures::future::join_all(accepting).await;
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

async fn accept(door: &Door, listener: Listener, places: &Arc<Semaphore>, clients: &Tasks, stop: &CancellationToken) {
    loop {
        let place = places.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.next() => accepted,
        };
        let (stream, is_local) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of a client that is gone already, or of a machine without descriptors, which has some again later.
                tracing::warn!("a client was not let in: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (door, stop) = (door.clone(), stop.clone());
        clients.spawn(async move {
            attend(&door, stream, is_local, &stop).await;
            drop(place);
        });
    }
}

/// A client's connection.
type Stream = Box<dyn Duplex>;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Listener {
    /// Returns the next client, and whether it came in without a network.
    async fn next(&self) -> io::Result<(Stream, bool)> {
        Ok(match self {
            Self::Unix(listener) => (Box::new(listener.accept().await?.0), true),
            Self::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                (Box::new(stream), false)
            }
        })
    }
}

/// Answers one client until it goes away.
async fn attend(door: &Door, stream: Stream, is_local: bool, stop: &CancellationToken) {
    let service = service_fn(async |request: Request<Incoming>| {
        if !is_local && !is_expected(&request) {
            let why = "the request names this machine by a name that it does not have; use an address or `localhost`";
            return Ok::<_, Infallible>(refuse(StatusCode::FORBIDDEN, why));
        }
        Ok(door.answer(request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a client went away: {error}");
    }
}

/// Whether a request over the network means this machine.
fn is_expected<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
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
            let request = Request::builder().header(header::HOST, host).body(()).unwrap();
            assert_eq!(is_expected(&request), expected, "{host}");
        }
    }
}
