//! What an image record is called. Whatever is the canonical form of a reference is a name for all of wharf; any other
//! text, as clients of containerd make some, is kept apart, and only they see it.

use super::IMAGE_PREFIX;
use crate::nouns::reference::Reference;
use std::fmt;

/// What the keys of image records begin with whose name is no reference; the name follows.
pub const FOREIGN_PREFIX: &str = "foreign/";

/// The name of an image record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// As in `docker.io/library/alpine:3.20`.
    Reference(Reference),
    /// As in `sha256:4bcf…` or `foo`.
    Foreign(String),
}

impl Name {
    /// Reads a name. Every text is one.
    pub fn read(text: &str) -> Self {
        match Reference::parse_canonical(text) {
            Ok(reference) => Self::Reference(reference),
            Err(_) => Self::Foreign(text.to_owned()),
        }
    }

    /// Where it is recorded.
    pub fn key(&self) -> String {
        match self {
            Self::Reference(reference) => format!("{IMAGE_PREFIX}{reference}"),
            Self::Foreign(text) => format!("{FOREIGN_PREFIX}{text}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Foreign(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_apart_unless_it_is_written_in_full() {
        let rows = [
            ("docker.io/library/alpine:3.20", "image/docker.io/library/alpine:3.20"),
            ("docker.io/library/alpine", "image/docker.io/library/alpine"),
            ("alpine:3.20", "foreign/alpine:3.20"),
            ("docker.io/alpine:3.20", "foreign/docker.io/alpine:3.20"),
            ("foo", "foreign/foo"),
            ("sha256:x", "foreign/sha256:x"),
            ("Ä b", "foreign/Ä b"),
        ];
        for (text, expected) in rows {
            let name = Name::read(text);
            assert_eq!((name.key().as_str(), name.to_string().as_str()), (expected, text));
        }
    }
}
