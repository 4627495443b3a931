//! What one store may use. wasmtime's own limits are made for trusted code;
//! these are made for a component that reads hostile documents.

use super::state::State;
use wasmtime::{Result, Store, StoreLimits, StoreLimitsBuilder};

/// The limits of one call.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory_bytes_max: usize,
    /// Handles that the guest holds at once: blobs, ingests, requests, streams.
    pub handles_max: usize,
    /// The CPU budget: about one unit for each instruction of the component.
    pub fuel: u64,
    /// Bytes that one host call may copy out of the guest.
    pub call_bytes_max: usize,
    /// Bytes that the component may write to the log.
    pub log_bytes_max: usize,
}

impl Default for Limits {
    /// The budget of a person at a terminal. A pull of an image with 500 layers
    /// uses a thousandth of the fuel.
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 << 20,
            handles_max: 1_024,
            fuel: 200_000_000_000,
            call_bytes_max: 16 << 20,
            log_bytes_max: 64 << 10,
        }
    }
}

impl Limits {
    /// The part that wasmtime asks about growth.
    pub(super) fn store_limits(&self) -> StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size(self.memory_bytes_max)
            .table_elements(10_000)
            .instances(64)
            .memories(4)
            .tables(64)
            .trap_on_grow_failure(true)
            .build()
    }

    /// Puts the limits on a store.
    pub(super) fn apply(&self, store: &mut Store<State>) -> Result<()> {
        store.limiter(|state| &mut state.limits);
        store.set_fuel(self.fuel)?;
        store.set_hostcall_fuel(self.call_bytes_max);
        // The epoch makes long computation yield; fuel is what ends it.
        store.epoch_deadline_async_yield_and_update(1);
        Ok(())
    }
}
