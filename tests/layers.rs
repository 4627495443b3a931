//! The layer store and what it is made of, from the bytes of an archive to a mounted tree.

#![allow(clippy::disallowed_methods, reason = "a test looks behind the store's back, and starts processes")]

pub(crate) mod apply;
mod archive;
mod durable;
mod export;
mod mount;
mod namespace;
mod recipe;
mod settle;
mod shelf;
pub(crate) mod stacks;
mod store;
mod sums;
mod tops;
mod view;
