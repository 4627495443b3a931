//! The check of platforms against containerd's library: what it makes of
//! specifiers, and how it matches and orders them.
//!
//! It does not check the tables that the authors of that project wrote; see
//! `platform_tables`.

use crate::{Report, equal, vectors};
use serde::Deserialize;
use wharf_component::nouns::platform::{Error, Matcher, Platform};

/// The machine that the vectors were made on.
pub(crate) fn host() -> Platform {
    Platform::new("linux", "amd64")
}

/// Reads a specifier that the vectors take for well-formed.
pub(crate) fn parse(text: &str) -> Result<Platform, String> {
    Platform::parse(text, &host()).map_err(|error| format!("`{text}`: {error}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parse {
    input: String,
    ok: bool,
    error: Option<String>,
    platform: Option<Platform>,
    format: Option<String>,
    format_all: Option<String>,
    normalized: Option<Platform>,
    host_dependent: bool,
}

/// Checks `platform_parse`.
pub(crate) fn platform_parse(json: &str) -> Result<Report, String> {
    let mut report = Report::new("platform_parse");
    for row in vectors::<Vec<Parse>>(json)? {
        let name = format!("{:?}", row.input);
        report.count(name, check_parse(&row));
    }
    Ok(report)
}

fn check_parse(row: &Parse) -> Result<(), String> {
    let parsed = Platform::parse(&row.input, &host());
    equal("acceptance", &parsed.is_ok(), &row.ok)?;
    let platform = match parsed {
        Ok(platform) => platform,
        Err(error) => return same_error(&error, row.error.as_deref().unwrap_or_default()),
    };
    equal("the short form", &Some(platform.to_string()), &row.format)?;
    equal("the long form", &Some(platform.format_all()), &row.format_all)?;
    equal("the normal spelling", &Some(platform.normalize()), &row.normalized)?;
    let elsewhere = Platform::parse(&row.input, &Platform::new("freebsd", "riscv64"));
    equal("dependence on the host", &(elsewhere.as_ref() != Ok(&platform)), &row.host_dependent)?;
    equal("the platform", &Some(platform), &row.platform)
}

fn same_error(error: &Error, theirs: &str) -> Result<(), String> {
    let theirs_has = match error {
        Error::Wildcard => "wildcards not yet supported",
        Error::System(_) => "is an invalid OS component of",
        Error::Part(_) => "is an invalid component of",
        Error::Parts => "cannot parse platform specifier",
        Error::Unknown(_) => "unknown operating system or architecture",
        Error::TooLong | Error::Encoding(_) | Error::Machine(_) => return Err(error.to_string()),
    };
    let same = theirs.contains(theirs_has);
    if same { Ok(()) } else { Err(format!("the error is `{error}` and should mean `{theirs}`")) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Normalize {
    #[serde(rename = "in")]
    written: Platform,
    out: Platform,
}

/// Checks `platform_normalize`.
pub(crate) fn platform_normalize(json: &str) -> Result<Report, String> {
    let mut report = Report::new("platform_normalize");
    for row in vectors::<Vec<Normalize>>(json)? {
        let normal = row.written.normalize_on(&host());
        let outcome = equal("the normal spelling", &normal, &row.out)
            .and_then(|()| equal("the normal spelling of that", &normal.normalize(), &normal));
        report.count(format!("{:?}", row.written), outcome);
    }
    Ok(report)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    want: String,
    candidate: String,
    only: bool,
    only_strict: bool,
    new_matcher: bool,
}

/// Checks `platform_match`.
pub(crate) fn platform_match(json: &str) -> Result<Report, String> {
    let mut report = Report::new("platform_match");
    for row in vectors::<Vec<Match>>(json)? {
        let name = format!("{} on {}", row.candidate, row.want);
        report.count(name, check_match(&row));
    }
    Ok(report)
}

fn check_match(row: &Match) -> Result<(), String> {
    let (want, candidate) = (parse(&row.want)?, parse(&row.candidate)?);
    equal("only", &Matcher::only(&want).matches(&candidate), &row.only)?;
    equal("only_strict", &Matcher::only_strict(&want).matches(&candidate), &row.only_strict)?;
    equal("new", &Matcher::new(&want).matches(&candidate), &row.new_matcher)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InOrder {
    want: String,
    candidates: Vec<String>,
    sorted_by_only: Vec<String>,
    matching_in_order: Vec<String>,
}

/// Checks `platform_order`.
pub(crate) fn platform_order(json: &str) -> Result<Report, String> {
    let mut report = Report::new("platform_order");
    for row in vectors::<Vec<InOrder>>(json)? {
        report.count(&row.want, check_order(&row));
    }
    Ok(report)
}

fn check_order(row: &InOrder) -> Result<(), String> {
    let matcher = Matcher::only(&parse(&row.want)?);
    let parsed = row.candidates.iter().map(|text| Ok((text.clone(), parse(text)?))).collect::<Result<Vec<_>, String>>();
    let mut candidates = parsed?;
    candidates.sort_by(|(_, one), (_, other)| matcher.compare(one, other));
    let texts = |candidates: &[(String, Platform)]| candidates.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    equal("the order", &texts(&candidates), &row.sorted_by_only)?;
    candidates.retain(|(_, candidate)| matcher.matches(candidate));
    equal("what matches", &texts(&candidates), &row.matching_in_order)
}
