//! Processes that are killed while they prepare, write, commit and remove, and what is there after that.

use super::super::apply::write::{file, layer, link};
use super::super::shelf;
use super::apply;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Budget;
use wharf::layers::{Error, Layers, Snapshot, unpack};

/// Where the store of a process is that is going to be killed.
const DIRECTORY: &str = "WHARF_TEST_KILLED";
/// The first of the names that it gives.
const FIRST: &str = "WHARF_TEST_KILLED_FIRST";
/// How many are killed, each a little later.
const ROUNDS: u64 = 40;

/// Goes on until somebody kills it. What it is about to do, and has done, it writes down.
fn work(directory: &Path, first: u64) -> ! {
    let layers = shelf::open(&directory.join("store"), "this boot");
    let mut log = OpenOptions::new().append(true).create(true).open(directory.join("log")).expect("a log");
    let mut say = |word: &str, number: u64| writeln!(log, "{word} {number}").expect("the log");
    let mut below: Option<Snapshot> = None;
    for number in first.. {
        let name = format!("{number}");
        let archive = layer(&[file("d/f", name.as_bytes()), link("d/second", "d/f"), file(&name, b"1")]);
        let top = layers.prepare(&name, true, below.as_ref()).expect("a top");
        say("prepared", number);
        match number % 4 {
            0 => drop(apply(&top, &archive).expect("it is written")),
            1 => {
                let unpacked = unpack(&layers, &*archive, &Budget::default(), &AtomicBool::new(false));
                let layer = unpacked.and_then(|unpacked| unpacked.publish(&Digest::of(Algorithm::Sha256, &archive)));
                top.adopt(&layer.expect("a layer")).expect("it is adopted");
                top.mounts().expect("options");
            }
            2 => {
                top.mounts().expect("options");
                say("removing", number);
                drop(top);
                layers.remove_top(&name).expect("nobody has it");
                continue;
            }
            _ => {}
        }
        below = Some(top.commit(&name).expect("a snapshot"));
        say("committed", number);
        if below.as_ref().is_some_and(|below| below.height() > 20) {
            below = None;
        }
    }
    unreachable!("somebody kills it before it runs out of numbers")
}

/// Checks everything that was written down.
fn judge(layers: &Layers, log: &str) {
    let numbers = |word: &str| -> BTreeSet<&str> {
        log.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect()
    };
    let (prepared, removing, committed) = (numbers("prepared"), numbers("removing"), numbers("committed"));
    for name in prepared.difference(&removing) {
        let (top, snapshot) = (layers.find_top(name), layers.snapshot(name));
        assert!(top.is_ok() || snapshot.is_ok(), "{name}: {top:?} {snapshot:?}");
        assert!(!committed.contains(name) || snapshot.is_ok(), "{name}: {snapshot:?}");
    }
    for name in layers.tops(None, 1_000).expect("a page") {
        let top = layers.find_top(&name).expect("what is listed is whole");
        top.diff(std::io::sink()).expect("an archive");
        match top.commit(&format!("{name} later")) {
            Ok(snapshot) => snapshot.verify(&|| false).expect("it is whole"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    for name in layers.entries(None, 1_000).expect("a page") {
        layers.snapshot(&name).expect("it is whole").verify(&|| false).expect("it is what it was");
    }
}

#[test]
fn whoever_is_killed_leaves_a_top_or_a_snapshot_and_no_debris_for_long() {
    if let (Some(directory), Ok(first)) = (std::env::var_os(DIRECTORY), std::env::var(FIRST)) {
        work(Path::new(&directory), first.parse().expect("a number"));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("store");
    fs::create_dir(&store).expect("a directory");
    fs::write(directory.path().join("log"), "").expect("a log");
    let name = std::thread::current().name().expect("a test has a thread of its name").to_owned();
    for round in 0..ROUNDS {
        let mut command = Command::new("/proc/self/exe");
        command.args(["--exact", &name, "--nocapture"]).env(DIRECTORY, directory.path()).stdout(Stdio::null());
        command.env(FIRST, (round * 1_000_000).to_string());
        let mut child = command.spawn().expect("the test starts again");
        std::thread::sleep(Duration::from_millis(20 + 7 * round));
        child.kill().expect("it runs");
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(9), "{status}: it failed before it was killed");
    }
    let log = fs::read_to_string(directory.path().join("log")).expect("the log");
    assert!(log.lines().filter(|line| line.starts_with("committed")).count() > 10, "{log}");
    // A cut of power would be no other: everything here was durable before it was told.
    judge(&shelf::open(&store, "the next boot"), &log);
    let layers = shelf::open(&store, "the next boot");
    for _ in 0..1_000 {
        drop(layers.claim(&[], &[]).expect("a sweep"));
        if fs::read_dir(store.join("extract")).expect("a directory").count() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for below in ["extract", "tops"] {
        assert_eq!(fs::read_dir(store.join(below)).expect("a directory").count(), 0, "{below}");
    }
    for link in fs::read_dir(store.join("l")).expect("a directory") {
        fs::metadata(link.expect("an entry").path()).expect("it leads somewhere");
    }
    assert!(matches!(layers.find_top("never"), Err(Error::NotFound)));
}
