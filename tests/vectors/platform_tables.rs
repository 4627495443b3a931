//! The check of platforms against the tables that the authors of other
//! projects wrote for their own tests: containerd's, and what of docker's,
//! go-containerregistry's and podman's does not contradict containerd's.
//!
//! Rows that show a policy of those three alone are named here one by one, with
//! the policy. Everything else has to pass.

use crate::platforms::parse;
use crate::{Report, equal, row, vectors};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wharf_component::nouns::platform::{Matcher, Platform, arm_version, best};

const WILDCARDS: &str = "containerd skips it itself: wildcards are not supported";
const DOCKER_CACHE: &str = "docker's build cache compares versions of Windows by major and minor only";
const REGISTRY_WILDCARDS: &str =
    "go-containerregistry: what is not asked for may be anything, and what is asked for has to be there";
const REGISTRY_FEATURES: &str =
    "go-containerregistry compares `features` of Docker's lists, which OCI indexes do not have";
const REGISTRY_VERSIONS: &str =
    "go-containerregistry compares `os.version` on every system, containerd on Windows only";
const REGISTRY_FORM: &str =
    "go-containerregistry writes the version of the system after a colon, and nothing for no platform";
const PODMAN_ORDER: &str =
    "podman has an order of variants of its own: no 386 for amd64, no arm for arm64, the plain name last";

/// The rows that are excluded, by table and index.
const EXCLUDED: [(&str, &[usize], &str); 9] = [
    ("TestParseSelector", &[0, 1], WILDCARDS),
    ("moby_builder_cache_platform_compare", &[3], DOCKER_CACHE),
    ("ggcr_platform_satisfies", &[2], REGISTRY_VERSIONS),
    ("ggcr_platform_satisfies", &[5, 6], REGISTRY_WILDCARDS),
    ("ggcr_platform_satisfies", &[10, 11], REGISTRY_FEATURES),
    ("ggcr_platform_string", &[0, 4, 5], REGISTRY_FORM),
    ("ggcr_platform_equals", &[6, 7], REGISTRY_FEATURES),
    ("ggcr_index_matches_platform", &[3, 5, 6], REGISTRY_WILDCARDS),
    ("podman_wanted_platforms", &[0, 1, 2, 3, 4], PODMAN_ORDER),
];

/// Checks `platform_tables`.
pub(crate) fn platform_tables(json: &str) -> Result<Report, String> {
    let mut report = Report::new("platform_tables");
    for (table, rows) in vectors::<BTreeMap<String, Vec<Value>>>(json)? {
        for (index, value) in rows.into_iter().enumerate() {
            let name = format!("{table}[{index}]");
            match EXCLUDED.iter().find(|(other, rows, _)| *other == table && rows.contains(&index)) {
                Some((_, _, why)) => report.exclude(name, why),
                None => report.count(name, check(&table, value)),
            }
        }
    }
    Ok(report)
}

fn check(table: &str, value: Value) -> Result<(), String> {
    match table {
        "TestParseSelector" => parse_selector(&row(value)?),
        "TestParseSelectorInvalid" => {
            let row: Input = row(value)?;
            equal("acceptance", &parse(&row.input).is_ok(), &false)
        }
        "TestOnly" => matched(&row(value)?, Matcher::only),
        "TestOnlyStrict" => matched(&row(value)?, Matcher::only_strict),
        "TestOnlyOS" => matched(&row(value)?, Matcher::only_os),
        "TestOnlyOSLess" => ordered(&row(value)?, Matcher::only_os),
        "TestCompareOSFeatures" => ordered(&row(value)?, Matcher::only),
        "TestFormatAllEncoding" => format_all(&row(value)?),
        "TestGetCPUVariantFromArch" => cpu_variant(&row(value)?),
        "TestMatchComparerMatch_ABICheckWCOW" => windows_match(&row(value)?),
        "Test_PlatformCompat" => windows_builds(&row(value)?),
        "Test_PlatformOrder" => windows_best(&row(value)?),
        "moby_builder_cache_platform_compare" => docker_cache(&row(value)?),
        "ggcr_platform_satisfies" => satisfies(&row(value)?),
        "ggcr_platform_string" => formatted(&row(value)?),
        "ggcr_platform_equals" => same(&row(value)?),
        "ggcr_index_matches_platform" => index_matches(&row(value)?),
        _ => Err("there is no check for this table".to_owned()),
    }
}

/// A platform as Go prints its fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GoPlatform {
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
    #[serde(rename = "OSVersion")]
    os_version: String,
    #[serde(rename = "OSFeatures")]
    os_features: Option<Vec<String>>,
    variant: String,
    /// Of Docker's lists. Rows that depend on it are excluded.
    #[serde(rename = "Features")]
    _features: Option<Vec<String>>,
}

