//! The check of digests against go-digest.
//!
//! It does not check hashing: the vectors have texts only.

use crate::{Report, equal, vectors};
use serde::Deserialize;
use wharf_component::nouns::digest::{Digest, Error};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    input: String,
    ok: bool,
    algorithm: Option<String>,
    encoded: Option<String>,
    error: Option<String>,
}

/// Checks `digest`.
pub(crate) fn digest(json: &str) -> Result<Report, String> {
    let mut report = Report::new("digest");
    for row in vectors::<Vec<Row>>(json)? {
        let name = format!("{:?}", row.input);
        report.count(name, check(&row));
    }
    Ok(report)
}

fn check(row: &Row) -> Result<(), String> {
    let parsed = row.input.parse::<Digest>();
    equal("acceptance", &parsed.is_ok(), &row.ok)?;
    match parsed {
        Ok(digest) => {
            equal("the algorithm", &Some(digest.algorithm().as_str()), &row.algorithm.as_deref())?;
            equal("the encoded part", &Some(digest.encoded()), &row.encoded.as_deref())?;
            equal("the text", &digest.as_str(), &row.input.as_str())
        }
        Err(error) => equal("the error", &Some(in_go(&error)), &row.error.as_deref()),
    }
}

/// What go-digest says for the same reason.
pub(crate) fn in_go(error: &Error) -> &'static str {
    match error {
        Error::Format => "invalid checksum digest format",
        Error::Length { .. } => "invalid checksum digest length",
        Error::Unsupported(_) => "unsupported digest algorithm",
    }
}
