//! Tag: names that point to what another one points to. A name that is there is
//! moved; what it pointed to stays until it is collected.

use super::{
    document::{Draft, Step, Verb},
    draft::Desk,
};
use crate::{
    host::Host,
    nouns::{problem::ErrorCode, record::ImageRecord, reference::Reference, retention::Retention},
    registry::Failure,
    verbs::{
        contract::Tagging,
        failing::{because, fail, invalid},
    },
};
use std::collections::BTreeSet;

pub(super) fn draft<H: Host>(desk: &Desk<'_, H>, tagging: &Tagging) -> Result<Draft, Failure> {
    let meant = desk.library.find(&tagging.source)?;
    let source = desk.root(&meant.entry.name).ok_or_else(|| fail(ErrorCode::Conflict, "it has just been removed"))?;
    if tagging.names.is_empty() {
        return Err(invalid("at least one new name is needed"));
    }
    let mut draft = Draft::new(&desk.caller.namespace, "tag");
    let mut seen = BTreeSet::new();
    for text in &tagging.names {
        let name = name(text)?;
        if name == source.name || !seen.insert(name.to_string()) {
            continue;
        }
        let before = desk.root(&name);
        let target = &source.record.target.digest;
        if before
            .is_some_and(|before| before.record == pointed(Some(&before.record), &source.record, before.record.updated))
        {
            continue;
        }
        if let Some(before) = before.filter(|before| before.record.target.digest != *target) {
            let old = &before.record.target.digest;
            let others = desk.own().filter(|root| root.record.target.digest == *old).count();
            if others == 1 {
                draft.gone.push(old.clone());
                draft.risks.push(format!(
                    "no name points to `{old}` any more when `{}` is moved; `wharf gc` removes it",
                    name.familiar()
                ));
            }
        }
        draft.names.push(Step {
            name: name.to_string(),
            mark: before.map(|before| before.mark.clone()),
            verb: Verb::Point { from: source.name.to_string(), from_mark: source.mark.clone() },
            before: before.map(|before| before.record.target.digest.clone()),
            after: Some(target.clone()),
            platforms: Vec::new(),
            why: format!("it is to be what `{}` is", source.name.familiar()),
        });
    }
    Ok(draft)
}

/// Reads a new name. It has a tag, and no digest: that would be a promise about
/// what it points to.
fn name(text: &str) -> Result<Reference, Failure> {
    let why = format!("`{}` cannot be a name here", text.escape_debug());
    let name = Reference::parse_docker(text).map_err(invalid).map_err(because(why.clone()))?;
    if name.digest().is_some() {
        return Err(because(why)(invalid("it has a digest, and a tag is what can point anywhere")));
    }
    Ok(name.with_default_tag())
}

/// The record of a name that points to what `source` does. What is kept of that comes with it: blobs that were given up
/// would be missed otherwise.
pub(super) fn pointed(before: Option<&ImageRecord>, source: &ImageRecord, now: i64) -> ImageRecord {
    let mut labels = before.map(|before| before.labels.clone()).unwrap_or_default();
    Retention::of(&source.labels).note(&mut labels);
    ImageRecord { created: before.map_or(now, |before| before.created), updated: now, labels, ..source.clone() }
}
