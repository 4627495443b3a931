//! The answers of `wharf ingest`: downloads that nobody has finished.

use super::{age, escape, json, names, size, table};
use serde::Serialize;
use wharf_vocabulary::changes::IngestInfo;

#[derive(Serialize)]
struct IngestObject<'a> {
    key: &'a str,
    name: Option<&'a str>,
    size: u64,
    age_s: u64,
    held: bool,
}

impl<'a> From<&'a IngestInfo> for IngestObject<'a> {
    fn from(IngestInfo { key, name, size, age_s, held }: &'a IngestInfo) -> Self {
        Self { key, name: name.as_deref(), size: *size, age_s: *age_s, held: *held }
    }
}

/// Returns a table of ingests. `whole` shows whole keys and names.
pub fn table(ingests: &[IngestInfo], whole: bool) -> String {
    let short = |text: &str| if whole { escape::text(text).into_owned() } else { names::short(text).into_owned() };
    let row = |ingest: &IngestInfo| {
        let age = i64::try_from(ingest.age_s).unwrap_or(i64::MAX);
        [
            short(&ingest.key),
            ingest.name.as_deref().map_or_else(|| names::NONE.to_owned(), short),
            size::si(ingest.size),
            age::ago(0, age),
            if ingest.held { "on its way" } else { "given up" }.to_owned(),
        ]
    };
    table::table(&["KEY", "NAME", "SIZE", "LAST BYTE", "STATE"], ingests.iter().map(row))
}

/// Returns a JSON array, one object for each ingest.
pub fn json(ingests: &[IngestInfo]) -> String {
    json::pretty(&ingests.iter().map(IngestObject::from).collect::<Vec<_>>())
}

/// Returns the whole keys, one a line.
pub fn keys(ingests: &[IngestInfo]) -> String {
    ingests.iter().map(|ingest| format!("{}\n", escape::text(&ingest.key))).collect()
}

/// Returns what has been freed by their end, as in `freed 12.3MB: 2 unfinished downloads`. For standard error.
pub fn talk(removed: &[IngestInfo]) -> String {
    let bytes = removed.iter().map(|ingest| ingest.size).fold(0, u64::saturating_add);
    let plural = if removed.len() == 1 { "" } else { "s" };
    format!("freed {}: {} unfinished download{plural}\n", size::si(bytes), removed.len())
}
