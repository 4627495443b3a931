//! Shows that what is planted into the host is found, and how many points that takes.
//!
//! The faults are in `host/planted.rs`. They are in a program only if it was built with the feature `planted`; so `wharf`
//! and the races are built once more, in the same place, and copied aside. A fault of which a pull alone takes no harm is
//! looked for by the races, among whose operations are those that take a blob away.

use crate::Arguments;
use crate::bench::Bench;
use crate::points::{Case, Kind};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use wharf::planted::Bug;

/// How many operations of the races have to find a fault: one round.
const OPERATIONS: usize = 5_000;

/// What is to find a fault.
#[derive(Clone, Copy, Debug)]
enum Finder {
    /// Pulls that are broken in this way.
    Cases(Kind),
    /// Many processes on one store.
    Races,
}

fn finder(bug: Bug) -> Finder {
    match bug {
        Bug::LayerUnfinished | Bug::TreeRemovedInPlace => Finder::Cases(Kind::Kill),
        Bug::SyncErrorIgnored => Finder::Cases(Kind::Errno),
        Bug::IngestUnhashed => Finder::Cases(Kind::Corrupt),
        // ext4 writes every name with the first sync of anything: that of a blob, and those of the markers that the journal
        // speaks for; and takes none away that comes back alone. No disk is asked; the calls are looked at.
        Bug::BlobNameUnsynced | Bug::JournalUnsynced | Bug::RemovalUnsynced => Finder::Cases(Kind::Order),
        Bug::PinDropped => Finder::Races,
        Bug::BlobUnsynced
        | Bug::VersionUnsynced
        | Bug::TreesUnsynced
        | Bug::JournalEarly
        | Bug::EarlierBootBelieved
        | Bug::CommitUnsynced
        | Bug::RecipeUnsynced => Finder::Cases(Kind::Power),
    }
}

/// What found a fault.
struct Found {
    /// Looked at until then.
    points: usize,
    what: String,
}

/// Looks for every fault, or for the one of this name, and returns whether one was not found.
pub(crate) fn run(arguments: &Arguments, name: &str) -> bool {
    let bugs: Vec<_> = Bug::ALL.into_iter().filter(|bug| name.is_empty() || format!("{bug:?}") == name).collect();
    assert!(!bugs.is_empty(), "`{name}` is none of {:?}", Bug::ALL);
    let Programs { wharf, races } = build(Path::new(env!("CARGO_BIN_EXE_wharf")));
    let arguments = Arguments { program: wharf, ..arguments.clone() };
    println!("{:<22}{:<10}{:>8}{:>6}  first found", "planted", "by", "points", "s");
    Bench::with(&arguments, |bench| {
        let mut missed = false;
        for bug in bugs {
            let begun = Instant::now();
            let (by, found) = match finder(bug) {
                Finder::Cases(kind) => (format!("{kind:?}").to_lowercase(), look(bench, bug, kind)),
                Finder::Races => ("races".to_owned(), race(&races, bug)),
            };
            let seconds = begun.elapsed().as_secs();
            missed |= found.is_none();
            let (points, what) =
                found.map_or(("-".to_owned(), "not found".to_owned()), |found| (found.points.to_string(), found.what));
            println!("{:<22}{by:<10}{points:>8}{seconds:>6}  {what}", format!("{bug:?}"));
        }
        missed
    })
}

/// Runs cases, spread over all points, until one of them finds the fault.
fn look(bench: &Bench<'_>, bug: Bug, kind: Kind) -> Option<Found> {
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
                return Some(Found { points, what: format!("{case}: {wrong}") });
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

/// Races with a fault, and returns what they say of it. Points are operations.
fn race(races: &Path, bug: Bug) -> Option<Found> {
    // What they find wrong they leave there.
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let mut command = Command::new(races);
    command.env("TMPDIR", directory.path());
    command.args(["--seed", "1", "--operations", &OPERATIONS.to_string()]).env("WHARF_PLANTED", format!("{bug:?}"));
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let what = said.lines().find_map(|line| line.strip_prefix("violation: "));
    assert_eq!(output.status.success(), what.is_none(), "the races did not end as they do: {said}");
    // What follows is the whole event.
    let what = what?.split(": Event").next().unwrap_or_default().to_owned();
    Some(Found { points: OPERATIONS, what })
}

/// What has the faults in it.
struct Programs {
    wharf: PathBuf,
    races: PathBuf,
}

/// Builds what is to have the faults in it, and leaves the program without them where it was.
fn build(program: &Path) -> Programs {
    let cargo = |features: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["test", "--release", "--locked", "--no-run"]);
        command.args(["--test", "races", "--message-format", "json-render-diagnostics"]).args(features);
        // Cargo gives these to its tests. Build scripts that look at them would run once more, and again without them.
        for (name, _) in std::env::vars() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"].iter().any(|start| name.starts_with(start)) {
                command.env_remove(name);
            }
        }
        let output = command.stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(output.status.success(), "the programs do not build");
        let built = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = built.lines().map(|line| serde_json::from_str::<Value>(line).expect("cargo writes JSON"));
        messages
            .filter(|message| message["target"]["name"] == "races")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("the races are a program")
    };
    // Cargo gives it a name of its own, and `wharf` none.
    let races = cargo(&["--features", "planted"]);
    let wharf = program.with_file_name("wharf-planted");
    std::fs::copy(program, &wharf).expect("the directory of the build can be written");
    cargo(&[]);
    Programs { wharf, races }
}
