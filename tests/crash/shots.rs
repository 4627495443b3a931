//! Snapshots that somebody writes to, in a store to which something happened: what was written is there as long as a
//! record is, unless that says itself that it is not; and nothing that was written stays without one.
//!
//! What their trees have to be is learned from a store to which nothing happened, by the same mounts.

use crate::check::{differences, open, read as tree_of};
use crate::machine::Machine;
use crate::scenario::Scenario;
use crate::tree::Tree;
use rustix::mount::UnmountFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use wharf::layers::Error;
use wharf_component::nouns::record::{SNAPSHOT_PREFIX, SnapshotKind, SnapshotRecord};

const NAMESPACE: &str = "default";
/// More than any scenario has.
const COUNT_MAX: u32 = 100;

/// By name: the tree as it is mounted. None is a record whose tree is not here.
type Found = BTreeMap<String, Option<Tree>>;

/// The snapshots of a scenario that can be written to.
#[derive(Debug)]
pub(crate) struct Shots {
    scenario: Scenario,
    trees: BTreeMap<String, Tree>,
}

impl Shots {
    /// Learns what is there before.
    pub(crate) fn learn(machine: &Machine, scenario: Scenario, store: &Path) -> Self {
        let mut shots = Self { scenario, trees: BTreeMap::new() };
        if !scenario.shots_before().is_empty() {
            shots.add(machine, store, scenario.shots_before());
        }
        shots
    }

    /// Learns what is there in the end. What was there before has not changed.
    pub(crate) fn learn_more(&mut self, machine: &Machine, store: &Path) {
        self.add(machine, store, self.scenario.shots_after());
    }

    fn add(&mut self, machine: &Machine, store: &Path, names: &[&str]) {
        let found = read(machine, store).expect("nothing happened to the store");
        assert!(names.iter().eq(found.keys()), "{:?} has {:?}", self.scenario, found.keys());
        for (name, tree) in found {
            let tree = tree.expect("nothing happened to it");
            if let Some(before) = self.trees.get(&name) {
                assert_eq!(differences(Path::new(&name), before, &tree), Vec::<String>::new());
            }
            self.trees.insert(name, tree);
        }
    }

    /// Returns what is wrong after something happened to a verb, or nothing did if it `is_done`.
    pub(crate) fn examine(&self, machine: &Machine, store: &Path, is_done: bool) -> Vec<String> {
        let found = match read(machine, store) {
            Ok(found) => found,
            Err(why) => return vec![why],
        };
        let (before, after) = (self.scenario.shots_before(), self.scenario.shots_after());
        let mut wrong = Vec::new();
        let names: BTreeSet<&str> =
            found.keys().map(String::as_str).chain(before.iter().chain(after).copied()).collect();
        for name in names {
            let (was, will) = (before.contains(&name) && !is_done, after.contains(&name));
            let changes = !is_done && was != will;
            match found.get(name) {
                None if will && !changes => wrong.push(format!("the snapshot `{name}` is lost")),
                None => {}
                Some(_) if !was && !will => wrong.push(format!("there is a snapshot `{name}`")),
                // Whoever makes or removes one may die when there is no tree yet, or none any more.
                Some(None) if changes => {}
                Some(None) => wrong.push(format!("the tree of the snapshot `{name}` is lost")),
                Some(Some(tree)) => wrong.extend(differences(Path::new(name), &self.trees[name], tree)),
            }
        }
        wrong
    }

    /// Returns what is wrong after the verb was done once more, and a collection.
    pub(crate) fn healed(&self, machine: &Machine, store: &Path) -> Vec<String> {
        let mut wrong = self.examine(machine, store, true);
        match debris(machine, store) {
            Ok(found) => wrong.extend(found),
            Err(why) => wrong.push(why),
        }
        wrong
    }
}

/// Whether a snapshot is recorded, and its tree is not here.
pub(crate) fn lacks(machine: &Machine, store: &Path, name: &str) -> Result<bool, String> {
    Ok(read(machine, store)?.get(name).is_some_and(Option::is_none))
}

/// Reads the records of what is written to, by name.
fn records(machine: &Machine, store: &Path) -> Result<BTreeMap<String, SnapshotRecord>, String> {
    let mut transaction = open(machine, store)?.metadata.begin().map_err(|error| error.to_string())?;
    let rows = transaction.scan(NAMESPACE, SNAPSHOT_PREFIX, None, COUNT_MAX).map_err(|error| error.to_string())?;
    let mut records = BTreeMap::new();
    for (key, value) in rows {
        let record = SnapshotRecord::decode(&value).map_err(|error| format!("the record `{key}`: {error}"))?;
        if record.kind != SnapshotKind::Committed {
            records.insert(key[SNAPSHOT_PREFIX.len()..].to_owned(), record);
        }
    }
    Ok(records)
}

/// Mounts everything that is written to, and reads it.
fn read(machine: &Machine, store: &Path) -> Result<Found, String> {
    let layers = open(machine, store)?.layers;
    let at = machine.directory.join("shot");
    fs::create_dir_all(&at).map_err(|error| error.to_string())?;
    let mut found = Found::new();
    for (name, record) in records(machine, store)? {
        let top = match layers.find_top(record.tree.as_str()) {
            Ok(top) => top,
            Err(Error::NotFound) => {
                found.insert(name, None);
                continue;
            }
            Err(error) => return Err(format!("the snapshot `{name}` cannot be opened: {error}")),
        };
        let directory = fs::File::open(&at).map_err(|error| error.to_string())?;
        top.mount(directory.as_fd()).map_err(|error| format!("the snapshot `{name}` cannot be mounted: {error}"))?;
        let tree = tree_of(&at);
        rustix::mount::unmount(&at, UnmountFlags::DETACH).map_err(|error| error.to_string())?;
        found.insert(name, Some(tree));
    }
    Ok(found)
}

/// What is left of snapshots that no record leads to: trees, and short names of directories.
fn debris(machine: &Machine, store: &Path) -> Result<Vec<String>, String> {
    let trees: BTreeSet<String> =
        records(machine, store)?.values().map(|record| record.tree.as_str().to_owned()).collect();
    let tops = open(machine, store)?.layers.tops(None, COUNT_MAX as usize).map_err(|error| error.to_string())?;
    let nobodys = tops.into_iter().filter(|top| !trees.contains(top));
    let mut wrong: Vec<_> = nobodys.map(|top| format!("`tops` has `{top}` left, which no record names")).collect();
    let short = store.join("l");
    for entry in fs::read_dir(&short).into_iter().flatten().flatten() {
        if !entry.path().exists() {
            wrong.push(format!("`l` has {} left, which leads nowhere", entry.file_name().display()));
        }
    }
    Ok(wrong)
}
