//! What a host has to know of a plan that was saved before it has it carried out: whether it is that of a pull, and of
//! which reference, so that it can open what belongs to that registry and nothing else.
//!
//! It checks nothing: the component does, which reads the document with the same rules. A text that breaks them names a
//! registry that does not exist.

use serde::Deserialize;

/// The plan of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPull {
    /// The full name, as in `docker.io/library/alpine:3.20`; empty if there is none.
    pub reference: String,
    /// Whether layers are extracted.
    pub unpack: bool,
}

/// What is read of a document.
#[derive(Deserialize)]
struct Head {
    verb: String,
    #[serde(default)]
    reference: String,
    #[serde(default)]
    unpack: bool,
}

/// Reads the plan of a pull; none if the document is anything else.
pub fn pull(document: &str) -> Option<PlannedPull> {
    let Head { verb, reference, unpack } = serde_json::from_str(document).ok()?;
    (verb == "pull").then_some(PlannedPull { reference, unpack })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_a_pull_says_which_registry_is_meant() {
        let planned = |reference: &str, unpack| Some(PlannedPull { reference: reference.to_owned(), unpack });
        for (document, expected) in [
            (
                r#"{"wharf-plan": 1, "verb": "pull", "reference": "lan/a:1", "unpack": true, "x": [{}]}"#,
                planned("lan/a:1", true),
            ),
            (r#"{"verb": "pull", "reference": "lan/a"}"#, planned("lan/a", false)),
            (r#"{"verb": "pull"}"#, planned("", false)),
            (r#"{"verb": "remove", "reference": "lan/a"}"#, None),
            (r#"{"verb": "pull", "reference": 1}"#, None),
            (r#"{"verb": "pull", "reference": "a", "reference": "b"}"#, None),
            (r#"{"reference": "lan/a"}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(pull(document), expected, "{document}");
        }
    }
}
