//! `GET /images/search` and `GET /distribution/{name}/json`: what registries have.

use super::{Context, client::Answer, refusal::Refusal};
use crate::{
    host::Host,
    nouns::{descriptor::Descriptor, platform::Platform},
    verbs::{
        self,
        contract::{FoundRepository, SearchOptions},
    },
};
use serde::Serialize;

/// The filters that docker has for a search.
const FILTERS: &[&str] = &["is-automated", "is-official", "stars"];
/// How much is found if nobody says.
const RESULTS: u32 = 25;
/// No more can be asked for.
const RESULTS_MAX: u32 = 100;

/// One repository. The order of the fields is docker's.
#[derive(Serialize)]
struct Hit {
    star_count: u64,
    is_official: bool,
    name: String,
    is_automated: bool,
    description: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    descriptor: Descriptor,
    platforms: Vec<Platform>,
}

/// Searches.
pub(super) async fn search<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let Context { host, settings, query, .. } = context;
    let term = query.text("term").ok_or_else(|| Refusal::new(400, "`term` is needed".to_owned()))?;
    let limit = query.number("limit")?.filter(|limit| *limit > 0).unwrap_or(RESULTS);
    if limit > RESULTS_MAX {
        return Err(Refusal::new(400, format!("limit {limit} is outside the range of [1, {RESULTS_MAX}]")));
    }
    let options = SearchOptions { limit, filters: query.known_filters(FILTERS)? };
    let found = verbs::search(*host, term, &options, &settings.access).await?;
    let hits = found.repositories.into_iter().map(|repository| {
        let FoundRepository { name, description, stars, official, automated } = repository;
        Hit { star_count: stars.unwrap_or(0), is_official: official, name, is_automated: automated, description }
    });
    Ok(Answer::json(200, &hits.collect::<Vec<_>>()))
}

/// Tells what a name points to in its registry.
pub(super) async fn distribution<H: Host>(context: &Context<'_, H>, name: &str) -> Result<Answer, Refusal> {
    let Context { host, settings, .. } = context;
    let (descriptor, platforms) = verbs::offered(*host, &settings.caller, name, &settings.access).await?;
    Ok(Answer::json(200, &Distribution { descriptor, platforms }))
}
