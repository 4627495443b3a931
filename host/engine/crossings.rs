//! What crossed the boundary: how often the component called which import, and
//! how many bytes went which way. For `wharf demo`, for tests and for the log.

use std::collections::BTreeMap;

/// The counters of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossings {
    calls: BTreeMap<&'static str, u64>,
    bytes_passed: u64,
    bytes_entered: u64,
}

impl Crossings {
    /// Counts a call of `import`, as in `content.open`.
    pub(crate) fn note(&mut self, import: &'static str) {
        *self.calls.entry(import).or_default() += 1;
    }

    /// Counts bytes that a handle stood for and that the host moved.
    pub(crate) fn passed(&mut self, bytes: u64) {
        self.bytes_passed += bytes;
    }

    /// Counts bytes that the host copied into the component.
    pub(crate) fn entered(&mut self, bytes: u64) {
        self.bytes_entered += bytes;
    }

    /// Returns the calls by name.
    pub fn calls(&self) -> &BTreeMap<&'static str, u64> {
        &self.calls
    }

    /// Returns the bytes that went from stream to store outside the component.
    pub fn bytes_passed(&self) -> u64 {
        self.bytes_passed
    }

    /// Returns the bytes of blobs and records that were copied into the component.
    pub fn bytes_entered(&self) -> u64 {
        self.bytes_entered
    }
}
