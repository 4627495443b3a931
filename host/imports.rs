//! The imports of `wit/`, one file an interface: generated trait on one side,
//! service on the other, and no logic between. Host services know neither
//! wasmtime nor WIT; only this folder ties the two.

pub mod content;
pub mod credentials;
mod deflate;
pub mod departures;
mod inflate;
pub mod layers;
pub mod metadata;
pub mod network;
mod serving;
mod stream;
pub mod wasi;
pub mod writable;

pub(crate) use stream::{drain, serve};

impl wharf_vocabulary::archives::Host for crate::engine::state::State {}
impl wharf_vocabulary::changes::Host for crate::engine::state::State {}
impl wharf_vocabulary::discovery::Host for crate::engine::state::State {}
impl wharf_vocabulary::types::Host for crate::engine::state::State {}
impl wharf_vocabulary::uploads::Host for crate::engine::state::State {}
impl wharf_vocabulary::vocabulary::Host for crate::engine::state::State {}
