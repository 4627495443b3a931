//! Bodies on their way, and what happens to them there.

use super::{STEP_MS, clock::Clock};
use std::{cell::Cell, collections::VecDeque, future::pending, rc::Rc};

/// How many bytes arrive in a step.
const STEP_BYTES: usize = 8;

/// What happens to a body on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It arrives.
    Whole,
    /// The connection breaks after so many bytes.
    Cut(usize),
    /// The registry ends it after so many bytes, as if that was all.
    Short(usize),
    /// Nothing comes after so many bytes.
    Stall(usize),
    /// One byte a second.
    Drip,
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct ScriptStream {
    bytes: VecDeque<u8>,
    fate: Fate,
    taken: usize,
    /// Read to its end, or dropped.
    pub(super) over: Rc<Cell<bool>>,
    /// How many bytes were taken.
    pub(super) passed: Rc<Cell<usize>>,
}

impl ScriptStream {
    pub(super) fn new(bytes: Vec<u8>, fate: Fate) -> Self {
        ScriptStream { bytes: bytes.into(), fate, taken: 0, over: Rc::default(), passed: Rc::default() }
    }

    /// Returns some bytes, at most `limit`, or none at the end.
    pub(super) async fn next(&mut self, clock: &Rc<Clock>, limit: usize) -> Option<Vec<u8>> {
        let (end, step_bytes) = match self.fate {
            Fate::Whole => (usize::MAX, STEP_BYTES.max(self.bytes.len() / 64)),
            Fate::Cut(end) | Fate::Short(end) => (end, STEP_BYTES),
            Fate::Stall(end) if self.taken >= end => return pending().await,
            Fate::Stall(end) => (end, STEP_BYTES),
            Fate::Drip => (usize::MAX, 1),
        };
        clock.clone().wait(if matches!(self.fate, Fate::Drip) { 1_000 } else { STEP_MS }).await;
        let count = step_bytes.min(end - self.taken).min(self.bytes.len()).min(limit);
        self.taken += count;
        self.passed.set(self.taken);
        let bytes: Vec<u8> = self.bytes.drain(..count).collect();
        self.over.set(bytes.is_empty());
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Drop for ScriptStream {
    fn drop(&mut self) {
        self.over.set(true);
    }
}
