//! Lists that a registry gives page by page: read to the last one, each entry
//! once, in the registry's order. It does not know what is listed.
//!
//! distribution-spec, “Listing Tags”: wherever the `Link` with the relation
//! `next` leads, on the same origin.

use super::{
    failure::{Fault, shown},
    link,
    location::{self, Target},
    refusal::Subject,
    request::{Answer, Ask},
    server::Server,
};
use crate::{
    host::{Host, Method},
    nouns::problem::ErrorCode,
    planted::{Bug, has},
};
use std::collections::BTreeSet;

/// How many entries are asked for at once.
const PAGE_ENTRIES: u32 = 1_000;
/// A larger page is not read.
const PAGE_BYTES_MAX: u64 = 4 << 20;
/// No list has more pages.
pub(super) const PAGES_MAX: usize = 100;
/// No list has more entries.
const ENTRIES_MAX: usize = 100_000;

/// What is listed.
pub(super) struct List {
    /// Where, as in `tags/list`.
    pub(super) path: &'static str,
    pub(super) subject: Subject<'static>,
    /// As in `tags`.
    pub(super) entries: &'static str,
    /// As in `a tag`.
    pub(super) entry: &'static str,
    /// Reads one page.
    pub(super) read: fn(&[u8]) -> serde_json::Result<Vec<String>>,
    /// Whether an entry is one.
    pub(super) is_entry: fn(&str) -> bool,
}

/// Whether a list failed because there is none for whoever asks.
pub(super) fn is_beyond_reach(code: &ErrorCode) -> bool {
    matches!(code, ErrorCode::Unsupported | ErrorCode::Denied | ErrorCode::NotFound | ErrorCode::Invalid)
}

impl<H: Host> Server<'_, H> {
    /// Reads a list to its end, with so many attempts at each page.
    pub(super) async fn list(&self, list: &List, attempts_max: u32) -> Result<Vec<String>, Fault> {
        let mut entries = Vec::new();
        let mut known = BTreeSet::new();
        let mut visited = Vec::new();
        let headers = vec![("accept", "application/json".to_owned())];
        let mut ask = self.ask(Method::Get, &format!("{}?n={PAGE_ENTRIES}", list.path), headers);
        loop {
            let (page, next) = match visited.is_empty() {
                // Who fails at once leaves it to the next endpoint.
                true => self.page(list, &ask).await?,
                false => self.patiently(attempts_max, async || self.page(list, &ask).await).await?,
            };
            for entry in page {
                if !(list.is_entry)(&entry) {
                    return Err(Fault::last(ErrorCode::Invalid, format!("`{}` is not {}", shown(&entry), list.entry)));
                }
                if known.insert(entry.clone()) {
                    entries.push(entry);
                }
            }
            let Some(next) = next else { return Ok(entries) };
            visited.push(std::mem::replace(&mut ask.target, next));
            let registry = &self.endpoint().registry;
            if visited.contains(&ask.target) && !has(Bug::PagesGoRound) {
                return Err(Fault::last(ErrorCode::Invalid, format!("the pages of `{registry}` go round in a circle")));
            }
            if entries.len() > ENTRIES_MAX || visited.len() == PAGES_MAX {
                let why = format!("`{registry}` lists more than {ENTRIES_MAX} {} or {PAGES_MAX} pages", list.entries);
                return Err(Fault::last(ErrorCode::TooLarge(ENTRIES_MAX as u64), why));
            }
        }
    }

    /// Fetches one page, and where the next one is.
    async fn page(&self, list: &List, ask: &Ask) -> Result<(Vec<String>, Option<Target>), Fault> {
        let answer = self.exchange(ask).await?;
        if answer.response.status != 200 {
            return Err(self.refusal(answer, list.subject).await);
        }
        let next = next(&answer)?;
        let from = answer.target.origin.authority.clone();
        let bytes = self.document(answer, PAGE_BYTES_MAX).await?;
        let page = (list.read)(&bytes).map_err(|error| {
            let why = format!("the list of {} of `{from}` is not readable: {error}", list.entries);
            Fault::last(ErrorCode::Invalid, why)
        })?;
        Ok((page, next))
    }
}

