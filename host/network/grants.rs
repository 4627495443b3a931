//! The numbers of rights in the ledger of this process, which nobody can guess.
//!
//! What the ledger is stands in `wharf-credentials`.

/// Calls share a ledger and not their rights: a component must not find another call's id by counting.
pub(super) fn random() -> u128 {
    let mut bytes = [0; 16];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).expect("the system gives random numbers, without which there is no TLS either");
    u128::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Grants, Origin};
    use http::HeaderValue;
    use std::collections::HashSet;
    use std::sync::Arc;

    /// Ids were numbered, and whoever held one could count to those of the calls beside it.
    #[test]
    fn an_id_says_nothing_about_another() {
        let grants = Grants::new(random);
        let origin = Origin::new(true, "registry.example").expect("an authority");
        let enter = |_| grants.enter(origin.clone(), HeaderValue::from_static("Bearer a"), Arc::default());
        let held: Vec<_> = (0..100).map(enter).collect();
        for half in [0..16, 16..32] {
            let halves: HashSet<_> = held.iter().map(|entitlement| &entitlement.id()[half.clone()]).collect();
            assert_eq!(halves.len(), held.len());
        }
    }
}
