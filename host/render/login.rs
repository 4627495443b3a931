//! Logins, for people and for programs: whose, where from, and never what.

use super::{escape, json, table};
use crate::credentials::{Kind, Source};
use serde::Serialize;

#[derive(Serialize)]
struct LoginObject<'a> {
    registry: &'a str,
    user: Option<&'a str>,
    kind: &'static str,
    /// As in `docker-credential-desktop`.
    program: Option<String>,
    file: &'a str,
    key: &'a str,
}

/// Returns a table of logins, in the order given:
///
/// ```text
/// REGISTRY    USER   KIND       SOURCE
/// docker.io   ann    password   /home/ann/.docker/config.json
/// ```
pub fn table(sources: &[Source]) -> String {
    let row = |source: &Source| {
        let user = source.user.as_deref().unwrap_or("-");
        [&source.registry, user, kind(source), &source.to_string()].map(|cell| escape::text(cell).into_owned())
    };
    table::table(&["REGISTRY", "USER", "KIND", "SOURCE"], sources.iter().map(row))
}

/// Returns a JSON array of logins, in the order given.
pub fn json(sources: &[Source]) -> String {
    let objects = sources.iter().map(|source| LoginObject {
        registry: &source.registry,
        user: source.user.as_deref(),
        kind: kind(source),
        program: source.program(),
        file: &source.file,
        key: &source.key,
    });
    json::pretty(&objects.collect::<Vec<_>>())
}

fn kind(source: &Source) -> &'static str {
    match source.kind {
        Kind::Password => "password",
        Kind::IdentityToken => "identity-token",
        Kind::RegistryToken => "registry-token",
        Kind::Helper(_) => "helper",
    }
}
