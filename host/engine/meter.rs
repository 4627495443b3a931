//! What a store has used of its memory: the limits of wasmtime, asked by way of a
//! place that remembers the most that was granted, and whether more was refused.

use wasmtime::{ResourceLimiter, Result, StoreLimits};

/// The limits of one store, and what was asked of them.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: StoreLimits,
    memory_bytes: usize,
    is_exceeded: bool,
}

impl Meter {
    pub(super) fn new(limits: StoreLimits) -> Self {
        Self { limits, memory_bytes: 0, is_exceeded: false }
    }

    /// The most memory that the store had, in bytes. It has one memory, which never shrinks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Whether it wanted more than it may have.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    fn noted(&mut self, granted: Result<bool>) -> Result<bool> {
        self.is_exceeded |= !matches!(granted, Ok(true));
        granted
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum);
        if matches!(granted, Ok(true)) {
            self.memory_bytes = self.memory_bytes.max(desired);
        }
        self.noted(granted)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        self.limits.memory_grow_failed(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let granted = self.limits.table_growing(current, desired, maximum);
        self.noted(granted)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        self.limits.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Limits;

    #[test]
    fn the_most_that_was_granted_is_remembered_and_what_was_refused() {
        let mut meter = Meter::new(Limits { memory_bytes_max: 1_000, ..Limits::default() }.store_limits());
        assert!(meter.memory_growing(0, 400, None).unwrap());
        assert!(meter.memory_growing(0, 300, None).unwrap());
        assert_eq!((meter.memory_bytes(), meter.is_exceeded()), (400, false));
        meter.memory_growing(400, 1_001, None).unwrap_err();
        assert_eq!((meter.memory_bytes(), meter.is_exceeded()), (400, true));
    }
}
