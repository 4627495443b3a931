//! Bytes on their way: chunks that arrive one after the other in virtual time.
//!
//! A stream that is cut short just ends, as in `wasi:http`; only the future
//! beside it knows. Nothing is read before somebody asks.

use super::clock::Clock;
use futures_util::future::{FutureExt, LocalBoxFuture};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Poll, Waker},
};
use wharf_component::host::HttpError;

/// How the bytes of a body come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes a chunk, at least 1.
    pub chunk: usize,
    /// Milliseconds before each chunk.
    pub wait_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { chunk: 64 * 1024, wait_ms: 1 }
    }
}

/// What goes wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after this many bytes.
    Cut(usize),
    /// Nothing comes any more after this many bytes.
    Stall(usize),
}

/// The handle that [`super::Memory`] uses for `stream<u8>`.
#[derive(Debug)]
pub struct Stream {
    clock: Clock,
    bytes: Rc<[u8]>,
    position: usize,
    pace: Pace,
    fault: Option<Fault>,
    outcome: Rc<RefCell<Outcome>>,
    taken: Rc<Cell<u64>>,
}

#[derive(Debug, Default)]
struct Outcome {
    result: Option<Result<(), HttpError>>,
    waker: Option<Waker>,
}

impl Stream {
    /// Makes a stream of `bytes`.
    pub fn new(clock: &Clock, bytes: Rc<[u8]>, pace: Pace, fault: Option<Fault>) -> Self {
        Self { clock: clock.clone(), bytes, position: 0, pace, fault, outcome: Rc::default(), taken: Rc::default() }
    }

    /// The same at the same pace, made into something else.
    pub fn mapped(mut self, map: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        self.bytes = map(&self.bytes[self.position..]).into();
        self.position = 0;
        self
    }

    /// How many bytes have been taken.
    pub fn taken(&self) -> Rc<Cell<u64>> {
        self.taken.clone()
    }

    /// Resolves after the stream was read to its end or dropped.
    pub fn end(&self) -> LocalBoxFuture<'static, Result<(), HttpError>> {
        let outcome = self.outcome.clone();
        std::future::poll_fn(move |context| {
            let mut outcome = outcome.borrow_mut();
            match &outcome.result {
                Some(result) => Poll::Ready(result.clone()),
                None => {
                    outcome.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .boxed_local()
    }

    /// The next bytes, at least 1 and at most `limit` of them; `None` at the end.
    pub async fn next(&mut self, limit: usize) -> Option<Vec<u8>> {
        if self.finished().await {
            return None;
        }
        self.clock.sleep(self.pace.wait_ms).await;
        let brink = match self.fault {
            Some(Fault::Cut(at) | Fault::Stall(at)) => at.min(self.bytes.len()),
            None => self.bytes.len(),
        };
        let end = brink.min(self.position.saturating_add(self.pace.chunk.min(limit)));
        let chunk = self.bytes[self.position..end].to_vec();
        self.position = end;
        self.taken.set(end as u64);
        Some(chunk)
    }

    /// Whether no byte will come any more. Waits as long as a stalled stream does.
    pub async fn finished(&self) -> bool {
        match self.fault {
            Some(Fault::Cut(at)) if self.position >= at => {
                self.conclude(Err(HttpError::Broken("the peer closed the connection".to_owned())));
                true
            }
            Some(Fault::Stall(at)) if self.position >= at => loop {
                self.clock.sleep(60_000).await;
            },
            _ if self.position == self.bytes.len() => {
                self.conclude(Ok(()));
                true
            }
            _ => false,
        }
    }

    fn conclude(&self, result: Result<(), HttpError>) {
        let mut outcome = self.outcome.borrow_mut();
        outcome.result.get_or_insert(result);
        if let Some(waker) = outcome.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.conclude(Err(HttpError::Broken("nobody read the rest".to_owned())));
    }
}
