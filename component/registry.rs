//! The distribution protocol, spoken to one repository over [`Host`]. It does
//! not read manifests, choose platforms, record names, or limit how many blobs
//! are on their way: verbs do.
//!
//! ```text
//! manifest  blob  tags          what a verb asks for
//!     └───────┼─────┘
//!          retry                again, and when; one engine for all
//!          request              headers, redirects, 401 → grant → again
//!   endpoint  location  challenge  link  range     one grammar or rule each
//!          refusal  failure     what an error response means, told to a person
//! ```
//!
//! OCI distribution-spec 1.1, RFC 9110, RFC 8288, RFC 3986.

mod blob;
pub mod challenge;
mod endpoint;
mod failure;
pub mod link;
pub mod location;
mod manifest;
mod quoted;
pub mod range;
mod refusal;
mod request;
pub mod retry;
#[cfg(test)]
mod script;
mod tags;

pub use blob::{Phase, Watch};
pub use endpoint::Access;
pub use failure::Failure;
pub use manifest::{Fetched, MANIFEST_BYTES_MAX};

use crate::{
    host::{Host, Origin},
    nouns::reference::Reference,
};
use endpoint::Endpoint;
use futures_util::lock::Mutex;
use std::{cell::RefCell, fmt, rc::Rc};

/// One repository: where its registry answers, and the right to read it.
///
/// Calls may overlap. They share the grant, and when it has gone stale one of
/// them renews it for all.
pub struct Repository<'h, H: Host> {
    host: &'h H,
    endpoint: Endpoint,
    /// As in `library/alpine`.
    path: String,
    grant: RefCell<Option<Rc<H::Grant>>>,
    /// Held by the call that answers a challenge.
    renewal: Mutex<()>,
    /// Who has answered so far, as far as it is remembered: their names are
    /// spelled right.
    answered: RefCell<Vec<Origin>>,
    /// Who is told what a person should know while a call goes on.
    voice: Box<dyn Fn(String) + 'h>,
}

impl<'h, H: Host> Repository<'h, H> {
    /// Makes the repository that `reference` names. Nothing is sent: the first
    /// request finds out whether the registry wants a login.
    pub fn open(host: &'h H, reference: &Reference, access: &Access) -> Self {
        Repository {
            host,
            endpoint: Endpoint::new(reference.domain(), reference.registry_host(), access),
            path: reference.path().to_owned(),
            grant: RefCell::new(None),
            renewal: Mutex::new(()),
            answered: RefCell::default(),
            voice: Box::new(|_| {}),
        }
    }

    /// Has `voice` told, a sentence at a time, what a person should know while
    /// a call goes on, as that it waits. Nobody is told otherwise. What is said
    /// about a blob goes to its [`Watch`].
    #[must_use]
    pub fn with_voice(self, voice: impl Fn(String) + 'h) -> Self {
        Repository { voice: Box::new(voice), ..self }
    }
}

impl<H: Host> fmt::Debug for Repository<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("endpoint", &self.endpoint).field("path", &self.path).finish_non_exhaustive()
    }
}
