//! What a registry asks for, and its measure. The component has parsed it.

use super::Error;
use super::Origin;

/// The most scopes that one challenge may ask for.
pub const SCOPES_MAX: usize = 32;

/// The longest realm, service or scope of a challenge, in bytes.
pub const PARAMETER_BYTES_MAX: usize = 2048;

/// What a registry asked for: one parsed challenge of a `WWW-Authenticate` header. RFC 9110 section 11.6.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and a password. RFC 7617.
    Basic,
    /// Distribution token authentication.
    Bearer(Bearer),
}

/// The parameters of a bearer challenge. They are the registry's claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The token server, as in `https://auth.docker.io/token`.
    pub realm: String,
    /// As in `registry.docker.io`.
    pub service: Option<String>,
    /// As in `repository:library/alpine:pull`.
    pub scopes: Vec<String>,
}

/// Holds a challenge to its limits.
pub(super) fn check_limits(registry: &Origin, bearer: &Bearer) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::Challenge { registry: registry.authority(), why });
    if bearer.scopes.len() > SCOPES_MAX {
        return invalid(format!("it has {} scopes, and {SCOPES_MAX} is the limit", bearer.scopes.len()));
    }
    let parameters = bearer.scopes.iter().chain(&bearer.service).chain([&bearer.realm]);
    match parameters.map(String::len).max() {
        Some(length) if length > PARAMETER_BYTES_MAX => {
            invalid(format!("a parameter has {length} bytes, and {PARAMETER_BYTES_MAX} is the limit"))
        }
        _ => Ok(()),
    }
}
