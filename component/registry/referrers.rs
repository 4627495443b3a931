//! What says something about a manifest: signatures, bills of materials and
//! other artifacts whose `subject` it is. It does not fetch them, and does not
//! know whether the manifest is there.
//!
//! distribution-spec 1.1, “Listing Referrers”: `GET /v2/<name>/referrers/<digest>`,
//! an index page by page; of a registry without that, the index under the tag
//! `<algorithm>-<encoded>`, “Referrers Tag Schema”.
//!
//! - `tagged`: that tag, and what a client that pushes has to leave under it.

mod tagged;

use super::{
    Failure, Repository,
    failure::Fault,
    location::escaped,
    manifest::MANIFEST_BYTES_MAX,
    pages,
    refusal::Subject,
    request::{Answer, Ask},
    rounds::Need,
    server::Server,
};
use crate::{
    host::{Host, Method},
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        manifest::Document,
        media_type::{self, OCI_INDEX},
        problem::ErrorCode,
    },
};
use std::collections::BTreeSet;

/// No list has more entries.
const REFERRERS_MAX: usize = 10_000;
/// What the pages of one list may weigh together.
const TOGETHER_BYTES_MAX: u64 = 16 << 20;
/// The header that says by what the registry has chosen already.
const APPLIED: &str = "oci-filters-applied";
/// What it says of the type.
const BY_TYPE: &str = "artifactType";

/// What a registry has about a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Each once, in the registry's order.
    pub(crate) entries: Vec<Descriptor>,
    /// The tag that they stand under, if the registry has no list of its own.
    pub(crate) tag: Option<String>,
}

/// One page.
struct Page {
    entries: Vec<Descriptor>,
    bytes: u64,
    next: Option<super::location::Target>,
    is_chosen: bool,
}

impl<'h, H: Host> Repository<'h, H> {
    /// The same without its mirrors: one that knows of no referrers says the same as a
    /// registry that has none.
    #[must_use]
    pub(crate) fn without_mirrors(mut self) -> Self {
        self.servers.retain(|server| !server.endpoint().mirror);
        self
    }

    /// Lists what has `subject` as its subject, of this type if one is given. Mirrors are
    /// not to be among those that are asked: see [`Repository::without_mirrors`].
    pub(crate) async fn referrers(&self, subject: &Digest, kind: Option<&str>) -> Result<Listed, Failure> {
        let attempts_max = self.common.attempts_max;
        let listed =
            self.persist(Need::Pull, attempts_max, async |server| server.referrers(subject, kind, attempts_max).await);
        if let Some(entries) = listed.await? {
            return Ok(Listed { entries, tag: None });
        }
        let tag = tagged::tag(subject);
        let list = self.tagged_list(Need::of(&tag), &tag, subject).await?;
        let entries = list.map(|list| list.index.manifests).unwrap_or_default();
        let mut known = BTreeSet::new();
        let entries =
            entries.into_iter().filter(|entry| is_wanted(entry, kind, false) && known.insert(entry.digest.clone()));
        Ok(Listed { entries: entries.collect(), tag: Some(tag) })
    }
}

/// Whether an entry is of the type that is wanted. One that does not say what it
/// is counts if the registry `has_chosen`.
fn is_wanted(entry: &Descriptor, kind: Option<&str>, has_chosen: bool) -> bool {
    match (kind, entry.artifact_type.as_deref()) {
        (None, _) => true,
        (Some(kind), Some(found)) => kind == found,
        (Some(_), None) => has_chosen,
    }
}

