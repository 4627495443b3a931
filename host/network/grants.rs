//! The ledger of rights: under an id, the `authorization` that requests to one origin may carry.
//!
//! It does not know where a right comes from; `credentials` enters them. The component holds the id, which is worth
//! nothing outside this process and nothing at another origin, and does not lead to the ids of other calls.

use super::Origin;
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The ledger. Cheap to clone; clones are the same ledger.
#[derive(Clone)]
pub struct Grants {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
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
        Self { entries: Arc::default() }
    }

    /// Enters a right. `refused` is set when the origin answers 401 to a request that used it.
    pub(crate) fn enter(&self, origin: Origin, authorization: HeaderValue, refused: Arc<AtomicBool>) -> Entitlement {
        let id = format!("{:032x}", random());
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
        self.entries.lock().expect("nothing panics while it holds the lock")
    }
}

/// Calls share a ledger and not their rights: a component must not find another call's id by counting.
fn random() -> u128 {
    let mut bytes = [0; 16];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).expect("the system gives random numbers, without which there is no TLS either");
    u128::from_ne_bytes(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Ids were numbered, and whoever held one could count to those of the calls beside it.
    #[test]
    fn an_id_says_nothing_about_another() {
        let grants = Grants::new();
        let origin = Origin::new(true, "registry.example").expect("an authority");
        let enter = |_| grants.enter(origin.clone(), HeaderValue::from_static("Bearer a"), Arc::default());
        let held: Vec<_> = (0..100).map(enter).collect();
        for half in [0..16, 16..32] {
            let halves: HashSet<_> = held.iter().map(|entitlement| &entitlement.id()[half.clone()]).collect();
            assert_eq!(halves.len(), held.len());
        }
    }
}
