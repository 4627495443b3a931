//! Why an archive is refused.

use super::{EXTENDED_BYTES_MAX, PATH_BYTES_MAX};
use std::io;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes under the archive fail. What they say may be an [`inflate::Error`](crate::layers::inflate::Error).
    #[error(transparent)]
    Io(io::Error),
    /// The archive ends within an entry.
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    /// A header's sum does not fit its bytes.
    #[error("a header's checksum is wrong")]
    Checksum,
    /// Something other than zeros follows the end.
    #[error("something other than zeros follows the end of the archive")]
    Trailing,
    /// Too many zeros follow the end.
    #[error("more than {0} zeros follow the end of the archive")]
    Padding(u64),
    /// A field is no number, or one that it cannot be: negative, or too large.
    #[error("the field `{0}` of a header is no number that it can be")]
    Number(&'static str),
    /// An extended header is not a list of records.
    #[error("an extended header is malformed")]
    Pax,
    /// A key stands twice in one extended header.
    #[error("an extended header says `{0}` twice")]
    Repeated(String),
    /// A record has a value that its key cannot have.
    #[error("the value of `{0}` in an extended header is none that it can have")]
    PaxValue(String),
    /// An extended header is longer than any needs to be.
    #[error("an extended header has {0} bytes, and {EXTENDED_BYTES_MAX} is the limit")]
    Extended(u64),
    /// Extended headers in an order that readers understand differently.
    #[error("extended headers repeat or contradict each other, or no entry follows them")]
    Order,
    /// A sparse file whose map is inconsistent, or in an unknown form.
    #[error("the map of a sparse file is inconsistent")]
    Sparse,
    /// A path or a link's target is too long or empty.
    #[error("a name has {0} bytes, and 1 to {PATH_BYTES_MAX} are possible")]
    Name(usize),
    /// A file whose name is a directory's.
    #[error("the name of a file ends with `/`")]
    Slash,
    /// An entry of a kind that is none of a layer.
    #[error("an entry has the type {0:?}, which layers do not have")]
    Kind(char),
    /// An entry that has no content says that it has.
    #[error("a {0} has content")]
    Content(&'static str),
}

/// A read of content that met the end of the archive is [`Error::Truncated`] again.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Self::Truncated) => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}
