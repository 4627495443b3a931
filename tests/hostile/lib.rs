//! A component that attacks its host, in the place of wharf's own and with the same rights and limits. What it tries is
//! listed in `attacks.rs` and, below the bindings, in `raw.rs` and `dice.rs`; what has to come of it is asserted by
//! `tests/attacks`. A map:
//!
//! - `attacks`: by the generated bindings, which let it do whatever the types allow.
//! - `raw`: every import as the canonical ABI has it, so that handles, texts and discriminants can be anything.
//! - `dice`: random sequences of those, by a seed.
//! - `guest`: the export.

#[cfg(all(target_family = "wasm", feature = "guest"))]
mod attacks;
#[cfg(all(target_family = "wasm", feature = "guest"))]
mod dice;
#[cfg(all(target_family = "wasm", feature = "guest"))]
mod guest;
#[cfg(all(target_family = "wasm", feature = "guest"))]
mod raw;

/// This crate as a component, compiled for this machine with the configuration
/// of wharf's engine. Its world is `wit/world.wit`.
#[cfg(all(not(target_family = "wasm"), feature = "embed"))]
pub static COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.cwasm"));
