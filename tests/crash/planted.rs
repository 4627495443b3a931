//! Shows that what is planted into the host is found, and how many points that takes.
//!
//! The faults are in `host/planted.rs`. They are in the program only if it was built with the feature `planted`; so it is
//! built once more, in the same place, and copied aside.

use crate::Arguments;
use crate::bench::Bench;
use crate::points::{Case, Kind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use wharf::planted::Bug;

/// What is to find a fault.
fn kinds(bug: Bug) -> &'static [Kind] {
    match bug {
        Bug::LayerUnfinished => &[Kind::Kill],
        Bug::SyncErrorIgnored => &[Kind::Errno],
        Bug::IngestUnhashed => &[Kind::Corrupt],
        // ext4 writes every name with the first sync of anything.
        Bug::BlobNameUnsynced => &[Kind::Order],
        // Nobody takes anything away while one process pulls: the contracts of the store find it.
        Bug::PinDropped => &[],
        Bug::BlobUnsynced
        | Bug::VersionUnsynced
        | Bug::TreesUnsynced
        | Bug::JournalEarly
        | Bug::JournalUnsynced
        | Bug::EarlierBootBelieved
        | Bug::CommitUnsynced => &[Kind::Power],
    }
}

/// Looks for every fault, or for the one of this name, and returns whether one was not found.
pub(crate) fn run(arguments: &Arguments, name: &str) -> bool {
    let plain = Path::new(env!("CARGO_BIN_EXE_wharf"));
    // Another program has the faults in it already.
    let program = if arguments.program == plain { build(plain) } else { arguments.program.clone() };
    let arguments = Arguments { program, ..arguments.clone() };
    let bugs: Vec<_> = Bug::ALL.into_iter().filter(|bug| name.is_empty() || format!("{bug:?}") == name).collect();
    assert!(!bugs.is_empty(), "`{name}` is none of {:?}", Bug::ALL);
    println!("{:<22}{:<10}{:>8}{:>6}  first found", "planted", "kind", "points", "s");
    Bench::with(&arguments, |bench| {
        let mut missed = false;
        for bug in bugs.into_iter().filter(|bug| !kinds(*bug).is_empty()) {
            let begun = Instant::now();
            let found = kinds(bug).iter().find_map(|kind| look(bench, bug, *kind));
            let seconds = begun.elapsed().as_secs();
            missed |= found.is_none();
            let (name, none) = (format!("{bug:?}"), "not found");
            match found {
                Some((kind, points, what)) => {
                    println!("{name:<22}{:<10}{points:>8}{seconds:>6}  {what}", format!("{kind:?}").to_lowercase());
                }
                None => println!("{name:<22}{none}"),
            }
        }
        missed
    })
}

/// Runs cases, spread over all points, until one of them finds the fault.
fn look(bench: &Bench<'_>, bug: Bug, kind: Kind) -> Option<(Kind, usize, String)> {
    let find = || {
        let mut machine = bench.machine("planted");
        machine.environment = vec![("WHARF_PLANTED".to_owned(), format!("{bug:?}"))];
        let cases = spread(bench.cases(kind));
        let mut points = 0;
        for case in cases {
            let outcome = bench.case(&machine, case);
            points += usize::from(outcome.struck);
            if let Some(wrong) = outcome.wrong.first() {
                let wrong = wrong.lines().next().unwrap_or_default();
                return Some((kind, points, format!("{case}: {wrong}")));
            }
        }
        None
    };
    // A thread of its own, which a machine takes for itself.
    std::thread::scope(|scope| scope.spawn(find).join().expect("looking does not panic"))
}

/// Puts cases into an order in which the first ones are from everywhere.
fn spread(cases: Vec<Case>) -> Vec<Case> {
    let count = cases.len();
    // Near the golden section, and without a common divisor, so that each case has its turn once.
    let step = (count * 618 / 1000..).find(|step| greatest_common_divisor(*step, count) == 1).unwrap_or(1);
    (0..count).map(|number| cases[(number + 1) * step % count]).collect()
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Builds the program with the faults in it, and leaves the other one where it was.
fn build(program: &Path) -> PathBuf {
    let copy = program.with_file_name("wharf-planted");
    let cargo = |features: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--release", "--locked", "--bin", "wharf"]);
        let status = command.args(features).status().expect("cargo starts");
        assert!(status.success(), "the program does not build");
    };
    cargo(&["--features", "planted"]);
    std::fs::copy(program, &copy).expect("the directory of the build can be written");
    cargo(&[]);
    copy
}
