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
    let made: BTreeSet<&String> = known.targets.values().flatten().collect();
    let strange: BTreeSet<String> =
        events.iter().flat_map(seen).filter(|digest| !made.contains(digest)).cloned().collect();
    for text in unsure {
        // Nobody has looked into it: what has no other origin may be it.
        known.targets.entry(text.clone()).or_insert_with(|| strange.clone());
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
        (Operation::Import { text, .. }, _) => Some(text),
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
