//! The judgement about a history: every name a register, every tree that of its manifest, nothing that was held is gone,
//! and no failure but those that the documentation of the operation allows. It looks at no store.

use super::history::{Event, Fact, Moment, Move, Operation, Outcome};
use super::register::{Act, Step, Value, unexplained};
use std::collections::{BTreeMap, BTreeSet};

/// What the registry had, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// In the order of time.
    pub(crate) moves: Vec<Move>,
    /// The text in the tree and in the history of each manifest.
    pub(crate) texts: BTreeMap<String, String>,
    /// What a tag points to if it leads to the manifest with this text: the manifest, or an index with it.
    pub(crate) targets: BTreeMap<String, String>,
}

/// Returns what is wrong with a history, a sentence each.
pub(crate) fn violations(events: &[Event], registry: &Registry) -> Vec<String> {
    let mut found = Vec::new();
    for event in events {
        found.extend(failure(event, registry).map(|why| format!("{why}: {event:?}")));
        if let Outcome::Done(facts) = &event.outcome {
            found.extend(
                facts.iter().filter_map(|fact| wrong(fact, event, registry)).map(|why| format!("{why}: {event:?}")),
            );
        }
    }
    found.extend(vanished(events));
    found.extend(names(events, registry));
    found.extend(backwards(events, registry));
    found.extend(blobs(events));
    found
}

/// What a tag may have pointed to between two moments.
fn pointed<'r>(registry: &'r Registry, name: &str, from: Moment, until: Moment) -> BTreeSet<&'r str> {
    let moves: Vec<&Move> = registry.moves.iter().filter(|moved| moved.name == name).collect();
    let reigns = moves
        .iter()
        .enumerate()
        .filter(|(at, moved)| moved.began <= until && moves.get(at + 1).is_none_or(|next| next.ended >= from));
    reigns.map(|(_, moved)| moved.digest.as_str()).collect()
}

/// Says why an operation must not have failed like this.
fn failure(event: &Event, registry: &Registry) -> Option<String> {
    let Outcome::Failed { code, .. } = &event.outcome else { return None };
    let code = code.as_str();
    let is_allowed = match &event.operation {
        // `images.pull`: another pull moved the name, because the registry had moved the tag.
        Operation::Pull { names, .. } if code == "conflict" => {
            names.iter().any(|name| pointed(registry, name, event.began, event.ended).len() > 1)
        }
        Operation::Pull { stop_ms, .. } => code == "cancelled" && stop_ms.is_some(),
        // Of these it is a reading of the name, and judged as such.
        Operation::Inspect { .. }
        | Operation::History { .. }
        | Operation::Unpack { .. }
        | Operation::List { .. }
        | Operation::Mount { .. }
        | Operation::Compare { .. }
        | Operation::Fsck { name: Some(_), .. } => code == "not-found",
        Operation::Hold { .. } => code == "not-found",
        // Of `content.remove`: whoever may have it in hand meanwhile is judged elsewhere.
        Operation::Remove { .. } => code == "in-use",
        Operation::Plan { .. }
        | Operation::Images
        | Operation::Fsck { name: None, .. }
        | Operation::Tags { .. }
        | Operation::Put { .. }
        | Operation::Damage { .. } => false,
    };
    // What the disk has changed may be said by whoever meets it.
    let is_damage = matches!(code, "digest-mismatch" | "size-mismatch" | "not-found" | "invalid" | "in-use");
    let is_excused = event.operation.is_about_the_victim() && is_damage;
    (!is_allowed && !is_excused).then(|| format!("`{code}` is no outcome of `{}`", event.operation.kind()))
}

