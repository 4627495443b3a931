//! The answers of `wharf tags` and `wharf catalog`: names, in the order in which
//! they come.

use super::{escape, json};

/// Returns one name a line.
pub fn lines(names: &[String]) -> String {
    names.iter().map(|name| format!("{}\n", escape::text(name))).collect()
}

/// Returns an array of strings.
pub fn json(names: &[String]) -> String {
    json::pretty(&names)
}