impl GoPlatform {
    fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone().unwrap_or_default(),
            variant: self.variant.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParseSelector {
    #[serde(rename = "skip")]
    _skip: bool,
    input: String,
    expected: GoPlatform,
    matches: Option<Vec<GoPlatform>>,
    formatted: String,
    #[serde(rename = "useV2Format")]
    long_form: bool,
}

fn parse_selector(row: &ParseSelector) -> Result<(), String> {
    let found = parse(&row.input)?;
    equal("the platform", &found, &row.expected.platform())?;
    let form = if row.long_form { found.format_all() } else { found.to_string() };
    equal("the form", &form, &row.formatted)?;
    equal("the form parsed", &parse(&form)?.normalize(), &found.normalize())?;
    let matcher = Matcher::new(&found);
    match row.matches.iter().flatten().find(|other| !matcher.matches(&other.platform())) {
        Some(other) => Err(format!("it does not match {other:?}")),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    input: String,
}

/// A platform, as a specifier or as its fields.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Specifier(String),
    Fields(GoPlatform),
}

impl Written {
    fn platform(&self) -> Result<Platform, String> {
        match self {
            Self::Specifier(text) => parse(text),
            Self::Fields(fields) => Ok(fields.platform()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matched {
    want: Written,
    candidate: Written,
    #[serde(rename = "match")]
    matches: bool,
}

fn matched(row: &Matched, matcher: fn(&Platform) -> Matcher) -> Result<(), String> {
    equal("the match", &matcher(&row.want.platform()?).matches(&row.candidate.platform()?), &row.matches)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    platform: Written,
    platforms: Vec<Written>,
    expected: Vec<Written>,
}

fn ordered(row: &Ordered, matcher: fn(&Platform) -> Matcher) -> Result<(), String> {
    let read = |list: &[Written]| list.iter().map(Written::platform).collect::<Result<Vec<_>, _>>();
    let matcher = matcher(&row.platform.platform()?);
    let mut platforms = read(&row.platforms)?;
    platforms.sort_by(|one, other| matcher.compare(one, other));
    equal("the order", &platforms, &read(&row.expected)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormatAll {
    platform: GoPlatform,
    expected: String,
}

fn format_all(row: &FormatAll) -> Result<(), String> {
    equal("the long form", &row.platform.platform().format_all(), &row.expected)?;
    equal("the long form parsed", &parse(&row.expected)?, &row.platform.platform())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CpuVariant {
    #[serde(rename = "name")]
    _name: String,
    input: String,
    output: String,
    #[serde(rename = "expectedErr")]
    error: Option<Value>,
}

fn cpu_variant(row: &CpuVariant) -> Result<(), String> {
    let found = arm_version(&row.input);
    equal("acceptance", &found.is_err(), &row.error.is_some())?;
    equal("the version", &found.unwrap_or_default(), &row.output.as_str())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WindowsMatch {
    host_platform: GoPlatform,
    test_platform: GoPlatform,
    #[serde(rename = "match")]
    matches: bool,
}

fn windows_match(row: &WindowsMatch) -> Result<(), String> {
    let matcher = Matcher::new(&row.host_platform.platform());
    equal("the match", &matcher.matches(&row.test_platform.platform()), &row.matches)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowsBuilds {
    #[serde(rename = "hostOS")]
    host: u32,
    #[serde(rename = "ctrOS")]
    container: u32,
    #[serde(rename = "shouldRun")]
    runs: bool,
}

fn windows_builds(row: &WindowsBuilds) -> Result<(), String> {
    let windows = |build: u32| parse(&format!("windows(10.0.{build})/amd64"));
    equal("the match", &Matcher::only(&windows(row.host)?).matches(&windows(row.container)?), &row.runs)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WindowsBest {
    #[serde(rename = "name")]
    _name: String,
    host_platform: GoPlatform,
    platforms: Vec<GoPlatform>,
    want_platform: GoPlatform,
}

fn windows_best(row: &WindowsBest) -> Result<(), String> {
    let platforms: Vec<Platform> = row.platforms.iter().map(GoPlatform::platform).collect();
    let found = best(&Matcher::new(&row.host_platform.platform()), platforms.iter().zip(&platforms));
    equal("the best", &found, &Some(&row.want_platform.platform()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DockerCache {
    #[serde(rename = "name")]
    _name: String,
    builder: GoPlatform,
    image: GoPlatform,
    expected: bool,
}

fn docker_cache(row: &DockerCache) -> Result<(), String> {
    equal("the match", &Matcher::only(&row.builder.platform()).matches(&row.image.platform()), &row.expected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Satisfies {
    have: GoPlatform,
    spec: GoPlatform,
    sat: bool,
}

fn satisfies(row: &Satisfies) -> Result<(), String> {
    equal("the match", &Matcher::new(&row.spec.platform()).matches(&row.have.platform()), &row.sat)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Formatted {
    plat: GoPlatform,
    want: String,
}

fn formatted(row: &Formatted) -> Result<(), String> {
    equal("the form", &row.plat.platform().to_string(), &row.want)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Same {
    a: GoPlatform,
    b: GoPlatform,
    equal: bool,
}

fn same(row: &Same) -> Result<(), String> {
    equal("equality", &(row.a.platform().normalize() == row.b.platform().normalize()), &row.equal)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexMatches {
    given: GoPlatform,
    required: GoPlatform,
    want: bool,
}

fn index_matches(row: &IndexMatches) -> Result<(), String> {
    equal("the match", &Matcher::new(&row.required.platform()).matches(&row.given.platform()), &row.want)
}
