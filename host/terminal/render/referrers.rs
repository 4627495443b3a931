//! The answer of `wharf referrers`: a table, or JSON. Whoever made an artifact
//! has written what it says of itself.

use super::{escape, json, names, size, table};
use console::truncate_str;
use serde::Serialize;
use std::collections::BTreeMap;
use wharf_vocabulary::discovery::{Referral, Referrer};

/// How wide ANNOTATIONS gets if it is cut, in columns.
const ANNOTATIONS_COLUMNS: usize = 60;

#[derive(Serialize)]
struct ReferrerObject<'a> {
    digest: &'a str,
    media_type: &'a str,
    artifact_type: Option<&'a str>,
    size: u64,
    annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> From<&'a Referrer> for ReferrerObject<'a> {
    fn from(one: &'a Referrer) -> Self {
        Self {
            digest: &one.target.digest,
            media_type: &one.target.media_type,
            artifact_type: one.artifact_type.as_deref(),
            size: one.target.size,
            annotations: one.annotations.iter().map(|(key, value)| (&**key, &**value)).collect(),
        }
    }
}

/// Returns a table of artifacts. Digests are whole: an artifact has no other
/// name. `whole` shows all annotations.
pub fn table(referral: &Referral, whole: bool) -> String {
    let row = |one: &Referrer| {
        let said: Vec<_> = one.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let said = escape::line(&said.join(", "));
        [
            escape::text(&one.target.digest).into_owned(),
            one.artifact_type.as_deref().map_or_else(|| names::NONE.to_owned(), escape::line),
            size::si(one.target.size),
            if whole { said } else { truncate_str(&said, ANNOTATIONS_COLUMNS, "…").into_owned() },
        ]
    };
    table::table(&["DIGEST", "ARTIFACT TYPE", "SIZE", "ANNOTATIONS"], referral.referrers.iter().map(row))
}

/// Returns a JSON array, one object for each artifact.
pub fn json(referral: &Referral) -> String {
    json::pretty(&referral.referrers.iter().map(ReferrerObject::from).collect::<Vec<_>>())
}

/// Returns what there is to say beside it, a line each.
pub fn talk(referral: &Referral) -> String {
    referral.notes.iter().map(|note| format!("{}\n", escape::text(note))).collect()
}
