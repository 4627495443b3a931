//! wharf's host: the machine that the component runs on. It knows HTTP, hashes
//! and files, and not what an image is. A map:
//!
//! - [`images`]: the exports of the component as Rust calls. Start here.
//! - [`engine`]: loads the component, gives each call a store with limits.
//! - [`imports`]: one file an interface of `wit/`; ties it to a service.
//! - [`door`]: the component as a server: each request gets a store of its own.
//! - [`traces`]: spans of those requests, for a collector of OpenTelemetry.
//! - [`scheduler`]: collects again and again, for hosts that run for long.
//! - Services, which know neither wasmtime nor WIT: [`content`] and [`hash`],
//!   [`layers`], [`metadata`], [`network`], [`credentials`].
//! - [`configuration`]: the files of containerd, docker and podman, as rules for
//!   the component and settings for the network.
//! - [`cli`] and [`render`]: arguments and text, mostly the crate
//!   [`wharf_terminal`], which the component for stock wasmtime has too.
//!   `main.rs` puts them together, and it alone takes ambient authority.
//! - [`demo`]: an image and a registry without a network.
//!
//! ```no_run
//! # async fn example(services: wharf::engine::Services) -> Result<(), Box<dyn std::error::Error>> {
//! use wharf::images::{Caller, Wharf};
//!
//! let wharf = Wharf::new(services)?;
//! let caller = Caller { namespace: "default".into(), machine: wharf::machine::machine("") };
//! for image in wharf.entries(&caller, &[]).await?.images {
//!     println!("{} {}", image.name, image.target.digest);
//! }
//! # Ok(()) }
//! ```

pub mod bindings;
pub mod configuration;
pub mod containerd;
pub mod content;
pub mod credentials;
pub mod demo;
pub mod door;
pub mod engine;
pub mod hash;
pub mod images;
pub mod imports;
pub mod layers;
pub mod machine;
pub mod metadata;
pub mod network;
pub mod planted;
pub mod render;
pub mod scheduler;
pub mod store;
pub mod traces;

pub use wharf_terminal::{answer, cli, filed};
