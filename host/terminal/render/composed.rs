//! The answer of `wharf manifest create` and of what changes an index, and a document laid out to be read.

use super::json;
use serde::Serialize;
use std::collections::BTreeMap;
use wharf_vocabulary::changes::{Composed, IndexEntry};

#[derive(Serialize)]
struct ComposedObject<'a> {
    name: &'a str,
    target: json::Descriptor<'a>,
    before: Option<&'a str>,
    manifests: Vec<EntryObject<'a>>,
}

#[derive(Serialize)]
struct EntryObject<'a> {
    #[serde(flatten)]
    manifest: json::Descriptor<'a>,
    platform: Option<&'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    here: bool,
}

impl<'a> From<&'a IndexEntry> for EntryObject<'a> {
    fn from(IndexEntry { manifest, platform, annotations, here }: &'a IndexEntry) -> Self {
        let annotations = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Self { manifest: manifest.into(), platform: platform.as_deref(), annotations, here: *here }
    }
}

/// Returns an object.
pub fn json(Composed { name, target, entries, before }: &Composed) -> String {
    let (target, before) = (target.into(), before.as_deref());
    json::pretty(&ComposedObject { name, target, before, manifests: entries.iter().map(EntryObject::from).collect() })
}

/// Returns a document with a line for each value. What is no JSON stays as it is.
pub fn document(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => json::pretty(&value),
        Err(_) => format!("{text}\n"),
    }
}
