//! The answer of `wharf search`: docker's table, or JSON. Who owns a repository
//! has written what is said of it.
//!
//! It does not reorder: the component gives what has most stars first.

use super::{escape, json, table};
use console::truncate_str;
use serde::Serialize;
use wharf_vocabulary::discovery::{Found, FoundRepository};

/// How wide DESCRIPTION gets if it is cut, in columns.
const DESCRIPTION_COLUMNS: usize = 45;
/// What docker writes for what the registry vouches for.
const OFFICIAL: &str = "[OK]";

#[derive(Serialize)]
struct FoundObject<'a> {
    name: &'a str,
    description: &'a str,
    stars: Option<u64>,
    official: bool,
    automated: bool,
}

impl<'a> From<&'a FoundRepository> for FoundObject<'a> {
    fn from(one: &'a FoundRepository) -> Self {
        let FoundRepository { name, description, stars, official, automated } = one;
        Self { name, description, stars: *stars, official: *official, automated: *automated }
    }
}

/// Returns a table of repositories. `whole` shows whole descriptions, on one
/// line each.
pub fn table(found: &Found, whole: bool) -> String {
    let row = |one: &FoundRepository| {
        let description = escape::line(&one.description);
        [
            escape::text(&one.name).into_owned(),
            if whole { description } else { truncate_str(&description, DESCRIPTION_COLUMNS, "…").into_owned() },
            one.stars.map(|stars| stars.to_string()).unwrap_or_default(),
            if one.official { OFFICIAL.to_owned() } else { String::new() },
        ]
    };
    table::table(&["NAME", "DESCRIPTION", "STARS", "OFFICIAL"], found.repositories.iter().map(row))
}

/// Returns a JSON array, one object for each repository.
pub fn json(found: &Found) -> String {
    json::pretty(&found.repositories.iter().map(FoundObject::from).collect::<Vec<_>>())
}

/// Returns what there is to say beside it, a line each.
pub fn talk(found: &Found) -> String {
    found.notes.iter().map(|note| format!("{}\n", escape::text(note))).collect()
}
