//! Text about what only the native host has: logins that it keeps, snapshots and trees.
//! Everything else that is shown is in [`wharf_terminal::render`], for every
//! host.

pub mod login;
pub mod snapshots;
pub mod tree;

pub use wharf_terminal::render::*;
