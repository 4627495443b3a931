//! What a history says about single things, each judged as a register: names, their labels, and blobs that no image has.

use super::super::history::{Change, Edit, Event, Fact, Moment, Operation, Outcome, Shift};
use super::super::register::{Act, Step, Value, unexplained};
use super::touched::Touched;
use super::{Registry, composed, pointed, sources};
use std::collections::{BTreeMap, BTreeSet};

/// What happened to each thing.
type Registers<'h> = BTreeMap<String, Vec<(Step, &'h Event)>>;

/// Numbers for digests. 0 is nothing.
#[derive(Default)]
struct Values<'h>(BTreeMap<&'h str, Value>);

impl<'h> Values<'h> {
    fn number(&mut self, digest: Option<&'h str>) -> Value {
        let next = Value::try_from(self.0.len() + 1).expect("there are few digests");
        digest.map_or(0, |digest| *self.0.entry(digest).or_insert(next))
    }
}

fn write(value: Value) -> Act {
    Act::Write { from: None, values: vec![value], is_certain: true }
}

fn read(value: Value) -> Act {
    Act::Read(vec![value])
}

/// A write that may have been one of these, or none.
fn perhaps(from: Option<Value>, values: Vec<Value>) -> Act {
    Act::Write { from, values, is_certain: false }
}

fn add<'h>(registers: &mut Registers<'h>, name: &str, event: &'h Event, act: Act) {
    let step = Step { began: event.began, ended: event.ended, act };
    registers.entry(name.to_owned()).or_default().push((step, event));
}

/// Judges each name as a register.
pub(super) fn names(events: &[Event], registry: &Registry, touched: &Touched<'_>) -> Vec<String> {
    let mut values = Values::default();
    let mut registers = Registers::new();
    let held = held(events, registry);
    let all: Vec<&str> = held.keys().copied().collect();
    for event in events {
        let facts: &[Fact] = match &event.outcome {
            Outcome::Done(facts) => facts,
            Outcome::Failed { code, why } if code == "not-found" => {
                let names = event.operation.read();
                let is_absent = |name: &&&str| names.len() == 1 || is_called(why, name);
                if !event.operation.is_about_the_victim() {
                    for name in names.iter().filter(is_absent) {
                        add(&mut registers, name, event, read(0));
                    }
                }
                continue;
            }
            Outcome::Failed { why, .. } if composed::is_no_index(why) => {
                if let Operation::Compose { name, .. } = &event.operation {
                    let images = registry.texts.keys().chain(&registry.strange);
                    let images = images.map(|target| values.number(Some(target))).collect();
                    add(&mut registers, name, event, Act::Read(images));
                }
                continue;
            }
            Outcome::Failed { .. } | Outcome::Killed => {
                for (name, from, to) in uncertain(event, registry, touched, &held, &all) {
                    let from = from.map(|from| values.number(from));
                    let to = to.into_iter().map(|digest| values.number(digest)).collect();
                    add(&mut registers, name, event, perhaps(from, to));
                }
                continue;
            }
        };
        if let Some(source) = source(event, registry) {
            let targets = source.1.iter().map(|target| values.number(Some(target))).collect();
            add(&mut registers, source.0, event, Act::Read(targets));
        }
        for fact in facts {
            match fact {
                Fact::Read { name, digest } => {
                    add(&mut registers, name, event, read(values.number(digest.as_deref())));
                }
                // A text that nobody made is a fault of its own.
                Fact::Told { name, text } | Fact::Tree { name, text, .. } => {
                    if let Some(targets) = registry.targets.get(text) {
                        let targets = targets.iter().map(|target| values.number(Some(target))).collect();
                        add(&mut registers, name, event, Act::Read(targets));
                    }
                }
                Fact::Wrote { name, digest } => add(&mut registers, name, event, write(values.number(Some(digest)))),
                Fact::Changed(Shift { name, before, after }) => {
                    let from = Some(values.number(before.as_deref()));
                    let after = after.as_deref().map_or(0, |after| values.number(Some(after)));
                    add(&mut registers, name, event, Act::Write { from, values: vec![after], is_certain: true });
                    // A tag says in the same moment what its source is.
                    for source in sources(&event.operation) {
                        add(&mut registers, source, event, read(after));
                    }
                }
                _ => {}
            }
        }
    }
    judged(registers, "`")
}

/// Whether it is said that this name is not here.
fn is_called(why: &str, name: &str) -> bool {
    let called = why.rsplit_once("is called `").and_then(|(_, rest)| rest.split('`').next());
    called.is_some_and(|called| called.ends_with(&format!("/{name}")))
}

