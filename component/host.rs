//! What the logic needs from the outside: `wit/` said in Rust, with HTTP and
//! clocks beside it. The doc comments of `wit/*.wit` are the specification of
//! the calls that have the same name here.
//!
//! It is implemented by the WIT imports (`edge::guest`) and by an in-memory
//! host in the tests. Futures need not be `Send`: a component has one thread.

#![allow(async_fn_in_trait, reason = "one thread, and no caller needs a Send bound")]

mod http;
mod writable;

use crate::nouns::{compressor::Compressor, digest::Digest, problem::ErrorCode};

pub use self::http::{Departure, Flaw, HttpError, Method, Request, Response};
pub use self::writable::{Diff, NoTop, Top};
pub use crate::nouns::access::Origin;
use futures_util::future::LocalBoxFuture;

/// The result of a host call.
pub type Result<T> = std::result::Result<T, ErrorCode>;

/// One host. A verb takes `&impl Host`.
pub trait Host {
    /// Bytes on their way, as a handle. They are not read here, except by
    /// [`Host::collect`].
    type Stream;
    /// See `content.claimed`.
    type Claim: Claim;
    /// See `layers.claimed`.
    type TreeClaim: TreeClaim;
    /// See `content.ingest`.
    type Ingest: Ingest<Stream = Self::Stream, Blob = Self::Blob>;
    /// See `content.blob`.
    type Blob: Blob;
    /// See `layers.layer`.
    type Layer: Layer;
    /// See `layers.extraction`.
    type Extraction: Extraction<Blob = Self::Blob, Layer = Self::Layer>;
    /// See `layers.snapshot`. Holding it keeps what it stands on.
    type Snapshot: Snapshot;
    /// See `writable.top`. A host in which nothing is written to has [`NoTop`].
    type Top: Top<Stream = Self::Stream, Blob = Self::Blob, Snapshot = Self::Snapshot>;
    /// See `metadata.transaction`.
    type Transaction: Transaction;
    /// See `credentials.grant`.
    type Grant: Grant;

    // content

    /// See `content.open`.
    async fn open(&self, digest: &Digest) -> Result<Self::Blob>;
    /// See `content.sync`.
    async fn sync(&self) -> Result<()>;
    /// See `content.remove`.
    async fn remove(&self, digest: &Digest) -> Result<()>;
    /// See `content.claim`.
    async fn claim(&self, digests: &[Digest]) -> Result<Self::Claim>;
    /// See `content.ingests`.
    async fn ingests(&self, after: Option<&str>, limit: u32) -> Result<Vec<Unfinished>>;
    /// See `content.discard`.
    async fn discard(&self, key: &str) -> Result<()>;
    /// See `content.entries`.
    async fn blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<(Digest, u64)>>;
    /// See `content.begin`. `name` is unique on the machine, not in a namespace.
    async fn ingest(&self, name: &str) -> Result<Self::Ingest>;
    /// Turns literal bytes into a stream, for [`Ingest::append`] and uploads.
    fn stream(&self, bytes: Vec<u8>) -> Self::Stream;
    /// Reads a stream that is a document, to its end.
    ///
    /// Fails with [`ErrorCode::TooLarge`] as soon as it has more than `limit` bytes.
    async fn collect(&self, stream: Self::Stream, limit: u64) -> Result<Vec<u8>>;

    // archives, which a host may not read

    /// See `content.take`.
    async fn take(&self, _stream: Self::Stream, _length: u64) -> Result<(Vec<u8>, Option<Self::Stream>)> {
        Err(ErrorCode::Unsupported)
    }
    /// See `content.skip`.
    async fn skip(&self, _stream: Self::Stream, _length: u64) -> Result<(u64, Option<Self::Stream>)> {
        Err(ErrorCode::Unsupported)
    }
    /// See `content.sum`.
    async fn sum(&self, _stream: Self::Stream, _limit: u64) -> Result<(u64, Digest)> {
        Err(ErrorCode::Unsupported)
    }
    /// See `content.inflate`. A host that inflates nothing returns the stream as it is.
    fn inflate(&self, stream: Self::Stream) -> (Self::Stream, LocalBoxFuture<'static, Result<()>>) {
        (stream, Box::pin(async { Ok(()) }))
    }

    /// See `content.deflate`. A host that compresses nothing says so at the end.
    fn deflate(&self, stream: Self::Stream, how: Compressor) -> (Self::Stream, LocalBoxFuture<'static, Result<()>>) {
        let _ = how;
        (stream, Box::pin(async { Err(ErrorCode::Unsupported) }))
    }

    // layers

