//! The record of a namespace in itself: that somebody made it, and its labels. A namespace that has none exists as well,
//! as soon as there is any other record in it.

use super::{Error, read};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where it is.
pub const NAMESPACE_KEY: &str = "namespace";

/// What is recorded of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// For whoever made it.
    pub labels: BTreeMap<String, String>,
}

impl NamespaceRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("lengths are known, and writing to memory cannot fail")
    }
}
