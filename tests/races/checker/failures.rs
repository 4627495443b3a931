//! How an operation may fail, by its documentation in `wit/`. Codes are those of `wit/types.wit`, and two more: `lost`, if
//! the name was found and something of the image was not, and `vanished`, if a tree that was just made is not there.

use super::super::history::{Change, Event, Moment, Operation, Outcome};
use super::composed;
use super::holds::is_pruned_by_another;
use super::touched::Touched;
use super::{Registry, pointed, sources};

/// Says why an operation must not have failed like this.
pub(super) fn failure(event: &Event, events: &[Event], registry: &Registry, touched: &Touched<'_>) -> Option<String> {
    let Outcome::Failed { code, why } = &event.outcome else { return None };
    let code = code.as_str();
    let is_touched = |name: &str| touched.by_others(name, event.began, event.ended, event);
    let is_allowed = match (&event.operation, code) {
        // `images.pull`: another pull moved the name, because the registry had moved the tag.
        (Operation::Pull { names, .. }, "conflict") => {
            names.iter().any(|name| pointed(registry, name, event.began, event.ended).len() > 1)
        }
        (
            Operation::Pull { stop_ms, .. }
            | Operation::Perform { stop_ms, .. }
            | Operation::Load { stop_ms, .. }
            | Operation::Import { stop_ms, .. }
            | Operation::Commit { stop_ms, .. }
            | Operation::Push { stop_ms, .. },
            "cancelled",
        ) => stop_ms.is_some(),
        (Operation::Compose { .. }, code) => composed::may_fail(event, code, why, touched),
        (Operation::Hold { .. } | Operation::Discard, "not-found") => true,
        // Of `content.remove`, and of an ingest that is on its way.
        (Operation::Remove { .. } | Operation::Discard, "in-use") => true,
        (Operation::Perform { change, .. }, "in-use") => match change {
            Change::Untag { what, force, .. } => !force && (what.starts_with("sha256:") || is_mounted(events, event)),
            Change::Prune { .. } => is_pruned_by_another(events, event, why),
            _ => false,
        },
        (Operation::Draft { change: Change::Untag { what, force, .. } }, "in-use") => {
            !force && (what.starts_with("sha256:") || is_mounted(events, event))
        }
        // Nothing is removed while a record does not say what it needs.
        (Operation::Perform { .. } | Operation::Draft { .. } | Operation::Apply { .. }, "invalid") => {
            is_damaged(events, event)
        }
        (Operation::Perform { .. } | Operation::Draft { .. }, "conflict") => {
            sources(&event.operation).any(|name| is_touched(name))
        }
        (Operation::Apply { shifts, made, .. }, "conflict") => {
            let names = shifts.iter().map(|shift| &shift.name).chain(sources(&event.operation));
            names.into_iter().any(|name| touched.by_others(name, *made, event.ended, event))
                || why.contains("the lease `") && is_collected_by_another(events, event, *made)
        }
        (
            Operation::Perform { change: Change::Untag { what, platform, .. }, .. }
            | Operation::Draft { change: Change::Untag { what, platform, .. } },
            "not-found" | "lost",
        ) => code == "not-found" || platform.is_some() || is_touched(what),
        // Of these it is a reading of the name, and judged as such.
        (operation, "not-found") => !operation.read().is_empty(),
        // Of an index not every platform has to be here: one may have been removed, long before.
        (Operation::Push { .. }, "lost") if why.contains("are neither here nor in the registry") => true,
        // Whoever takes a name does not wait for those who have just read it. What was given up is not there.
        (operation, "lost" | "vanished") => {
            operation.read().into_iter().any(|name| is_touched(name) || name.starts_with(Operation::GIVEN_UP))
        }
        _ => false,
    };
    // What the disk has changed may be said by whoever meets it.
    let is_damage =
        matches!(code, "digest-mismatch" | "size-mismatch" | "not-found" | "lost" | "vanished" | "invalid" | "in-use");
    let is_excused = event.operation.is_about_the_victim() && is_damage;
    (!is_allowed && !is_excused).then(|| format!("`{code}` is no outcome of `{}`", event.operation.kind()))
}

/// Whether something may have been mounted. What was mounted by a process that was killed stays so.
fn is_mounted(events: &[Event], event: &Event) -> bool {
    let mounts = events.iter().filter(|other| matches!(other.operation, Operation::Mount { .. }));
    mounts
        .filter(|other| other.began <= event.ended)
        .any(|other| event.began <= other.ended || other.outcome == Outcome::Killed)
}

/// Whether somebody else may have taken away a lease whose time was over, since a plan was made.
fn is_collected_by_another(events: &[Event], event: &Event, made: Moment) -> bool {
    let is_collection = |other: &&Event| {
        matches!(
            &other.operation,
            Operation::Perform { change: Change::Collect { .. }, .. }
                | Operation::Apply { change: Change::Collect { .. }, .. }
        )
    };
    let others = events.iter().filter(|other| *other != event).filter(is_collection);
    others.into_iter().any(|other| other.began <= event.ended && made <= other.ended)
}

/// Whether a disk had changed something by then.
fn is_damaged(events: &[Event], event: &Event) -> bool {
    let is_damage = |other: &Event| matches!(other.operation, Operation::Damage { .. });
    events.iter().any(|other| is_damage(other) && other.began <= event.ended)
}
