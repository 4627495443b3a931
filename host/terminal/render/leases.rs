//! The answers of `wharf lease`: what holds images, whether or not they have a name.

use super::{age, escape, json, names, table};
use serde::Serialize;
use std::collections::BTreeMap;
use wharf_vocabulary::changes::Lease;

#[derive(Serialize)]
struct LeaseObject<'a> {
    id: &'a str,
    created: Option<String>,
    expires: Option<String>,
    labels: BTreeMap<&'a str, &'a str>,
    holds: &'a [String],
}

impl<'a> From<&'a Lease> for LeaseObject<'a> {
    fn from(Lease { id, created, expires, labels, holds }: &'a Lease) -> Self {
        Self {
            id,
            created: age::timestamp(*created),
            expires: expires.and_then(age::timestamp),
            labels: labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            holds,
        }
    }
}

/// Returns a table of leases. `now` is in seconds since 1970.
pub fn table(leases: &[Lease], now: i64) -> String {
    let row = |lease: &Lease| {
        let holds: Vec<_> = lease.holds.iter().map(|digest| names::short(digest)).collect();
        let labels: Vec<_> = lease.labels.iter().map(|(key, value)| escape::line(&format!("{key}={value}"))).collect();
        [
            escape::text(&lease.id).into_owned(),
            age::ago(lease.created, now),
            match lease.expires {
                Some(expires) if expires <= now => "expired".to_owned(),
                Some(expires) => age::ago(expires, now),
                None => "never".to_owned(),
            },
            holds.join(", "),
            labels.join(", "),
        ]
    };
    table::table(&["ID", "CREATED", "EXPIRES", "HOLDS", "LABELS"], leases.iter().map(row))
}

/// Returns a JSON array, one object for each lease.
pub fn json(leases: &[Lease]) -> String {
    json::pretty(&leases.iter().map(LeaseObject::from).collect::<Vec<_>>())
}

/// Returns one lease as an object.
pub fn one_json(lease: &Lease) -> String {
    json::pretty(&LeaseObject::from(lease))
}

/// Returns the ids, one a line.
pub fn ids<'a>(leases: impl IntoIterator<Item = &'a Lease>) -> String {
    leases.into_iter().map(|lease| format!("{}\n", escape::text(&lease.id))).collect()
}
