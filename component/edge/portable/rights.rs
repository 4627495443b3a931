//! Logins and tokens, where this component has to keep them itself: the crate
//! `wharf-credentials` over `wasi:http`. It is the same code as in the native
//! host, with one wall less: here secrets are in the memory of the component.

use crate::edge::http;
use crate::edge::portable::plain::sleep;
use crate::host::{Challenge, HttpError, Origin, Request, Result, Visit};
use crate::nouns::problem::ErrorCode;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wasip3::http::types;
use wasip3::random::random::get_random_u64;
use wharf_credentials::grants::{Entitlement, Grants};
use wharf_credentials::{Bearer, Credentials, Document, Error, Grant, Settings, Unanswered};
use wit_bindgen::StreamReader;
use wit_bindgen::rt::async_support::StreamResult;

/// The header by which a request names its grant. See `credentials.grant`.
const GRANT: &str = "wharf-grant";

/// How many bytes of a token server's answer are taken at once.
const READ_BYTES: usize = 16 << 10;

/// The rights of one call.
pub(super) struct Rights {
    credentials: Credentials<Wire>,
    grants: Grants,
    /// Why a challenge had no answer, for a person.
    said: RefCell<Vec<String>>,
}

impl Rights {
    /// Reads logins from `documents`, and uses them for the registries in `named`
    /// alone. `realms` are registries and the hosts that their logins may go to.
    pub(super) fn new(
        documents: Vec<Document>,
        realms: Vec<(String, String)>,
        named: &[String],
    ) -> std::result::Result<Self, Error> {
        let grants = Grants::new(|| u128::from(get_random_u64()) << 64 | u128::from(get_random_u64()));
        let settings = Settings { documents, realms, ..Settings::default() };
        let credentials = Credentials::new(settings, Wire { grants: grants.clone() })?.named(named);
        Ok(Self { credentials, grants, said: RefCell::default() })
    }

    /// Returns the logins, to say where they come from.
    pub(super) fn credentials(&self) -> &Credentials<Wire> {
        &self.credentials
    }

    /// Takes what is to be said about challenges that had no answer.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.take()
    }

    /// See `credentials.authorize`.
    pub(super) async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Grant> {
        let registry = wharf_credentials::Origin::new(registry.secure, &registry.authority);
        let registry = registry.map_err(|_| ErrorCode::Invalid)?;
        let challenge = match challenge.clone() {
            Challenge::Basic => wharf_credentials::Challenge::Basic,
            Challenge::Bearer { realm, service, scopes } => {
                wharf_credentials::Challenge::Bearer(Bearer { realm, service, scopes })
            }
        };
        let visit = match visit {
            Visit::WithLogin => wharf_credentials::Visit::WithLogin,
            Visit::Anonymous => wharf_credentials::Visit::Anonymous,
        };
        self.credentials.authorize(&registry, repository, &challenge, visit).await.map_err(|error| {
            let text = error.to_string();
            if !matches!(error, Error::NotFound { .. }) && !self.said.borrow().contains(&text) {
                self.said.borrow_mut().push(text);
            }
            code(&error)
        })
    }

    /// Puts the right of a grant into the place of its id, and returns the id.
    /// The request goes to the origin that the grant is for, or nowhere.
    pub(super) fn exchange(&self, request: &mut Request) -> std::result::Result<Option<String>, HttpError> {
        let Some(place) = request.headers.iter().position(|(name, _)| name == GRANT) else { return Ok(None) };
        let (_, id) = request.headers.remove(place);
        let Origin { secure, authority } = &request.origin;
        let origin = wharf_credentials::Origin::new(*secure, authority).ok();
        let authorization = origin.and_then(|origin| self.grants.authorization(&id, &origin));
        let denied = || HttpError::Denied(format!("the grant of this request is not for `{authority}`"));
        let authorization = authorization.ok_or_else(denied)?;
        let value = authorization.to_str().map_err(|_| denied())?.to_owned();
        request.headers.push(("authorization".to_owned(), value));
        Ok(Some(id))
    }

    /// Notes that a registry did not accept a grant.
    pub(super) fn refused(&self, id: &str) {
        self.grants.refused(id);
    }
}

fn code(error: &Error) -> ErrorCode {
    match error {
        Error::NotFound { .. } => ErrorCode::NotFound,
        Error::Helper { .. } => ErrorCode::Unsupported,
        Error::Document { .. } | Error::Challenge { .. } | Error::Settings { .. } => ErrorCode::Invalid,
        Error::Denied { .. } | Error::Rejected { .. } => ErrorCode::Denied,
        Error::Unavailable { .. } => ErrorCode::Unavailable,
    }
}

impl crate::host::Grant for Grant {
    fn id(&self) -> String {
        self.id().to_owned()
    }

    fn anonymous(&self) -> bool {
        self.anonymous()
    }
}

/// The way to token servers.
pub(super) struct Wire {
    grants: Grants,
}

/// An answer that is on its way.
pub(super) struct Body {
    stream: StreamReader<u8>,
    end: Option<LocalBoxFuture<'static, std::result::Result<(), HttpError>>>,
}

impl wharf_credentials::Wire for Wire {
    type Body = Body;

    async fn send(&self, request: ::http::Request<Bytes>) -> std::result::Result<::http::Response<Body>, Unanswered> {
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

    async fn next(&self, body: &mut Body) -> Option<std::result::Result<Bytes, Unanswered>> {
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
