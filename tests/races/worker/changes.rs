//! The verbs that change what is here, those that make a plan of it, and those that tell what takes space and what has
//! happened.

use super::super::checker::who;
use super::super::clock;
use super::super::history::{Change, Fact, Kept, Moment, Shift};
use super::super::world;
use super::{Facts, Worker, stop_after};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;
use wharf::images::{self, Changed, Collecting, Event, Pruning, Removal, Retaining, Retention, Tagging};

/// A plan that is carried out in a later operation.
pub(super) struct Saved {
    document: String,
    /// The blobs that it may remove.
    garbage: Vec<String>,
    pub(super) change: Change,
    pub(super) shifts: Vec<Shift>,
    /// When the operation began that made it.
    pub(super) made: Moment,
}

/// The record of who prunes: `component/verbs/change/turn.rs`.
const TURN: (&str, &str) = ("default", "prune");

impl Worker<'_> {
    /// Does at once what 30 seconds do: who was in this place before, and was killed while it pruned, prunes no more.
    pub(super) fn forget_the_dead(&self) {
        let mine = who(self.assignment.worker);
        loop {
            let mut transaction = self.services.metadata.begin().expect("the records can be read");
            let found = transaction.get(TURN.0, TURN.1).expect("the records can be read");
            if !found.is_some_and(|value| value.ends_with(mine.as_bytes())) {
                return;
            }
            transaction.delete(TURN.0, TURN.1);
            if transaction.commit().is_ok() {
                return;
            }
        }
    }

    pub(super) async fn perform(&mut self, change: &Change, stop_ms: Option<u64>) -> Facts {
        let (stop, change) = (CancellationToken::new(), self.asked(change));
        let mut hear = |_| {};
        let work = self.wharf.perform(&self.caller, &change, &stop, &mut hear);
        let (changed, ()) = tokio::join!(work, stop_after(&stop, stop_ms));
        Ok(self.done(changed?))
    }

    pub(super) async fn draft(&mut self, change: &Change) -> Facts {
        let made = clock();
        let plan = self.wharf.plan_change(&self.caller, &self.asked(change)).await?;
        let shifts: Vec<Shift> = plan.names.into_iter().map(|name| self.shift(name)).collect();
        let garbage: Vec<String> = plan.garbage.blobs.into_iter().map(|(digest, _)| digest).collect();
        let read = |shift: &Shift| Fact::Read { name: shift.name.clone(), digest: shift.before.clone() };
        let facts = shifts.iter().map(read).collect();
        if !(shifts.is_empty() && garbage.is_empty()) {
            self.saved = Some(Saved { document: plan.document, garbage, change: change.clone(), shifts, made });
        }
        Ok(facts)
    }

    pub(super) async fn apply(&mut self) -> Facts {
        let Saved { document, garbage, .. } = self.saved.take().expect("a plan is drawn only if there is one");
        let stop = CancellationToken::new();
        let changed = self.wharf.apply(&self.caller, &document, &stop, &mut |_| {}).await?;
        let other = changed.removed.blobs.iter().find(|(digest, _)| !garbage.contains(digest));
        let other =
            other.map(|(digest, _)| Fact::Wrong(format!("`{digest}` was removed, and the plan does not say so")));
        Ok(self.done(changed).into_iter().chain(other).collect())
    }

    /// What is asked of the component.
    fn asked(&self, change: &Change) -> images::Change {
        match change {
            Change::Tag { source, names } => images::Change::Tag(Tagging {
                source: self.reference(source),
                names: names.iter().map(|name| self.reference(name)).collect(),
            }),
            Change::Untag { what, force, platform } => images::Change::Remove(Removal {
                references: vec![if what.starts_with("sha256:") { what.clone() } else { self.reference(what) }],
                force: *force,
                no_prune: false,
                platforms: platform.iter().cloned().collect(),
            }),
            Change::Prune { all, below, keep_bytes } => images::Change::Prune(Pruning {
                all: *all,
                filters: below.iter().map(|below| format!("reference={}", self.reference(below))).collect(),
                keep_bytes: *keep_bytes,
                who: who(self.assignment.worker),
            }),
            Change::Collect { ingest_age_s } => images::Change::Collect(Collecting { ingest_age_s: *ingest_age_s }),
            Change::Retain { what, kept } => images::Change::Retain(Retaining {
                references: vec![self.reference(what)],
                retention: match kept {
                    Kept::Both => Retention::Both,
                    Kept::Unpacked => Retention::Unpacked,
                    Kept::Compressed => Retention::Compressed,
                },
            }),
        }
    }

    fn shift(&self, change: images::NameChange) -> Shift {
        Shift { name: self.short(&change.name), before: change.before, after: change.after }
    }

    fn done(&mut self, changed: Changed) -> Vec<Fact> {
        let shifts: Vec<Shift> = changed.names.into_iter().map(|name| self.shift(name)).collect();
        for shift in &shifts {
            match &shift.after {
                Some(after) => drop(self.seen.insert(shift.name.clone(), after.clone())),
                None => drop(self.seen.remove(&shift.name)),
            }
        }
        let stayed = changed.failed.into_iter().map(|(name, why)| Fact::Stayed { name: self.short(&name), why });
        let mut facts: Vec<Fact> = stayed.collect();
        facts.extend(shifts.into_iter().map(Fact::Changed));
        let removed: Vec<String> = changed.removed.blobs.into_iter().map(|(digest, _)| digest).collect();
        if !removed.is_empty() {
            facts.push(Fact::Removed(removed));
        }
        facts
    }

    pub(super) async fn usage(&self) -> Facts {
        let usage = self.wharf.disk_usage(&self.caller).await?;
        let targets = usage.images.iter().flat_map(|image| image.names.iter().map(|name| (name, &image.target)));
        let mut targets: BTreeMap<String, String> =
            targets.map(|(name, target)| (self.short(name), target.clone())).collect();
        let read = |name: String| Fact::Read { digest: targets.remove(&name), name };
        let mut facts: Vec<Fact> = world::all_names().into_iter().map(read).collect();
        let alone: u64 = usage.images.iter().map(|image| image.content.unique).sum();
        if alone != usage.content.unique {
            let sum = usage.content.unique;
            facts.push(Fact::Wrong(format!("images take {alone} bytes for themselves, and together {sum}")));
        }
        Ok(facts)
    }

    pub(super) async fn events(&self, name: &str, seconds: u64) -> Facts {
        let (since, filter) = (format!("{seconds}s"), format!("image={}", self.reference(name)));
        let (stop, mut told) = (CancellationToken::new(), Vec::new());
        let mut hear = |event| {
            if let Event::Happened(happening) = event {
                told.push(happening);
            }
        };
        self.wharf.watch(&self.caller, Some(&since), Some("0s"), &[filter], &stop, &mut hear).await?;
        let happened = told.into_iter().map(|happening| Fact::Happened {
            name: self.short(&happening.subject),
            action: format!("{:?}", happening.action).rsplit("::").next().unwrap_or_default().to_lowercase(),
            target: happening.target,
        });
        Ok(happened.collect())
    }
}
