//! Clients that stand still are cut off: while they ask for nothing, in the middle of a head, in the middle of a body, and
//! while they take nothing of an answer.
//!
//! Neither is a limit of the whole time: a pull may take an hour, and so may whoever reads its lines.

use super::Bounds;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// No round: what is read next begins another.
const BUSY: u64 = u64::MAX;

/// How many times a client was busy, counted twice: an odd number says that it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(Arc<AtomicU64>);

/// A request that is answered. Dropping it says that the answer is over.
#[derive(Debug)]
pub(super) struct Round(Rounds);

impl Rounds {
    /// Says that a request has come.
    pub(super) fn begin(&self) -> Round {
        self.0.fetch_add(1, Ordering::Relaxed);
        Round(self.clone())
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client's connection. Reading ends for a client that asks for nothing, and fails for one that does not get on with
/// asking; writing fails for one that takes nothing.
pub(super) struct Paced<S> {
    stream: S,
    bounds: Arc<Bounds>,
    rounds: Rounds,
    /// The round that `reading` is about.
    seen: u64,
    /// Whether a head has begun.
    is_begun: bool,
    reading: Pin<Box<Sleep>>,
    /// Runs while a write waits.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, bounds: Arc<Bounds>, rounds: Rounds) -> Self {
        let reading = Box::pin(sleep(bounds.idle));
        Self { stream, seen: rounds.get(), bounds, rounds, is_begun: false, reading, writing: None }
    }

    /// Whether the client has had its time for what it is doing.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let round = self.rounds.get();
        if round % 2 == 1 || self.writing.is_some() {
            // What is read now is a body, or the end. The last of an answer may be on its way when all of it is made.
            self.seen = BUSY;
            return false;
        }
        if round != self.seen {
            (self.seen, self.is_begun) = (round, false);
            self.reading.as_mut().reset(Instant::now() + self.bounds.idle);
        }
        self.reading.as_mut().poll(cx).is_ready()
    }

    /// Fails if a write that waits has waited for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let silence = self.bounds.silence;
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(silence)));
        match writing.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "it takes nothing of its answer"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_late(cx) {
            let late = Err(io::Error::new(ErrorKind::TimedOut, "the head of its request does not come"));
            return Poll::Ready(if this.is_begun { late } else { Ok(()) });
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if !this.is_begun && buffer.filled().len() > before {
            this.is_begun = true;
            this.reading.as_mut().reset(Instant::now() + this.bounds.head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.written(cx, shut)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Why there is no more of a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut<E> {
    #[error("the client has sent nothing for {} s", .0.as_secs())]
    Silent(Duration),
    #[error(transparent)]
    Broken(E),
}

/// A body of no more bytes is here before the request is looked at.
const SMALL_BYTES_MAX: u64 = 16 << 10;

/// The body of a request, which fails if it is waited for and brings nothing.
pub(super) struct Arriving<B: Body> {
    body: B,
    silence: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// What has come, and nobody has taken.
    ahead: VecDeque<Result<Frame<Bytes>, Cut<B::Error>>>,
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Arriving<B> {
    /// Takes a body. A small one comes first as a whole: who is refused without a look at it would else find the connection
    /// closed while still sending, and see that and no refusal.
    pub(super) async fn new(body: B, silence: Duration) -> Self {
        let mut arriving = Self { body, silence, waiting: None, ahead: VecDeque::new() };
        if arriving.body.size_hint().exact().is_some_and(|bytes| bytes <= SMALL_BYTES_MAX) {
            let mut ahead = VecDeque::new();
            while let Some(frame) = arriving.frame().await {
                let is_over = frame.is_err();
                ahead.push_back(frame);
                if is_over {
                    break;
                }
            }
            arriving.ahead = ahead;
        }
        arriving
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = Cut<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Cut::Broken)));
        }
        let silence = this.silence;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(silence)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(Cut::Silent(silence))))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let frames = self.ahead.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let ahead: u64 = frames.map(|bytes| bytes.len() as u64).sum();
        let mut hint = SizeHint::new();
        hint.set_lower(self.body.size_hint().lower() + ahead);
        if let Some(upper) = self.body.size_hint().upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}
