//! The answer of `wharf history`: docker's table, JSON, or digests of layers.
//!
//! It does not reorder: the component gives the newest step first.

use super::{age, escape, json, names, size, table};
use console::truncate_str;
use serde::Serialize;
use wharf_vocabulary::vocabulary::Step;

/// How wide CREATED BY gets if it is cut, in columns.
const CREATED_BY_COLUMNS: usize = 45;

#[derive(Serialize)]
struct StepObject<'a> {
    layer: Option<&'a str>,
    created: Option<String>,
    created_by: &'a str,
    comment: &'a str,
    size: u64,
}

impl<'a> From<&'a Step> for StepObject<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            layer: step.layer.as_deref(),
            created: step.created.and_then(age::timestamp),
            created_by: &step.created_by,
            comment: &step.comment,
            size: step.size,
        }
    }
}

/// Returns a table of steps. `whole` shows whole digests and commands. `now` is
/// in seconds since 1970.
pub fn table(steps: &[Step], whole: bool, now: i64) -> String {
    let row = |step: &Step| {
        [
            step.layer.as_deref().map_or_else(|| names::NONE.to_owned(), |layer| digest(layer, whole)),
            step.created.map_or_else(|| "N/A".to_owned(), |created| age::ago(created, now)),
            if whole {
                escape::text(&step.created_by).into_owned()
            } else {
                truncate_str(&escape::line(&step.created_by), CREATED_BY_COLUMNS, "…").into_owned()
            },
            size::si(step.size),
            escape::line(&step.comment),
        ]
    };
    table::table(&["LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT"], steps.iter().map(row))
}

/// Returns a JSON array, one object for each step.
pub fn json(steps: &[Step]) -> String {
    json::pretty(&steps.iter().map(StepObject::from).collect::<Vec<_>>())
}

/// Returns the digests of the layers, one a line. Steps without one have none.
pub fn layers(steps: &[Step], whole: bool) -> String {
    steps.iter().filter_map(|step| step.layer.as_deref()).map(|layer| digest(layer, whole) + "\n").collect()
}

fn digest(layer: &str, whole: bool) -> String {
    if whole { escape::text(layer).into_owned() } else { names::short(layer).into_owned() }
}