/// Says what is wrong with a single fact.
fn wrong(fact: &Fact, event: &Event, registry: &Registry) -> Option<String> {
    match fact {
        Fact::Wrong(what) => Some(what.clone()),
        Fact::Resolved { name, digest } => {
            let possible = pointed(registry, name, event.began, event.ended);
            (!possible.contains(digest.as_str()))
                .then(|| format!("`{name}` did not point to `{digest}` in the registry"))
        }
        Fact::Tree { manifest, text, .. } => match registry.texts.get(manifest) {
            Some(expected) if expected == text => None,
            Some(expected) => Some(format!("the tree of `{manifest}` has `{text}` in it, not `{expected}`")),
            None => Some(format!("nobody made the manifest `{manifest}`")),
        },
        Fact::Told { text, .. } if !registry.targets.contains_key(text) => Some(format!("nobody made `{text}`")),
        Fact::Told { .. } => None,
        Fact::Read { .. } | Fact::Wrote { .. } | Fact::Blob { .. } | Fact::Held { .. } => None,
    }
}

/// A removal that succeeded while somebody held the blob all the time, or that failed while nobody could.
fn vanished(events: &[Event]) -> Vec<String> {
    let facts = events.iter().filter_map(|event| match &event.outcome {
        Outcome::Done(facts) => Some(facts),
        _ => None,
    });
    let mut holds: BTreeMap<&str, Vec<(Moment, Moment)>> = BTreeMap::new();
    for fact in facts.flatten() {
        if let Fact::Held { blob, from, until } = fact {
            holds.entry(blob).or_default().push((*from, *until));
        }
    }
    let holds_it = |event: &Event, blob: &str| match &event.operation {
        // Another removal has the blob to itself for a moment.
        Operation::Put { blob: other } | Operation::Hold { blob: other } | Operation::Remove { blob: other } => {
            other == blob
        }
        Operation::Fsck { name: None, .. } => true,
        _ => false,
    };
    let mut found = Vec::new();
    for event in events {
        let Operation::Remove { blob } = &event.operation else { continue };
        match &event.outcome {
            Outcome::Done(_) => {
                let held = holds.get(blob.as_str()).into_iter().flatten();
                if held.clone().any(|(from, until)| *from < event.began && event.ended < *until) {
                    found.push(format!("`{blob}` was removed while somebody held it: {event:?}"));
                }
            }
            Outcome::Failed { .. } => {
                let overlaps = |other: &Event| other.began <= event.ended && event.began <= other.ended;
                if !events.iter().any(|other| other != event && overlaps(other) && holds_it(other, blob)) {
                    found.push(format!("`{blob}` was in use while nobody used it: {event:?}"));
                }
            }
            Outcome::Killed => {}
        }
    }
    found
}

/// A name that was seen at an image after it had been seen at a later one: “a slow pull must not move a name backwards”
/// (`component/verbs/resolve.rs`). It is more than a register promises, whose writers may come late.
fn backwards(events: &[Event], registry: &Registry) -> Vec<String> {
    let mut versions: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (at, moved) in registry.moves.iter().enumerate() {
        versions.insert((&moved.name, &moved.digest), at);
    }
    let mut seen: BTreeMap<&str, Vec<(usize, &Event)>> = BTreeMap::new();
    for event in events {
        let Outcome::Done(facts) = &event.outcome else { continue };
        for fact in facts {
            let (name, digest) = match fact {
                Fact::Read { name, digest: Some(digest) } | Fact::Wrote { name, digest } => (name, digest),
                Fact::Told { name, text } | Fact::Tree { name, text, .. } => match registry.targets.get(text) {
                    Some(target) => (name, target),
                    None => continue,
                },
                _ => continue,
            };
            if let Some(version) = versions.get(&(name.as_str(), digest.as_str())) {
                seen.entry(name).or_default().push((*version, event));
            }
        }
    }
    let mut found = Vec::new();
    for (name, mut sights) in seen {
        let mut ends = sights.clone();
        sights.sort_by_key(|(_, event)| event.began);
        ends.sort_by_key(|(_, event)| event.ended);
        let (mut over, mut latest) = (ends.into_iter().peekable(), None::<(usize, &Event)>);
        for (version, event) in sights {
            while let Some(end) = over.next_if(|(_, end)| end.ended < event.began) {
                latest = latest.filter(|latest| latest.0 >= end.0).or(Some(end));
            }
            if let Some((_, before)) = latest.filter(|latest| latest.0 > version) {
                found.push(format!("`{name}` moved backwards between {before:?} and {event:?}"));
            }
        }
    }
    found
}

