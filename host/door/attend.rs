//! One client: HTTP/1.1 over a connection, within the bounds of the door.

use super::pace::{Arriving, Paced, Rounds};
use super::{Body, Bounds, kept};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// Whatever a client is connected by.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Answers one client until it goes away, or until `stop` is cancelled and what it has asked for is answered.
pub(super) async fn attend<A, F>(answer: A, stream: impl Duplex, bounds: &Arc<Bounds>, stop: &CancellationToken)
where
    A: Fn(Request<Arriving<Incoming>>) -> F,
    F: Future<Output = Response<Body>>,
{
    let rounds = Rounds::default();
    let stream = Paced::new(stream, bounds.clone(), rounds.clone());
    let service = service_fn(|request: Request<Incoming>| {
        let round = rounds.begin();
        async {
            let (head, body) = request.into_parts();
            let body = Arriving::new(body, bounds.silence).await;
            let answered = answer(Request::from_parts(head, body)).await;
            Ok::<_, Infallible>(answered.map(|body| kept(body, round)))
        }
    });
    // Its own time for a head begins when nothing is asked for, and makes it look for the next head at once.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle + bounds.head)
        .max_buf_size(bounds.head_bytes)
        .max_headers(bounds.headers)
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
        tracing::debug!("a client went away: {}", cause(&error));
    }
}

/// The last reason of an error, which says most.
fn cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
