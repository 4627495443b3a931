//! The one configuration of wasmtime. `host/build.rs` precompiles the component
//! with it and `engine` loads the result with it: the two must agree to the
//! letter, so both include this file. It says what code may do; how much of it
//! a store may do is said in `limits`.

/// The stack of the component, in bytes. Deep recursion traps.
const WASM_STACK_BYTES_MAX: usize = 512 << 10;

/// Returns the configuration.
pub(crate) fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK_BYTES_MAX);
    config.async_stack_size(2 * WASM_STACK_BYTES_MAX);
    // Tables that only debuggers and profilers read; they would be a seventh of what is loaded at each start.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    // What the component does not need cannot be used against the host.
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_tail_call(false);
    config.wasm_relaxed_simd(false);
    config
}
