//! The interfaces of words of this directory, and `types`, as Rust types, generated: by
//! wasmtime for a host, by `wit-bindgen` for a component. The types have the same names
//! and fields on both sides, so that what is written against them (`host/terminal`) is
//! compiled for either. The doc comments of the `.wit` files are the specification.

#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::all, reason = "generated")]

#[cfg(not(target_family = "wasm"))]
wasmtime::component::bindgen!({ path: ".", world: "words" });

#[cfg(target_family = "wasm")]
wit_bindgen::generate!({ path: ".", world: "words", pub_export_macro: false });

pub use wharf::images::{archives, changes, discovery, types, uploads, vocabulary};
