//! Why configuration cannot be read: the file, the place in it, and what is wrong there. The content of a file is
//! repeated only where it cannot be a secret.

use super::FILE_BYTES_MAX;
use std::io;
use std::path::PathBuf;

/// What is wrong with a file. It ends a call: half a configuration could be one that nobody wrote.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a directory is there and cannot be read, or is not there although another file names it.
    #[error("cannot read `{}`: {why}", .file.display())]
    Read {
        /// Which one.
        file: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// A file is larger than any that people write.
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes", .file.display())]
    Large {
        /// Which one.
        file: PathBuf,
    },
    /// A file does not say what a file of its kind can say.
    #[error("`{}`{}: {why}", .file.display(), position(*.place))]
    Wrong {
        /// Which one.
        file: PathBuf,
        /// Line and column, from 1, where they are known.
        place: Option<(usize, usize)>,
        /// What is wrong there.
        why: String,
    },
}

fn position(place: Option<(usize, usize)>) -> String {
    place.map(|(line, column)| format!(", line {line}, column {column}")).unwrap_or_default()
}
