//! The ledger of rights: under an id, the `authorization` that requests to one origin may carry.
//!
//! It sends nothing and makes no ids: both are the host's. A wire enters what the credentials give it
//! ([`Wire::enter`](super::Wire::enter)), and asks the ledger when a request names an id. Whoever asks for a grant holds
//! the id, which is worth nothing outside this process and nothing at another origin.

use super::Origin;
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The ledger. Cheap to clone; clones are the same ledger.
#[derive(Clone)]
pub struct Grants {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    number: fn() -> u128,
}

struct Entry {
    origin: Origin,
    authorization: HeaderValue,
    refused: Arc<AtomicBool>,
}

/// One right in the ledger. Dropping it ends the right.
pub struct Entitlement {
    id: String,
    grants: Grants,
}

impl Grants {
    /// Makes an empty ledger. `number` returns another number each time; where several callers share the ledger and not
    /// their rights, one that nobody can guess.
    pub fn new(number: fn() -> u128) -> Self {
        Self { entries: Arc::default(), number }
    }

    /// Enters a right. `refused` is set when the origin answers 401 to a request that used it.
    pub fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        let id = format!("{:032x}", (self.number)());
        self.entries().insert(id.clone(), Entry { origin, authorization, refused });
        Entitlement { id, grants: self.clone() }
    }

    /// Returns the value of `authorization` for a request to `origin`, if the right called `id` is for that origin. It is
    /// a secret, and for that request alone.
    pub fn authorization(&self, id: &str, origin: &Origin) -> Option<HeaderValue> {
        let entries = self.entries();
        let entry = entries.get(id)?;
        (entry.origin == *origin).then(|| entry.authorization.clone())
    }

    /// Notes that the origin did not accept the right.
    pub fn refused(&self, id: &str) {
        if let Some(entry) = self.entries().get(id) {
            entry.refused.store(true, Ordering::Release);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().expect("nothing panics while it holds the lock")
    }
}

impl Entitlement {
    /// Returns the id: the value of the header `wharf-grant`. It is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Entitlement {
    fn drop(&mut self) {
        self.grants.entries().remove(&self.id);
    }
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grants").field("entries", &self.entries().len()).finish()
    }
}

impl std::fmt::Debug for Entitlement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Entitlement").field(&self.id).finish()
    }
}
