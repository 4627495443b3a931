//! What is kept of an image: its blobs as they came, what was extracted of them, or both. A name says it by a label, so that
//! records that know nothing of it are as they were. It decides nothing about what else needs the same.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The label of a record that says it. Without it, and with a value that is none of these, both are kept.
pub const RETENTION_LABEL: &str = "wharf.retain";

/// Where a namespace says what is kept of names that say nothing when they come. Without it both are.
pub const RETENTION_KEY: &str = "retain";

/// What is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Blobs and trees.
    #[default]
    Both,
    /// Trees; the blob of a layer goes as soon as its tree can make the archive again.
    Unpacked,
    /// Blobs; the trees are made again when they are wanted.
    Compressed,
}

/// What is none of the three words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of `both`, `unpacked` and `compressed`")]
pub struct Unknown(String);

impl Retention {
    /// Reads the labels of a record. Whatever is not understood keeps everything.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        Self::read(labels.get(RETENTION_LABEL).map(String::as_str))
    }

    /// Reads the word for it. Whatever is not understood, and nothing, keeps everything.
    pub fn read(text: Option<&str>) -> Self {
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Unpacked => "unpacked",
            Self::Compressed => "compressed",
        }
    }

    /// Writes it into the labels of a record. What is usual needs no label.
    pub fn note(self, labels: &mut BTreeMap<String, String>) {
        match self {
            Self::Both => drop(labels.remove(RETENTION_LABEL)),
            other => drop(labels.insert(RETENTION_LABEL.to_owned(), other.to_string())),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for Retention {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text {
            "both" => Ok(Self::Both),
            "unpacked" => Ok(Self::Unpacked),
            "compressed" => Ok(Self::Compressed),
            other => Err(Unknown(other.escape_debug().to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_it_was_given_and_anything_else_keeps_both() {
        for retention in [Retention::Both, Retention::Unpacked, Retention::Compressed] {
            let mut labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
            retention.note(&mut labels);
            assert_eq!(Retention::of(&labels), retention);
            Retention::Both.note(&mut labels);
            assert_eq!(labels.len(), 1, "{retention}");
        }
        for text in ["", "Unpacked", "none", "unpacked "] {
            let labels = BTreeMap::from([(RETENTION_LABEL.to_owned(), text.to_owned())]);
            assert_eq!(Retention::of(&labels), Retention::Both, "{text}");
        }
    }
}
