//! The distribution protocol, spoken to one repository over [`Host`], at the
//! registry and at its mirrors. It does not read manifests, choose platforms,
//! record names, or limit how many blobs are on their way: verbs do.
//!
//! ```text
//! manifest  blob  tags  catalog  search  referrers   what a verb asks for
//! publish   upload  │      │       │        │        what it leaves there
//!     └───────┼─────┴──────┴───────┴────────┘ pages
//!          rounds               whom to ask now: the next endpoint at once, then
//!          retry  health        all of them again, and when; who needs a rest
//!          server  request      one endpoint: headers, redirects, 401 → grant → again
//!   endpoint  location  challenge  link  range  warning  limit   a grammar or rule each
//!          refusal  failure     what an error response means, told to a person
//! ```
//!
//! OCI distribution-spec 1.1, RFC 9110, RFC 8288, RFC 3986.

mod blob;
mod catalog;
pub mod challenge;
pub mod endpoint;
mod failure;
mod file;
mod health;
mod limit;
pub mod link;
pub mod location;
mod manifest;
mod pages;
mod ping;
mod publish;
mod quoted;
pub mod range;
mod referrers;
mod refusal;
mod request;
mod rest;
pub mod retry;
mod rounds;
#[cfg(test)]
pub(crate) mod script;
mod search;
mod sent;
mod server;
mod tags;
mod upload;
pub mod warning;

pub use blob::{Phase, Watch};
pub(crate) use catalog::catalog;
pub use failure::{Failure, shown};
pub(crate) use file::{Address, Hearer, fetch};
pub use limit::Limit;
pub use manifest::{Fetched, MANIFEST_BYTES_MAX};
pub(crate) use ping::ping;
pub use refusal::told;
pub use request::Bytes;
pub(crate) use search::{Hit, RESULTS_MAX, Source, search};
pub use sent::Sent;
pub use upload::{Delivered, Way};

use crate::{
    host::Host,
    nouns::{access::Access, problem::ErrorCode, reference::Reference},
};
use endpoint::{Choice, Endpoint};
use server::{Common, Server};
use std::{collections::BTreeSet, fmt, rc::Rc};

/// One repository: where it can be asked, and the rights to read it there.
///
/// Calls may overlap. They share what is known of each endpoint: the grant for
/// it, and whether it needs a rest.
pub struct Repository<'h, H: Host> {
    common: Rc<Common<'h, H>>,
    /// In order of trial; never empty.
    servers: Vec<Server<'h, H>>,
}

impl<'h, H: Host> Repository<'h, H> {
    /// Makes the repository that `reference` names. Nothing is sent: the first
    /// request finds out whether a registry wants a login.
    ///
    /// Fails with [`ErrorCode::Denied`] if the configuration blocks it.
    pub fn open(host: &'h H, reference: &Reference, access: &Access) -> Result<Self, Failure> {
        Self::at(host, reference, access, endpoint::choose(reference, access), Vec::new())
    }

    /// The same to push to, and to mount blobs of the repositories `sources` of the
    /// same registry, as in `library/alpine`. Mirrors get nothing.
    pub fn open_home(
        host: &'h H,
        reference: &Reference,
        access: &Access,
        sources: &BTreeSet<String>,
    ) -> Result<Self, Failure> {
        let choice = endpoint::choose_home(reference, access);
        let path = choice.endpoints.first().map_or(reference.path(), |endpoint| endpoint.path.as_str());
        let mut rights = vec![format!("repository:{path}:pull,push")];
        rights.extend(sources.iter().map(|source| format!("repository:{source}:pull")));
        Self::at(host, reference, access, choice, rights)
    }

    fn at(
        host: &'h H,
        reference: &Reference,
        access: &Access,
        choice: Choice,
        rights: Vec<String>,
    ) -> Result<Self, Failure> {
        let why = match choice.rule.map(|at| access.rules[at].prefix.as_str()) {
            Some(prefix) if choice.blocked => {
                format!("the configuration of this machine blocks `{}`", if prefix.is_empty() { "*" } else { prefix })
            }
            _ if choice.endpoints.is_empty() => {
                format!("the configuration of this machine names nobody to ask for `{}`", reference.familiar())
            }
            _ => {
                let name = format!("{}/{}", reference.domain(), reference.path());
                let common = Rc::new(Common::new(host, name, access, rights));
                let servers = choice.endpoints.into_iter().map(|endpoint| Server::new(&common, endpoint)).collect();
                return Ok(Repository { common, servers });
            }
        };
        let fix = Some(format!("wharf explain {}", reference.familiar()));
        Err(Failure { fix, ..Failure::new(ErrorCode::Denied, why) })
    }

    /// Has `voice` told, a sentence at a time, what a person should know while
    /// a call goes on, as that it waits. Nobody is told otherwise. What is said
    /// about a blob goes to its [`Watch`].
    #[must_use]
    pub fn with_voice(self, voice: impl Fn(String) + 'h) -> Self {
        self.common.hear(voice);
        self
    }

    /// Returns what the registry said last about how often it may be asked.
    pub fn limit(&self) -> Option<Limit> {
        self.common.limit()
    }
}

impl<H: Host> fmt::Debug for Repository<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<&Endpoint> = self.servers.iter().map(Server::endpoint).collect();
        f.debug_struct("Repository").field("endpoints", &endpoints).finish_non_exhaustive()
    }
}
