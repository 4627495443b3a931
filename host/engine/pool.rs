//! A pool of stores for a program that answers many requests: memory, tables and stacks are mapped once, and emptied
//! between two stores. A single call does without, because mapping a pool would take longer than most verbs do.
//!
//! Code knows nothing of it: what `build.rs` compiled runs in a pool and without one.
//!
//! ```text
//! request ─► a slot: memory as at the beginning ─► a store ─► its end: what it wrote is overwritten or given back
//! ```

use super::config;
use super::limits::TABLE_ELEMENTS_MAX;
use wasmtime::{Config, Enabled, PoolingAllocationConfig};

/// The modules that a component may consist of. They are counted, and cost nothing.
const MODULES_MAX: u32 = 16;
/// The tables of a component: that of the program, and that by which its imports are tied.
const TABLES_MAX: u32 = 4;
/// The stacks of a store: one that runs, and one that waits in a call of the host.
const STACKS_MAX: u32 = 2;
/// What of a memory is overwritten rather than given back, so that the next request finds it mapped. Most requests write
/// less. A slot that was used once keeps so much.
const MEMORY_BYTES_KEPT: usize = 512 << 10;
/// The same, of a table.
const TABLE_BYTES_KEPT: usize = 32 << 10;
/// The same, of a stack.
const STACK_BYTES_KEPT: usize = 32 << 10;

/// Returns the configuration of an engine with so many stores at once.
pub(super) fn config(stores: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(stores)
        .total_core_instances(stores.saturating_mul(MODULES_MAX))
        .max_core_instances_per_component(MODULES_MAX)
        .total_memories(stores)
        .max_memories_per_component(1)
        .total_tables(stores.saturating_mul(TABLES_MAX))
        .max_tables_per_component(TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .total_stacks(stores.saturating_mul(STACKS_MAX))
        .linear_memory_keep_resident(MEMORY_BYTES_KEPT)
        .table_keep_resident(TABLE_BYTES_KEPT)
        .async_stack_keep_resident(STACK_BYTES_KEPT)
        // The kernel says which pages were written, from Linux 6.7 on; before, the first ones are taken to be.
        .pagemap_scan(Enabled::Auto);
    let mut config = config::config();
    config.async_stack_zeroing(true);
    config.allocation_strategy(pool);
    config
}
