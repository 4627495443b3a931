//! Which repositories a registry finds by a word.

use super::{
    contract::{Access, Found, FoundRepository, SearchOptions},
    failing::{invalid, problem, try_this},
};
use crate::{
    host::Host,
    nouns::{
        filter::boolean,
        problem::Problem,
        reference::{DEFAULT_DOMAIN, Reference},
    },
    registry::{self, Failure, Hit, RESULTS_MAX, Source, shown},
};

/// A longer word is not searched for, in bytes.
const TERM_BYTES_MAX: usize = 255;
/// No more of a description is handed on, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1024;
/// What docker's search takes away, because no official image is called so.
const OFFICIAL_PREFIX: &str = "library/";

/// What a repository has to be.
#[derive(Debug, Default)]
struct Filters {
    official: Option<bool>,
    automated: Option<bool>,
    stars: u64,
}

/// Searches the registry that `term` names, as in `registry.lan:5000/app`, or
/// Docker Hub. See `images.search`.
pub async fn search<H: Host>(host: &H, term: &str, options: &SearchOptions, access: &Access) -> Result<Found, Problem> {
    let find = async {
        let filters = Filters::parse(&options.filters)?;
        let (registry, word) = split(term)?;
        let limit = options.limit.clamp(1, RESULTS_MAX);
        // What does not pass is taken away here, so that as much as there is has to come.
        let count = if options.filters.is_empty() { limit } else { RESULTS_MAX };
        let (hits, source) = registry::search(host, registry, word, count, access).await?;
        Ok(found(registry, word, hits, source, &filters, limit as usize))
    };
    find.await.map_err(problem(format!("cannot search for `{}`", term.escape_debug())))
}

/// Tells the registry from the word, as docker does: without a `.`, a `:` or
/// `localhost` before the first `/` it is a word for Docker Hub.
fn split(term: &str) -> Result<(&str, &str), Failure> {
    let term = term.trim();
    let (registry, word) = match term.split_once('/') {
        Some(("index.docker.io", word)) => (DEFAULT_DOMAIN, word),
        Some((first, word)) if first.contains(['.', ':']) || first == "localhost" => (first, word),
        _ => (DEFAULT_DOMAIN, term),
    };
    let word = if registry == DEFAULT_DOMAIN { word.strip_prefix(OFFICIAL_PREFIX).unwrap_or(word) } else { word };
    if word.is_empty() && registry != DEFAULT_DOMAIN {
        return Err(try_this(invalid("there is no word to search for"), format!("wharf catalog {registry}")));
    }
    if word.is_empty() || word.len() > TERM_BYTES_MAX {
        return Err(invalid(format!("a word to search for has 1 to {TERM_BYTES_MAX} bytes")));
    }
    Ok((registry, word))
}

/// Chooses, orders and names what was found.
fn found(registry: &str, word: &str, hits: Vec<Hit>, source: Source, filters: &Filters, limit: usize) -> Found {
    let mut notes = Vec::new();
    match source {
        Source::Search => {}
        Source::Catalog => notes.push(format!(
            "`{registry}` has no search; these are the repositories that it lists and that have `{}` in their name",
            shown(word)
        )),
        Source::Name => notes
            .push(format!("`{registry}` has no search and lists no repositories; the one of this very name is there")),
    }
    let count = hits.len();
    let mut repositories: Vec<_> = hits.into_iter().filter_map(|hit| repository(registry, hit)).collect();
    let unusable = count - repositories.len();
    if unusable > 0 {
        notes.push(format!("{unusable} of the results have no name that could be pulled, and are left out"));
    }
    repositories.retain(|one| filters.pass(one));
    repositories.sort_by_key(|one| std::cmp::Reverse(one.stars));
    if source == Source::Catalog && repositories.len() > limit {
        notes.push(format!("{} more are left out", repositories.len() - limit));
    }
    repositories.truncate(limit);
    Found { repositories, notes }
}

/// Makes what a person can pull of what the registry says, if that is a name.
fn repository(registry: &str, hit: Hit) -> Option<FoundRepository> {
    let Hit { path, mut description, stars, is_official: official, is_automated: automated } = hit;
    let name = Reference::parse(&format!("{registry}/{path}")).ok()?;
    if name.domain() != registry || name.tag().is_some() || name.digest().is_some() {
        return None;
    }
    description.truncate(description.floor_char_boundary(DESCRIPTION_BYTES_MAX));
    Some(FoundRepository { name: name.familiar_name(), description, stars, official, automated })
}

