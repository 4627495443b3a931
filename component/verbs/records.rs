//! Records one by one, as programs see them that were written for containerd: see `wit/records.wit`. What happens to
//! the bytes of blobs is not here; what collection makes of the records is in `roots` and `reach`.
//!
//! - [`images`], [`namespaces`], [`leases`], [`contents`], [`writings`], [`snapshots`]: one kind of records each.
//! - `here`: what of a target is here. `members`: which blobs the images of a namespace need. `fields`: what an update
//!   changes. `labels`: what clients write on records. `filters`: which records a list has. `tidy`: what a collection
//!   takes away of them.

pub mod contents;
pub mod images;
pub mod leases;
pub mod namespaces;
pub mod snapshots;
pub mod writings;

mod fields;
mod filters;
mod here;
mod labels;
mod members;
mod tidy;

use super::{
    contract::Caller,
    failing::{because, invalid, problem},
    store,
};
use crate::{
    nouns::{digest::Digest, problem::Problem},
    registry::Failure,
};

pub use filters::matches;
pub(super) use tidy::{tidy, tidy_snapshots};

/// What the host calls an ingest of a namespace.
pub(super) fn ingest_name(namespace: &str, name: &str) -> String {
    format!("containerd/{namespace}/{name}")
}

/// Does what a client asks for in its namespace, which has to be one: what names of ingests are made of has no `/` in it.
/// `what` is as in ``cannot show the image `foo` ``.
async fn within<T>(
    caller: &Caller,
    what: impl Into<String>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Problem> {
    let work = async {
        match store::is_identifier(&caller.namespace) {
            true => work.await,
            false => {
                let why = format!("`{}` is not a namespace, as `default` is", caller.namespace.escape_debug());
                Err(invalid(why))
            }
        }
    };
    work.await.map_err(problem(what))
}

/// Reads a digest that a client wrote.
fn read_digest(text: &str) -> Result<Digest, Failure> {
    let told = because(format!("`{}` is no digest", text.escape_debug()));
    text.parse::<Digest>().map_err(invalid).map_err(told)
}
