//! What stands in the directory of a top beside its tree: who it is, and which layer it has adopted. Written as all records
//! are (`layers/record`).

use serde::{Deserialize, Serialize};

/// The name of a top's record. A snapshot that was a top keeps it: it says with whose rights the tree was made.
pub(in crate::layers) const TOP: &str = "top";
/// The name of the directory about an adopted layer, and of the record in it.
pub(in crate::layers) const ADOPTED: &str = "adopted";

/// A top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::layers) struct Top {
    /// Random: another top of that name is another one.
    pub(in crate::layers) id: String,
    pub(in crate::layers) name: String,
    /// The snapshot that it stands on.
    pub(in crate::layers) parent: Option<String>,
    pub(in crate::layers) writable: bool,
    /// Whether it was made with the rights of an ordinary user.
    pub(in crate::layers) user: bool,
}

/// A layer that a top shows between its own tree and its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::layers) struct Adopted {
    /// The DiffID.
    pub(in crate::layers) layer: String,
    /// Whether the layer's own tree is not right on this parent, so that there is another one here.
    pub(in crate::layers) settled: bool,
}
