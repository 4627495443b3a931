//! Logins and tokens, where the component has to keep them itself: the crate
//! `wharf-credentials` over whatever the runtime has for a network. It is the same
//! code as in the native host, with one wall less: here secrets are in the memory of
//! the component.

use crate::{
    host::{Challenge, HttpError, Origin, Request, Result, Visit},
    nouns::problem::ErrorCode,
};
use std::cell::RefCell;
use wharf_credentials::{Bearer, Credentials, Document, Error, Grant, Settings, Wire, grants::Grants};

/// The header by which a request names its grant. See `credentials.grant`.
const GRANT: &str = "wharf-grant";

/// The rights of one call.
#[allow(missing_debug_implementations, reason = "there are secrets in it")]
pub struct Rights<W> {
    credentials: Credentials<W>,
    grants: Grants,
    /// Why a challenge had no answer, for a person.
    said: RefCell<Vec<String>>,
}

impl<W: Wire> Rights<W> {
    /// Reads logins from `documents`, and uses them for the registries in `named`
    /// alone. `realms` are registries and the hosts that their logins may go to.
    /// `wire` enters into `grants`.
    pub fn new(
        documents: Vec<Document>,
        realms: Vec<(String, String)>,
        named: &[String],
        wire: W,
        grants: Grants,
    ) -> std::result::Result<Self, Error> {
        let settings = Settings { documents, realms, ..Settings::default() };
        let credentials = Credentials::new(settings, wire)?.named(named);
        Ok(Self { credentials, grants, said: RefCell::default() })
    }

    /// Returns the logins, to say where they come from.
    pub fn credentials(&self) -> &Credentials<W> {
        &self.credentials
    }

    /// Takes what is to be said about challenges that had no answer.
    pub fn said(&self) -> Vec<String> {
        self.said.take()
    }

    /// See `credentials.authorize`.
    pub async fn authorize(
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
    pub fn exchange(&self, request: &mut Request) -> std::result::Result<Option<String>, HttpError> {
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
    pub fn refused(&self, id: &str) {
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