    /// See `layers.open`.
    async fn layer(&self, diff_id: &Digest) -> Result<Self::Layer>;
    /// See `layers.unpack`.
    async fn unpack(&self, blob: &Self::Blob, diff_id: &Digest) -> Made<Self::Layer>;
    /// See `layers.layer.describe`. A host without layers has nothing to describe.
    async fn describe(&self, layer: &Self::Layer, blob: &Self::Blob) -> Made<u64> {
        let _ = (layer, blob);
        Err(ErrorCode::Unsupported.into())
    }
    /// See `layers.follow`.
    fn follow(&self, ingest: &Self::Ingest) -> Self::Extraction;
    /// See `layers.stack`.
    async fn stack(&self, name: &Digest, parent: Option<&Self::Snapshot>, top: &Self::Layer) -> Made<Self::Snapshot>;
    /// See `layers.find`.
    async fn snapshot(&self, name: &Digest) -> Result<Self::Snapshot>;
    /// See `layers.sync`.
    async fn sync_layers(&self) -> Result<()>;
    /// See `layers.entries`. Names that are no ChainIDs may be among them.
    async fn snapshots(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>>;
    /// See `layers.layer-entries`.
    async fn layers(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<Digest>>;
    /// See `layers.remove`.
    async fn remove_snapshot(&self, name: &str) -> Result<()>;
    /// See `layers.remove-layer`.
    async fn remove_layer(&self, diff_id: &Digest) -> Result<()>;
    /// See `layers.claim`.
    async fn claim_trees(&self, snapshots: &[String], layers: &[Digest]) -> Result<Self::TreeClaim>;
    /// See `layers.mounted`.
    async fn mounted(&self) -> Result<Vec<String>>;
    /// See `layers.revoke`.
    async fn revoke_snapshot(&self, name: &str) -> Result<()>;
    /// See `layers.revoke-layer`.
    async fn revoke_layer(&self, diff_id: &Digest) -> Result<()>;

    // trees that are written to, which a host may not have

    /// See `writable.prepare`.
    async fn prepare(&self, name: &str, writable: bool, parent: Option<&Self::Snapshot>) -> Made<Self::Top> {
        let _ = (name, writable, parent);
        Err(ErrorCode::Unsupported.into())
    }
    /// See `writable.find`.
    async fn top(&self, _name: &str) -> Result<Self::Top> {
        Err(ErrorCode::Unsupported)
    }
    /// See `writable.entries`.
    async fn tops(&self, _after: Option<&str>, _limit: u32) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// See `writable.diff`.
    fn diff(&self, _of: &Self::Snapshot) -> Diff<Self::Stream> {
        (self.stream(Vec::new()), Box::pin(async { Err(ErrorCode::Unsupported.into()) }))
    }
    /// See `writable.remove`.
    async fn remove_top(&self, _name: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    // metadata

    /// See `metadata.begin`.
    async fn begin(&self) -> Result<Self::Transaction>;

    // credentials

    /// See `credentials.authorize`.
    async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Self::Grant>;

    // http

    /// Sends a request that has no body and returns the head of the response.
    /// Redirects are not followed.
    async fn send(&self, request: Request) -> std::result::Result<Response<Self::Stream>, HttpError>;

    // uploads

    /// See `content.depart`.
    fn depart(&self, blob: &Self::Blob, offset: u64, length: u64) -> Departure<Self::Stream>;
    /// Sends a request with a body, and returns the head of the response. The header
    /// `content-length` says how long the body is. Redirects are not followed.
    async fn send_body(
        &self,
        request: Request,
        body: Self::Stream,
    ) -> std::result::Result<Response<Self::Stream>, HttpError>;

    // clock and random numbers

    /// Returns the wall clock in seconds since 1970, and nanoseconds.
    fn clock(&self) -> (i64, u32);
    /// Returns the wall clock in seconds since 1970.
    fn now(&self) -> i64 {
        self.clock().0
    }
    /// Returns a clock that only goes forward, in milliseconds.
    fn uptime_ms(&self) -> u64;
    /// Waits.
    async fn sleep(&self, ms: u64);
    /// Returns a random number, for jitter.
    fn random(&self) -> u64;
}

/// See `content.ingest`. Dropping it keeps the bytes.
pub trait Ingest {
    /// The host's stream.
    type Stream;
    /// The host's blob.
    type Blob;
    /// See `content.ingest.offset`.
    fn offset(&self) -> u64;
    /// See `content.ingest.append`.
    async fn append(&self, data: Self::Stream, limit: u64) -> Result<(u64, Option<Self::Stream>)>;
    /// See `content.ingest.digest`.
    async fn digest(&self) -> Result<Digest> {
        Err(ErrorCode::Unsupported)
    }
    /// See `content.ingest.restart`.
    async fn restart(&self) -> Result<()>;
    /// See `content.ingest.commit`.
    async fn commit(self, expected: &Digest, size: u64) -> Result<Self::Blob>;
    /// See `content.ingest.discard`.
    async fn discard(self) -> Result<()>;
}

/// See `content.blob`. Holding it pins it.
pub trait Blob {
    /// See `content.blob.size`.
    fn size(&self) -> u64;
    /// See `content.blob.read`. At most 4 MiB a call.
    async fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>>;
    /// See `content.blob.verify`.
    async fn verify(&self) -> Result<()>;
}

/// See `content.claimed`. Dropping it lets go of the blobs.
pub trait Claim {
    /// See `content.claimed.digests`.
    fn digests(&self) -> Vec<Digest>;
    /// See `content.claimed.remove`.
    async fn remove(self, digests: &[Digest]) -> Result<u64>;
}

/// See `layers.claimed`. Dropping it lets go of the trees.
pub trait TreeClaim {
    /// See `layers.claimed.names`.
    fn names(&self) -> (Vec<String>, Vec<Digest>);
    /// See `layers.claimed.remove`.
    async fn remove(self, snapshots: &[String], layers: &[Digest]) -> Result<()>;
}

/// See `content.unfinished`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// By this it is discarded.
    pub key: String,
    /// The name it was begun with, if that is known.
    pub name: Option<String>,
    /// How many bytes have arrived.
    pub size: u64,
    /// How long ago something last arrived, in seconds.
    pub age_s: u64,
    /// Whether somebody holds it now.
    pub held: bool,
}

/// See `layers.refusal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What a caller may branch on.
    pub code: ErrorCode,
    /// What is wrong, for a person.
    pub why: String,
}

impl From<ErrorCode> for Refusal {
    /// A condition that says all there is to say.
    fn from(code: ErrorCode) -> Self {
        Self { why: code.to_string(), code }
    }
}

/// What comes of making a layer or a stack.
pub type Made<T> = std::result::Result<T, Refusal>;

/// See `layers.layer`. Holding it keeps it on disk.
pub trait Layer {
    /// See `layers.layer.usage`.
    fn usage(&self) -> (u64, u64);
    /// See `layers.layer.warnings`.
    fn warnings(&self) -> Vec<String>;
    /// See `layers.layer.verify`.
    async fn verify(&self) -> Made<()>;
    /// See `layers.layer.recipe`.
    async fn recipe(&self) -> Result<Option<u64>>;
    /// See `layers.layer.rebuild`.
    async fn rebuild(&self) -> Made<()>;
}

/// See `layers.snapshot`. Holding it keeps it on disk, and what it stands on.
pub trait Snapshot {
    /// See `layers.snapshot.parent`.
    fn parent(&self) -> Option<String>;
    /// See `layers.snapshot.layer`.
    fn layer(&self) -> Option<Digest>;
    /// See `layers.snapshot.usage`.
    fn usage(&self) -> (u64, u64);
    /// See `layers.snapshot.verify`.
    async fn verify(&self) -> Made<()>;
}

/// See `layers.extraction`. Dropping it stops it.
pub trait Extraction {
    /// The host's blob.
    type Blob;
    /// The host's layer.
    type Layer;
    /// See `layers.extraction.finish`.
    async fn finish(self, blob: &Self::Blob, diff_id: &Digest) -> Made<Self::Layer>;
}

/// See `metadata.transaction`. Dropping it forgets the writes.
pub trait Transaction {
    /// See `metadata.transaction.get`.
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>>;
    /// See `metadata.transaction.scan`.
    async fn scan(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>>;
    /// See `metadata.transaction.namespaces`.
    async fn namespaces(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>>;
    /// See `metadata.transaction.put`.
    fn put(&self, namespace: &str, key: &str, value: Vec<u8>);
    /// See `metadata.transaction.delete`.
    fn delete(&self, namespace: &str, key: &str);
    /// See `metadata.transaction.commit`.
    async fn commit(self) -> Result<()>;
}

/// See `credentials.grant`.
pub trait Grant {
    /// The value of the request header `wharf-grant`.
    fn id(&self) -> String;
    /// Whether no login was used.
    fn anonymous(&self) -> bool;
}

/// See `credentials.challenge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and a password.
    Basic,
    /// Distribution token authentication.
    Bearer {
        /// The token server.
        realm: String,
        /// Who the token is for.
        service: Option<String>,
        /// As in `repository:library/alpine:pull`.
        scopes: Vec<String>,
    },
}

/// See `credentials.visit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// With the login for the repository, or none if there is none.
    WithLogin,
    /// Without a login, although there may be one.
    Anonymous,
}