/// Numbers for digests. 0 is nothing.
#[derive(Default)]
struct Values<'h>(BTreeMap<&'h str, Value>);

impl<'h> Values<'h> {
    fn number(&mut self, digest: Option<&'h str>) -> Value {
        let next = Value::try_from(self.0.len() + 1).expect("there are few digests");
        digest.map_or(0, |digest| *self.0.entry(digest).or_insert(next))
    }
}

/// Judges each name as a register.
fn names(events: &[Event], registry: &Registry) -> Vec<String> {
    let mut values = Values::default();
    let mut registers: BTreeMap<&str, Vec<(Step, &Event)>> = BTreeMap::new();
    for event in events {
        let mut add = |name, act| {
            let step = Step { began: event.began, ended: event.ended, act };
            registers.entry(name).or_default().push((step, event));
        };
        match (&event.operation, &event.outcome) {
            (_, Outcome::Done(facts)) => {
                for fact in facts {
                    match fact {
                        Fact::Read { name, digest } => add(name, Act::Read(values.number(digest.as_deref()))),
                        // A text that nobody made is a fault of its own.
                        Fact::Told { name, text } | Fact::Tree { name, text, .. } => {
                            if let Some(target) = registry.targets.get(text) {
                                add(name, Act::Read(values.number(Some(target))));
                            }
                        }
                        Fact::Wrote { name, digest } => {
                            let values = vec![values.number(Some(digest))];
                            add(name, Act::Write { values, is_certain: true });
                        }
                        _ => {}
                    }
                }
            }
            (Operation::Pull { names, .. }, Outcome::Failed { .. } | Outcome::Killed) => {
                for name in names {
                    let possible = pointed(registry, name, event.began, event.ended);
                    let values = possible.into_iter().map(|digest| values.number(Some(digest))).collect();
                    add(name, Act::Write { values, is_certain: false });
                }
            }
            (
                Operation::Inspect { name }
                | Operation::History { name }
                | Operation::Unpack { name }
                | Operation::List { name }
                | Operation::Mount { name }
                | Operation::Fsck { name: Some(name), .. },
                Outcome::Failed { code, .. },
            ) if code == "not-found" && !event.operation.is_about_the_victim() => add(name, Act::Read(0)),
            _ => {}
        }
    }
    judged(&registers)
}

/// Judges each blob that no image has as a register that holds 1 while it is here.
fn blobs(events: &[Event]) -> Vec<String> {
    let write = |value, is_certain| Act::Write { values: vec![value], is_certain };
    let mut registers: BTreeMap<&str, Vec<(Step, &Event)>> = BTreeMap::new();
    for event in events {
        let mut add = |blob, act| {
            let step = Step { began: event.began, ended: event.ended, act };
            registers.entry(blob).or_default().push((step, event));
        };
        match (&event.operation, &event.outcome) {
            (Operation::Put { blob }, outcome) => add(blob, write(1, matches!(outcome, Outcome::Done(_)))),
            (Operation::Remove { blob }, Outcome::Done(_)) => add(blob, write(0, true)),
            (Operation::Remove { blob }, Outcome::Killed) => add(blob, write(0, false)),
            (Operation::Hold { blob }, Outcome::Failed { .. }) => add(blob, Act::Read(0)),
            (_, Outcome::Done(facts)) => {
                for fact in facts {
                    if let Fact::Blob { blob, is_here } = fact {
                        add(blob, Act::Read(u32::from(*is_here)));
                    }
                }
            }
            _ => {}
        }
    }
    judged(&registers)
}

fn judged(registers: &BTreeMap<&str, Vec<(Step, &Event)>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, steps) in registers {
        let bare: Vec<Step> = steps.iter().map(|(step, _)| step.clone()).collect();
        if let Some(at) = unexplained(&bare) {
            let event = steps[at].1;
            let near = steps.iter().filter(|(step, _)| step.ended >= event.began && step.began <= event.ended);
            let near: Vec<String> = near.map(|(_, event)| format!("\n    {event:?}")).collect();
            found.push(format!(
                "no order of what happened to `{name}` explains {event:?}, at the same time as{}",
                near.concat()
            ));
        }
    }
    found
}
