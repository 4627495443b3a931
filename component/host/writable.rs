//! Trees that are written to: `wit/writable.wit` said in Rust.

use super::{Made, Result};
use crate::nouns::digest::Digest;
use futures_util::future::LocalBoxFuture;

/// What something changes over its parent, and why the stream ended. See `writable.top.diff`.
pub type Diff<S> = (S, LocalBoxFuture<'static, Made<Digest>>);

/// See `writable.top`. It is there until it is removed or committed.
pub trait Top {
    /// The host's stream.
    type Stream;
    /// The host's blob.
    type Blob;
    /// The host's snapshot.
    type Snapshot;
    /// See `writable.top.usage`.
    async fn usage(&self) -> Result<(u64, u64)>;
    /// See `writable.top.shows`.
    async fn shows(&self) -> Made<Option<Digest>>;
    /// See `writable.top.apply`.
    async fn apply(&self, blob: &Self::Blob) -> Made<(Digest, u64)>;
    /// See `writable.top.diff`.
    fn diff(&self) -> Diff<Self::Stream>;
    /// See `writable.top.commit`.
    async fn commit(self, name: &str) -> Made<Self::Snapshot>;
}

/// What is never there.
#[derive(Debug)]
pub struct NoTop<S, B, T>(std::convert::Infallible, std::marker::PhantomData<(S, B, T)>);

impl<S, B, T> Top for NoTop<S, B, T> {
    type Stream = S;
    type Blob = B;
    type Snapshot = T;

    async fn usage(&self) -> Result<(u64, u64)> {
        match self.0 {}
    }
    async fn shows(&self) -> Made<Option<Digest>> {
        match self.0 {}
    }
    async fn apply(&self, _blob: &B) -> Made<(Digest, u64)> {
        match self.0 {}
    }
    fn diff(&self) -> Diff<S> {
        match self.0 {}
    }
    async fn commit(self, _name: &str) -> Made<T> {
        match self.0 {}
    }
}