/// Returns where the next page is, by the `Link` headers of this one.
pub(super) fn next<S>(answer: &Answer<S>) -> Result<Option<Target>, Fault> {
    let Some(reference) = answer.headers("link").find_map(link::next) else { return Ok(None) };
    let from = &answer.target;
    let refused = |why: &str| {
        let reference = location::without_secrets(reference);
        Fault::last(ErrorCode::Invalid, format!("the next page of `{}` is `{reference}`: {why}", from.origin.authority))
    };
    let next = location::resolve(from, reference).map_err(|error| refused(&error.to_string()))?;
    if !location::same_origin(&next.origin, &from.origin) && !has(Bug::PagesLeaveHome) {
        return Err(refused("it is on another origin"));
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{
        Failure,
        script::{Reply, Script, reply},
    };

    fn list(replies: impl IntoIterator<Item = Reply>) -> (Result<Vec<String>, Failure>, Vec<String>) {
        let host = Script::new(replies);
        let tags = host.run(host.repository("registry.example/a/b").tags());
        (tags, host.requests().into_iter().map(|request| request.path).collect())
    }

    fn page(tags: &str, link: &str) -> Reply {
        reply(200).header("link", link).body(format!(r#"{{"name":"a/b","tags":{tags}}}"#))
    }

    fn invalid(why: &str) -> Result<Vec<String>, Failure> {
        Err(Failure::new(ErrorCode::Invalid, why))
    }

    #[test]
    fn pages_are_read_to_the_last() {
        let (tags, paths) = list([
            page(r#"["1","2"]"#, "</v2/a/b/tags/list?last=2&n=2>; rel=\"next\""),
            page(r#"["2","3"]"#, "<https://registry.example/v2/a/b/tags/list?last=3>; rel=next"),
            page(r#"["latest"]"#, "<list?last=latest>;rel=next"),
            page("null", ""),
        ]);
        assert_eq!(tags, Ok(["1", "2", "3", "latest"].map(str::to_owned).to_vec()));
        assert_eq!(
            paths,
            [
                "/v2/a/b/tags/list?n=1000",
                "/v2/a/b/tags/list?last=2&n=2",
                "/v2/a/b/tags/list?last=3",
                "/v2/a/b/tags/list?last=latest"
            ]
        );
    }

    #[test]
    fn a_next_page_elsewhere_is_refused() {
        for (link, why) in [
            ("<https://registry.example:8443/v2/>; rel=next", "it is on another origin"),
            ("<//evil.example/v2/>; rel=next", "it is on another origin"),
            ("<http://registry.example/v2/>; rel=next", "it leads from `https` to `http`"),
        ] {
            let reference = link.split(['<', '>']).nth(1).expect("the link has a reference");
            let why = format!("the next page of `registry.example` is `{reference}`: {why}");
            assert_eq!(list([page("[]", link)]).0, invalid(&why));
        }
    }

    #[test]
    fn pages_that_go_round_in_a_circle_are_noticed() {
        let round = |to: &str| page(r#"["1"]"#, &format!("</v2/a/b/tags/list?{to}>; rel=next"));
        let (tags, paths) = list([round("b"), round("c"), round("b")]);
        assert_eq!(tags, invalid("the pages of `registry.example` go round in a circle"));
        assert_eq!(paths.len(), 3);
        assert_eq!(list([round("n=1000")]).0, invalid("the pages of `registry.example` go round in a circle"));
    }

    #[test]
    fn endless_pages_are_bounded() {
        let (tags, paths) =
            list((0..PAGES_MAX).map(|at| page("[]", &format!("</v2/a/b/tags/list?at={at}>; rel=next"))));
        let why = "`registry.example` lists more than 100000 tags or 100 pages";
        assert_eq!(tags, Err(Failure::new(ErrorCode::TooLarge(100_000), why)));
        assert_eq!(paths.len(), PAGES_MAX);
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        assert_eq!(list([page(r#"["../x\u001b[31m"]"#, "")]).0, invalid("`../x` is not a tag"));
        assert_eq!(
            list([reply(200).body("<html>")]).0,
            invalid("the list of tags of `registry.example` is not readable: expected value at line 1 column 1")
        );
        assert_eq!(
            list([reply(200).body(vec![b' '; PAGE_BYTES_MAX as usize + 1])]).0,
            Err(Failure::new(
                ErrorCode::TooLarge(PAGE_BYTES_MAX),
                "the document of `registry.example` is larger than the limit of 4194304 bytes"
            ))
        );
        assert_eq!(
            list([reply(404)]).0,
            Err(Failure::new(ErrorCode::NotFound, "there is no repository `registry.example/a/b`"))
        );
    }
}
