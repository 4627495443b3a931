//! Bodies on their way: out, with a note of the last movement, and in, with a deadline between two pieces and an error
//! where the bytes end too early. Either way they go no faster than a rate that all bodies of one way share.
//!
//! They are not read, counted or checked here. Trailers are passed on for responses and dropped for requests.

use super::error::of_body;
use super::rate::Rate;
use super::{Error, Origin, Stage, later};
use bytes::Bytes;
use futures::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt, Empty};
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The body of a request. An error of its own ends the request with that error.
pub type Outgoing = UnsyncBoxBody<Bytes, Error>;

/// The body of a response. It ends with an error if it was cut short.
pub type Incoming = UnsyncBoxBody<Bytes, Error>;

/// Returns a body without bytes.
pub fn empty() -> Outgoing {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// When the body of a request last moved.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<Movement>>);

#[derive(Clone, Copy)]
struct Movement {
    last: Instant,
    /// The pool has asked for more and the producer has none yet: that is not the server's fault.
    starved: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Movement { last: Instant::now(), starved: false })))
    }

    /// Returns since when the server is waited for.
    pub(super) fn last(&self) -> Instant {
        let movement = *self.0.lock().expect("nothing panics while it holds the lock");
        if movement.starved { Instant::now() } else { movement.last }
    }

    fn note(&self, starved: bool) {
        let movement = Movement { last: Instant::now(), starved };
        *self.0.lock().expect("nothing panics while it holds the lock") = movement;
    }
}

/// Bytes that wait until it is their turn.
struct Paced {
    rate: Option<Arc<Rate>>,
    /// Bytes that are here and have to wait. Where they come from is not read from meanwhile, and waits as well.
    held: Bytes,
    /// How many of them may pass next, and when.
    turn: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Paced {
    fn new(rate: Option<Arc<Rate>>) -> Self {
        Self { rate, held: Bytes::new(), turn: None }
    }

    /// Returns the next of the held bytes, once it is their turn. None if there are none.
    fn release(&mut self, cx: &mut Context<'_>) -> Option<Poll<Bytes>> {
        let (held, rate) = (self.held.len(), self.rate.as_ref().filter(|_| !self.held.is_empty())?);
        let (bytes, turn) = self.turn.get_or_insert_with(|| {
            let bytes = held.min(rate.piece());
            (bytes, Box::pin(tokio::time::sleep_until(rate.book(bytes))))
        });
        if turn.as_mut().poll(cx).is_pending() {
            return Some(Poll::Pending);
        }
        let piece = self.held.split_to(*bytes);
        self.turn = None;
        Some(Poll::Ready(piece))
    }

    /// Holds bytes until it is their turn, or hands them back if there is no rate, or nothing in them.
    fn hold(&mut self, data: Bytes) -> Option<Bytes> {
        if self.rate.is_none() || data.is_empty() {
            return Some(data);
        }
        self.held = data;
        None
    }
}

/// The body of a request, as the pool takes it.
pub(super) struct Departing {
    data: BodyDataStream<Outgoing>,
    progress: Progress,
    paced: Paced,
}

impl Departing {
    /// `rate` is the limit for all bodies that go out together.
    pub(super) fn new(body: Outgoing, progress: Progress, rate: Option<Arc<Rate>>) -> Self {
        Self { data: BodyDataStream::new(body), progress, paced: Paced::new(rate) }
    }
}

impl Stream for Departing {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(piece) = self.paced.release(cx) {
                // Until its turn comes nobody waits for the server.
                self.progress.note(piece.is_pending());
                return piece.map(|piece| Some(Ok(piece)));
            }
            let next = match Pin::new(&mut self.data).poll_next(cx) {
                Poll::Ready(Some(Ok(data))) => match self.paced.hold(data) {
                    Some(data) => Poll::Ready(Some(Ok(data))),
                    None => continue,
                },
                next => next,
            };
            self.progress.note(next.is_pending());
            return next;
        }
    }
}

/// The body of a response.
pub(super) struct Arriving {
    inner: reqwest::Body,
    origin: Origin,
    between_bytes: Duration,
    /// Runs while a reader waits for the server, and only then: neither a slow reader nor the rate is its fault.
    deadline: Option<Pin<Box<Sleep>>>,
    paced: Paced,
    ended: bool,
}

impl Arriving {
    /// Takes the body of a response of `origin`. `rate` is the limit for all bodies that come in together.
    pub(super) fn new(inner: reqwest::Body, origin: Origin, between_bytes: Duration, rate: Option<Arc<Rate>>) -> Self {
        Self { inner, origin, between_bytes, deadline: None, paced: Paced::new(rate), ended: false }
    }

    fn overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let between_bytes = self.between_bytes;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(later(Instant::now(), between_bytes))));
        deadline.as_mut().poll(cx).is_ready()
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(piece) = self.paced.release(cx) {
                return piece.map(|piece| Some(Ok(Frame::data(piece))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.deadline = None;
                    match frame.into_data() {
                        Ok(data) => {
                            if let Some(data) = self.paced.hold(data) {
                                return Poll::Ready(Some(Ok(Frame::data(data))));
                            }
                        }
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(of_body(&self.origin, error))));
                }
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Pending if self.overdue(cx) => {
                    self.ended = true;
                    let authority = self.origin.authority();
                    return Poll::Ready(Some(Err(Error::Timeout { authority, stage: Stage::Body })));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.paced.held.is_empty() && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.inner.size_hint(), self.paced.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}
