//! The check of references against distribution/reference: one input, and
//! what its parsers make of it.
//!
//! It does not check the tables that the authors of that project wrote; see
//! `reference_tables`.

use crate::{Report, digests, equal, vectors};
use serde::Deserialize;
use wharf_component::nouns::reference::{self, Any, Error, Parts, Reference};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    #[serde(rename = "from")]
    _from: Vec<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
    input: String,
    is_64hex_identifier: bool,
    parse: Outcome,
    parse_normalized: Outcome,
    parse_docker_ref: Outcome,
    parse_any: Outcome,
}

/// What a parser makes of an input: the parts, or an error.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    ok: bool,
    error: Option<String>,
    string: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    domain: Option<String>,
    path: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    familiar: Option<String>,
    familiar_name: Option<String>,
    with_default_tag: Option<String>,
}

/// Checks `reference_parse`.
pub(crate) fn reference_parse(json: &str) -> Result<Report, String> {
    let mut report = Report::new("reference_parse");
    for row in vectors::<Vec<Row>>(json)? {
        let name = format!("{} {:?}", row.id, row.input);
        report.count(name, check(&row));
    }
    Ok(report)
}

fn check(row: &Row) -> Result<(), String> {
    let text = row.input.as_str();
    equal("whether it has an identifier in it", &has_identifier(text), &row.is_64hex_identifier)?;
    compare("as written", reference::parse_strict(text).map(|parts| of_parts(&parts)), &row.parse)?;
    compare("as a name", Reference::parse(text).map(|found| familiar(&found)), &row.parse_normalized)?;
    compare("as docker reads it", Reference::parse_docker(text).map(|found| familiar(&found)), &row.parse_docker_ref)?;
    let any = reference::parse_any(text).map(|any| match any {
        Any::Reference(found) => of_reference(&found),
        Any::Digest(digest) | Any::Identifier(digest) => Outcome {
            ok: true,
            kind: Some("digest".to_owned()),
            string: Some(digest.to_string()),
            digest: Some(digest.to_string()),
            ..Outcome::default()
        },
    });
    compare("as anything", any, &row.parse_any)
}

/// The field comes from a regular expression without anchors.
fn has_identifier(text: &str) -> bool {
    text.as_bytes().windows(64).any(|window| str::from_utf8(window).is_ok_and(reference::is_identifier))
}

fn compare(what: &str, found: Result<Outcome, Error>, expected: &Outcome) -> Result<(), String> {
    match found {
        Ok(outcome) => equal(what, &outcome, expected),
        Err(error) => {
            let theirs = expected.error.as_deref().unwrap_or("no error");
            equal(what, &expected.ok, &false)?;
            same_error(&error, theirs).map_err(|why| format!("{what}, {why}"))
        }
    }
}

fn of_parts(parts: &Parts<'_>) -> Outcome {
    Outcome {
        ok: true,
        string: Some(parts.to_string()),
        kind: Some(kind(parts.tag.is_some(), parts.digest.is_some()).to_owned()),
        name: Some(parts.name()),
        domain: parts.domain.map(str::to_owned),
        path: Some(parts.path.to_owned()),
        tag: parts.tag.map(str::to_owned),
        digest: parts.digest.as_ref().map(ToString::to_string),
        ..Outcome::default()
    }
}

fn of_reference(reference: &Reference) -> Outcome {
    Outcome {
        ok: true,
        string: Some(reference.to_string()),
        kind: Some(kind(reference.tag().is_some(), reference.digest().is_some()).to_owned()),
        name: Some(reference.name()),
        domain: Some(reference.domain().to_owned()),
        path: Some(reference.path().to_owned()),
        tag: reference.tag().map(str::to_owned),
        digest: reference.digest().map(ToString::to_string),
        ..Outcome::default()
    }
}

fn familiar(reference: &Reference) -> Outcome {
    Outcome {
        familiar: Some(reference.familiar()),
        familiar_name: Some(reference.familiar_name()),
        with_default_tag: Some(reference.clone().with_default_tag().to_string()),
        ..of_reference(reference)
    }
}

fn kind(tag: bool, digest: bool) -> &'static str {
    match (tag, digest) {
        (false, false) => "name",
        (true, false) => "name+tag",
        (false, true) => "name+digest",
        (true, true) => "name+tag+digest",
    }
}

/// Says whether an error has the reason that distribution/reference gives.
pub(crate) fn same_error(error: &Error, theirs: &str) -> Result<(), String> {
    let same = match error {
        Error::Empty => theirs == "repository name must have at least one component",
        Error::Format => theirs == "invalid reference format",
        Error::Uppercase(name) => {
            theirs == "repository name must be lowercase"
                || theirs == format!("invalid reference format: repository name ({name}) must be lowercase")
        }
        Error::NameTooLong => theirs == "repository name must not be more than 255 characters",
        Error::Identifier(name) => {
            theirs == format!("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings")
        }
        Error::NotCanonical(_) => theirs == "repository name must be canonical",
        Error::Digest(error) => theirs == digests::in_go(error),
        Error::TooLong | Error::Tag | Error::Pattern => false,
    };
    if same { Ok(()) } else { Err(format!("the error is `{error}` and should mean `{theirs}`")) }
}
