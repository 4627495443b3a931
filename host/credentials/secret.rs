//! Text that is not shown and is wiped.
//!
//! It is wiped where this crate keeps it. What a socket, TLS or an HTTP header made of it lives until those let go.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A password or a token: without `Debug` of its content, `Display` or `Serialize`, and zeroed when dropped.
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    /// Returns the text. Whoever calls this is responsible for where it goes.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether there is nothing to hide.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}
