//! The nouns of `wit/records.wit`, in Rust. What a client wrote stands in them as it wrote it; the verbs check it.

use crate::nouns::{digest::Digest, record::Moment};

/// See `records.labels`.
pub type Labels = Vec<(String, String)>;

/// See `records.target`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointed {
    /// What it is.
    pub media_type: String,
    /// What it hashes to.
    pub digest: String,
    /// In bytes.
    pub size: i64,
    /// What its writer says of it.
    pub annotations: Labels,
}

/// See `records.image-record`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Whatever text.
    pub name: String,
    /// For whoever wrote them.
    pub labels: Labels,
    /// What the name points to.
    pub target: Pointed,
    /// When it came here.
    pub created: Moment,
    /// When it last changed.
    pub updated: Moment,
}

/// See `records.content-record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What it hashes to.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// When it came into the namespace.
    pub created: Moment,
    /// When its record last changed.
    pub updated: Moment,
    /// For whoever wrote them, and for collection.
    pub labels: Labels,
}

/// See `records.namespace-record`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// As in `default`.
    pub name: String,
    /// For whoever made it.
    pub labels: Labels,
}

/// See `records.lease-record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Unique in its namespace.
    pub id: String,
    /// When it was made.
    pub created: Moment,
    /// For whoever made it.
    pub labels: Labels,
}

/// See `records.holding`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// As in `content`, `ingests` or `snapshots/overlayfs`.
    pub kind: String,
    /// A digest, the name of an ingest, or that of a snapshot.
    pub id: String,
}

/// See `records.writing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// As its writer calls it.
    pub name: String,
    /// As the host calls it.
    pub ingest: String,
    /// How many bytes are to come in all; 0 if nobody has said.
    pub total: i64,
    /// What they are to hash to.
    pub expected: Option<Digest>,
    /// When it was begun.
    pub started: Moment,
}

/// See `records.admission`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// In this ingest.
    Proceed(Writing),
    /// The bytes are here.
    Share(Content),
}
