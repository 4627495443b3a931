//! The tags of a repository. It does not sort them, and does not ask what they
//! point to.
//!
//! distribution-spec, “Listing Tags”: `GET /v2/<name>/tags/list?n=1000`.

use super::{Failure, Repository, pages::List, refusal::Subject, rounds::Need};
use crate::{host::Host, nouns::reference};

#[derive(serde::Deserialize)]
struct Page {
    /// Some registries write null for none.
    tags: Option<Vec<String>>,
}

pub(super) const TAGS: List = List {
    path: "tags/list",
    subject: Subject::Tags,
    entries: "tags",
    entry: "a tag",
    read: |bytes| serde_json::from_slice(bytes).map(|page: Page| page.tags.unwrap_or_default()),
    is_entry: reference::is_tag,
};

impl<H: Host> Repository<'_, H> {
    /// Fetches the names of all tags, each once, in the registry's order.
    ///
    /// All pages come from one endpoint: another one may have other tags.
    pub async fn tags(&self) -> Result<Vec<String>, Failure> {
        let attempts_max = self.common.attempts_max;
        self.persist(Need::Resolve, attempts_max, async |server| server.list(&TAGS, attempts_max).await).await
    }
}
