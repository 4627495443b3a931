//! The record of an ingest that a program writes by a name of its own: what it has promised. The bytes that have
//! arrived are the store's.

use super::{Error, Moment, read};
use crate::nouns::digest::Digest;
use serde::{Deserialize, Serialize};

/// What the keys of ingests begin with; the name follows.
pub const WRITING_PREFIX: &str = "writing/";

/// An ingest that is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WritingRecord {
    /// How many bytes are to come in all; 0 if nobody has said.
    pub total: i64,
    /// What they are to hash to, if somebody has said.
    pub expected: Option<Digest>,
    /// When it was begun.
    pub started: Moment,
}

impl WritingRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("lengths are known, and writing to memory cannot fail")
    }
}
