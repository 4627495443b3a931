//! The order of calls that a disk needs: what a power cut may lose is not what one file system loses. ext4 writes all
//! names with the first sync that comes; others write what they are told to, and a pull has to tell them.
//!
//! It looks at the calls of a verb that succeeded, and at no disk.

use crate::calls::{Call, Deed};
use crate::machine::Machine;
use crate::points::{Base, Case};
use crate::scenario::Scenario;
use std::path::Path;

const LOG: &str = "metadata.sqlite-wal";
const JOURNAL: &str = "durable.new";

/// How many cases a scenario has: what brings an image is looked at also without trees, which are made durable by a call that is good
/// for everything else too.
pub(crate) fn cases(scenario: Scenario) -> usize {
    if scenario.brings() { 2 } else { 1 }
}

/// Returns what is not synced when it has to be.
pub(crate) fn run(machine: &Machine, base: &Base, case: Case) -> Vec<String> {
    let options: &[&str] = if case.strike.point == 1 { &[] } else { &["--no-unpack"] };
    let calls = base.trace(machine, options);
    let is_addition = base.scenario.brings() || base.scenario == Scenario::Committed;
    let mut wrong = if is_addition { additions(&calls) } else { removals(&calls) };
    wrong.extend(recipes(&calls));
    wrong.extend(tops(&calls));
    let is_top_made = calls.iter().any(makes_top);
    if is_top_made != (base.scenario == Scenario::Prepared) {
        wrong.push(format!("a top is made, or none: {is_top_made}"));
    }
    let is_lean =
        calls.iter().any(|call| call.target.as_deref().is_some_and(is_recipe)) && first_gone(&calls).is_some();
    if base.scenario == Scenario::Retained && !is_lean {
        wrong.push("no blob was given up for a recipe".to_owned());
    }
    wrong
}

/// What has to be synced by who brings an image.
fn additions(calls: &[Call]) -> Vec<String> {
    let mut wrong = Vec::new();
    let last = |is: &dyn Fn(&Call) -> bool, before: usize| calls[..before].iter().rposition(is);
    let first = |is: &dyn Fn(&Call) -> bool, from: usize| calls[from..].iter().position(is).map(|at| at + from);
    let synced = |path: &Path, from: usize, to: usize| {
        calls[from..to].iter().any(|call| call.deed == Deed::Sync && (call.path == path || call.name == "syncfs"))
    };
    let Some(acknowledged) = last(&|call| call.deed == Deed::Sync && call.path == Path::new(LOG), calls.len()) else {
        return vec!["what the pull recorded is not synced".to_owned()];
    };
    for (at, call) in calls.iter().enumerate().filter(|(_, call)| call.deed == Deed::Rename) {
        let Some(target) = &call.target else { continue };
        let parent = target.parent().unwrap_or(Path::new(""));
        let is_tree = target.starts_with("layers") || target.starts_with("snapshots");
        let written = last(&|one| one.deed == Deed::Write && one.path == call.path, at);
        if let Some(written) = written
            && !synced(&call.path, written, at)
        {
            wrong.push(format!("`{call}`: its bytes are not synced before"));
        }
        // `version` is synced with the next file of the store, and records of no image need it.
        let is_named = synced(parent, at, acknowledged);
        if !is_tree && !is_named && !target.starts_with("extract") {
            wrong.push(format!("`{call}`: the new name is not synced before the record"));
        }
        if is_tree {
            let whole = first(&|one| one.name == "syncfs", at);
            let noted =
                whole.and_then(|whole| first(&|one| one.deed == Deed::Write && one.path == Path::new(JOURNAL), whole));
            if noted.is_none_or(|noted| noted > acknowledged) {
                wrong.push(format!("`{call}`: no `syncfs` and no journal after it come before the record"));
            }
        }
    }
    wrong
}

fn is_recipe(path: &Path) -> bool {
    path.starts_with("layers") && path.ends_with("recipe")
}

/// Which call is the first that takes a blob away.
fn first_gone(calls: &[Call]) -> Option<usize> {
    calls.iter().position(|call| call.name.starts_with("unlink") && call.path.starts_with("blobs"))
}

