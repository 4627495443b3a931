//! Logins and tokens: answers a registry's challenge with a grant, which the component can use and cannot read.
//!
//! It finds logins in documents that the caller has read, makes token requests, and keeps tokens until they expire. It
//! does not read files, run programs, store logins, or decide when a registry is to be asked; and it gives a secret to
//! nobody but the ledger of [`network`](crate::network), which sends it to one origin.
//!
//! ```text
//! challenge ─► login ──────► realm rule ─► cache ─► token request ─► ledger ─► grant (an id)
//!              of documents, may it go              answer ≤ 64 KiB  header `authorization`
//!              if named      there?                                  for exactly one origin
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | `document` | docker's `config.json` and podman's `auth.json` |
//! | `store` | the documents in order, and which login fits a registry |
//! | `realm` | to which token servers a registry may send its clients |
//! | `token` | the token request and its answer |
//! | `cache` | tokens until they expire, and one request for equal wishes |
//! | `secret` | text that is not shown and is wiped |

mod cache;
mod document;
mod realm;
mod secret;
mod store;
mod token;

use crate::network::grants::Entitlement;
use crate::network::{Network, Origin};
use cache::{Cache, Key};
use realm::{Realms, Visitor};
use std::sync::Arc;
use std::time::Instant;
use store::{Found, Store};

/// The most scopes that one challenge may ask for.
pub const SCOPES_MAX: usize = 32;

/// The longest realm, service or scope of a challenge, in bytes.
pub const PARAMETER_BYTES_MAX: usize = 2048;

/// What the credentials are made with.
#[derive(Debug, Default)]
pub struct Settings {
    /// The documents with logins, the most important first.
    pub documents: Vec<Document>,
    /// Token servers that get the login for a registry although they are on another host: pairs of the registry's host
    /// and the token server's, as in `registry.example.com` and `gitlab.example.com`. The usual ones are known.
    pub realms: Vec<(String, String)>,
    /// What time it is.
    pub clock: Clock,
}

/// The bytes of docker's `config.json` or podman's `auth.json`.
pub struct Document {
    /// Where it was found, for error messages, as in `/home/ann/.docker/config.json`.
    pub label: String,
    /// What it contains.
    pub bytes: Vec<u8>,
}

/// The bytes are secrets, so only their number is shown.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("label", &self.label).field("bytes", &self.bytes.len()).finish()
    }
}

/// A clock that only goes forward. Tokens expire by it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// Makes a clock of a function, which must never go back.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Instant::now)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What a registry asked for: one parsed challenge of a `WWW-Authenticate` header. RFC 9110 section 11.6.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and a password. RFC 7617.
    Basic,
    /// Distribution token authentication.
    Bearer(Bearer),
}

/// The parameters of a bearer challenge. They are the registry's claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The token server, as in `https://auth.docker.io/token`.
    pub realm: String,
    /// As in `registry.docker.io`.
    pub service: Option<String>,
    /// As in `repository:library/alpine:pull`.
    pub scopes: Vec<String>,
}

/// The right to speak to one origin. Dropping it ends the right; a token stays in the cache.
#[derive(Debug)]
pub struct Grant {
    entitlement: Entitlement,
    anonymous: bool,
}

impl Grant {
    /// Returns the value of the request header `wharf-grant`. It is no secret.
    pub fn id(&self) -> &str {
        self.entitlement.id()
    }

    /// Returns whether no login was used.
    pub fn anonymous(&self) -> bool {
        self.anonymous
    }
}

/// Why there is no grant. No text holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The challenge needs a login, and there is none.
    #[error("there is no login for `{registry}`")]
    NotFound {
        /// As in `registry.lan:5000`.
        registry: String,
    },
    /// The login is kept by another program, which this release does not ask.
    #[error("the login for `{registry}` is kept by `docker-credential-{helper}`, which is not supported; see `{file}`")]
    HelperUnsupported {
        /// As in `desktop`.
        helper: String,
        /// As in `registry.lan:5000`.
        registry: String,
        /// The document that names the helper.
        file: String,
    },
    /// A document with logins cannot be read. Going on without it would be anonymous without saying so.
    #[error("`{file}` cannot be used: {why}")]
    Document {
        /// Where it was found.
        file: String,
        /// What is wrong, by place and not by content.
        why: String,
    },
    /// The challenge breaks a rule of its format.
    #[error("the challenge of `{registry}` is invalid: {why}")]
    Challenge {
        /// As in `registry.lan:5000`.
        registry: String,
        /// Which rule.
        why: String,
    },
    /// The realm is not one that this registry's secrets may go to, or the network's policy forbids it.
    #[error("{why}")]
    Denied {
        /// What is forbidden.
        why: String,
    },
    /// The credentials cannot be set up.
    #[error("{why}")]
    Settings {
        /// Which setting, and what is wrong with it.
        why: String,
    },
    /// The token server rejected the login.
    #[error("`{server}` rejected the login for `{registry}` ({status})")]
    Rejected {
        /// The token server, as in `auth.docker.io`.
        server: String,
        /// As in `registry-1.docker.io`.
        registry: String,
        /// Its answer, as in 401.
        status: u16,
    },
    /// The token server failed. Trying again may succeed.
    #[error("the token server `{server}` failed: {why}")]
    Unavailable {
        /// The token server, as in `auth.docker.io`.
        server: String,
        /// Its answer, if it gave one, as in 503.
        status: Option<u16>,
        /// What happened.
        why: String,
    },
}

