//! How something came from a registry: what [`Repository::blob`] and
//! [`Repository::manifest`] return beside it. It sums up and decides nothing.
//!
//! [`Repository::blob`]: super::Repository::blob
//! [`Repository::manifest`]: super::Repository::manifest

/// How a blob or a document came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The endpoint that was asked for the last byte, as in
    /// `https://mirror.lan`, wherever it redirected to; none if nobody was.
    pub endpoint: Option<String>,
    /// How many requests were sent to endpoints, those of redirects and
    /// challenges not counted.
    pub attempts: u32,
    /// Bytes that an earlier call had left, as far as they were used.
    pub resumed_from: u64,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
}
