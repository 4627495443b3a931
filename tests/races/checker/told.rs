//! What `wharf events` tells: everything that was acknowledged, and nothing that nobody did.

use super::super::history::{Change, Event, Fact, Operation, Outcome, Shift};
use super::touched::Touched;

const SECOND: u64 = 1_000_000_000;

/// What was not told, or was made up.
pub(super) fn told(events: &[Event], touched: &Touched<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for event in events {
        let (Operation::Events { name, seconds }, Outcome::Done(facts)) = (&event.operation, &event.outcome) else {
            continue;
        };
        // Times are whole seconds there, and are taken a moment before the change.
        let since = event.began.saturating_sub((seconds - 1) * SECOND);
        let over = events.iter().filter(|other| since < other.began && other.ended < event.began);
        let mut expected: Vec<(&str, Option<&str>)> = over.flat_map(|other| happened(other, name)).collect();
        for fact in facts {
            let Fact::Happened { name: other, action, target } = fact else { continue };
            let this = (action.as_str(), target.as_deref());
            if let Some(at) = expected.iter().position(|expected| *expected == this) {
                expected.swap_remove(at);
            }
            let earliest = event.began.saturating_sub((seconds + 2) * SECOND);
            let is_change = ["tag", "untag", "import"].contains(&action.as_str());
            if other != name || is_change && !touched.is_given_or_taken(name, earliest, event.ended) {
                found.push(format!("nobody did what was told as {fact:?}: {event:?}"));
            }
        }
        if !expected.is_empty() {
            found.push(format!("it was not told that {expected:?} happened to `{name}`: {event:?}"));
        }
    }
    found
}

/// What an operation surely did to a name, as it is told.
fn happened<'h>(event: &'h Event, name: &str) -> Vec<(&'h str, Option<&'h str>)> {
    let change = match &event.operation {
        Operation::Perform { change, .. } | Operation::Apply { change, .. } => Some(change),
        Operation::Import { .. } | Operation::Compose { .. } | Operation::Commit { .. } => None,
        _ => return Vec::new(),
    };
    let Outcome::Done(facts) = &event.outcome else { return Vec::new() };
    let shifts = facts.iter().filter_map(|fact| match fact {
        Fact::Changed(Shift { name: other, before, after }) if other == name => Some((before, after)),
        _ => None,
    });
    let told = |(before, after): (&'h Option<String>, &'h Option<String>)| match change {
        None if matches!(event.operation, Operation::Import { .. }) => ("import", after.as_deref()),
        None => ("tag", after.as_deref()),
        Some(Change::Tag { .. }) => ("tag", after.as_deref()),
        Some(Change::Retain { .. }) => ("label", after.as_deref()),
        Some(_) => ("untag", before.as_deref()),
    };
    shifts.map(told).collect()
}
