//! Indexes that are made here: each is what the edit makes of the one before, and of an image that its source was. Who
//! changes an index that another has changed meanwhile begins again, and loses nothing of it.

use super::super::history::{Change, Edit, Event, Fact, Operation, Outcome, Shift};
use super::Registry;
use super::touched::Touched;
use std::collections::BTreeSet;

/// What a composition did for sure: how its name changed, what the index lists since, and what of that is new.
pub(super) struct Done<'h> {
    pub(super) shift: &'h Shift,
    pub(super) manifests: &'h [String],
    pub(super) added: Option<&'h String>,
}

/// None for what is no composition, or has not ended well.
pub(super) fn done(event: &Event) -> Option<Done<'_>> {
    let facts = facts(event);
    let shift = facts.iter().find_map(|fact| match fact {
        Fact::Changed(shift) => Some(shift),
        _ => None,
    });
    facts.iter().find_map(|fact| match fact {
        Fact::Composed { manifests, added, .. } => Some(Done { shift: shift?, manifests, added: added.as_ref() }),
        _ => None,
    })
}

/// Says which indexes are not what was asked for.
pub(super) fn composed(events: &[Event], registry: &Registry) -> Vec<String> {
    let wrong = |event: &Event| {
        let Operation::Compose { edit, .. } = &event.operation else { return None };
        let why = unlike(edit, &done(event)?, registry)?;
        Some(format!("{why}: {event:?}"))
    };
    events.iter().filter_map(wrong).collect()
}

fn unlike(edit: &Edit, done: &Done<'_>, registry: &Registry) -> Option<String> {
    let Done { shift, manifests, added } = done;
    if let (Edit::Create { .. }, Some(before)) = (edit, &shift.before) {
        return Some(format!("an index was made where `{before}` was"));
    }
    if let Some((_, platform)) = edit.source()
        && !added.is_some_and(|added| is_for(registry, added, platform))
    {
        return Some(format!("{added:?} is listed, which is not for {platform}"));
    }
    let mut expected = match &shift.before {
        None => BTreeSet::new(),
        Some(before) => parts(registry, before)?,
    };
    expected.extend(added.iter().map(|added| added.as_str()));
    let listed: BTreeSet<&str> = manifests.iter().map(String::as_str).collect();
    if let Edit::Remove { platform } = edit {
        let gone: Vec<&str> = expected.difference(&listed).copied().collect();
        if let [gone] = gone[..]
            && is_for(registry, gone, platform)
        {
            expected.remove(gone);
        }
    }
    (listed != expected).then(|| format!("the index lists {listed:?}, not {expected:?}"))
}

/// Whether a manifest is for a platform. Those for another machine than ours say so in their texts.
fn is_for(registry: &Registry, manifest: &str, platform: &str) -> bool {
    let is_foreign = registry.texts.get(manifest).is_some_and(|text| text.ends_with(" arm64"));
    is_foreign == (platform == "linux/arm64")
}

/// What a target leads to. None if nobody knows what it is.
fn parts<'r>(registry: &'r Registry, target: &str) -> Option<BTreeSet<&'r str>> {
    if registry.strange.contains(target) {
        return None;
    }
    if let Some(manifests) = registry.composed.get(target) {
        return Some(manifests.iter().map(String::as_str).collect());
    }
    let is_part = |text: &String| registry.targets.get(text).is_some_and(|targets| targets.contains(target));
    let parts = registry.texts.iter().filter(|(_, text)| is_part(text)).map(|(manifest, _)| manifest.as_str());
    Some(parts.collect())
}

/// Whether what has this target may be meant by a digest, which it lists.
pub(super) fn may_list(registry: &Registry, target: &str, digest: &str) -> bool {
    registry.strange.contains(target) || registry.composed.get(target).is_some_and(|listed| listed.contains(digest))
}

/// Says which indexes were removed by the digest of what they list, while a name pointed to that itself.
pub(super) fn mistaken(events: &[Event], touched: &Touched<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for event in events {
        let Operation::Perform { change: Change::Untag { what, .. }, .. } = &event.operation else { continue };
        let others = facts(event).iter().filter_map(|fact| match fact {
            Fact::Changed(Shift { before: Some(before), .. }) if what.starts_with("sha256:") => Some(before),
            _ => None,
        });
        if !others.into_iter().any(|before| before != what) {
            continue;
        }
        let before = events.iter().filter(|other| other.ended < event.began);
        let mut meant = before.flat_map(|other| named(other, what).map(move |name| (name, other)));
        let meant = meant.find(|(name, other)| !touched.by_others(name, other.began, event.ended, other));
        found.extend(meant.map(|(name, _)| format!("`{what}` is `{name}`, and something else was removed: {event:?}")));
    }
    found
}

/// The names that an event says pointed to a digest then.
fn named<'h>(event: &'h Event, what: &str) -> impl Iterator<Item = &'h String> {
    facts(event).iter().filter_map(move |fact| match fact {
        Fact::Read { name, digest: Some(digest) } | Fact::Wrote { name, digest } if digest == what => Some(name),
        Fact::Changed(Shift { name, after: Some(after), .. }) if after == what => Some(name),
        _ => None,
    })
}

fn facts(event: &Event) -> &[Fact] {
    match &event.outcome {
        Outcome::Done(facts) => facts,
        _ => &[],
    }
}

/// Whether an index may be refused like this. That a name was not there, or was one image and no index, is a reading of it,
/// and judged as such.
pub(super) fn may_fail(event: &Event, code: &str, why: &str, touched: &Touched<'_>) -> bool {
    let Operation::Compose { name, edit, .. } = &event.operation else { return false };
    let is_touched = |name: &str| touched.by_others(name, event.began, event.ended, event);
    let is_without_source = edit.source().is_none();
    match code {
        "not-found" => true,
        "in-use" => matches!(edit, Edit::Create { .. }) && touched.by_others(name, 0, event.ended, event),
        "conflict" => is_touched(name),
        "invalid" if is_no_index(why) => !matches!(edit, Edit::Create { .. }),
        // The only one stays, and of several for one platform nobody has said which.
        "invalid" => {
            let is_refused = why.contains("lists at least one manifest") || why.contains("manifests in it are");
            matches!(edit, Edit::Remove { .. }) && is_refused
        }
        "lost" if why.contains("nothing in it is") => matches!(edit, Edit::Remove { .. }),
        "lost" if why.contains("no manifest matches") => !is_without_source,
        // A platform may have been removed, long before, and the index lists it still.
        "lost" if is_without_source && why.contains("nothing of what the index would list is here") => true,
        "lost" => event.operation.read().into_iter().any(is_touched),
        _ => false,
    }
}

/// Whether the name was one image.
pub(super) fn is_no_index(why: &str) -> bool {
    why.contains("it is one image, and no index")
}
