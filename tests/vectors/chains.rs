//! The check of ChainIDs against image-spec's identity package.
//!
//! It does not check the DiffIDs themselves, which come with the rows.

use crate::{Report, equal, vectors};
use serde::Deserialize;
use wharf_component::nouns::chain::{chain_id, chain_ids, link};
use wharf_component::nouns::digest::Digest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(rename = "from")]
    _from: String,
    name: Option<String>,
    diff_ids: Vec<String>,
    chain_ids: Vec<String>,
    chain_id: Option<String>,
}

/// Checks `chainid`.
pub(crate) fn chainid(json: &str) -> Result<Report, String> {
    let mut report = Report::new("chainid");
    for row in vectors::<Vec<Row>>(json)? {
        let name = row.name.clone().unwrap_or_else(|| format!("{} layers", row.diff_ids.len()));
        report.count(name, check(&row));
    }
    Ok(report)
}

fn check(row: &Row) -> Result<(), String> {
    let Ok(diff_ids) = row.diff_ids.iter().map(|text| text.parse()).collect::<Result<Vec<Digest>, _>>() else {
        return check_texts(row);
    };
    let found: Vec<String> = chain_ids(&diff_ids).iter().map(Digest::to_string).collect();
    equal("the chain", &found, &row.chain_ids)?;
    equal("the top", &chain_id(&diff_ids).map(|top| top.to_string()).as_ref(), &row.chain_ids.last())?;
    match &row.chain_id {
        Some(top) => equal("the stated top", &found.last(), &Some(top)),
        None => Ok(()),
    }
}

/// Some rows have DiffIDs such as `sha256:a`, which no [`Digest`] can hold. The
/// step of the chain is defined on texts, so they can be checked all the same.
fn check_texts(row: &Row) -> Result<(), String> {
    let mut chain: Vec<String> = row.diff_ids.first().into_iter().cloned().collect();
    for diff_id in row.diff_ids.iter().skip(1) {
        let below = chain.last().expect("the chain begins with the first layer");
        chain.push(link(below, diff_id).to_string());
    }
    equal("the chain", &chain, &row.chain_ids)
}
