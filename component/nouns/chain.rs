//! ChainIDs: what names a stack of layers. OCI image-spec, config.md, “Layer
//! ChainID”.
//!
//! It does not know what the layers contain: a ChainID depends on the DiffIDs
//! and their order alone.
//!
//! ```text
//! ChainID(L0)      = DiffID(L0)
//! ChainID(L0|…|Ln) = sha256( ChainID(L0|…|Ln-1) " " DiffID(Ln) )
//! ```

use super::digest::{Algorithm, Digest};

/// Returns the ChainID of a layer with this DiffID on a stack with this
/// ChainID. The texts are hashed as they are; they need not be well-formed.
pub fn link(below: &str, diff_id: &str) -> Digest {
    Digest::of(Algorithm::Sha256, [below, " ", diff_id].concat().as_bytes())
}

/// Returns the ChainID of each layer on those below it, from the bottom up.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(below) => link(below.as_str(), diff_id.as_str()),
        };
        chain.push(next);
    }
    chain
}

/// Returns the ChainID of the whole stack, or nothing if there is no layer.
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    chain_ids(diff_ids).pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layers_have_no_chain() {
        assert_eq!(chain_id(&[]), None);
        assert_eq!(chain_ids(&[]), []);
    }

    #[test]
    fn the_order_of_layers_matters() {
        let [a, b] = [b"a", b"b"].map(|bytes| Digest::of(Algorithm::Sha256, bytes));
        assert_ne!(chain_id(&[a.clone(), b.clone()]), chain_id(&[b, a]));
    }

    /// The upper layer counts by its text, so any algorithm may be below or on
    /// top, and the result is a SHA-256 either way.
    #[test]
    fn a_stack_of_sha512_layers_has_a_sha256_name() {
        let layer = Digest::of(Algorithm::Sha512, b"layer");
        assert_eq!(chain_id(std::slice::from_ref(&layer)), Some(layer.clone()));
        let text = format!("{layer} {layer}");
        assert_eq!(chain_id(&[layer.clone(), layer]), Some(Digest::of(Algorithm::Sha256, text.as_bytes())));
    }
}
