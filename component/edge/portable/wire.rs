//! The way to token servers, over `wasi:http`, and a ledger whose names nobody can guess.

use crate::edge::http;
use crate::edge::portable::plain::sleep;
use crate::host::{HttpError, Origin};
use crate::portable::Rights;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wasip3::http::types;
use wasip3::random::random::get_random_u64;
use wharf_credentials::grants::{Entitlement, Grants};
use wharf_credentials::{Document, Error, Unanswered};
use wit_bindgen::StreamReader;
use wit_bindgen::rt::async_support::StreamResult;

/// How many bytes of a token server's answer are taken at once.
const READ_BYTES: usize = 16 << 10;

/// Reads logins from `documents`. See [`Rights::new`].
pub(super) fn rights(
    documents: Vec<Document>,
    realms: Vec<(String, String)>,
    named: &[String],
) -> Result<Rights<Wire>, Error> {
    let grants = Grants::new(|| u128::from(get_random_u64()) << 64 | u128::from(get_random_u64()));
    Rights::new(documents, realms, named, Wire { grants: grants.clone() }, grants)
}

/// The way to token servers.
pub(super) struct Wire {
    grants: Grants,
}

/// An answer that is on its way.
pub(super) struct Body {
    stream: StreamReader<u8>,
    end: Option<LocalBoxFuture<'static, Result<(), HttpError>>>,
}

impl wharf_credentials::Wire for Wire {
    type Body = Body;

    async fn send(&self, request: ::http::Request<Bytes>) -> Result<::http::Response<Body>, Unanswered> {
        let (head, body) = request.into_parts();
        let secure = head.uri.scheme() == Some(&::http::uri::Scheme::HTTPS);
        let Some(authority) = head.uri.authority() else {
            return Err(Unanswered::Denied { why: "the address of the token server names no host".to_owned() });
        };
        let origin = Origin { secure, authority: authority.as_str().to_owned() };
        let path = head.uri.path_and_query().map_or("/", ::http::uri::PathAndQuery::as_str);
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let length = (!body.is_empty()).then(|| ("content-length".to_owned(), body.len().to_string().into_bytes()));
        let method = if head.method == ::http::Method::POST { types::Method::Post } else { types::Method::Get };
        let received = http::send_bytes(&method, &origin, path, headers.chain(length), body.to_vec()).await;
        let http::Received { status, headers, body, end } = received.map_err(unanswered)?;
        let mut response = ::http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        response
            .body(Body { stream: body, end: Some(end) })
            .map_err(|_| Unanswered::Failed { why: "the answer has headers that are none".to_owned() })
    }

    async fn next(&self, body: &mut Body) -> Option<Result<Bytes, Unanswered>> {
        loop {
            let (result, chunk) = body.stream.read(Vec::with_capacity(READ_BYTES)).await;
            match result {
                _ if !chunk.is_empty() => return Some(Ok(chunk.into())),
                StreamResult::Complete(_) => {}
                // A stream that was cut short just ends: what comes after it knows.
                StreamResult::Dropped | StreamResult::Cancelled => {
                    return body.end.take()?.await.err().map(|error| Err(unanswered(error)));
                }
            }
        }
    }

    async fn sleep(&self, duration: Duration) {
        sleep(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).await;
    }

    fn enter(
        &self,
        origin: wharf_credentials::Origin,
        value: ::http::HeaderValue,
        refused: Arc<AtomicBool>,
    ) -> Entitlement {
        self.grants.enter(origin, value, refused)
    }
}

fn unanswered(error: HttpError) -> Unanswered {
    match error {
        HttpError::Denied(why) => Unanswered::Denied { why },
        other => Unanswered::Failed { why: other.to_string() },
    }
}
