//! What a registry finds by a word: its own search where it has one, else the
//! names that it lists, else whether it has the repository of that very name.
//! It neither filters nor sorts.
//!
//! ```text
//! Docker Hub     index.docker.io /v1/search ─► hub.docker.com /v2/search/repositories/
//! any other one  /v1/search ─► /v2/_catalog ─► /v2/<name>/tags/list
//! ```
//!
//! The first one is written down (Docker Registry API v1, “Search”), and docker
//! and podman ask it; what hub.docker.com has instead is not, and is asked if
//! the first one fails. Both are other origins than Hub's registry: they get no
//! login, whatever they answer.

use super::{
    Failure, Repository,
    catalog::REPOSITORIES,
    endpoint::{self, Endpoint},
    failure::Fault,
    location::{Target, escaped},
    pages::is_beyond_reach,
    ping,
    refusal::Subject,
    request::{Answer, Ask, Load},
    retry::Again,
    rounds::Need,
    server::{Common, Server},
    tags::TAGS,
};
use crate::{
    host::{Host, Method, Origin},
    nouns::{
        access::Access,
        problem::ErrorCode,
        reference::{self, DEFAULT_DOMAIN},
    },
};
use std::rc::Rc;

/// A larger answer is not read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// How many results a page may have. Docker Registry API v1, “Search”.
pub(crate) const RESULTS_MAX: u32 = 100;
/// Where Docker Hub is searched.
const INDEX_HOST: &str = "index.docker.io";
/// Where it is, if not there.
const HUB_HOST: &str = "hub.docker.com";

/// One of the two shapes that a search has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    /// `GET /v1/search?q=…&n=…`.
    V1,
    /// `GET /v2/search/repositories/?query=…&page_size=…`.
    V2,
}

/// A repository that was found. Everything in it is the registry's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The path, as in `library/alpine`, or as the registry spells it.
    pub(crate) path: String,
    pub(crate) description: String,
    /// None if the registry counts none.
    pub(crate) stars: Option<u64>,
    pub(crate) is_official: bool,
    pub(crate) is_automated: bool,
}

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The registry was searched.
    Search,
    /// Of all repositories that it lists, those whose name has the word in it.
    Catalog,
    /// The repository of that very name has tags.
    Name,
}

/// What a registry's search answers.
#[derive(serde::Deserialize)]
struct Page {
    results: Option<Vec<Entry>>,
}

/// The fields of both shapes: none of the names means two things.
#[derive(serde::Deserialize)]
struct Entry {
    name: Option<String>,
    repo_name: Option<String>,
    description: Option<String>,
    short_description: Option<String>,
    star_count: Option<u64>,
    is_official: Option<bool>,
    is_automated: Option<bool>,
}

/// Finds repositories of `registry`, as in `docker.io` or `registry.lan:5000`,
/// by a word: about `count` of them where the registry searches, at most
/// [`RESULTS_MAX`]; all where it lists. Mirrors are not asked.
///
/// Fails with [`ErrorCode::Unsupported`] if it offers nothing to search by, with
/// [`ErrorCode::Denied`] if the configuration blocks it.
pub(crate) async fn search<H: Host>(
    host: &H,
    registry: &str,
    term: &str,
    count: u32,
    access: &Access,
) -> Result<(Vec<Hit>, Source), Failure> {
    let repository = Repository::whole(host, registry, access)?;
    if repository.is_hub() {
        return hub(host, term, count, access).await.map(|hits| (hits, Source::Search));
    }
    if let Some(hits) = repository.searched(term, count).await? {
        return Ok((hits, Source::Search));
    }
    let word = term.to_lowercase();
    let named = |path: String| Hit { path, ..Hit::default() };
    let unlisted = match repository.listed().await {
        Ok(names) => {
            let fitting = names.into_iter().filter(|name| name.contains(&word));
            return Ok((fitting.map(named).collect(), Source::Catalog));
        }
        Err(failure) if is_beyond_reach(&failure.code) => failure,
        Err(failure) => return Err(failure),
    };
    if repository.has(registry, &word, access).await? {
        return Ok((vec![named(word)], Source::Name));
    }
    let mut why = vec![format!("`{registry}` has no search, and no repository of the name `{word}`")];
    why.extend(unlisted.why);
    Err(Failure { code: ErrorCode::Unsupported, why, fix: unlisted.fix })
}

impl<'h, H: Host> Repository<'h, H> {
    /// Makes what stands for a registry itself, and not for one of its
    /// repositories.
    ///
    /// Fails with [`ErrorCode::Denied`] if the configuration blocks it.
    pub(super) fn whole(host: &'h H, registry: &str, access: &Access) -> Result<Self, Failure> {
        let choice = endpoint::choose_registry(&ping::any_of(registry)?, access);
        if choice.blocked {
            let why = format!("the configuration of this machine blocks `{registry}`");
            return Err(Failure::new(ErrorCode::Denied, why));
        }
        let common = Rc::new(Common::new(host, registry.to_owned(), access, Vec::new()));
        let servers = choice.endpoints.into_iter().map(|endpoint| Server::new(&common, endpoint)).collect();
        Ok(Repository { common, servers })
    }

