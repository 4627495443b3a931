//! What the same verb makes of a store in which it was broken off: all that it was to do, and nothing is left over.

use crate::check::{Expected, entries, named, open, said, succeeds};
use crate::machine::Machine;
use crate::points::Base;
use crate::scenario::{SHOT, Scenario};
use crate::shots;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where everything is what something needs, or debris.
const PLACES: &[&str] = &["blobs/sha256", "blobs/sha512", "layers", "snapshots", "ingest", "extract"];

/// Does it again, and returns what is wrong then.
pub(crate) fn heal(machine: &Machine, expected: &Expected, base: &Base, store: &Path) -> Vec<String> {
    let scenario = base.scenario;
    let was_done = named(machine, store).is_ok_and(|found| base.after.keys().eq(found.keys()));
    let mut wrong: Vec<_> = again(machine, scenario, store, was_done).err().into_iter().collect();
    if !scenario.is_pull() && wrong.is_empty() {
        let output = machine.run(machine.collect(store));
        if !output.status.success() {
            wrong.push(format!("a collection does not heal: {}", said(&output)));
        }
    }
    if !wrong.is_empty() {
        return wrong;
    }
    wrong.extend(expected.healed(machine, store, base.after.clone()));
    wrong.extend(base.shots.healed(machine, store));
    if !scenario.is_pull() {
        let found = contents(store);
        let list = |paths: Vec<&PathBuf>| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let (more, less) = (list(found.difference(&base.left).collect()), list(base.left.difference(&found).collect()));
        if !more.is_empty() || !less.is_empty() {
            wrong.push(format!("unlike where nothing happened, it has {more:?}, and lacks {less:?}"));
        }
    }
    wrong
}

/// Runs the verb again. `was_done` is whether the names are what they are to be.
fn again(machine: &Machine, scenario: Scenario, store: &Path, was_done: bool) -> Result<(), String> {
    let mut output = machine.run(scenario.command(machine, store));
    // One that died stands for half a minute, which is not waited for.
    if scenario == Scenario::Pruned && String::from_utf8_lossy(&output.stderr).contains("another prune runs") {
        forget_turn(machine, store)?;
        output = machine.run(scenario.command(machine, store));
    }
    // Whoever died before there was a tree leaves a record that says so, and a removal ends that.
    if scenario == Scenario::Prepared && !output.status.success() && shots::lacks(machine, store, SHOT)? {
        succeeds(machine, store, &["snapshot", "rm", SHOT])?;
        output = machine.run(scenario.command(machine, store));
    }
    let says = |words| String::from_utf8_lossy(&output.stderr).contains(words);
    let is_told = match scenario {
        // What is gone is not found.
        Scenario::Removed => was_done,
        Scenario::Discarded => says("the namespace has no snapshot `work`"),
        // What is there is not made again.
        Scenario::Prepared => says("the namespace has a snapshot `work`"),
        _ => false,
    };
    if output.status.success() || is_told { Ok(()) } else { Err(format!("it does not heal: {}", said(&output))) }
}

/// Removes the record of who prunes.
fn forget_turn(machine: &Machine, store: &Path) -> Result<(), String> {
    let metadata = open(machine, store)?.metadata;
    let mut transaction = metadata.begin().map_err(|error| error.to_string())?;
    transaction.delete("default", "prune");
    transaction.commit().map_err(|error| error.to_string())
}

/// What a store has, by name.
pub(crate) fn contents(store: &Path) -> BTreeSet<PathBuf> {
    let inside = |place: &str| {
        let place = Path::new(place);
        entries(&store.join(place)).into_iter().map(|name| place.join(name)).collect::<Vec<_>>()
    };
    PLACES.iter().flat_map(|place| inside(place)).collect()
}
