//! Retain: what is kept of images from now on. The names stay, and say it by a
//! label; what nothing needs any more goes.
//!
//! A plan promises what the recipes of layers may not keep: then a blob stays,
//! and it is said why.

use super::{
    document::{Draft, Step, Verb},
    draft::Desk,
};
use crate::{
    host::Host,
    nouns::{
        record::ImageRecord,
        reference::{self, Any},
        retention::Retention,
    },
    registry::Failure,
    verbs::{
        contract::{Caller, Retaining},
        failing::invalid,
        given_up,
        library::Library,
        listen::Board,
        reach::{self, Recipes},
        roots::Root,
    },
};
use std::collections::BTreeMap;

pub(super) async fn draft<H: Host>(desk: &Desk<'_, H>, retaining: &Retaining) -> Result<Draft, Failure> {
    if retaining.references.is_empty() {
        return Err(invalid("at least one image is needed"));
    }
    let mut draft = Draft::new(&desk.caller.namespace, "retain");
    let mut names: BTreeMap<String, &Root> = BTreeMap::new();
    for text in &retaining.references {
        names.extend(meant(desk, text)?.into_iter().map(|root| (root.name.to_string(), root)));
    }
    let retention = retaining.retention;
    for root in names.values() {
        let target = &root.record.target.digest;
        draft.risks.extend(risk(desk, root, retention).await?);
        draft.names.push(Step {
            name: root.name.to_string(),
            mark: Some(root.mark.clone()),
            verb: Verb::Retain { retention },
            before: Some(target.clone()),
            after: Some(target.clone()),
            platforms: Vec::new(),
            why: why(Retention::of(&root.record.labels), retention),
        });
    }
    desk.settle(&mut draft).await?;
    Ok(draft)
}

/// A name means itself, an ID or a digest all names of the image.
fn meant<'d, H: Host>(desk: &'d Desk<'_, H>, text: &str) -> Result<Vec<&'d Root>, Failure> {
    let found = desk.library.find(text)?.entry;
    let is_name = match reference::parse_any(text) {
        Ok(Any::Reference(typed)) => found.name == typed.with_default_tag(),
        _ => false,
    };
    let target = &found.record.target.digest;
    let is_meant = |root: &&Root| if is_name { root.name == found.name } else { root.record.target.digest == *target };
    Ok(desk.own().filter(is_meant).collect())
}

fn why(before: Retention, after: Retention) -> String {
    let what = match after {
        Retention::Both => "blobs and trees are kept",
        Retention::Unpacked => "its trees are kept, and the blobs that they make good for are not",
        Retention::Compressed => "its blobs are kept, and its trees are not",
    };
    if before == after { format!("{what}, as before") } else { what.to_owned() }
}

/// Says what a person may not expect.
async fn risk<H: Host>(desk: &Desk<'_, H>, root: &Root, retention: Retention) -> Result<Option<String>, Failure> {
    let name = root.name.familiar();
    if retention == Retention::Unpacked {
        return Ok(Some(format!(
            "`{name}` cannot be saved or pushed as it came until its blobs are fetched again: \
             `wharf retain both {name}`, and then `wharf pull {name}`"
        )));
    }
    let mut gone = 0;
    for parts in desk.reader.of_record(&root.record).await? {
        for rung in &parts.rungs {
            gone += usize::from(reach::found(desk.host.open(&rung.blob).await)?.is_none());
        }
    }
    let layers = if gone == 1 { "1 layer".to_owned() } else { format!("{gone} layers") };
    Ok(match (gone, retention) {
        (0, _) => None,
        (_, Retention::Compressed) => Some(format!(
            "the blobs of {layers} of `{name}` are not here, so that their trees stay; `wharf pull {name}` fetches them"
        )),
        _ => Some(format!("the blobs of {layers} of `{name}` are not here; `wharf pull {name}` fetches them")),
    })
}

/// Makes the promises of a plan good: trees, and the recipes of their layers.
/// Returns sentences about what stays compressed.
pub(super) async fn prepare<H: Host>(
    host: &H,
    caller: &Caller,
    draft: &Draft,
    board: &Board,
) -> Result<Vec<String>, Failure> {
    let is_unpacked = |step: &&Step| matches!(step.verb, Verb::Retain { retention: Retention::Unpacked });
    let names: Vec<&str> = draft.names.iter().filter(is_unpacked).map(|step| step.name.as_str()).collect();
    let mut stays = Vec::new();
    if names.is_empty() {
        return Ok(stays);
    }
    let library = Library::load(host, caller).await?;
    for entry in library.entries.iter().filter(|entry| names.contains(&entry.name.to_string().as_str())) {
        stays.extend(given_up::describe(host, entry, &library.machine, board).await?);
    }
    stays.sort();
    stays.dedup();
    Ok(stays)
}

/// The record of a name of which this is kept.
pub(super) fn retained(record: &ImageRecord, retention: Retention) -> ImageRecord {
    let mut record = record.clone();
    retention.note(&mut record.labels);
    record
}

/// What a name needs once that is kept, and every recipe is written.
pub(super) async fn rest<H: Host>(
    desk: &Desk<'_, H>,
    root: &Root,
    retention: Retention,
) -> Result<Vec<std::rc::Rc<reach::Parts>>, Failure> {
    let root = Root { record: retained(&root.record, retention), ..root.clone() };
    desk.reader.of_root_with(&root, Recipes::Promised).await
}