    /// Lists all repositories.
    pub(super) async fn listed(&self) -> Result<Vec<String>, Failure> {
        let attempts_max = self.common.attempts_max;
        self.persist(Need::Resolve, attempts_max, async |server| server.list(&REPOSITORIES, attempts_max).await).await
    }

    /// Whether this is Docker Hub's own registry, which is searched elsewhere.
    fn is_hub(&self) -> bool {
        let home = |server: &Server<'_, H>| {
            let Endpoint { registry, origin, .. } = server.endpoint();
            registry == DEFAULT_DOMAIN && origin.secure && origin.authority == reference::DEFAULT_REGISTRY_HOST
        };
        self.servers.iter().all(home)
    }

    /// Asks the registry's own search. None if it has none: whatever it says of
    /// that address, it may say something else of the next one.
    async fn searched(&self, term: &str, count: u32) -> Result<Option<Vec<Hit>>, Failure> {
        self.persist(Need::Resolve, self.common.attempts_max, async |server| {
            let answer = match server.exchange(&server.question(Api::V1, term, count)).await {
                Err(fault) if fault.failure.code == ErrorCode::Denied => return Ok(None),
                answer => answer?,
            };
            match answer.response.status {
                200 => match server.hits(answer).await {
                    // Many servers have a page for every address.
                    Err(fault) if fault.again == Again::Never => Ok(None),
                    hits => hits.map(Some),
                },
                429 => Err(server.refusal(answer, Subject::Search).await),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Whether there is a repository of this name.
    async fn has(&self, registry: &str, name: &str, access: &Access) -> Result<bool, Failure> {
        let Ok(name) = reference::Reference::parse(&format!("{registry}/{name}")) else { return Ok(false) };
        let repository = Repository::open(self.common.host, &name, access)?;
        let attempts_max = repository.common.attempts_max;
        let tags =
            repository.persist(Need::Resolve, attempts_max, async |server| server.list(&TAGS, attempts_max).await);
        match tags.await {
            Ok(tags) => Ok(!tags.is_empty()),
            Err(failure) if is_beyond_reach(&failure.code) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// Searches Docker Hub. No login goes there.
async fn hub<H: Host>(host: &H, term: &str, count: u32, access: &Access) -> Result<Vec<Hit>, Failure> {
    let common = Rc::new(Common::new(host, DEFAULT_DOMAIN.to_owned(), access, Vec::new()));
    let server = |authority: &str| {
        let origin = Origin { secure: true, authority: authority.to_owned() };
        Server::new(&common, Endpoint::of_registry(DEFAULT_DOMAIN, origin))
    };
    let servers = [INDEX_HOST, HUB_HOST].map(server).into();
    let repository = Repository { common, servers };
    repository
        .persist(Need::Resolve, repository.common.attempts_max, async |server| {
            let api = if server.endpoint().origin.authority == HUB_HOST { Api::V2 } else { Api::V1 };
            let answer = server.follow(&server.question(api, term, count), &Load::Nothing, None).await?;
            if answer.response.status != 200 {
                return Err(server.refusal(answer, Subject::Search).await);
            }
            server.hits(answer).await
        })
        .await
}

impl Api {
    fn path(self, term: &str, count: u32) -> String {
        let (term, count) = (escaped(term), count.clamp(1, RESULTS_MAX));
        match self {
            Self::V1 => format!("/v1/search?q={term}&n={count}"),
            Self::V2 => format!("/v2/search/repositories/?query={term}&page_size={count}"),
        }
    }
}

impl<H: Host> Server<'_, H> {
    fn question(&self, api: Api, term: &str, count: u32) -> Ask {
        let target = Target { origin: self.endpoint().origin.clone(), path: api.path(term, count) };
        Ask { method: Method::Get, target, headers: vec![("accept", "application/json".to_owned())] }
    }

    /// Reads what was found.
    async fn hits(&self, answer: Answer<H::Stream>) -> Result<Vec<Hit>, Fault> {
        let from = answer.target.origin.authority.clone();
        let bytes = self.document(answer, ANSWER_BYTES_MAX).await?;
        let unreadable =
            |why: String| Fault::last(ErrorCode::Invalid, format!("the answer of `{from}` to the search {why}"));
        let page: Page =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(format!("is not readable: {error}")))?;
        let entries = page.results.ok_or_else(|| unreadable("has no `results`".to_owned()))?;
        let hit = |entry: Entry| {
            Some(Hit {
                path: entry.name.or(entry.repo_name)?,
                description: entry.description.or(entry.short_description).unwrap_or_default(),
                stars: entry.star_count,
                is_official: entry.is_official.unwrap_or_default(),
                is_automated: entry.is_automated.unwrap_or_default(),
            })
        };
        Ok(entries.into_iter().filter_map(hit).collect())
    }
}

#[cfg(test)]
mod stories;
