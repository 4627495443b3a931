//! What comes of a request, for whoever counts: see `serving.noted`. Nothing of it
//! changes an answer.

use crate::{
    nouns::{digest::Digest, problem::ErrorCode},
    verbs::contract::Transfer,
};

/// See `serving.noted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// As in `/images/{name}/json`.
    Route(&'static str),
    /// A pull is over.
    Pulled(Pulled),
}

/// See `serving.pulled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// As in `docker.io/library/alpine:3.20`.
    pub reference: String,
    /// What the name points to, unless it failed before that was known.
    pub target: Option<Digest>,
    /// The image was here already.
    pub up_to_date: bool,
    /// The layers that it needed and that are here.
    pub layers: Vec<Transfer>,
    /// The layers that had not come when it failed.
    pub missing: Vec<Digest>,
    /// Why it failed, if it did.
    pub failure: Option<ErrorCode>,
}

/// Returns the route of a path, with words in the place of names.
pub(super) fn route(segments: &[&str]) -> &'static str {
    match segments {
        ["_ping"] => "/_ping",
        ["version"] => "/version",
        ["info"] => "/info",
        ["system", "df"] => "/system/df",
        ["auth"] => "/auth",
        ["events"] => "/events",
        ["images", "json"] => "/images/json",
        ["images", "create"] => "/images/create",
        ["images", "load"] => "/images/load",
        ["images", "get"] => "/images/get",
        ["images", "search"] => "/images/search",
        ["images", "prune"] => "/images/prune",
        ["images", _, .., "json"] => "/images/{name}/json",
        ["images", _, .., "history"] => "/images/{name}/history",
        ["images", _, .., "push"] => "/images/{name}/push",
        ["images", _, .., "tag"] => "/images/{name}/tag",
        ["images", _, .., "get"] => "/images/{name}/get",
        ["images", _, ..] => "/images/{name}",
        ["distribution", _, .., "json"] => "/distribution/{name}/json",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_route_whatever_the_name() {
        let rows = [
            ("_ping", "/_ping"),
            ("images/json", "/images/json"),
            ("images/alpine/json", "/images/{name}/json"),
            ("images/ghcr.io/org/app:1/json", "/images/{name}/json"),
            ("images/ghcr.io/org/app:1", "/images/{name}"),
            ("images", "other"),
            ("containers/json", "other"),
        ];
        for (path, expected) in rows {
            assert_eq!(route(&path.split('/').collect::<Vec<_>>()), expected, "{path}");
        }
    }
}
