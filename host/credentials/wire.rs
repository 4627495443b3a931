//! What the credentials need of the host: a way to token servers, time that passes, and a ledger.
//!
//! It is all that differs between hosts. Limits, deadlines, and what an answer means are decided on this side of it.

use super::Origin;
use super::grants::Entitlement;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The way to token servers and into requests.
///
/// Futures of the credentials are `Send` where those of the wire are: a host of one thread need not pretend.
///
/// ```
/// use wharf_credentials::grants::{Entitlement, Grants};
/// use wharf_credentials::{Challenge, Credentials, Document, Origin, Settings, Unanswered, Visit, Wire};
/// # use bytes::Bytes;
/// # use http::{HeaderValue, Request, Response};
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
/// # use std::time::Duration;
///
/// /// A host without a network. Basic challenges are all that it can answer.
/// struct Island(Grants);
///
/// impl Wire for Island {
///     type Body = ();
///
///     async fn send(&self, _: Request<Bytes>) -> Result<Response<()>, Unanswered> {
///         Err(Unanswered::Failed { why: "there is no network".to_owned() })
///     }
///
///     async fn next(&self, _: &mut ()) -> Option<Result<Bytes, Unanswered>> {
///         None
///     }
///
///     async fn sleep(&self, _: Duration) {
///         std::future::pending().await
///     }
///
///     fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
///         self.0.enter(origin, authorization, refused)
///     }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// static NUMBER: AtomicU64 = AtomicU64::new(0);
/// let grants = Grants::new(|| NUMBER.fetch_add(1, Ordering::Relaxed).into());
/// let bytes = br#"{"auths":{"registry.lan":{"auth":"YW5uOnNlY3JldA=="}}}"#.to_vec();
/// let documents = vec![Document { label: "config.json".to_owned(), bytes }];
/// let settings = Settings { documents, ..Settings::default() };
/// let credentials = Credentials::new(settings, Island(grants.clone()))?.named(&["registry.lan".to_owned()]);
///
/// let registry = Origin::new(true, "registry.lan")?;
/// let grant = credentials.authorize(&registry, None, &Challenge::Basic, Visit::WithLogin).await?;
/// let header = grants.authorization(grant.id(), &registry).expect("it is for this origin");
/// assert_eq!(header, "Basic YW5uOnNlY3JldA==");
/// assert_eq!(grants.authorization(grant.id(), &Origin::new(true, "evil.lan")?), None);
/// # Ok(()) }
/// # futures_util::FutureExt::now_or_never(example()).expect("nothing waits").expect("a grant");
/// ```
pub trait Wire {
    /// The body of an answer on its way. Dropping it ends the request.
    type Body;

    /// Sends a request, which may carry a secret for that server, and returns the head of the answer. It follows no
    /// redirects and keeps no cookies. Dropping the future ends the request.
    ///
    /// Fails if there is no answer.
    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Result<Response<Self::Body>, Unanswered>>;

    /// Returns the next piece of a body, or none at its end.
    ///
    /// Fails if the body was cut short.
    fn next(&self, body: &mut Self::Body) -> impl Future<Output = Option<Result<Bytes, Unanswered>>>;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Enters a right into the ledger: requests to exactly this origin may carry `authorization`. `refused` is to be set
    /// when the origin answers 401 to one that did.
    fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement;
}

/// Why a token server did not answer. No text holds a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The host does not send requests there.
    #[error("{why}")]
    Denied {
        /// What is forbidden.
        why: String,
    },
    /// The request failed, or its answer did not arrive whole.
    #[error("{why}")]
    Failed {
        /// What happened.
        why: String,
    },
}