/// The source of what an index lists, and what that may have pointed to.
fn source<'h>(event: &'h Event, registry: &'h Registry) -> Option<(&'h str, &'h BTreeSet<String>)> {
    let Operation::Compose { edit, .. } = &event.operation else { return None };
    let text = registry.texts.get(composed::done(event)?.added?)?;
    Some((edit.source()?.0, registry.targets.get(text)?))
}

/// What each name may have pointed to at one time or another.
fn held<'h>(events: &'h [Event], registry: &'h Registry) -> BTreeMap<&'h str, BTreeSet<&'h str>> {
    let mut held: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        match (&event.operation, &event.outcome) {
            (_, Outcome::Done(facts)) => {
                for fact in facts {
                    let (name, digests) = match fact {
                        Fact::Read { name, digest: Some(digest) } | Fact::Wrote { name, digest } => {
                            (name, vec![digest])
                        }
                        Fact::Changed(Shift { name, after: Some(digest), .. }) => (name, vec![digest]),
                        Fact::Told { name, text } | Fact::Tree { name, text, .. } => {
                            (name, registry.targets.get(text).into_iter().flatten().collect())
                        }
                        _ => continue,
                    };
                    held.entry(name).or_default().extend(digests.into_iter().map(String::as_str));
                }
            }
            (Operation::Pull { names, .. }, _) => {
                for name in names {
                    held.entry(name).or_default().extend(pointed(registry, name, event.began, event.ended));
                }
            }
            _ => {}
        }
    }
    held
}

/// A name, what it pointed to if that matters, and what it may point to since.
type Perhaps<'h> = (&'h str, Option<Option<&'h str>>, Vec<Option<&'h str>>);

/// What an operation that was killed, or failed on its way, may have done.
fn uncertain<'h>(
    event: &'h Event,
    registry: &'h Registry,
    touched: &Touched<'_>,
    held: &BTreeMap<&'h str, BTreeSet<&'h str>>,
    all: &[&'h str],
) -> Vec<Perhaps<'h>> {
    match &event.operation {
        Operation::Pull { names, .. } => {
            let possible = |name| pointed(registry, name, event.began, event.ended).into_iter().map(Some).collect();
            names.iter().map(|name| (name.as_str(), None, possible(name))).collect()
        }
        Operation::Perform { change: Change::Tag { source, names }, .. } => {
            let possible: Vec<_> = held.get(source.as_str()).into_iter().flatten().copied().map(Some).collect();
            names.iter().map(|name| (name.as_str(), None, possible.clone())).collect()
        }
        Operation::Perform { change: Change::Untag { what, .. }, .. } if what.starts_with("sha256:") => {
            let listing = registry.composed.keys().chain(&registry.strange);
            let listing = listing.filter(|target| composed::may_list(registry, target, what));
            let targets: Vec<&str> = listing.chain([what]).map(String::as_str).collect();
            let taken = |name: &&'h str| {
                targets.iter().map(|target| (*name, Some(Some(*target)), vec![None])).collect::<Vec<_>>()
            };
            all.iter().flat_map(taken).collect()
        }
        Operation::Import { name, text, .. } | Operation::Commit { name, text, .. } => {
            let possible = registry.targets.get(text).into_iter().flatten();
            vec![(name.as_str(), None, possible.map(|target| Some(target.as_str())).collect())]
        }
        // It fails before anything is written.
        Operation::Compose { name, edit, .. } if event.outcome == Outcome::Killed => {
            // Without a part of it, an index may be the one again that it was before.
            let before = registry.composed.keys().filter(|_| matches!(edit, Edit::Remove { .. }));
            let possible = registry.strange.iter().chain(before);
            vec![(name.as_str(), None, possible.map(|target| Some(target.as_str())).collect())]
        }
        // What was saved is what the name was at some moment.
        Operation::Load { name, names, .. } => {
            let possible: Vec<_> = held.get(name.as_str()).into_iter().flatten().copied().map(Some).collect();
            names.iter().map(|name| (name.as_str(), None, possible.clone())).collect()
        }
        Operation::Perform { change, .. } => {
            touched.may_take(change, event.ended, all).into_iter().map(|name| (name, None, vec![None])).collect()
        }
        Operation::Apply { shifts, .. } => {
            let shift =
                |shift: &'h Shift| (shift.name.as_str(), Some(shift.before.as_deref()), vec![shift.after.as_deref()]);
            shifts.iter().map(shift).collect()
        }
        _ => Vec::new(),
    }
}

