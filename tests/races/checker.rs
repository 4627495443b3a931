//! The judgement about a history: every name a register, every tree that of its manifest, nothing that was held is gone,
//! a plan done as it was made, and no failure but those that the documentation of the operation allows. It looks at no
//! store. A map:
//!
//! - `made`: the images that there may be. `composed`: indexes, and what their edits make of them.
//! - `registers`: names, their labels, and blobs that no image has; `backwards`: names, once more.
//! - `holds`: what somebody has, nobody takes. `told`: events.
//! - `failures`: how an operation may fail. `touched`: who may have changed what.

mod backwards;
mod composed;
mod failures;
mod holds;
mod made;
mod registers;
mod told;
mod touched;

pub(crate) use holds::who;
pub(crate) use made::known;

use super::history::{Change, Event, Fact, Moment, Move, Operation, Outcome, Shift};
use std::collections::{BTreeMap, BTreeSet};
use touched::Touched;

/// What the registry had, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// In the order of time.
    pub(crate) moves: Vec<Move>,
    /// What was pushed and copied, in the order of time.
    pub(crate) pushed: Vec<Move>,
    /// What it was given that cannot be.
    pub(crate) flaws: Vec<String>,
    /// The text in the tree and in the history of each manifest.
    pub(crate) texts: BTreeMap<String, String>,
    /// What a name may point to if it leads to the manifest with this text: the manifest, or an index with it.
    pub(crate) targets: BTreeMap<String, BTreeSet<String>>,
    /// The indexes that were made here, with what they list.
    pub(crate) composed: BTreeMap<String, BTreeSet<String>>,
    /// What names were seen at, and nobody has said where it comes from.
    pub(crate) strange: BTreeSet<String>,
}

/// Returns what is wrong with a history, a sentence each.
pub(crate) fn violations(events: &[Event], registry: &Registry) -> Vec<String> {
    let touched = Touched::new(events);
    let registry = &known(events, registry);
    let mut found = registry.flaws.clone();
    for event in events {
        found.extend(failures::failure(event, events, registry, &touched).map(|why| format!("{why}: {event:?}")));
        if let Outcome::Done(facts) = &event.outcome {
            let wrong = facts.iter().filter_map(|fact| wrong(fact, event, registry, &touched));
            found.extend(wrong.chain(unlike(event, facts, registry)).map(|why| format!("{why}: {event:?}")));
        }
    }
    found.extend(holds::taken(events, registry, &touched));
    found.extend(holds::in_use(events));
    found.extend(registers::names(events, registry, &touched));
    found.extend(registers::labels(events, &touched));
    found.extend(registers::blobs(events));
    found.extend(backwards::backwards(events, registry, &touched));
    found.extend(composed::composed(events, registry));
    found.extend(composed::mistaken(events, &touched));
    found.extend(told::told(events, &touched));
    found
}

/// What a tag may have pointed to between two moments.
fn pointed<'r>(registry: &'r Registry, name: &str, from: Moment, until: Moment) -> BTreeSet<&'r str> {
    reigning(&registry.moves, name, from, until)
}

fn reigning<'r>(moves: &'r [Move], name: &str, from: Moment, until: Moment) -> BTreeSet<&'r str> {
    let moves: Vec<&Move> = moves.iter().filter(|moved| moved.name == name).collect();
    let reigns = moves
        .iter()
        .enumerate()
        .filter(|(at, moved)| moved.began <= until && moves.get(at + 1).is_none_or(|next| next.ended >= from));
    reigns.map(|(_, moved)| moved.digest.as_str()).collect()
}

