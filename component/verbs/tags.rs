//! Which tags a repository has.

use super::{contract::Access, failing::problem, resolve};
use crate::{host::Host, nouns::problem::Problem, registry::Repository};

/// Returns the tags of a repository, in order. See `images.tags`.
pub async fn tags<H: Host>(host: &H, repository: &str, access: &Access) -> Result<Vec<String>, Problem> {
    let list = async {
        let (typed, _) = resolve::expand(repository, &access.aliases);
        let name = resolve::repository(&typed, "wharf tags")?;
        let mut tags = Repository::open(host, &name, access)?.tags().await?;
        tags.sort();
        Ok(tags)
    };
    list.await.map_err(problem(format!("cannot list the tags of `{}`", repository.escape_debug())))
}
