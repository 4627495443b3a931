//! Logins and tokens: answers a registry's challenge with a grant, which the component can use and cannot read.
//!
//! It finds logins in documents that the caller has read, has the caller's programs asked for them, makes token
//! requests, and keeps tokens until they expire. It does not read or write files, start programs itself, or decide when
//! a registry is to be asked; and it gives a secret to nobody but the [`Wire`], which sends it to one origin, and the
//! program that is to keep it. It knows nothing else of wharf, and builds for WASI as it does natively: a host is told
//! from another by its wire alone.
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
//! | [`helper`] | docker's credential helpers: programs that keep logins |
//! | `edit` | a document with one login more or less |
//! | [`keep`] | where a login is put, and where it is taken from |
//! | `source` | where a login comes from, for people |
//! | `challenge` | what a registry asks for |
//! | `realm` | to which token servers a registry may send its clients |
//! | `token` | the token request and its answer |
//! | `cache` | tokens until they expire, and one request for equal wishes |
//! | `wire` | what a host does for all this |
//! | [`origin`] | scheme, host and port, in one spelling |
//! | [`grants`] | the ledger of rights that requests may use |
//! | `secret` | text that is not shown and is wiped |

mod cache;
mod challenge;
mod document;
mod edit;
mod error;
pub mod grants;
pub mod helper;
pub mod keep;
pub mod origin;
mod realm;
mod secret;
mod sent;
mod settings;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod wire;

pub use challenge::{Bearer, Challenge, PARAMETER_BYTES_MAX, SCOPES_MAX};
pub use error::Error;
pub use origin::Origin;
pub use sent::Sent;
pub use settings::{Clock, Document, Login, Settings};
pub use source::{Kind, Source};
pub use wire::{Unanswered, Wire};

use cache::{Cache, Key};
use document::{Password, Scope, Secrets};
use grants::Entitlement;
use helper::Told;
use realm::{Realms, Visitor};
use secret::Secret;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Keeper, Step, Store};
use token::Refreshes;

/// Which rights somebody wants to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The login for the repository, or none if there is none.
    WithLogin,
    /// No login, although there may be one.
    Anonymous,
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

/// The credentials of one user. Cheap to clone; clones share the cache.
///
/// A login is used only for a registry that somebody [`named`](Self::named): who asks for a grant may be acting on what
/// another registry said.
#[derive(Debug)]
pub struct Credentials<W> {
    shared: Arc<Shared<W>>,
    named: Arc<[String]>,
    added: Option<Arc<Added>>,
}

#[derive(Debug)]
struct Shared<W> {
    wire: W,
    store: Store,
    told: Told,
    realms: Realms,
    cache: Cache,
    refreshes: Refreshes,
    clock: Clock,
}

/// A login that no document has.
#[derive(Debug)]
struct Added {
    scope: Scope,
    secrets: Arc<Secrets>,
    number: u64,
}

/// Which login it is: no two of one user have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// The numbers of the document and of the entry.
    Entry(usize, usize),
    /// The program, and under which name it keeps the login.
    Helper(String, String),
    /// The number of an [`Added`] login.
    Added(u64),
}

/// A login that was found.
struct Found {
    secrets: Arc<Secrets>,
    place: Place,
    /// Where, for people.
    file: String,
}

impl<W> Clone for Credentials<W> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), named: self.named.clone(), added: self.added.clone() }
    }
}

impl<W: Wire> Credentials<W> {
    /// Reads the documents. One that cannot be read is reported by the first call that would need it. No registry is
    /// named yet.
    ///
    /// Fails with [`Error::Settings`] if an entry of `realms` is not a pair of hosts.
    pub fn new(settings: Settings, wire: W) -> Result<Self, Error> {
        let Settings { documents, realms, helpers, clock } = settings;
        let (store, realms, told) = (Store::new(documents), Realms::new(&realms)?, Told::new(helpers));
        let (cache, refreshes) = (Cache::default(), Refreshes::default());
        let shared = Shared { wire, store, told, realms, cache, refreshes, clock };
        Ok(Self { shared: Arc::new(shared), named: Arc::default(), added: None })
    }

    /// Returns the same credentials for somebody who asked for the registries at these authorities, as in
    /// `registry-1.docker.io` or `registry.lan:5000`, and for no other.
    #[must_use]
    pub fn named(&self, authorities: &[String]) -> Self {
        Self { named: authorities.into(), ..self.clone() }
    }

