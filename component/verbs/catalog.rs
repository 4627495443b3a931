//! Which repositories a registry has.

use super::{contract::Access, failing::problem};
use crate::{host::Host, nouns::problem::Problem, registry};

/// Returns the repositories of a registry, in order. See `images.catalog`.
pub async fn catalog<H: Host>(host: &H, registry: &str, access: &Access) -> Result<Vec<String>, Problem> {
    let mut repositories = registry::catalog(host, registry, access)
        .await
        .map_err(problem(format!("cannot list the repositories of `{}`", registry.escape_debug())))?;
    repositories.sort();
    Ok(repositories)
}
