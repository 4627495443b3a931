//! The check of references against the tables that the authors of
//! distribution/reference wrote for their own tests.
//!
//! Their regular expressions are checked through the functions that stand in
//! for them here.

use crate::references::same_error;
use crate::{Report, equal, row, vectors};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wharf_component::nouns::reference::{
    self, Any, Error, Pattern, Reference, is_domain, is_identifier, parse_strict, split_name,
};

const SHA512_IS_SUPPORTED: &str = "expects that nothing can compute a sha512, which wharf can";
const DIGEST_IS_MALFORMED: &str = "its digest is malformed, and a `Digest` is always well-formed";

/// Checks `reference_tables`.
pub(crate) fn reference_tables(json: &str) -> Result<Report, String> {
    let mut report = Report::new("reference_tables");
    for (table, rows) in vectors::<BTreeMap<String, Vec<Value>>>(json)? {
        for (index, value) in rows.into_iter().enumerate() {
            let name = format!("{table}[{index}]");
            if let Some(why) = excluded(&table, &value) {
                report.exclude(name, why);
            } else {
                report.count(name, check(&table, value));
            }
        }
    }
    Ok(report)
}

fn excluded(table: &str, value: &Value) -> Option<&'static str> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    match table {
        "reference_parse_table" if text("input").starts_with("validname@sha512:f") => Some(SHA512_IS_SUPPORTED),
        "with_tag" | "with_digest" if text("digest") == "sha256:1234567890098765432112345667890098765" => {
            Some(DIGEST_IS_MALFORMED)
        }
        _ => None,
    }
}

