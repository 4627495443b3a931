//! Snapshots by the keys of clients: see `wit/snapshots.wit`. The host has the trees, and what is written to; here is
//! decided what a key leads to.
//!
//! ```text
//! prepare ─► record ─► top ─► apply, or a mount ─► commit ─► a stack of layers, or a tree of its own ─► record
//!                                                               named by its ChainID   by what the top had
//! ```
//!
//! A record that is there before its top lets whoever finds a top without a record remove it: nobody is about to record
//! it. Two deaths leave a record that does not lead to its tree: of who prepares, before the top is made, or removes, after
//! it is gone; and of who commits what was written, between the tree and the record. `remove` ends the first, `commit` the
//! second.
//!
//! - `entries`: what is recorded. `life`: prepare, tree, usage. `commit`, `removal`: how it ends. `apply`, `diff`: layers
//!   into one, and out of it.
//! - `lookup`: what a key leads to. `mounted`: which one was mounted.

mod apply;
mod commit;
mod diff;
mod entries;
mod life;
mod lookup;
mod mounted;
mod removal;

pub use apply::apply;
pub use commit::commit;
pub use diff::diff;
pub use entries::{list, stat, update};
pub use life::{prepare, tree, usage};
pub use removal::{clean, remove};

pub(super) use removal::{remove_tops, take_top, tops};