/// Says what is wrong with a single fact.
fn wrong(fact: &Fact, event: &Event, registry: &Registry, touched: &Touched<'_>) -> Option<String> {
    match fact {
        Fact::Wrong(what) => Some(what.clone()),
        Fact::Resolved { name, digest } => {
            let possible = pointed(registry, name, event.began, event.ended);
            (!possible.contains(digest.as_str()))
                .then(|| format!("`{name}` did not point to `{digest}` in the registry"))
        }
        Fact::Published { name, digest } => {
            let possible = reigning(&registry.pushed, name, event.began, event.ended);
            (!possible.contains(digest.as_str())).then(|| format!("the registry never had `{digest}` as `{name}`"))
        }
        Fact::Tree { manifest, text, .. } => match registry.texts.get(manifest) {
            Some(expected) if expected == text => None,
            Some(expected) => Some(format!("the tree of `{manifest}` has `{text}` in it, not `{expected}`")),
            None => Some(format!("nobody made the manifest `{manifest}`")),
        },
        Fact::Told { text, .. } if !registry.targets.contains_key(text) => Some(format!("nobody made `{text}`")),
        // Somebody may have taken the name or moved it, and collected what was needed.
        Fact::Lost { name, why, from, until } => (!touched.by_others(name, *from, *until, event))
            .then(|| format!("`{name}` is listed, nobody has touched it, and {why}")),
        Fact::Stayed { name, why } => {
            let is_excused = sources(&event.operation)
                .chain([name])
                .any(|name| touched.by_others(name, event.began, event.ended, event));
            (!is_excused).then(|| format!("`{name}` was not changed ({why}), and nobody else has touched it"))
        }
        _ => None,
    }
}

/// What a change takes its value from.
fn sources(operation: &Operation) -> impl Iterator<Item = &String> {
    let change = match operation {
        Operation::Perform { change, .. } | Operation::Draft { change } | Operation::Apply { change, .. } => {
            Some(change)
        }
        _ => None,
    };
    change.into_iter().filter_map(|change| match change {
        Change::Tag { source: name, .. } | Change::Retain { what: name, .. } => Some(name),
        _ => None,
    })
}

/// Says what is wrong if a change did something else than it was to do.
fn unlike(event: &Event, facts: &[Fact], registry: &Registry) -> Option<String> {
    let mut done: Vec<&Shift> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Changed(shift) => Some(shift),
            _ => None,
        })
        .collect();
    done.sort();
    match &event.operation {
        Operation::Apply { shifts, .. } => {
            let mut planned: Vec<&Shift> = shifts.iter().collect();
            planned.sort();
            (done != planned).then(|| "the plan was another one".to_owned())
        }
        Operation::Perform { change: Change::Tag { names, .. }, .. } => {
            let other = done.iter().find(|shift| !names.contains(&shift.name) || shift.after.is_none());
            other.map(|shift| format!("nobody asked for {shift:?}"))
        }
        Operation::Perform { change: Change::Untag { what, platform, .. }, .. } => {
            let is_of = |before: &String| before == what || composed::may_list(registry, before, what);
            let named = |shift: &Shift| shift.name == *what || shift.before.as_ref().is_some_and(is_of);
            let images: Vec<&Option<String>> =
                done.iter().filter(|shift| named(shift)).map(|shift| &shift.before).collect();
            // The name may point elsewhere by then: what it meant before is one image all the same.
            let has_stayed = facts.iter().any(|fact| matches!(fact, Fact::Stayed { name, .. } if name == what));
            let one = done.first().map(|shift| &shift.before).filter(|_| has_stayed);
            let is_meant = |shift: &&&Shift| {
                // A platform goes from all names of the image.
                let is_of_it = images.contains(&&shift.before) || one == Some(&shift.before);
                let is_less = platform.is_some() && shift.after == shift.before && is_of_it;
                is_less || named(shift) && shift.after.is_none()
            };
            let other = done.iter().find(|shift| !is_meant(shift));
            other.map(|shift| format!("nobody asked for {shift:?}"))
        }
        Operation::Perform { change: Change::Retain { what, .. }, .. } => {
            let other = done.iter().find(|shift| shift.name != *what || shift.after != shift.before);
            other.map(|shift| format!("nobody asked for {shift:?}"))
        }
        Operation::Perform { .. } => {
            let other = done.iter().find(|shift| shift.after.is_some());
            other.map(|shift| format!("nobody asked for {shift:?}"))
        }
        Operation::Import { name, .. } | Operation::Compose { name, .. } | Operation::Commit { name, .. } => {
            let is_made = |target| {
                facts.iter().any(|fact| matches!(fact, Fact::Made { target: it, .. } | Fact::Composed { target: it, .. } if it == target))
            };
            let other = done.iter().find(|shift| shift.name != *name || !shift.after.as_ref().is_some_and(is_made));
            other.map(|shift| format!("nobody asked for {shift:?}"))
        }
        _ => (!done.is_empty()).then(|| "it changed names".to_owned()),
    }
}
