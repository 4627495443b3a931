//! Whether a registry accepts the login that the host has for it.

use super::{contract::Access, failing::problem};
use crate::{host::Host, nouns::problem::Problem, registry};

/// Asks a registry about the login. See `images.check-login`.
pub async fn check_login<H: Host>(host: &H, registry: &str, access: &Access) -> Result<bool, Problem> {
    let what = format!("cannot log in to `{}`", registry.escape_debug());
    registry::ping(host, registry, access).await.map_err(problem(what))
}
