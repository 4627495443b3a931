//! What somebody has, nobody takes: blobs in hand, what a lease holds, what a snapshot stands on, and what is mounted.

use super::super::history::{Change, Event, Fact, Moment, Operation, Outcome, Shift};
use super::Registry;
use super::touched::{Touched, is_meant};
use std::collections::BTreeMap;

/// From one moment to the other.
type Spans<'h> = BTreeMap<&'h str, Vec<(Moment, Moment)>>;

/// Whether one of the spans has all of an event in it.
fn cover(spans: &Spans<'_>, what: &str, event: &Event) -> bool {
    let spans = spans.get(what).into_iter().flatten();
    spans.into_iter().any(|(from, until)| *from < event.began && event.ended < *until)
}

/// A removal of what was held all the time.
pub(super) fn taken(events: &[Event], registry: &Registry, touched: &Touched<'_>) -> Vec<String> {
    let (mut in_hand, mut leased, mut images, mut mounted) = (Spans::new(), Spans::new(), Spans::new(), Spans::new());
    let mut below = Spans::new();
    for fact in events.iter().flat_map(facts) {
        match fact {
            Fact::Held { blob, from, until } => in_hand.entry(blob).or_default().push((*from, *until)),
            Fact::Leased { target, blobs, from, until } => {
                images.entry(target).or_default().push((*from, *until));
                for blob in blobs {
                    leased.entry(blob).or_default().push((*from, *until));
                }
            }
            Fact::Stood { blobs, from, until } => {
                for blob in blobs {
                    below.entry(blob).or_default().push((*from, *until));
                }
            }
            Fact::Mounted { text, from, until } => {
                // An index that was made here need not have everything here that it lists.
                let is_meant =
                    |target: &&String| !registry.composed.contains_key(*target) && !registry.strange.contains(*target);
                for target in registry.targets.get(text).into_iter().flatten().filter(is_meant) {
                    mounted.entry(target).or_default().push((*from, *until));
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for event in events {
        let mut tell = |why: String| found.push(format!("{why}: {event:?}"));
        if let (Operation::Remove { blob }, Outcome::Done(_)) = (&event.operation, &event.outcome)
            && cover(&in_hand, blob, event)
        {
            tell(format!("`{blob}` was removed while somebody held it"));
        }
        for fact in facts(event) {
            match fact {
                Fact::Removed(blobs) => {
                    for blob in blobs {
                        if cover(&in_hand, blob, event) {
                            tell(format!("`{blob}` was collected while somebody held it"));
                        }
                        if cover(&below, blob, event) {
                            tell(format!("`{blob}` was collected while a snapshot stood on it"));
                        }
                        if cover(&leased, blob, event) {
                            tell(format!("`{blob}` was collected while a lease held it"));
                        }
                    }
                }
                Fact::Changed(Shift { name, before: Some(before), after: None }) => match &event.operation {
                    Operation::Perform { change: change @ Change::Prune { .. }, .. } => {
                        if !is_meant(change, name) {
                            tell(format!("`{name}` was pruned and does not pass the filters"));
                        }
                        if cover(&images, before, event) {
                            tell(format!("`{name}` was pruned while a lease held its image"));
                        }
                        if cover(&mounted, before, event) {
                            tell(format!("`{name}` was pruned while it was mounted"));
                        }
                    }
                    Operation::Perform { change: Change::Collect { .. }, .. }
                        if !touched.may_expire(name, event.ended) =>
                    {
                        tell(format!("`{name}` was collected, and nothing said that it expires"));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
    found
}

/// A blob that could not be removed while nobody could have had it.
pub(super) fn in_use(events: &[Event]) -> Vec<String> {
    let holds_it = |event: &Event, blob: &str| match &event.operation {
        // Another removal has the blob to itself for a moment.
        Operation::Put { blob: other } | Operation::Hold { blob: other } | Operation::Remove { blob: other } => {
            other == blob
        }
        // Whoever collects has a look at everything.
        Operation::Perform { .. } | Operation::Draft { .. } | Operation::Apply { .. } => true,
        Operation::Fsck { name: None, .. } | Operation::Usage => true,
        _ => false,
    };
    let mut found = Vec::new();
    for event in events {
        let (Operation::Remove { blob }, Outcome::Failed { .. }) = (&event.operation, &event.outcome) else { continue };
        let overlaps = |other: &Event| other.began <= event.ended && event.began <= other.ended;
        if !events.iter().any(|other| other != event && overlaps(other) && holds_it(other, blob)) {
            found.push(format!("`{blob}` was in use while nobody used it: {event:?}"));
        }
    }
    found
}

/// Whether somebody else may have been pruning. One that was killed counts until the next of its place begins, which
/// knows that it is gone.
pub(super) fn is_pruned_by_another(events: &[Event], event: &Event, why: &str) -> bool {
    let is_prune = |other: &&Event| {
        *other != event && matches!(&other.operation, Operation::Perform { change: Change::Prune { .. }, .. })
    };
    let end = |other: &Event| match other.outcome {
        Outcome::Killed => {
            let later = events.iter().filter(|next| next.worker == other.worker && next.began >= other.ended);
            later.map(|next| next.began).min().unwrap_or(Moment::MAX)
        }
        _ => other.ended,
    };
    let others = events.iter().filter(is_prune).filter(|other| other.began <= event.ended && event.began <= end(other));
    others.into_iter().any(|other| why.ends_with(&who(other.worker)) || why.contains("was faster"))
}

/// What a worker calls itself when it prunes.
pub(crate) fn who(worker: usize) -> String {
    format!("the process in place {worker}")
}

fn facts(event: &Event) -> &[Fact] {
    match &event.outcome {
        Outcome::Done(facts) => facts,
        _ => &[],
    }
}
