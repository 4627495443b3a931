//! What wharf decides about images. A map:
//!
//! - [`nouns`]: references, digests, manifests, platforms, records. Pure.
//! - [`host`]: what the logic needs from outside, as one trait.
//! - [`registry`]: the distribution protocol, over [`host::Host`].
//! - [`verbs`]: one story a file, over [`host::Host`].
//! - [`docker`]: the Docker Engine routes about images, which are verbs by HTTP.
//! - `portable`: content and records in one directory, where the runtime has no store.
//! - [`planted`]: defences that a test can take away.
//! - `edge`: where the crate meets WebAssembly.
//!
//! Nouns know no trait, verbs know no WIT, and only `edge` is compiled for one
//! kind of host.

pub mod docker;
pub mod host;
pub mod nouns;
pub mod planted;
#[cfg(feature = "portable")]
pub mod portable;
pub mod registry;
pub mod verbs;

#[cfg(all(target_family = "wasm", any(feature = "guest", feature = "portable")))]
mod edge;
