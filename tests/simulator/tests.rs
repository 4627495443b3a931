//! The runs that belong into every test run: ten thousand seeds, each verb in
//! them, the same every time, and each planted bug found.

use super::{planted, run};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

const SEEDS: u64 = 10_000;
/// So many seeds have every verb in them.
const SEEDS_OF_VERBS: u64 = 500;
/// Within so many seeds each planted bug is found.
const SEEDS_OF_A_BUG: u64 = 10_000;

const INTERFACES: [&str; 3] = [
    include_str!("../../wit/images.wit"),
    include_str!("../../wit/records.wit"),
    include_str!("../../wit/snapshots.wit"),
];

/// The functions of the interfaces, by their lines: `name: func(` or `name: async func(`.
fn functions() -> BTreeSet<&'static str> {
    let function = |line: &'static str| {
        let (name, rest) = line.trim().split_once(": ")?;
        // What is a word of WIT too is marked.
        let name = name.trim_start_matches('%');
        (rest.starts_with("func(") || rest.starts_with("async func(")).then_some(name)
    };
    INTERFACES.iter().flat_map(|text| text.lines()).filter_map(function).collect()
}

#[test]
fn ten_thousand_seeds_break_no_promise() {
    let (next, told) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let violations = run(seed, false).violations;
                    if !violations.is_empty() {
                        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                        told.push(planted::told(seed, &violations));
                    }
                }
            });
        }
    });
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// A verb that nobody adds to `scenario` would never be tried.
#[test]
fn every_verb_is_in_some_run() {
    let called: BTreeSet<&str> = (0..SEEDS_OF_VERBS).flat_map(|seed| run(seed, false).verbs).collect();
    assert_eq!(called, functions());
}

#[test]
fn the_same_seed_is_the_same_run() {
    let runs = |is_told| (0..100).map(|seed| run(seed, is_told)).collect::<Vec<_>>();
    let (once, told) = (runs(false), runs(true));
    let hashes: BTreeSet<u64> = once.iter().map(|report| report.hash).collect();
    assert_eq!(hashes.len(), once.len(), "two seeds are two runs");
    for (seed, (once, told)) in once.iter().zip(&told).enumerate() {
        assert_eq!((once.hash, &once.violations), (told.hash, &told.violations), "seed {seed}");
        assert!(!told.lines.is_empty());
    }
}

#[test]
fn each_planted_bug_is_found() {
    for (bug, from) in planted::BUGS {
        let found = planted::find(bug, from..from + SEEDS_OF_A_BUG);
        assert!(found.is_some(), "no run finds {bug:?}");
    }
}
