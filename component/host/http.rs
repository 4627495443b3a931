//! Requests and responses as the logic sees them: bodies are handles.

use super::{Origin, Result};
use futures_util::future::LocalBoxFuture;

/// The methods that wharf's requests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 9110 section 9.3.1.
    Get,
    /// RFC 9110 section 9.3.2.
    Head,
    /// RFC 9110 section 9.3.3.
    Post,
    /// RFC 9110 section 9.3.4.
    Put,
    /// RFC 5789.
    Patch,
    /// RFC 9110 section 9.3.5.
    Delete,
}

impl Method {
    /// As in `GET`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request of this method says how long its body is, if only that
    /// there is none. RFC 9110 section 8.6.
    pub fn tells_length(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// A part of a blob on its way out. See `content.depart`.
pub struct Departure<S> {
    /// The bytes.
    pub body: S,
    /// Returns how many of them have been taken so far.
    pub taken: Box<dyn Fn() -> u64>,
    /// Resolves after the body was read to its end or dropped, and says whether the
    /// content store had all of it.
    pub end: LocalBoxFuture<'static, Result<()>>,
}

impl<S> std::fmt::Debug for Departure<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Departure").field("taken", &(self.taken)()).finish_non_exhaustive()
    }
}

/// What is asked of a server. A body comes beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Where to go.
    pub origin: Origin,
    /// Path and query, as in `/v2/library/alpine/manifests/3.20`.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// A response whose body has not been read.
pub struct Response<S> {
    /// As in 200.
    pub status: u16,
    /// Names in lower case, in the order of arrival. Values that are no UTF-8
    /// are decoded lossily.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: S,
    /// Resolves after the body was read to its end or dropped, and says whether
    /// it arrived whole. A stream that was cut short just ends, so this is
    /// always awaited before the bytes are believed.
    pub end: LocalBoxFuture<'static, std::result::Result<(), HttpError>>,
}

/// What kind of wrong there is about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Whoever signed it is not trusted.
    Authority,
    /// It is not valid yet, or not any more.
    Time,
    /// It is for another host.
    Name,
    /// Something else.
    Other,
}

/// Why no whole response came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The name does not resolve, and what the resolver says about it.
    #[error("the name does not resolve: {0}")]
    Name(String),
    /// Nothing listens there, or no route leads there.
    #[error("no connection: {0}")]
    Connect(String),
    /// The server's certificate is not acceptable.
    #[error("the certificate is not acceptable: {1}")]
    Certificate(Flaw, String),
    /// The server lets in no client that it does not know.
    #[error("the server wants to know who the client is: {0}")]
    Client(String),
    /// The handshake failed for another reason.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The host's policy forbids the destination.
    #[error("the host does not allow this destination: {0}")]
    Denied(String),
    /// Time ran out.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke, or the other end broke the protocol.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl<S> std::fmt::Debug for Response<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}
