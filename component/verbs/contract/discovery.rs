//! The nouns of `wit/discovery.wit`: what registries have that nobody named.

use crate::nouns::{descriptor::Descriptor, digest::Digest};

/// See `discovery.search-options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchOptions {
    /// No more are wanted.
    pub limit: u32,
    /// As in `stars=10`.
    pub filters: Vec<String>,
}

/// See `discovery.found`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What has most stars first.
    pub repositories: Vec<FoundRepository>,
    /// What a person may not expect.
    pub notes: Vec<String>,
}

/// See `discovery.found-repository`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundRepository {
    /// As it is pulled.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// None if the registry counts none.
    pub stars: Option<u64>,
    /// Whether the registry vouches for it.
    pub official: bool,
    /// Whether the registry builds it.
    pub automated: bool,
}

/// See `discovery.referral`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// As in `ghcr.io/org/app`.
    pub repository: String,
    /// What the name points to.
    pub subject: Digest,
    /// In the registry's order.
    pub referrers: Vec<Referrer>,
    /// What a person may not expect.
    pub notes: Vec<String>,
}

/// See `discovery.referrer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its manifest: of what it says only type, digest and size are handed on.
    pub target: Descriptor,
    /// What it is.
    pub artifact_type: Option<String>,
    /// What its maker says, in order of key.
    pub annotations: Vec<(String, String)>,
}