/// The credentials of one user. Cheap to clone; clones share the cache.
///
/// A login is used only for a registry that somebody [`named`](Self::named): who asks for a grant may be acting on what
/// another registry said.
#[derive(Clone, Debug)]
pub struct Credentials {
    shared: Arc<Shared>,
    named: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    network: Network,
    store: Store,
    realms: Realms,
    cache: Cache,
    clock: Clock,
}

impl Credentials {
    /// Reads the documents. One that cannot be read is reported by the first call that would need it. No registry is
    /// named yet.
    ///
    /// Fails with [`Error::Settings`] if an entry of `realms` is not a pair of hosts.
    pub fn new(settings: Settings, network: Network) -> Result<Self, Error> {
        let Settings { documents, realms, clock } = settings;
        let (store, realms) = (Store::new(documents), Realms::new(&realms)?);
        let shared = Shared { network, store, realms, cache: Cache::default(), clock };
        Ok(Self { shared: Arc::new(shared), named: None })
    }

    /// Returns the same credentials for somebody who asked for the registry at `authority`, as in
    /// `registry-1.docker.io` or `registry.lan:5000`, and for no other.
    #[must_use]
    pub fn named(&self, authority: &str) -> Self {
        Self { shared: self.shared.clone(), named: Some(authority.into()) }
    }

    /// Answers a challenge of `registry`, from the cache or by a token request. If `registry` is not the one that was
    /// named, it is answered as if there were no login, and a challenge that needs one is denied.
    ///
    /// A token that the registry answered with 401 is not used again: asking once more makes a new token request.
    /// Equal wishes at the same time make one request.
    pub async fn authorize(&self, registry: &Origin, challenge: &Challenge) -> Result<Grant, Error> {
        match challenge {
            Challenge::Basic => self.basic(registry),
            Challenge::Bearer(bearer) => self.bearer(registry, bearer).await,
        }
    }

    fn basic(&self, registry: &Origin) -> Result<Grant, Error> {
        let not_found = || Error::NotFound { registry: registry.authority() };
        if !self.is_named(registry) {
            let why = format!("`{registry}` wants a login, and was not asked for by name");
            return Err(Error::Denied { why });
        }
        let found = self.shared.store.find(registry, None)?.ok_or_else(not_found)?;
        let login = found.login.password.as_ref().ok_or_else(not_found)?;
        let authorization = token::basic(login).ok_or_else(not_found)?;
        let grants = self.shared.network.grants();
        Ok(Grant { entitlement: grants.enter(registry.clone(), authorization, Arc::default()), anonymous: false })
    }

    async fn bearer(&self, registry: &Origin, bearer: &Bearer) -> Result<Grant, Error> {
        let Shared { network, realms, cache, clock, .. } = &*self.shared;
        check_limits(registry, bearer)?;
        let found = self.login(registry, &bearer.scopes)?;
        let visitor = if found.is_some() { Visitor::LoggedIn } else { Visitor::Anonymous };
        let realm = realms.check(registry, &bearer.realm, visitor)?;

        // A token that the user put into the document takes the place of the token request.
        if let Some(found) = &found
            && let Some(token) = &found.login.registry
        {
            let authorization = token::bearer(token).ok_or_else(|| Error::Document {
                file: found.file.to_owned(),
                why: format!("the token for `{}` has characters that no token has", registry.authority()),
            })?;
            let entitlement = network.grants().enter(registry.clone(), authorization, Arc::default());
            return Ok(Grant { entitlement, anonymous: false });
        }

        let mut scopes = bearer.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        let key = Key {
            registry: registry.clone(),
            realm: realm.to_string(),
            service: bearer.service.clone(),
            scopes: scopes.clone(),
            login: found.as_ref().map(|found| found.place),
        };
        let wish = token::Wish {
            registry,
            realm,
            service: bearer.service.as_deref(),
            scopes: &scopes,
            login: found.as_ref().map(|found| found.login),
        };
        let token = cache.get(key, clock, token::request(network, wish)).await?;
        let entitlement = network.grants().enter(registry.clone(), token.authorization, token.refused);
        Ok(Grant { entitlement, anonymous: found.is_none() })
    }

    /// Finds the login for a repository that the scopes name.
    fn login(&self, registry: &Origin, scopes: &[String]) -> Result<Option<Found<'_>>, Error> {
        if !self.is_named(registry) {
            return Ok(None);
        }
        self.shared.store.find(registry, scopes.iter().find_map(|scope| repository(scope)))
    }

    fn is_named(&self, registry: &Origin) -> bool {
        let named = self.named.as_deref().and_then(|named| Origin::new(registry.is_secure(), named).ok());
        named.as_ref() == Some(registry)
    }
}

fn check_limits(registry: &Origin, bearer: &Bearer) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::Challenge { registry: registry.authority(), why });
    if bearer.scopes.len() > SCOPES_MAX {
        return invalid(format!("it has {} scopes, and {SCOPES_MAX} is the limit", bearer.scopes.len()));
    }
    let parameters = bearer.scopes.iter().chain(&bearer.service).chain([&bearer.realm]);
    match parameters.map(String::len).max() {
        Some(length) if length > PARAMETER_BYTES_MAX => {
            invalid(format!("a parameter has {length} bytes, and {PARAMETER_BYTES_MAX} is the limit"))
        }
        _ => Ok(()),
    }
}

/// Returns the repository that a scope is about, as in `library/alpine` of `repository:library/alpine:pull`.
fn repository(scope: &str) -> Option<&str> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, _actions) = rest.rsplit_once(':')?;
    (kind == "repository" || kind.starts_with("repository(")).then_some(name)
}
