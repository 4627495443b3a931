//! One header each: challenges, warnings, ranges, types; and URLs as they are
//! shown.

use crate::{equal, row};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wharf_component::nouns::media_type;
use wharf_component::registry::challenge::{self, Offer};
use wharf_component::registry::range::{self, ContentRange};
use wharf_component::registry::{location, warning};

/// The parameters of an offer that say something.
fn parameters(offer: Option<&Offer>) -> BTreeMap<String, String> {
    offer.into_iter().flat_map(|offer| &offer.parameters).filter(|(_, value)| !value.is_empty()).cloned().collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Oras {
    #[serde(rename = "name")]
    _name: String,
    header: String,
    want_scheme: usize,
    want_params: Option<BTreeMap<String, String>>,
}

pub(super) fn challenge_oras(value: Value) -> Result<(), String> {
    let row: Oras = row(value)?;
    let offers = challenge::parse(&row.header);
    let scheme = offers.first().map_or("", |offer| offer.scheme.as_str());
    let known = ["", "basic", "bearer"].iter().position(|known| *known == scheme).unwrap_or(0);
    equal("the scheme", &known, &row.want_scheme)?;
    // oras does not read the parameters of others.
    match known {
        2 => equal("the parameters", &parameters(offers.first()), &row.want_params.unwrap_or_default()),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Containerd {
    containerd_parse: Option<Vec<Parsed>>,
    header: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Parsed {
    scheme: String,
    parameters: BTreeMap<String, String>,
}

/// Compares what is offered in schemes that containerd knows. A parameter
/// without a value says nothing, here as there.
pub(super) fn challenge_containerd(value: Value) -> Result<(), String> {
    let row: Containerd = row(value)?;
    let known = |offer: &&Offer| ["basic", "bearer", "digest"].contains(&offer.scheme.as_str());
    let read = |offer: &Offer| Parsed { scheme: offer.scheme.clone(), parameters: parameters(Some(offer)) };
    let found: Vec<_> = challenge::parse(&row.header).iter().filter(known).map(read).collect();
    let mut expected = row.containerd_parse.unwrap_or_default();
    for challenge in &mut expected {
        challenge.parameters.retain(|_, value| !value.is_empty());
    }
    equal("the challenges", &found, &expected)
}

/// A text, or bytes that are none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Base64 {
        #[serde(rename = "_base64")]
        base64: String,
    },
}

impl Bytes {
    fn read(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64 { base64 } => decode(&base64).ok_or_else(|| format!("`{base64}` is not base64")),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes().map(|byte| ALPHABET.iter().position(|other| *other == byte));
    let digits = digits.collect::<Option<Vec<_>>>()?;
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - chunk.len()));
        [bits >> 16, bits >> 8, bits].into_iter().take(chunk.len() - 1).map(|byte| byte as u8)
    });
    Some(bytes.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Warning {
    #[serde(rename = "name")]
    _name: Option<String>,
    header: Bytes,
    #[serde(alias = "expected")]
    want: Bytes,
}

/// An empty text is no warning there.
pub(super) fn warning(value: Value) -> Result<(), String> {
    let row: Warning = row(value)?;
    let want = row.want.read()?;
    let expected = Some(String::from_utf8_lossy(&want).into_owned()).filter(|text| !text.is_empty());
    equal("the texts", &warning::texts(row.header.read()?), &expected.into_iter().collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OrasWarning {
    #[serde(rename = "name")]
    _name: String,
    header: String,
    want: Value,
    want_err: Option<Value>,
}

pub(super) fn warning_oras(value: Value) -> Result<(), String> {
    let row: OrasWarning = row(value)?;
    let expected = match (row.want_err, row.want["Text"].as_str()) {
        (None, Some(text)) => vec![text.to_owned()],
        _ => Vec::new(),
    };
    equal("the texts", &warning::texts(row.header), &expected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Range {
    #[serde(rename = "in")]
    header: String,
    first: u64,
    last: u64,
    /// Negative if it is not known.
    complete_length: i64,
}

pub(super) fn content_range_valid(value: Value) -> Result<(), String> {
    let Range { header, first, last, complete_length } = row(value)?;
    let expected = ContentRange { first, last, total: u64::try_from(complete_length).ok() };
    equal("the range", &range::parse(&header), &Some(expected))
}

pub(super) fn content_range_invalid(value: Value) -> Result<(), String> {
    equal("the range", &range::parse(&row::<String>(value)?), &None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Simplified {
    input: String,
    expected: String,
}

pub(super) fn content_type(value: Value) -> Result<(), String> {
    let Simplified { input, expected } = row(value)?;
    equal("the type", &media_type::essence(&input), &expected.as_str())
}

#[derive(Deserialize)]
struct Sanitized {
    request: Asked,
    expected: String,
}

#[derive(Deserialize)]
struct Asked {
    path: String,
    host: AskedHost,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedHost {
    scheme: String,
    host: String,
}

pub(super) fn shown_url(value: Value) -> Result<(), String> {
    let Sanitized { request: Asked { path, host: AskedHost { scheme, host } }, expected } = row(value)?;
    equal("what is shown", &location::without_secrets(&format!("{scheme}://{host}{path}")), &expected)
}
