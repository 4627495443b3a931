//! Runs vectors, which are inputs with the outputs of other projects' own
//! libraries, against wharf's nouns: natively and, as a component, inside the
//! sandbox.
//!
//! It reads no files: who calls [`run`] brings the text, from
//! `tests/data/vectors`. A row is passed, failed, or excluded with a reason.
//! Rows are excluded where the other project decides otherwise on purpose,
//! never because a check is missing. A row that needs the host is left to the
//! host's own tests, with the file.
//!
//! One check function a file: `references`, `platforms` and `platform_tables`,
//! `digests`, `chains`, `documents`, `filters`, `instructions`, `registry_client`.

mod chains;
mod digests;
mod documents;
mod filters;
mod instructions;
mod platform_tables;
mod platforms;
mod reference_tables;
mod references;
mod registry_client;

#[cfg(all(target_family = "wasm", feature = "guest"))]
mod guest;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

/// This crate as a component, compiled for this machine with the configuration
/// of wharf's engine. Its world is `wit/world.wit`.
#[cfg(all(not(target_family = "wasm"), feature = "embed"))]
pub static COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vectors.cwasm"));

/// The files that there is a check for, by their names without `.json`.
pub const FILES: [&str; 18] = [
    "reference_parse",
    "reference_tables",
    "platform_parse",
    "platform_normalize",
    "platform_match",
    "platform_order",
    "platform_tables",
    "digest",
    "chainid",
    "image_spec_documents",
    "manifest_media_types",
    "containerd_filter_parse",
    "containerd_filter_match",
    "docker_filters",
    "dockerfile_parse",
    "dockerfile_shell_lex",
    "dockerfile_tables",
    "registry_client",
];

/// What came of the rows of one file.
///
/// Invariant of what [`run`] returns: every row is counted once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file's name without `.json`.
    pub file: &'static str,
    /// How many rows the file has.
    pub rows: usize,
    /// How many rows are as expected.
    pub passed: usize,
    /// The rows that are not, and what is wrong with them.
    pub failed: Vec<String>,
    /// The rows that do not apply, and why not.
    pub excluded: Vec<(String, &'static str)>,
    /// The rows that need the host, and the file of the test that checks them.
    pub elsewhere: Vec<(String, &'static str)>,
}

impl Report {
    /// Begins a report.
    pub fn new(file: &'static str) -> Self {
        Self { file, rows: 0, passed: 0, failed: Vec::new(), excluded: Vec::new(), elsewhere: Vec::new() }
    }

    /// Counts a row by its outcome.
    pub fn count(&mut self, row: impl Display, outcome: Result<(), String>) {
        self.rows += 1;
        match outcome {
            Ok(()) => self.passed += 1,
            Err(why) => self.failed.push(format!("{row}: {why}")),
        }
    }

    /// Counts a row that does not apply.
    pub fn exclude(&mut self, row: impl Display, why: &'static str) {
        self.rows += 1;
        self.excluded.push((row.to_string(), why));
    }

    /// Counts a row that the test in `file` checks.
    pub fn leave(&mut self, row: impl Display, file: &'static str) {
        self.rows += 1;
        self.elsewhere.push((row.to_string(), file));
    }
}

/// Checks the vectors `json` of the file `file`, one of [`FILES`].
///
/// Fails if there is no check for the file, if rows do not have the expected
/// form, or if a row was not counted.
pub fn run(file: &str, json: &str) -> Result<Report, String> {
    let report = match file {
        "reference_parse" => references::reference_parse(json)?,
        "reference_tables" => reference_tables::reference_tables(json)?,
        "platform_parse" => platforms::platform_parse(json)?,
        "platform_normalize" => platforms::platform_normalize(json)?,
        "platform_match" => platforms::platform_match(json)?,
        "platform_order" => platforms::platform_order(json)?,
        "platform_tables" => platform_tables::platform_tables(json)?,
        "digest" => digests::digest(json)?,
        "chainid" => chains::chainid(json)?,
        "image_spec_documents" => documents::image_spec_documents(json),
        "manifest_media_types" => documents::manifest_media_types(json),
        "containerd_filter_parse" => filters::containerd_filter_parse(json)?,
        "containerd_filter_match" => filters::containerd_filter_match(json)?,
        "docker_filters" => filters::docker_filters(json)?,
        "dockerfile_parse" => instructions::dockerfile_parse(json)?,
        "dockerfile_shell_lex" => instructions::dockerfile_shell_lex(json)?,
        "dockerfile_tables" => instructions::dockerfile_tables(json)?,
        "registry_client" => registry_client::registry_client(json)?,
        _ => return Err(format!("there is no check for `{file}`")),
    };
    let expected = rows(json)?;
    let outcomes = report.passed + report.failed.len() + report.excluded.len() + report.elsewhere.len();
    if report.rows != expected || outcomes != expected {
        let counted = report.rows;
        return Err(format!("`{file}` has {expected} rows; {counted} were counted, with {outcomes} outcomes"));
    }
    Ok(report)
}

/// A file of vectors.
#[derive(Deserialize)]
struct File<T> {
    vectors: T,
}

/// Reads the rows of a file.
fn vectors<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str::<File<T>>(json).map(|file| file.vectors).map_err(|error| error.to_string())
}

/// Counts the rows of a file without knowing their form, and compares the
/// number with the one that the file states.
fn rows(json: &str) -> Result<usize, String> {
    #[derive(Deserialize)]
    struct Counted {
        meta: Meta,
        vectors: Rows,
    }
    #[derive(Deserialize)]
    struct Meta {
        count: usize,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Rows {
        List(Vec<serde::de::IgnoredAny>),
        Tables(BTreeMap<String, Vec<serde::de::IgnoredAny>>),
    }
    let file: Counted = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let found = match file.vectors {
        Rows::List(rows) => rows.len(),
        Rows::Tables(tables) => tables.values().map(Vec::len).sum(),
    };
    let stated = file.meta.count;
    if found == stated { Ok(found) } else { Err(format!("the file states {stated} rows and has {found}")) }
}

/// Reads one row of a table.
fn row<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Compares what was found with what is expected.
fn equal<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?} and should be {expected:?}")) }
}
