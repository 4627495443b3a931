//! The verbs: what a person can ask for, one story a file, over [`Host`].
//!
//! ```text
//! pull ──► resolve ─► choose ─► plan ─► fetch ─► remember      writes
//! push ──► library                                             reads, and sends
//! unpack ──► trees ◄──────────────────────┘                    extracts
//! load   import   commit ──► trees, sweep                      writes
//! compose ──► library, load                                    writes
//! change ──► roots ─► reach ─► sweep                           writes, and removes
//! images   inspect   history ──► library                       read
//! fsck ──► library, pull, unpack, and everything else              checks, repairs
//! copy                                                         asks, and sends
//! tags   catalog   search   referrers   explain   check-login  ask
//!               documents   store   filed   listen   failing   what they share
//! ```
//!
//! - [`contract`]: the nouns of `wit/vocabulary.wit` and `wit/changes.wit`, in Rust.
//! - [`listen`]: how a verb tells what happens while it runs, and how it is stopped.
//! - [`pull`](mod@pull): a reference becomes an image on this machine, and plans of that.
//! - [`push`](mod@push): an image that is here becomes one of a registry, and plans of that.
//! - [`copy`](mod@copy): an image of one registry becomes one of another.
//! - [`images`]: what is here. [`inspect`](mod@inspect): one image in docker's shape.
//! - [`history`](mod@history): how an image was made.
//! - [`unpack`](mod@unpack): the layers of an image that is here become its tree.
//! - [`fsck`](mod@fsck): everything is looked at again, and repaired.
//! - [`load`](mod@load): the images of an archive are here. [`save`](mod@save): images become one.
//! - [`import`](mod@import): the files of an archive are an image of one layer.
//! - [`commit`](mod@commit): what was written to a snapshot is one more layer of an image.
//! - [`compose`](mod@compose): images that are here become an index. [`manifest`](mod@manifest): the document of a name.
//! - [`change`]: tag, remove, prune, collect, and plans of them.
//! - [`usage`]: how much space everything takes. [`leases`], [`label`], [`ingests`]: what holds, and what was begun.
//! - [`watch`]: what happens. [`records`](mod@records): records one by one, as clients of containerd see them.
//! - [`tags`](mod@tags), [`catalog`](mod@catalog): what a repository and what a registry has.
//! - [`search`](mod@search): what a registry finds by a word.
//! - [`referrers`](mod@referrers): what a registry has about an image.
//! - [`explain`](mod@explain): what a pull would ask, in which order, and why.
//! - [`check_login`](mod@check_login): whether a registry accepts the login that the host has for it.
//!
//! Verbs know no WIT and print nothing.
//!
//! [`Host`]: crate::host::Host

pub mod catalog;
pub mod change;
pub mod check_login;
pub mod commit;
pub mod compose;
pub mod contract;
pub mod copy;
pub mod explain;
pub mod fsck;
pub mod history;
pub mod images;
pub mod import;
pub mod ingests;
pub mod inspect;
pub mod label;
pub mod leases;
pub mod listen;
pub mod load;
pub mod manifest;
pub mod pull;
pub mod push;
pub mod records;
pub mod referrers;
pub mod retain_by_default;
pub mod save;
pub mod search;
pub mod tags;
pub mod unpack;
pub mod usage;
pub mod watch;

mod attached;
mod brought;
mod choose;
mod documents;
mod expected;
mod failing;
mod fetch;
mod filed;
mod given_up;
mod library;
mod made;
mod offered;
mod plan;
mod quay;
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
pub use commit::commit;
pub use compose::compose;
pub use copy::{copy, plan_copy};
pub use explain::explain;
pub use fsck::fsck;
pub use history::history;
pub use images::entries;
pub use import::{import, import_from};
pub use inspect::inspect;
pub(crate) use inspect::manifests;
pub use load::load;
pub use manifest::manifest;
pub(crate) use offered::offered;
pub use pull::{plan_pull, pull, pull_planned};
pub use push::{plan_push, push};
pub use referrers::referrers;
pub use retain_by_default::retain_by_default;
pub use save::save;
pub use search::search;
pub use tags::tags;
pub use unpack::unpack;