impl Filters {
    fn parse(filters: &[String]) -> Result<Self, Failure> {
        let mut parsed = Self::default();
        for filter in filters {
            let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
            let told = |what: &str| invalid(format!("the filter `{}` {what}", filter.escape_debug()));
            let yes_or_no = || boolean(value).ok_or_else(|| told("takes `true` or `false`"));
            match key {
                "is-official" => parsed.official = Some(yes_or_no()?),
                "is-automated" => parsed.automated = Some(yes_or_no()?),
                "stars" => parsed.stars = parsed.stars.max(value.parse().map_err(|_| told("takes a count"))?),
                _ => return Err(told("is none of a search; there are `is-official`, `is-automated` and `stars`")),
            }
        }
        Ok(parsed)
    }

    fn pass(&self, one: &FoundRepository) -> bool {
        self.official.is_none_or(|wanted| wanted == one.official)
            && self.automated.is_none_or(|wanted| wanted == one.automated)
            && one.stars.unwrap_or(0) >= self.stars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_names_a_registry_or_means_docker_hub() {
        for (term, expected) in [
            ("alpine", ("docker.io", "alpine")),
            (" library/alpine ", ("docker.io", "alpine")),
            ("docker.io/library/alpine", ("docker.io", "alpine")),
            ("index.docker.io/alpine", ("docker.io", "alpine")),
            ("org/app", ("docker.io", "org/app")),
            ("Foo/bar", ("docker.io", "Foo/bar")),
            ("localhost/app", ("localhost", "app")),
            ("lan:5000/library/app", ("lan:5000", "library/app")),
            ("ghcr.io/org", ("ghcr.io", "org")),
        ] {
            assert_eq!(split(term), Ok(expected), "{term}");
        }
        let none = split("lan:5000/").expect_err("there is no word");
        assert_eq!(none.fix.as_deref(), Some("wharf catalog lan:5000"));
        for term in ["", "  ", "library/", &"a".repeat(256)] {
            assert_eq!(split(term).expect_err(term).why, ["a word to search for has 1 to 255 bytes"]);
        }
    }

    fn hit(path: &str, stars: u64, is_official: bool) -> Hit {
        Hit { path: path.to_owned(), stars: Some(stars), is_official, ..Hit::default() }
    }

    fn names(found: &Found) -> Vec<&str> {
        found.repositories.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn results_are_in_order_of_stars_and_have_names_that_can_be_pulled() {
        let hits = || {
            vec![
                hit("org/few", 1, false),
                hit("library/alpine", 9, true),
                hit("\u{1b}[31m", 99, true),
                hit("a:1", 99, true),
                hit("evil.example/a", 5, false),
                hit("org/many", 7, false),
                Hit { path: "org/none".to_owned(), ..Hit::default() },
            ]
        };
        let all = found("docker.io", "a", hits(), Source::Search, &Filters::default(), 100);
        assert_eq!(names(&all), ["alpine", "org/many", "docker.io/evil.example/a", "org/few", "org/none"]);
        assert_eq!(all.notes, ["2 of the results have no name that could be pulled, and are left out"]);
        let two = found("lan:5000", "a", hits(), Source::Search, &Filters::default(), 2);
        assert_eq!(names(&two), ["lan:5000/library/alpine", "lan:5000/org/many"]);
        let filters = |texts: &[&str]| Filters::parse(&owned(texts)).expect("they are right");
        for (texts, expected) in [
            (&["is-official=true"][..], &["alpine"][..]),
            (&["is-official=0", "stars=5"], &["org/many", "docker.io/evil.example/a"]),
            (&["stars=2", "stars=8"], &["alpine"]),
            (&["is-automated=true"], &[]),
        ] {
            let some = found("docker.io", "a", hits(), Source::Search, &filters(texts), 100);
            assert_eq!(names(&some), expected, "{texts:?}");
        }
        for text in ["stars", "stars=many", "is-official=perhaps", "colour=red"] {
            let failure = Filters::parse(&[text.to_owned()]).expect_err(text);
            assert!(failure.why[0].starts_with(&format!("the filter `{text}` ")), "{:?}", failure.why);
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_list_of_names_is_told_as_one_and_what_is_left_out_of_it() {
        let hits = |count: usize| (0..count).map(|at| Hit { path: format!("app{at}"), ..Hit::default() }).collect();
        let some = found("lan:5000", "app", hits(30), Source::Catalog, &Filters::default(), 25);
        assert_eq!((some.repositories.len(), some.notes.len()), (25, 2));
        assert_eq!(some.notes[1], "5 more are left out");
        let long = Hit { path: "a".to_owned(), description: "ü".repeat(600) + "x", ..Hit::default() };
        let one = found("lan:5000", "a", vec![long], Source::Name, &Filters::default(), 25);
        assert_eq!((one.repositories[0].description.len(), one.notes.len()), (1024, 1));
    }
}