    /// Returns the same credentials with a login for `registry`, as in `docker.io` or `registry.lan:5000`, which is
    /// used instead of what the documents have for it.
    ///
    /// Fails with [`Error::Settings`] if `registry` is not a host with an optional port.
    pub fn with_login(&self, registry: &str, login: &Login) -> Result<Self, Error> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let scope = whole(registry)?;
        let password = Secret::from(login.password.to_string());
        let password = Some(Password { user: login.user.clone(), password });
        let secrets = Arc::new(Secrets { password, identity: None, registry: None });
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { added: Some(Arc::new(Added { scope, secrets, number })), ..self.clone() })
    }

    /// Answers a challenge of `registry`, from the cache or by a token request. `repository` is what the request is
    /// about, as in `library/alpine`: a login may be for a part of a registry; without it the login is that for the
    /// whole. If `registry` is not one that was named, it is answered as if there were no login, and a challenge that
    /// needs one is denied.
    ///
    /// A token that the registry answered with 401 is not used again: asking once more makes a new token request.
    /// Equal wishes at the same time make one request.
    pub async fn authorize(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<Grant, Error> {
        match challenge {
            Challenge::Basic => self.basic(registry, repository, visit).await,
            Challenge::Bearer(bearer) => self.bearer(registry, repository, bearer, visit).await,
        }
    }

    /// Returns where the documents say that the login for a repository is, if they say so; without `repository`, that
    /// for the whole registry. No program is asked: what it would say is not known, the user name included. Whether the
    /// registry was named does not count, nor does a login that was added.
    ///
    /// Fails with [`Error::Document`] if a document or an entry on the way cannot be read.
    pub fn describe(&self, registry: &Origin, repository: Option<&str>) -> Result<Option<Source>, Error> {
        let step = self.shared.store.steps(registry, repository).next().transpose()?;
        Ok(step.map(|step| step.source()))
    }

    /// Returns the same as [`describe`](Self::describe), after asking the programs whether they have the login, and for
    /// whom.
    ///
    /// Fails also with [`Error::Helper`].
    pub async fn identify(&self, registry: &Origin, repository: Option<&str>) -> Result<Option<Source>, Error> {
        for step in self.shared.store.steps(registry, repository) {
            let step = step?;
            if let Some((secrets, _)) = self.open(&step).await? {
                return Ok(Some(Source { user: source::user(&secrets), ..step.source() }));
            }
        }
        Ok(None)
    }

    /// Returns every login of the documents and of the programs that they name, or why there is none. What stands later
    /// may be hidden by what stands before.
    pub async fn entries(&self) -> Vec<Result<Source, Error>> {
        let Shared { store, told, .. } = &*self.shared;
        let mut sources = Vec::new();
        for step in store.all() {
            sources.push(match step {
                Ok(step) => match self.open(&step).await {
                    Ok(Some((secrets, _))) => Ok(Source { user: source::user(&secrets), ..step.source() }),
                    Ok(None) => continue,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            });
        }
        // A store may have logins of which no document knows.
        for (helper, file) in store.stores() {
            let names = match helper::list(told.helpers(), helper).await {
                Ok(names) => names,
                Err(why) => {
                    sources.push(Err(failed(helper, "the list of logins", file, why)));
                    continue;
                }
            };
            for (key, user) in names {
                let Some(scope) = Scope::read(&key) else { continue };
                let source = Source::of_helper(&scope, &key, file, helper);
                let known = |known: &Result<Source, Error>| {
                    known.as_ref().is_ok_and(|known| known.kind == source.kind && known.registry == source.registry)
                };
                if !sources.iter().any(known) {
                    sources.push(Ok(Source { user: Some(user).filter(|user| !user.is_empty()), ..source }));
                }
            }
        }
        sources
    }

    async fn basic(&self, registry: &Origin, repository: Option<&str>, visit: Visit) -> Result<Grant, Error> {
        let not_found = || Error::NotFound { registry: registry.authority() };
        if visit == Visit::WithLogin && !self.is_named(registry) {
            let why = format!("`{registry}` wants a login, and was not asked for by name");
            return Err(Error::Denied { why });
        }
        let found = self.login(registry, repository, visit).await?.ok_or_else(not_found)?;
        let login = found.secrets.password.as_ref().ok_or_else(not_found)?;
        let authorization = token::basic(login).ok_or_else(not_found)?;
        let entitlement = self.shared.wire.enter(registry.clone(), authorization, Arc::default());
        Ok(Grant { entitlement, anonymous: false })
    }

    async fn bearer(
        &self,
        registry: &Origin,
        repository: Option<&str>,
        bearer: &Bearer,
        visit: Visit,
    ) -> Result<Grant, Error> {
        let Shared { wire, realms, cache, refreshes, clock, .. } = &*self.shared;
        challenge::check_limits(registry, bearer)?;
        let found = self.login(registry, repository, visit).await?;
        let visitor = if found.is_some() { Visitor::LoggedIn } else { Visitor::Anonymous };
        let realm = realms.check(registry, &bearer.realm, visitor)?;

        // A token that the user put into the document takes the place of the token request.
        if let Some(found) = &found
            && let Some(token) = &found.secrets.registry
        {
            let authorization = token::bearer(token).ok_or_else(|| Error::Document {
                file: found.file.clone(),
                why: format!("the token for `{}` has characters that no token has", registry.authority()),
            })?;
            let entitlement = wire.enter(registry.clone(), authorization, Arc::default());
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
            login: found.as_ref().map(|found| found.place.clone()),
        };
        let wish = token::Wish {
            registry,
            realm,
            service: bearer.service.as_deref(),
            scopes: &scopes,
            login: found.as_ref().map(|found| (&found.place, &*found.secrets)),
        };
        let token = cache.get(key, clock, token::request(wire, refreshes, wish)).await?;
        let entitlement = wire.enter(registry.clone(), token.authorization, token.refused);
        Ok(Grant { entitlement, anonymous: found.is_none() })
    }

    /// Finds the login for a repository, or for the whole registry.
    async fn login(&self, registry: &Origin, repository: Option<&str>, visit: Visit) -> Result<Option<Found>, Error> {
        if visit == Visit::Anonymous || !self.is_named(registry) {
            return Ok(None);
        }
        if let Some(added) = &self.added
            && added.scope.fits(registry, None).is_some()
        {
            let (secrets, place) = (added.secrets.clone(), Place::Added(added.number));
            return Ok(Some(Found { secrets, place, file: "the login that was entered".to_owned() }));
        }
        for step in self.shared.store.steps(registry, repository) {
            let step = step?;
            if let Some((secrets, place)) = self.open(&step).await? {
                return Ok(Some(Found { secrets, place, file: step.file.to_owned() }));
            }
        }
        Ok(None)
    }

    /// Gets the login out of its place, if it is there.
    async fn open(&self, step: &Step<'_>) -> Result<Option<(Arc<Secrets>, Place)>, Error> {
        match step.keeper {
            Keeper::Entry(secrets, (document, entry)) => Ok(Some((secrets.clone(), Place::Entry(document, entry)))),
            Keeper::Helper(helper) => {
                let told = self.shared.told.get(helper, &step.key).await;
                let secrets = told.map_err(|why| failed(helper, &step.scope.to_string(), step.file, why))?;
                Ok(secrets.map(|secrets| (secrets, Place::Helper(helper.to_owned(), step.key.clone()))))
            }
        }
    }

    fn is_named(&self, registry: &Origin) -> bool {
        let is_it = |named: &String| Origin::new(registry.is_secure(), named).is_ok_and(|named| named == *registry);
        self.named.iter().any(is_it)
    }
}

impl Step<'_> {
    fn source(&self) -> Source {
        match self.keeper {
            Keeper::Entry(secrets, _) => Source::of_secrets(&self.scope, &self.key, self.file, secrets),
            Keeper::Helper(helper) => Source::of_helper(&self.scope, &self.key, self.file, helper),
        }
    }
}

/// Reads a whole registry, as in `docker.io` or `registry.lan:5000`.
fn whole(registry: &str) -> Result<Scope, Error> {
    match Scope::read(registry) {
        Some(scope) if !registry.contains('/') => Ok(scope),
        _ => Err(Error::Settings { why: format!("`{}` is not a host with a port", registry.escape_debug()) }),
    }
}

fn failed(helper: &str, registry: &str, file: &str, why: String) -> Error {
    let (program, registry, file) = (helper::program(helper), registry.to_owned(), file.to_owned());
    Error::Helper { program, registry, file, why }
}