fn check(table: &str, value: Value) -> Result<(), String> {
    match table {
        "familiar_canonical" => familiar_canonical(&row(value)?),
        "valid_names" | "valid_remote_names" => {
            Reference::parse(&row::<String>(value)?).map(drop).map_err(|error| error.to_string())
        }
        "invalid_names" | "invalid_remote_names" => {
            equal("acceptance", &Reference::parse(&row::<String>(value)?).is_ok(), &false)
        }
        "any_reference" => any_reference(&row(value)?),
        "docker_ref" => docker_ref(&row(value)?),
        "split_hostname" => split_hostname(&row(value)?),
        "familiar_match_glob" => familiar_match_glob(&row(value)?),
        "domain_regexp" => matches(&row(value)?, is_domain),
        "identifier_regexp" => matches(&row(value)?, is_identifier),
        "full_name_regexp" => full_name_regexp(&row(value)?),
        "reference_regexp" => reference_regexp(&row(value)?),
        "with_tag" => with_tag(&row(value)?),
        "with_name_failure" => with_name_failure(&row(value)?),
        "parse_named" => parse_named(&row(value)?),
        "serialization" => serialization(&row(value)?),
        "sort" => sort(&row(value)?),
        "reference_parse_table" => reference_parse_table(&row(value)?),
        _ => Err("there is no check for this table".to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamiliarCanonical {
    familiar: String,
    canonical: String,
    ambiguous: String,
    domain: String,
    path: String,
}

fn familiar_canonical(row: &FamiliarCanonical) -> Result<(), String> {
    for text in [&row.familiar, &row.canonical, &row.ambiguous].into_iter().filter(|text| !text.is_empty()) {
        let found = Reference::parse(text).map_err(|error| error.to_string())?;
        equal("the canonical form", &found.to_string(), &row.canonical)?;
        equal("the familiar form", &found.familiar(), &row.familiar)?;
        equal("the domain", &found.domain(), &row.domain.as_str())?;
        equal("the path", &found.path(), &row.path.as_str())?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyReference {
    input: String,
    equivalent: String,
}

fn any_reference(row: &AnyReference) -> Result<(), String> {
    let found = reference::parse_any(&row.input).map_err(|error| error.to_string())?;
    equal("the text", &found.to_string(), &row.equivalent)?;
    equal("whether it is a name", &matches!(found, Any::Reference(_)), &row.equivalent.contains('/'))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DockerRef {
    #[serde(rename = "name")]
    _name: String,
    input: String,
    expected: String,
}

fn docker_ref(row: &DockerRef) -> Result<(), String> {
    let found = Reference::parse_docker(&row.input).map_err(|error| error.to_string())?;
    equal("the text", &found.to_string(), &row.expected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitHostname {
    input: String,
    domain: String,
    path: String,
}

fn split_hostname(row: &SplitHostname) -> Result<(), String> {
    let found = Reference::parse(&row.input).map_err(|error| error.to_string())?;
    equal("domain and path", &(found.domain(), found.path()), &(row.domain.as_str(), row.path.as_str()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamiliarMatch {
    reference: String,
    pattern: String,
    expected: bool,
}

fn familiar_match_glob(row: &FamiliarMatch) -> Result<(), String> {
    let pattern = Pattern::parse(&row.pattern).map_err(|error| error.to_string())?;
    let found = Reference::parse(&row.reference).map_err(|error| error.to_string())?;
    equal("the match", &pattern.matches(&found), &row.expected)
}

/// A row about a regular expression: whether it matches, and with what groups.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matched {
    input: String,
    #[serde(rename = "match")]
    matches: bool,
    subs: Option<Vec<String>>,
}

fn matches(row: &Matched, check: fn(&str) -> bool) -> Result<(), String> {
    equal("the match", &check(&row.input), &row.matches)
}

fn full_name_regexp(row: &Matched) -> Result<(), String> {
    let found = split_name(&row.input).ok();
    equal("the match", &found.is_some(), &row.matches)?;
    match (found, &row.subs) {
        (Some((domain, path)), Some(expected)) => {
            equal("the groups", &vec![domain.unwrap_or_default().to_owned(), path.to_owned()], expected)
        }
        _ => Ok(()),
    }
}

fn reference_regexp(row: &Matched) -> Result<(), String> {
    let found = parse_strict(&row.input).ok();
    equal("the match", &found.is_some(), &row.matches)?;
    match (found, &row.subs) {
        (Some(parts), Some(expected)) => {
            let tag = parts.tag.unwrap_or_default().to_owned();
            let digest = parts.digest.as_ref().map(ToString::to_string).unwrap_or_default();
            equal("the groups", &vec![parts.name(), tag, digest], expected)
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithTag {
    name: String,
    #[serde(rename = "digest")]
    _digest: String,
    tag: String,
    combined: String,
}

fn with_tag(row: &WithTag) -> Result<(), String> {
    let parse = |text: &str| Reference::parse(text).map_err(|error| error.to_string());
    let combined = parse(&row.name)?.with_tag(&row.tag).map_err(|error| error.to_string())?;
    equal("the combination", &combined, &parse(&row.combined)?)?;
    let written = parse_strict(&row.combined).map_err(|error| error.to_string())?;
    equal("the text", &written.to_string(), &row.combined)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    error: String,
}

/// Compares a result with an expected error, if there is one.
fn failure<T>(found: Result<T, Error>, expected: Option<&Failure>) -> Result<Option<T>, String> {
    match (found, expected) {
        (Ok(value), None) => Ok(Some(value)),
        (Err(error), Some(failure)) => same_error(&error, &failure.error).map(|()| None),
        (Ok(_), Some(failure)) => Err(format!("it is accepted and should fail with `{}`", failure.error)),
        (Err(error), None) => Err(format!("it fails with `{error}`")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithNameFailure {
    input: String,
    err: Failure,
}

fn with_name_failure(row: &WithNameFailure) -> Result<(), String> {
    failure(split_name(&row.input), Some(&row.err)).map(drop)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParseNamed {
    input: String,
    domain: String,
    path: String,
    err: Option<Failure>,
}

fn parse_named(row: &ParseNamed) -> Result<(), String> {
    match failure(Reference::parse_canonical(&row.input), row.err.as_ref())? {
        Some(found) => {
            equal("domain and path", &(found.domain(), found.path()), &(row.domain.as_str(), row.path.as_str()))
        }
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Serialization {
    #[serde(rename = "description")]
    _description: String,
    input: String,
    name: String,
    tag: String,
    digest: String,
    err: Option<Failure>,
}

fn serialization(row: &Serialization) -> Result<(), String> {
    let Some(found) = failure(parse_strict(&row.input), row.err.as_ref())? else { return Ok(()) };
    equal("the text", &found.to_string(), &row.input)?;
    let digest = found.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let parts = (found.name(), found.tag.unwrap_or_default().to_owned(), digest);
    equal("the parts", &parts, &(row.name.clone(), row.tag.clone(), row.digest.clone()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sort {
    unsorted: Vec<String>,
    expected: Vec<String>,
}

fn sort(row: &Sort) -> Result<(), String> {
    equal("the order", &reference::sort(&row.unsorted), &row.expected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceParse {
    input: String,
    err: Option<Failure>,
    repository: String,
    domain: String,
    tag: String,
    digest: String,
}

fn reference_parse_table(row: &ReferenceParse) -> Result<(), String> {
    let Some(found) = failure(parse_strict(&row.input), row.err.as_ref())? else { return Ok(()) };
    equal("the repository", &found.name(), &row.repository)?;
    equal("the domain", &found.domain.unwrap_or_default(), &row.domain.as_str())?;
    equal("the tag", &found.tag.unwrap_or_default(), &row.tag.as_str())?;
    equal("the digest", &found.digest.as_ref().map(ToString::to_string).unwrap_or_default(), &row.digest)
}
