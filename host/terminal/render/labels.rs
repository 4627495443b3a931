//! The answer of `wharf label`: the labels of a name.

use super::{escape, json};
use std::collections::BTreeMap;

/// Returns one `KEY=VALUE` a line.
pub fn lines(labels: &[(String, String)]) -> String {
    labels.iter().map(|(key, value)| format!("{}={}\n", escape::text(key), escape::text(value))).collect()
}

/// Returns an object of keys and values.
pub fn json(labels: &[(String, String)]) -> String {
    json::pretty(&labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<BTreeMap<_, _>>())
}
