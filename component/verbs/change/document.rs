//! A plan as it is carried out and saved. As JSON:
//!
//! ```json
//! {"wharf-plan": 1, "namespace": "default", "verb": "remove",
//!  "no-prune": false, "is-prune": false,
//!  "names": [{"name": "docker.io/library/alpine:3.20", "mark": "sha256:…", "do": "untag",
//!             "before": "sha256:…", "after": null, "platforms": [], "why": "it was asked for"}],
//!  "leases": ["build-4711"],
//!  "garbage": {"blobs": [["sha256:…", 3626897]], "layers": [], "snapshots": [], "ingests": []},
//!  "gone": ["sha256:…"], "risks": [], "blocked": null}
//! ```
//!
//! `mark` is what the bytes of the record hash to; null if there is none. `do` is
//! `untag`; `shrink`, with the `manifests` that go; `retain`, with the `retention`; or
//! `point`, with the name it comes `from` and the `from-mark` of its record. `leases`
//! go because their time is over. Sizes are in bytes.

use crate::{
    nouns::digest::Digest,
    verbs::{
        contract::{Garbage, NameChange, Plan, Retention},
        filed::VERSION,
    },
};
use serde::{Deserialize, Serialize};

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Draft {
    #[serde(rename = "wharf-plan")]
    version: u32,
    pub(super) namespace: String,
    pub(super) verb: String,
    pub(super) no_prune: bool,
    pub(super) is_prune: bool,
    pub(super) names: Vec<Step>,
    pub(super) leases: Vec<String>,
    pub(super) garbage: Things,
    pub(super) gone: Vec<Digest>,
    pub(super) risks: Vec<String>,
    /// Why nothing is removed from the disk, if that is so.
    pub(super) blocked: Option<String>,
}

/// How one name changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) mark: Option<Digest>,
    #[serde(flatten)]
    pub(super) verb: Verb,
    pub(super) before: Option<Digest>,
    pub(super) after: Option<Digest>,
    pub(super) platforms: Vec<String>,
    pub(super) why: String,
}

/// What is done to a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum Verb {
    /// It goes.
    Untag,
    /// These manifests of it go.
    Shrink {
        /// Their digests.
        manifests: Vec<Digest>,
    },
    /// Something else is kept of it: `both`, `unpacked` or `compressed`.
    Retain {
        /// Which.
        #[serde(with = "word")]
        retention: Retention,
    },
    /// It points to what another name points to.
    Point {
        /// That name.
        from: String,
        /// What its record hashes to.
        from_mark: Digest,
    },
}

/// What is kept, as its word.
mod word {
    use super::Retention;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(retention: &Retention, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(retention)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Retention, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What nothing needs afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Things {
    pub(super) blobs: Vec<(Digest, u64)>,
    pub(super) layers: Vec<(Digest, u64)>,
    pub(super) snapshots: Vec<(String, u64)>,
    pub(super) ingests: Vec<(String, u64)>,
}

impl Step {
    pub(super) fn change(&self) -> NameChange {
        NameChange {
            name: self.name.clone(),
            before: self.before.clone(),
            after: self.after.clone(),
            platforms: self.platforms.clone(),
            retention: match &self.verb {
                Verb::Retain { retention } => Some(*retention),
                _ => None,
            },
            why: self.why.clone(),
        }
    }
}

impl Draft {
    /// A plan of nothing yet.
    pub(super) fn new(namespace: &str, verb: &str) -> Self {
        Self { version: VERSION, namespace: namespace.to_owned(), verb: verb.to_owned(), ..Self::default() }
    }

    /// Whether it is about space.
    pub(super) fn frees(&self) -> bool {
        !self.no_prune && self.verb != "tag"
    }

    /// Whether it is about everything that nothing needs.
    pub(super) fn tidies(&self) -> bool {
        self.verb == "collect"
    }

    pub(super) fn garbage(&self) -> Garbage {
        let Things { blobs, layers, snapshots, ingests } = self.garbage.clone();
        Garbage { blobs, layers, snapshots, ingests }
    }

    /// As people see it.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            names: self.names.iter().map(Step::change).collect(),
            leases: self.leases.clone(),
            garbage: if self.no_prune { Garbage::default() } else { self.garbage() },
            gone: self.gone.clone(),
            risks: self.risks.iter().chain(&self.blocked).cloned().collect(),
            document: serde_json::to_string_pretty(self).expect("texts and numbers can always be written"),
        }
    }
}
