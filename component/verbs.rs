//! The verbs: what a person can ask for, one story a file, over [`Host`].
//!
//! ```text
//! pull ──► resolve ─► choose ─► plan ─► fetch ─► remember      writes
//! unpack ──► trees ◄──────────────────────┘                    extracts
//! change ──► roots ─► reach ─► sweep                           writes, and removes
//! images   inspect   history ──► library                       read
//! fsck ──► library, pull, unpack, and everything else              checks, repairs
//! tags   catalog   explain   check-login                       ask
//!               documents   store   filed   listen   failing   what they share
//! ```
//!
//! - [`contract`]: the nouns of `wit/vocabulary.wit` and `wit/changes.wit`, in Rust.
//! - [`listen`]: how a verb tells what happens while it runs, and how it is stopped.
//! - [`pull`](mod@pull): a reference becomes an image on this machine, and plans of that.
//! - [`images`]: what is here. [`inspect`](mod@inspect): one image in docker's shape.
//! - [`history`](mod@history): how an image was made.
//! - [`unpack`](mod@unpack): the layers of an image that is here become its tree.
//! - [`fsck`](mod@fsck): everything is looked at again, and repaired.
//! - [`change`]: tag, remove, prune, collect, and plans of them.
//! - [`usage`]: how much space everything takes. [`leases`], [`label`], [`ingests`]: what holds, and what was begun.
//! - [`watch`]: what happens.
//! - [`tags`](mod@tags), [`catalog`](mod@catalog): what a repository and what a registry has.
//! - [`explain`](mod@explain): what a pull would ask, in which order, and why.
//! - [`check_login`](mod@check_login): whether a registry accepts the login that the host has for it.
//!
//! Verbs know no WIT and print nothing.
//!
//! [`Host`]: crate::host::Host

pub mod catalog;
pub mod change;
pub mod check_login;
pub mod contract;
pub mod explain;
pub mod fsck;
pub mod history;
pub mod images;
pub mod ingests;
pub mod inspect;
pub mod label;
pub mod leases;
pub mod listen;
pub mod pull;
pub mod save;
pub mod tags;
pub mod unpack;
pub mod usage;
pub mod watch;

mod choose;
mod documents;
mod expected;
mod failing;
mod fetch;
mod filed;
mod library;
mod plan;
mod reach;
mod remember;
mod resolve;
mod roots;
mod store;
mod sweep;
mod transfers;
mod trees;
mod watched;

pub use catalog::catalog;
pub use check_login::check_login;
pub use explain::explain;
pub use fsck::fsck;
pub use history::history;
pub use images::entries;
pub use inspect::inspect;
pub use pull::{plan_pull, pull, pull_planned};
pub use save::save;
pub use tags::tags;
pub use unpack::unpack;
