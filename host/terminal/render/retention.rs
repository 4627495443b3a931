//! What is kept of images, as a word; and the answer of `wharf retain` about names that come.

use super::json;
use serde::Serialize;
use wharf_vocabulary::changes::Retention;

/// As in `wit/changes.wit`.
pub const fn word(retention: Retention) -> &'static str {
    match retention {
        Retention::Both => "both",
        Retention::Unpacked => "unpacked",
        Retention::Compressed => "compressed",
    }
}

#[derive(Serialize)]
struct DefaultObject {
    default: &'static str,
}

/// Returns the word on a line.
pub fn line(usual: Retention) -> String {
    format!("{}\n", word(usual))
}

/// Returns an object.
pub fn json(usual: Retention) -> String {
    json::pretty(&DefaultObject { default: word(usual) })
}
