//! The images that there may be: those that the registry had, and those that were made here. What a process made that was
//! killed, nobody was told: it is known by what others saw.

use super::super::history::{Event, Fact, Operation, Outcome, Shift};
use super::Registry;
use std::collections::BTreeSet;

/// What there may be beside what the registry had.
pub(crate) fn known(events: &[Event], registry: &Registry) -> Registry {
    let mut known = registry.clone();
    for fact in events.iter().flat_map(facts) {
        if let Fact::Made { target, text } = fact {
            learn(&mut known, target, text);
        }
    }
    let unsure: BTreeSet<&String> = events.iter().filter_map(unsure).collect();
    for fact in events.iter().flat_map(facts) {
        if let Fact::Tree { manifest, text, .. } = fact
            && unsure.contains(text)
        {
            learn(&mut known, manifest, text);
        }
    }
    for fact in events.iter().flat_map(facts) {
        if let Fact::Composed { target, manifests, .. } = fact {
            known.composed.insert(target.clone(), manifests.iter().cloned().collect());
        }
    }
    let made: BTreeSet<&String> = known.targets.values().flatten().chain(known.composed.keys()).collect();
    let strange = events.iter().flat_map(seen).filter(|digest| !made.contains(digest)).cloned();
    known.strange = strange.collect();
    // Nobody has looked into these: what has no other origin may be one of them.
    let unseen: Vec<&String> = unsure.into_iter().filter(|text| !known.targets.contains_key(*text)).collect();
    for text in unseen {
        let listing =
            known.composed.iter().filter(|(_, manifests)| !manifests.iter().all(|it| known.texts.contains_key(it)));
        let targets = known.strange.iter().chain(listing.map(|(target, _)| target)).cloned().collect();
        known.targets.insert(text.clone(), targets);
    }
    for (target, manifests) in &known.composed {
        for text in manifests.iter().filter_map(|manifest| known.texts.get(manifest)) {
            known.targets.entry(text.clone()).or_default().insert(target.clone());
        }
    }
    let is_lost =
        |event: &Event| matches!(event.operation, Operation::Compose { .. }) && event.outcome == Outcome::Killed;
    if events.iter().any(is_lost) {
        // An index that nobody was told of may lead to anything.
        known.targets.values_mut().for_each(|targets| targets.extend(known.strange.iter().cloned()));
    }
    known
}

/// Notes that an image of one manifest has this text.
fn learn(known: &mut Registry, target: &str, text: &str) {
    let targets = known.targets.entry(text.to_owned()).or_default();
    targets.insert(target.to_owned());
    if targets.len() > 1 {
        known.flaws.push(format!("`{text}` was made once, and is {targets:?}"));
    }
    if let Some(other) = known.texts.insert(target.to_owned(), text.to_owned()).filter(|other| other != text) {
        known.flaws.push(format!("`{target}` was made of `{text}`, and is `{other}`"));
    }
}

/// The text of an image that was perhaps made.
fn unsure(event: &Event) -> Option<&String> {
    match (&event.operation, &event.outcome) {
        (_, Outcome::Done(_)) => None,
        (Operation::Import { text, .. } | Operation::Commit { text, .. }, _) => Some(text),
        _ => None,
    }
}

/// What names were seen at.
fn seen(event: &Event) -> impl Iterator<Item = &String> {
    facts(event).iter().flat_map(|fact| match fact {
        Fact::Read { digest: Some(digest), .. } | Fact::Wrote { digest, .. } => vec![digest],
        Fact::Changed(Shift { before, after, .. }) => before.iter().chain(after).collect(),
        _ => Vec::new(),
    })
}

fn facts(event: &Event) -> &[Fact] {
    match &event.outcome {
        Outcome::Done(facts) => facts,
        _ => &[],
    }
}
