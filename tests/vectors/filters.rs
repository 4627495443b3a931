//! The checks of filters: expressions against containerd's library, and what
//! docker and podman take as moments, labels and truth values.
//!
//! How a filter travels in a query of the Docker Engine API is not checked: there
//! is no such door.

use crate::{Report, equal, row, vectors};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wharf_component::nouns::{
    digest::{Algorithm, Digest, Hash},
    expression::Expression,
    filter::{Bounds, Filters, Subject},
    record::Labels,
    reference::Reference,
    time,
};

/// 2020-01-02T03:04:05Z, which the durations of docker's table count back from.
const NOW: i64 = 1_577_934_245;

/// Checks `containerd_filter_parse`.
pub(crate) fn containerd_filter_parse(json: &str) -> Result<Report, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        input: String,
        ok: bool,
        #[serde(rename = "error")]
        _error: Option<String>,
    }
    let mut report = Report::new("containerd_filter_parse");
    for Row { input, ok, .. } in vectors::<Vec<Row>>(json)? {
        report.count(format!("{input:?}"), equal("acceptance", &Expression::parse(&input).is_ok(), &ok));
    }
    Ok(report)
}

/// An object of containerd's tests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Object {
    name: String,
    other: String,
    labels: Option<BTreeMap<String, String>>,
}

impl Object {
    fn field(&self, path: &[String]) -> Option<&str> {
        let named = |text: &'_ str| !text.is_empty();
        match path {
            [field] if field == "name" => Some(self.name.as_str()).filter(|text| named(text)),
            [field] if field == "other" => Some(self.other.as_str()).filter(|text| named(text)),
            [root, key @ ..] if root == "labels" => self.labels.as_ref()?.get(&key.join(".")).map(String::as_str),
            _ => None,
        }
    }
}

/// Checks `containerd_filter_match`.
pub(crate) fn containerd_filter_match(json: &str) -> Result<Report, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Case {
        #[serde(rename = "name")]
        _name: String,
        input: String,
        expected: Option<Vec<Object>>,
        err_string: String,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tables {
        corpus: Vec<Object>,
        cases: Vec<Case>,
        scanner: Vec<Value>,
    }
    let mut report = Report::new("containerd_filter_match");
    let Tables { corpus, cases, scanner } = vectors(json)?;
    // The expression without selectors passes everything that the cases have.
    let empty = cases.iter().find(|case| case.input.is_empty()).ok_or("no case passes everything")?;
    let objects = empty.expected.clone().unwrap_or_default();
    for object in corpus {
        report.count(&object.name, equal("being a case's", &objects.contains(&object), &true));
    }
    for Case { input, expected, err_string, .. } in cases {
        let outcome = match Expression::parse(&input) {
            Ok(expression) => {
                let pass = objects.iter().filter(|object| expression.pass(|path| object.field(path)));
                let passed: Vec<Object> = pass.cloned().collect();
                equal("acceptance", &true, &err_string.is_empty())
                    .and_then(|()| equal("what passes", &passed, &expected.unwrap_or_default()))
            }
            Err(_) => equal("acceptance", &false, &err_string.is_empty()),
        };
        report.count(format!("{input:?}"), outcome);
    }
    for token in scanner {
        report.exclude(token["name"].as_str().unwrap_or("?"), "a token of the other reader; texts are compared whole");
    }
    Ok(report)
}

/// Checks `docker_filters`.
pub(crate) fn docker_filters(json: &str) -> Result<Report, String> {
    let mut report = Report::new("docker_filters");
    for (table, rows) in vectors::<BTreeMap<String, Vec<Value>>>(json)? {
        for (number, value) in rows.into_iter().enumerate() {
            let name = format!("{table} {number}");
            match table.as_str() {
                "until_timestamp_parse" => report.count(name, moment(value)),
                "unix_timestamp_parse" if value["in"] == "" => {
                    report.exclude(name, "`until=` says no moment, and is refused as such");
                }
                "unix_timestamp_parse" => report.count(name, unix(value)),
                "label_match" | "label_negated_match" if value["args"]["filterValues"][0] == "label2=" => {
                    report.exclude(name, "podman takes an empty value for any; docker and wharf for the empty one");
                }
                "label_match" => report.count(name, labels("label", value)),
                "label_negated_match" => report.count(name, labels("label!", value)),
                "get_bool_or_default" => report.count(name, boolean(value)),
                _ => report.exclude(name, "a query of the Docker Engine API, for which there is no door"),
            }
        }
    }
    Ok(report)
}

fn moment(value: Value) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Row {
        r#in: String,
        expected: String,
        expected_err: bool,
    }
    let Row { r#in, expected, expected_err } = row(value)?;
    let expected = if expected_err { None } else { Some(time::parse(&expected).ok_or("the row has no time")?) };
    equal(&r#in, &time::parse_moment(&r#in, NOW), &expected)
}

fn unix(value: Value) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Row {
        r#in: String,
        #[serde(rename = "expectedS")]
        seconds: i64,
        #[serde(rename = "expectedN")]
        _nanoseconds: i64,
        expected_err: bool,
    }
    let Row { r#in, seconds, expected_err, .. } = row(value)?;
    equal(&r#in, &time::parse_moment(&r#in, NOW), &(!expected_err).then_some(seconds))
}

fn labels(key: &str, value: Value) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Arguments {
        filter_values: Vec<String>,
        labels: BTreeMap<String, String>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        #[serde(rename = "name")]
        _name: String,
        args: Arguments,
        want: bool,
    }
    let Row { args: Arguments { filter_values, labels }, want, .. } = row(value)?;
    let filters: Vec<String> = filter_values.iter().map(|value| format!("{key}={value}")).collect();
    let filters = Filters::parse(&filters, NOW).map_err(|error| error.to_string())?;
    let labels: Labels<'_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    equal("passing", &passes(&filters, "a:1", &labels)?, &want)
}

fn boolean(value: Value) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Arguments {
        dangling: Vec<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Row {
        #[serde(rename = "name")]
        _name: String,
        args: Arguments,
        #[serde(rename = "defValue")]
        _default: bool,
        expected_err: Option<Value>,
        expected_value: bool,
    }
    let Row { args, expected_err, expected_value, .. } = row(value)?;
    let filters: Vec<String> = args.dangling.iter().map(|value| format!("dangling={value}")).collect();
    let read = Filters::parse(&filters, NOW);
    equal("acceptance", &read.is_ok(), &expected_err.is_none())?;
    // What has a tag does not dangle.
    read.map_or(Ok(()), |filters| equal("passing", &passes(&filters, "a:1", &Labels::new())?, &!expected_value))
}

fn passes(filters: &Filters, name: &str, labels: &Labels<'_>) -> Result<bool, String> {
    let name = Reference::parse(name).map_err(|error| error.to_string())?;
    let digest = Hash::from(&Digest::of(Algorithm::Sha256, b""));
    let image = Subject { name: &name, digest: &digest, media_type: "", created: None, labels: &[labels] };
    Ok(filters.pass(image, Bounds::default()))
}