/// Judges the label of each name as a register. It goes with the name, and stays if the name is moved.
pub(super) fn labels(events: &[Event], touched: &Touched<'_>) -> Vec<String> {
    let mut values = Values::default();
    let mut registers = Registers::new();
    let labelled = events.iter().filter_map(|event| match &event.operation {
        Operation::Label { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let all: Vec<&str> = labelled.collect::<BTreeSet<_>>().into_iter().collect();
    for event in events {
        let facts: &[Fact] = match (&event.operation, &event.outcome) {
            (_, Outcome::Done(facts)) => facts,
            (Operation::Label { name, value: Some(value) }, Outcome::Killed) => {
                add(&mut registers, name, event, perhaps(None, vec![values.number(Some(value))]));
                continue;
            }
            (Operation::Perform { change: Change::Tag { .. }, .. }, _) => continue,
            (Operation::Perform { change, .. }, _) => {
                for name in touched.may_take(change, event.ended, &all) {
                    add(&mut registers, name, event, perhaps(None, vec![0]));
                }
                continue;
            }
            (Operation::Apply { shifts, .. }, _) => {
                for shift in shifts.iter().filter(|shift| shift.after.is_none()) {
                    add(&mut registers, &shift.name, event, perhaps(None, vec![0]));
                }
                continue;
            }
            _ => continue,
        };
        for fact in facts {
            match fact {
                Fact::Labelled { name, value } => add(&mut registers, name, event, write(values.number(Some(value)))),
                Fact::Label { name, value } => {
                    add(&mut registers, name, event, read(values.number(value.as_deref())));
                }
                Fact::Changed(Shift { name, after: None, .. }) => add(&mut registers, name, event, write(0)),
                _ => {}
            }
        }
    }
    judged(registers, "the label of `")
}

/// Judges each blob that no image has as a register that holds 1 while it is here.
pub(super) fn blobs(events: &[Event]) -> Vec<String> {
    let brought = events.iter().filter_map(|event| match &event.operation {
        Operation::Put { blob } => Some(blob.as_str()),
        _ => None,
    });
    let loose: BTreeSet<&str> = brought.collect();
    let mut registers = Registers::new();
    for event in events {
        match (&event.operation, &event.outcome) {
            (Operation::Put { blob }, Outcome::Done(_)) => add(&mut registers, blob, event, write(1)),
            (Operation::Put { blob }, _) => add(&mut registers, blob, event, perhaps(None, vec![1])),
            (Operation::Remove { blob }, Outcome::Done(_)) => add(&mut registers, blob, event, write(0)),
            (Operation::Remove { blob }, Outcome::Killed) => add(&mut registers, blob, event, perhaps(None, vec![0])),
            (Operation::Hold { blob }, Outcome::Failed { .. }) => add(&mut registers, blob, event, read(0)),
            (Operation::Perform { .. } | Operation::Apply { .. }, Outcome::Failed { .. } | Outcome::Killed) => {
                for blob in &loose {
                    add(&mut registers, blob, event, perhaps(None, vec![0]));
                }
            }
            (_, Outcome::Done(facts)) => {
                for fact in facts {
                    match fact {
                        Fact::Blob { blob, is_here } => {
                            add(&mut registers, blob, event, read(u32::from(*is_here)));
                        }
                        Fact::Removed(blobs) => {
                            for blob in blobs.iter().filter(|blob| loose.contains(blob.as_str())) {
                                add(&mut registers, blob, event, write(0));
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    judged(registers, "`")
}

fn judged(registers: Registers<'_>, what: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, steps) in registers {
        let bare = without_the_unseen(&steps);
        if let Some(at) = unexplained(&bare) {
            let event = steps[at].1;
            let near = steps.iter().filter(|(step, _)| step.ended >= event.began && step.began <= event.ended);
            let near: Vec<String> = near.map(|(_, event)| format!("\n    {event:?}")).collect();
            found.push(format!(
                "no order of what happened to {what}{name}` explains {event:?}, at the same time as{}",
                near.concat()
            ));
        }
    }
    found
}

/// Takes those values off a write that may not have been, that nobody saw afterwards: whether such a value was there for a
/// moment makes no difference, and each is a case to look at.
fn without_the_unseen(steps: &[(Step, &Event)]) -> Vec<Step> {
    let mut last_seen: BTreeMap<Value, Moment> = BTreeMap::new();
    for (step, _) in steps {
        let seen = match &step.act {
            Act::Read(values) => values.clone(),
            Act::Write { from, .. } => from.iter().copied().collect(),
        };
        for value in seen {
            let last = last_seen.entry(value).or_default();
            *last = step.ended.max(*last);
        }
    }
    let lean = |(step, _): &(Step, &Event)| {
        let mut step = step.clone();
        if let Act::Write { values, is_certain: false, .. } = &mut step.act {
            values.retain(|value| last_seen.get(value).is_some_and(|last| *last >= step.began));
        }
        step
    };
    steps.iter().map(lean).collect()
}
