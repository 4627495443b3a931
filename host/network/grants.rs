//! The ledger of rights: under an id, the `authorization` that requests to one origin may carry.
//!
//! It does not know where a right comes from; `credentials` enters them. The component holds the id, which is worth
//! nothing outside this process and nothing at another origin.

use super::Origin;
use http::HeaderValue;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The ledger. Cheap to clone; clones are the same ledger.
#[derive(Clone)]
pub struct Grants {
    shared: Arc<Shared>,
}

struct Shared {
    /// Tells the ids of one ledger from those of another, so that an id that strayed is not found.
    mark: u64,
    next: AtomicU64,
    entries: Mutex<HashMap<String, Entry>>,
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
    pub(super) fn new() -> Self {
        let mark = RandomState::new().build_hasher().finish();
        Self { shared: Arc::new(Shared { mark, next: AtomicU64::new(1), entries: Mutex::default() }) }
    }

    /// Enters a right. `refused` is set when the origin answers 401 to a request that used it.
    pub(crate) fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{number}", self.shared.mark);
        self.entries().insert(id.clone(), Entry { origin, authorization, refused });
        Entitlement { id, grants: self.clone() }
    }

    /// Returns the value of `authorization` for a request to `origin`, if the right called `id` is for that origin.
    pub(super) fn authorization(&self, id: &str, origin: &Origin) -> Option<HeaderValue> {
        let entries = self.entries();
        let entry = entries.get(id)?;
        (entry.origin == *origin).then(|| entry.authorization.clone())
    }

    /// Notes that the origin did not accept the right.
    pub(super) fn refused(&self, id: &str) {
        if let Some(entry) = self.entries().get(id) {
            entry.refused.store(true, Ordering::Release);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.shared.entries.lock().expect("nothing panics while it holds the lock")
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