/// What makes good for a blob is durable, with its name, before a blob goes.
fn recipes(calls: &[Call]) -> Vec<String> {
    let mut wrong = Vec::new();
    let end = first_gone(calls).unwrap_or(calls.len());
    for (at, call) in calls.iter().enumerate().filter(|(_, call)| call.deed == Deed::Rename) {
        let Some(target) = call.target.as_deref().filter(|target| is_recipe(target)) else { continue };
        let synced = |path: &Path, calls: &[Call]| {
            calls.iter().any(|call| call.deed == Deed::Sync && (call.path == path || call.name == "syncfs"))
        };
        let written = calls[..at].iter().rposition(|one| one.deed == Deed::Write && one.path == call.path);
        if written.is_none_or(|written| !synced(&call.path, &calls[written..at])) {
            wrong.push(format!("`{call}`: its bytes are not synced before"));
        }
        if !synced(target.parent().unwrap_or(Path::new("")), &calls[at..end.max(at)]) {
            wrong.push(format!("`{call}`: the new name is not synced before a blob goes"));
        }
    }
    wrong
}

/// Whether a call gives what can be written to its name.
fn makes_top(call: &Call) -> bool {
    call.deed == Deed::Rename && call.target.as_deref().is_some_and(|target| target.starts_with("tops"))
}

/// The record of what can be written to is durable before that has a name, and so is all of it. The name is durable before
/// it is told.
fn tops(calls: &[Call]) -> Vec<String> {
    let mut wrong = Vec::new();
    let synced = |path: &Path, calls: &[Call]| calls.iter().any(|call| call.deed == Deed::Sync && call.path == path);
    for (at, call) in calls.iter().enumerate().filter(|(_, call)| makes_top(call)) {
        let recorded = calls[..at].iter().rposition(|one| one.deed == Deed::Write && one.path == Path::new(LOG));
        if recorded.is_none_or(|recorded| !synced(Path::new(LOG), &calls[recorded..at])) {
            wrong.push(format!("`{call}`: its record is not synced before"));
        }
        for inside in ["", "top", "tree"] {
            if !synced(&call.path.join(inside), &calls[..at]) {
                wrong.push(format!("`{call}`: `{inside}` in it is not synced before"));
            }
        }
        if !synced(Path::new("tops"), &calls[at..]) {
            wrong.push(format!("`{call}`: the new name is not synced"));
        }
    }
    wrong
}

/// What has to be synced by who removes: what was recorded before anything goes, and that it is gone. A tree goes as a
/// whole, out of sight, and what is in it after that is durable.
fn removals(calls: &[Call]) -> Vec<String> {
    let mut wrong = Vec::new();
    let synced = |path: &Path, calls: &[Call]| calls.iter().any(|call| call.deed == Deed::Sync && call.path == path);
    for (at, call) in calls.iter().enumerate() {
        let is_unlink = ["unlink", "unlinkat", "rmdir"].contains(&call.name);
        let is_tree = |path: &Path| ["layers", "snapshots", "tops"].iter().any(|place| path.starts_with(place));
        let is_burial = call.deed == Deed::Rename && is_tree(&call.path);
        if is_unlink && is_tree(&call.path) {
            wrong.push(format!("`{call}`: what goes is in its place"));
        }
        if is_burial || is_unlink && call.path.starts_with("blobs") {
            let written = calls[..at].iter().rposition(|one| one.deed == Deed::Write && one.path == Path::new(LOG));
            if written.is_some_and(|written| !synced(Path::new(LOG), &calls[written..at])) {
                wrong.push(format!("`{call}`: what was recorded is not synced before"));
            }
            if !synced(call.path.parent().unwrap_or(Path::new("")), &calls[at..]) {
                wrong.push(format!("`{call}`: that it is gone is not synced"));
            }
        }
        // Nobody empties what a power cut may bring back.
        if is_burial && let Some(grave) = &call.target {
            let emptied = calls[at..].iter().position(|one| one.path.starts_with(grave)).map(|emptied| at + emptied);
            let parent = call.path.parent().unwrap_or(Path::new(""));
            if emptied.is_some_and(|emptied| !synced(parent, &calls[at..emptied])) {
                wrong.push(format!("`{call}`: it is emptied before its name is gone"));
            }
        }
    }
    if calls
        .iter()
        .rposition(|call| call.deed == Deed::Write && call.path == Path::new(LOG))
        .is_some_and(|written| !synced(Path::new(LOG), &calls[written..]))
    {
        wrong.push("what was recorded is not synced".to_owned());
    }
    wrong
}
