//! Who may have changed a name, and when: what excuses others who used it meanwhile. It judges nothing.

use super::super::history::{Change, Event, Fact, Moment, Operation, Outcome};
use std::collections::BTreeMap;

/// A history, to be asked about names.
pub(super) struct Touched<'h> {
    events: &'h [Event],
    /// The names that were to go with a collection, and since when.
    expiring: BTreeMap<&'h str, Moment>,
}

impl<'h> Touched<'h> {
    pub(super) fn new(events: &'h [Event]) -> Self {
        let mut expiring = BTreeMap::new();
        for event in events {
            if let Operation::Expire { name } = &event.operation {
                let since = expiring.entry(name.as_str()).or_insert(event.began);
                *since = event.began.min(*since);
            }
        }
        Self { events, expiring }
    }

    /// Whether anybody else than `event` may have changed the record of a name between two moments.
    pub(super) fn by_others(&self, name: &str, from: Moment, until: Moment, event: &Event) -> bool {
        let others = self.events.iter().filter(|other| other.began <= until && from <= other.ended && *other != event);
        others.into_iter().any(|other| self.may_write(other, name))
    }

    /// Whether anybody may have given a name, or taken it away, between two moments. A pull does neither.
    pub(super) fn is_given_or_taken(&self, name: &str, from: Moment, until: Moment) -> bool {
        let meanwhile = self.events.iter().filter(|other| other.began <= until && from <= other.ended);
        let is_change = |event: &&Event| {
            matches!(
                event.operation,
                Operation::Perform { .. }
                    | Operation::Apply { .. }
                    | Operation::Load { .. }
                    | Operation::Import { .. }
                    | Operation::Compose { .. }
                    | Operation::Commit { .. }
            )
        };
        let changes = meanwhile.filter(is_change);
        changes.into_iter().any(|event| self.may_write(event, name))
    }

    /// Whether a collection that begins at this moment may take a name because of its label.
    pub(super) fn may_expire(&self, name: &str, before: Moment) -> bool {
        self.expiring.get(name).is_some_and(|since| *since <= before)
    }

    /// The names that a change may take away. `names` are all there are.
    pub(super) fn may_take<'n>(&self, change: &Change, ended: Moment, names: &[&'n str]) -> Vec<&'n str> {
        let may_go = |name: &&&str| match change {
            // Other names of the image lose a platform and stay.
            Change::Untag { what, platform: Some(_), .. } => what == *name || what.starts_with("sha256:"),
            Change::Retain { .. } => false,
            _ => self.may_change(change, ended, name),
        };
        names.iter().filter(may_go).copied().collect()
    }

    fn may_write(&self, event: &Event, name: &str) -> bool {
        if let Outcome::Done(facts) = &event.outcome {
            if matches!(&event.operation, Operation::Expire { name: other } if other == name) {
                return true;
            }
            return facts.iter().any(|fact| match fact {
                Fact::Wrote { name: other, .. } | Fact::Labelled { name: other, .. } => other == name,
                Fact::Changed(shift) => shift.name == name,
                _ => false,
            });
        }
        match &event.operation {
            Operation::Pull { names, .. } | Operation::Load { names, .. } => names.iter().any(|other| other == name),
            Operation::Perform { change, .. } => self.may_change(change, event.ended, name),
            Operation::Apply { shifts, .. } => shifts.iter().any(|shift| shift.name == name),
            Operation::Import { name: other, .. }
            | Operation::Compose { name: other, .. }
            | Operation::Commit { name: other, .. }
            | Operation::Label { name: other, .. }
            | Operation::Expire { name: other } => other == name,
            _ => false,
        }
    }

    fn may_change(&self, change: &Change, ended: Moment, name: &str) -> bool {
        match change {
            Change::Tag { names, .. } => names.iter().any(|other| other == name),
            Change::Untag { what, platform, .. } => what == name || what.starts_with("sha256:") || platform.is_some(),
            Change::Prune { .. } => is_meant(change, name),
            Change::Collect { .. } => self.may_expire(name, ended),
            Change::Retain { what, .. } => what == name,
        }
    }
}

/// Whether a name passes the filters of a prune. All names here have a tag.
pub(super) fn is_meant(change: &Change, name: &str) -> bool {
    let Change::Prune { all, below, keep_bytes } = change else { return false };
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    (*all || keep_bytes.is_some()) && below.as_ref().is_none_or(|below| below == repository)
}
