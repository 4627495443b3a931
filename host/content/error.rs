//! Why the content store fails. It does not say what to do about it; that needs the caller's purpose.

use std::io;

use crate::hash::Digest;

/// A failure of the content store: `types.error-code` as far as it can come from here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has this digest.
    #[error("not found")]
    NotFound,
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(&'static str),
    /// The bytes are not those that were expected.
    #[error("the bytes hash to `{actual}` instead of `{expected}`")]
    DigestMismatch {
        /// What was asked for.
        expected: Box<Digest>,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// There are more or fewer bytes than expected.
    #[error("there are {actual} bytes instead of {expected}")]
    SizeMismatch {
        /// What was asked for, in bytes.
        expected: u64,
        /// What has arrived, in bytes.
        actual: u64,
    },
    /// More was asked for than one call gives.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Somebody holds a handle.
    #[error("in use")]
    InUse,
    /// The disk, a quota or a limit on the size of files is exhausted. What was written has been given back.
    #[error("no space left")]
    NoSpace,
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
    /// Returns the conversion of an error of the operating system that happened while doing `what`.
    pub(super) fn io<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Self::NoSpace
                }
                _ => Self::Io { what, source },
            }
        }
    }
}
