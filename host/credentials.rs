//! Logins and tokens on this machine: the crate `wharf-credentials`, which lies in `credentials/`, over
//! [`network`](crate::network).
//!
//! It decides nothing. Which login goes where stands in the crate, and whether an address may be reached in the network.

use crate::network::{self, Incoming, Network, Timeouts};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wharf_credentials::grants::Entitlement;

pub use wharf_credentials::*;

/// The credentials of one user, over this host's network.
pub type Credentials = wharf_credentials::Credentials<Network>;

impl Wire for Network {
    type Body = Incoming;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, Unanswered> {
        Ok(self.exchange(request, Timeouts::default()).await?)
    }

    async fn next(&self, body: &mut Incoming) -> Option<Result<Bytes, Unanswered>> {
        loop {
            match body.frame().await?.map(hyper::body::Frame::into_data) {
                Ok(Ok(piece)) => return Some(Ok(piece)),
                // Trailers say nothing about a token.
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        self.grants().enter(origin, authorization, refused)
    }
}

impl From<network::Error> for Unanswered {
    fn from(error: network::Error) -> Self {
        match error {
            network::Error::Denied { why } => Self::Denied { why },
            other => Self::Failed { why: other.to_string() },
        }
    }
}
