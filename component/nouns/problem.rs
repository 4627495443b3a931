//! Failures: a code for programs, and a problem for people.
//!
//! It does not format text for a terminal; that is the renderer's work.

use super::digest::Digest;

/// Why a call failed: conditions that a caller may branch on. The Rust face of
/// `types.error-code` in `wit/types.wit`, case for case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorCode {
    /// Nothing has this name.
    #[error("not found")]
    NotFound,
    /// A policy, a missing right or a rejected login forbids this.
    #[error("denied")]
    Denied,
    /// The request or a document breaks a rule of its format.
    #[error("invalid")]
    Invalid,
    /// The bytes hash to this digest, not to the one that was asked for.
    #[error("the bytes hash to `{0}`")]
    DigestMismatch(Digest),
    /// The object has this many bytes, which is not what was promised.
    #[error("there are {0} bytes")]
    SizeMismatch(u64),
    /// The object is larger than the limit, which is this many bytes.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// Somebody holds this object.
    #[error("in use")]
    InUse,
    /// A record that the transaction read has changed since.
    #[error("a record changed in the meantime")]
    Conflict,
    /// The disk, a quota or a budget is exhausted.
    #[error("no space left")]
    NoSpace,
    /// The other end failed. Trying again may succeed.
    #[error("unavailable")]
    Unavailable,
    /// This host cannot do that.
    #[error("not supported by this host")]
    Unsupported,
    /// The caller stopped the call.
    #[error("cancelled")]
    Cancelled,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A failure, told so that a person can act on it. Lower case, no final
/// period, literals in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The condition, for programs.
    pub code: ErrorCode,
    /// What failed.
    pub what: String,
    /// Why, nearest cause first.
    pub why: Vec<String>,
    /// What to try, as something to type where possible.
    pub fix: Option<String>,
}
