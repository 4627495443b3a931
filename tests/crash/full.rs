//! A disk that has just so much room: bytes for one part of a verb, or files, and none for the next. What people do to
//! have more room succeeds where there is none.

use crate::check::{Expected, ended, entries};
use crate::heal::heal;
use crate::machine::{Disk, Machine};
use crate::points::{Base, Case, Outcome};
use crate::scenario::Scenario;
use crate::tracer;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

/// How much more room each case has than the one before it.
const STEP_BYTES: u64 = 16 << 10;
/// How many cases of what brings an image are about bytes. The last ones have room enough.
const BYTES_CASES: usize = 130;
/// How many files more each case may make than the one before it.
const STEP_FILES: u64 = 2;
/// How many cases of it are about files.
const FILES_CASES: usize = 60;
/// The same for verbs that change what is here, which write little.
const CHANGE_BYTES_CASES: usize = 12;
const CHANGE_FILES_CASES: usize = 3;

/// How many cases of a scenario are about bytes, and about files.
fn split(scenario: Scenario) -> (usize, usize) {
    if scenario.brings() { (BYTES_CASES, FILES_CASES) } else { (CHANGE_BYTES_CASES, CHANGE_FILES_CASES) }
}

/// How many cases a scenario has.
pub(crate) fn cases(scenario: Scenario) -> usize {
    let (bytes, files) = split(scenario);
    bytes + files
}

/// Runs a verb on a disk that is nearly full, and again when there is room.
pub(crate) fn run(machine: &Machine, expected: &Expected, base: &Base, case: Case) -> Outcome {
    let (file, at) = (machine.directory.join("disk.ext4"), machine.directory.join("disk"));
    let disk = Disk::mount_copy(&base.disk, &file, &at);
    let (store, filler) = (disk.store(), at.join("filler"));
    fs::create_dir_all(&filler).expect("there is room for a directory");
    let point = case.strike.point - 1;
    let left = match point.checked_sub(split(base.scenario).0) {
        None => fill(&at, &filler, point as u64 * STEP_BYTES),
        Some(point) => crowd(&filler, point as u64 * STEP_FILES),
    };
    let run = tracer::run(base.scenario.command(machine, &store), &store, None);
    // Where nothing fails is no point.
    let struck = run.code != Some(0) || base.scenario.frees();
    let mut outcome = Outcome { struck, victim: left, ..Outcome::default() };
    outcome.wrong.extend(ended(&run));
    if run.code != Some(0) {
        if !["space", "full"].iter().any(|word| run.stderr.contains(word)) {
            outcome.wrong.push(format!("it does not say that the disk is full: {}", run.stderr));
        }
        let left = entries(&store.join("extract"));
        if base.scenario.brings() && !left.is_empty() {
            outcome.wrong.push(format!("`extract` keeps {left:?} on a full disk"));
        }
        if base.scenario.frees() {
            outcome.wrong.push(format!("it frees nothing on a full disk: {}", run.stderr));
        }
    }
    fs::remove_dir_all(&filler).expect("it is ours");
    if store.join("version").exists() {
        outcome.wrong.extend(base.shots.examine(machine, &store, run.code == Some(0)));
        let (before, after) = (base.scenario.before(), base.after.clone());
        let allowed = if run.code == Some(0) { vec![after] } else { vec![before, after] };
        outcome.wrong.extend(expected.examine(machine, &store, &allowed));
    }
    outcome.wrong.extend(heal(machine, expected, base, &store));
    outcome
}

/// Leaves so many bytes.
fn fill(at: &Path, filler: &Path, bytes: u64) -> String {
    let stat = rustix::fs::statvfs(at).expect("it is mounted");
    let mut taken = (stat.f_bavail * stat.f_frsize).saturating_sub(bytes);
    let file = fs::File::create(filler.join("bytes")).expect("there is room for a name");
    // What says where the bytes are takes some as well.
    let take = |taken| rustix::fs::fallocate(file.as_fd(), rustix::fs::FallocateFlags::empty(), 0, taken).is_ok();
    while !take(taken) {
        taken -= stat.f_frsize;
    }
    format!("{} KiB left", bytes >> 10)
}

/// Leaves so many files.
fn crowd(filler: &Path, files: u64) -> String {
    // What the file system says about how many there are is not exact.
    let path = |number: u64| filler.join(number.to_string());
    let made = (0..).take_while(|number| fs::File::create(path(*number)).is_ok()).count() as u64;
    for number in made.saturating_sub(files)..made {
        fs::remove_file(path(number)).expect("it was made");
    }
    format!("{files} files left")
}
