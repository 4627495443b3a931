//! The answer of `wharf import` and of `wharf snapshot commit`: the image that was made. What a person may not expect is for standard error, and so is
//! its name.

use super::{escape, json};
use serde::Serialize;
use wharf_vocabulary::archives::Imported;

#[derive(Serialize)]
struct ImportedObject<'a> {
    name: &'a str,
    target: json::Descriptor<'a>,
    id: &'a str,
    layer: json::Descriptor<'a>,
    diff_id: &'a str,
    platform: &'a str,
    moved: Option<&'a str>,
    notes: &'a [String],
}

/// Returns an object.
pub fn json(imported: &Imported) -> String {
    let Imported { name, target, id, layer, diff_id, platform, moved, notes } = imported;
    let (target, layer, moved) = (target.into(), layer.into(), moved.as_deref());
    json::pretty(&ImportedObject { name, target, id, layer, diff_id, platform, moved, notes })
}

/// Returns what the image is called, and a line for each thing that a person may not expect.
pub fn talk(imported: &Imported) -> String {
    said("imported", imported)
}

/// The same of a snapshot.
pub fn talk_committed(committed: &Imported) -> String {
    said("committed", committed)
}

fn said(done: &str, imported: &Imported) -> String {
    let named = format!("{done} `{}` for {}", imported.name, imported.platform);
    std::iter::once(&named).chain(&imported.notes).map(|text| format!("{}\n", escape::text(text))).collect()
}
