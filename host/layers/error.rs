//! Why a call of the layer store fails.

use super::archive;
use crate::hash::Digest;
use std::io;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has this name.
    #[error("there is no such layer or snapshot")]
    NotFound,
    /// The archive is none that a layer may be.
    #[error("{0}")]
    Archive(#[from] archive::Error),
    /// The bytes are not compressed as they say.
    #[error("the layer does not decompress: {0}")]
    Compression(String),
    /// An entry cannot be put where it says, or should not be.
    #[error("the entry `{path}` {why}")]
    Entry {
        /// As in the archive, escaped.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The uncompressed bytes are not what the config promised.
    #[error("the uncompressed bytes hash to `{actual}`, and the config says `{expected}`")]
    DigestMismatch {
        /// What was asked for.
        expected: Box<Digest>,
        /// What they are.
        actual: Box<Digest>,
    },
    /// It is over a budget.
    #[error("the layer has more than {limit} {what}")]
    TooLarge {
        /// As in `bytes` or `entries`.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(&'static str),
    /// Something else has this name, or was written there first.
    #[error("something else is there already")]
    Conflict,
    /// Somebody holds it, stands on it, or has mounted it.
    #[error("somebody uses it")]
    InUse,
    /// The disk is full. What was written for the call was given back.
    #[error("no space left on the disk")]
    NoSpace,
    /// This kernel or this user cannot do that.
    #[error("{0}")]
    Unsupported(String),
    /// The caller does not want it any more.
    #[error("the work was stopped")]
    Stopped,
    /// A tree is not what it was when it was made.
    #[error("{0}")]
    Changed(String),
    /// What the store has on disk is not what it wrote.
    #[error("the layer store is damaged: {0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Says what failed. A full disk, or a quota, is told apart.
    pub(super) fn io<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| {
            let source = error.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
                _ => Self::Io { what, source },
            }
        }
    }
}