impl<H: Host> Server<'_, H> {
    /// Whether the registry keeps lists itself.
    async fn keeps_referrers(&self, subject: &Digest) -> Result<bool, Fault> {
        let headers = vec![("accept", OCI_INDEX.to_owned())];
        let ask = self.ask(Method::Get, &format!("referrers/{subject}"), headers);
        self.first_referrers(&ask, subject).await.map(|page| page.is_some())
    }

    /// Reads the registry's own list to its end. None if it keeps none.
    async fn referrers(
        &self,
        subject: &Digest,
        kind: Option<&str>,
        attempts_max: u32,
    ) -> Result<Option<Vec<Descriptor>>, Fault> {
        let query = kind.map(|kind| format!("?artifactType={}", escaped(kind))).unwrap_or_default();
        let headers = vec![("accept", OCI_INDEX.to_owned())];
        let mut ask = self.ask(Method::Get, &format!("referrers/{subject}{query}"), headers);
        let Some(mut page) = self.first_referrers(&ask, subject).await? else { return Ok(None) };
        let (mut entries, mut known, mut visited, mut bytes) = (Vec::new(), BTreeSet::new(), Vec::new(), 0);
        loop {
            bytes += page.bytes;
            let wanted = page.entries.into_iter().filter(|entry| is_wanted(entry, kind, page.is_chosen));
            entries.extend(wanted.filter(|entry| known.insert(entry.digest.clone())));
            let Some(next) = page.next else { return Ok(Some(entries)) };
            visited.push(std::mem::replace(&mut ask.target, next));
            let registry = &self.endpoint().registry;
            if visited.contains(&ask.target) {
                return Err(Fault::last(ErrorCode::Invalid, format!("the pages of `{registry}` go round in a circle")));
            }
            if entries.len() > REFERRERS_MAX || bytes > TOGETHER_BYTES_MAX || visited.len() == pages::PAGES_MAX {
                let why = format!(
                    "`{registry}` lists more than {REFERRERS_MAX} referrers, {TOGETHER_BYTES_MAX} bytes or {} pages",
                    pages::PAGES_MAX
                );
                return Err(Fault::last(ErrorCode::TooLarge(REFERRERS_MAX as u64), why));
            }
            page = self.patiently(attempts_max, async || self.more_referrers(&ask, subject).await).await?;
        }
    }

    /// Fetches the first page. None if it turns out that there is no such list.
    async fn first_referrers(&self, ask: &Ask, subject: &Digest) -> Result<Option<Page>, Fault> {
        let answer = self.exchange(ask).await?;
        match answer.response.status {
            200 if is_index(&answer) => self.referrers_page(answer).await.map(Some),
            // Some servers have a page for every address, and that is no list.
            200 | 404 | 405 | 501 => Ok(None),
            _ => Err(self.refusal(answer, Subject::Manifest(subject.as_str())).await),
        }
    }

    async fn more_referrers(&self, ask: &Ask, subject: &Digest) -> Result<Page, Fault> {
        let answer = self.exchange(ask).await?;
        if answer.response.status != 200 {
            return Err(self.refusal(answer, Subject::Manifest(subject.as_str())).await);
        }
        self.referrers_page(answer).await
    }

    async fn referrers_page(&self, answer: Answer<H::Stream>) -> Result<Page, Fault> {
        let next = pages::next(&answer)?;
        let is_chosen = answer.headers(APPLIED).flat_map(|header| header.split(',')).any(|one| one.trim() == BY_TYPE);
        let from = answer.target.origin.authority.clone();
        let bytes = self.document(answer, MANIFEST_BYTES_MAX).await?;
        let unreadable = |why: &str| {
            Fault::last(ErrorCode::Invalid, format!("the list of referrers of `{from}` is not readable: {why}"))
        };
        match Document::parse(&bytes, Some(OCI_INDEX)) {
            Ok(Document::Index(index)) => {
                Ok(Page { entries: index.manifests, bytes: bytes.len() as u64, next, is_chosen })
            }
            Ok(Document::Manifest(_)) => Err(unreadable("it is no index")),
            Err(error) => Err(unreadable(&error.to_string())),
        }
    }
}

fn is_index<S>(answer: &Answer<S>) -> bool {
    answer.header("content-type").is_some_and(|declared| media_type::essence(declared) == OCI_INDEX)
}

#[cfg(test)]
mod stories;
