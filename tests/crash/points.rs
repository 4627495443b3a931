//! A pull, or a verb that changes what is here, that is struck at one point: killed, failed by an errno, or without
//! power. What follows is looked at, and then healed.

use crate::calls::{Call, Deed};
use crate::check::{Expected, ended, named, said};
use crate::heal::{contents, heal};
use crate::images::NEW_NAME;
use crate::machine::{Disk, Machine, clear, copy};
use crate::scenario::{Names, Scenario};
use crate::shots::Shots;
use crate::tracer::{self, Blow, Run, Strike};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The size of a disk that is large enough.
pub(crate) const DISK_BYTES: u64 = 32 << 20;
/// A small disk is copied faster, and most of a journal is never used.
pub(crate) const DISK_OPTIONS: &[&str] = &["-J", "size=4", "-N", "1024"];
/// A second blow falls somewhere among the first so many calls of the pull that heals.
const SECOND_POINTS: usize = 150;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// `SIGKILL`, and the machine stays up.
    Kill,
    /// A system call fails.
    Errno,
    /// The power goes, on ext4.
    Power,
    /// The disk is full.
    Full,
    /// A file of the store is damaged.
    Corrupt,
    /// Nothing; the calls of a pull are looked at.
    Order,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [Self::Order, Self::Kill, Self::Errno, Self::Power, Self::Full, Self::Corrupt];
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) scenario: Scenario,
    pub(crate) strike: Strike,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |value: &dyn fmt::Debug| format!("{value:?}").to_lowercase();
        write!(f, "--kind {} --scenario {}", name(&self.kind), name(&self.scenario))?;
        write!(f, " --point {}", self.strike.point)?;
        match self.strike.blow {
            Blow::Kill => Ok(()),
            Blow::KillAfter => write!(f, " --after"),
            Blow::Fail(errno) => write!(f, " --errno {errno:?}"),
            Blow::Short => write!(f, " --errno SHORT"),
        }
    }
}

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether there was a call to strike.
    pub(crate) struck: bool,
    /// Whether the pull that heals was struck as well.
    pub(crate) twice: bool,
    pub(crate) wrong: Vec<String>,
    /// The call that was struck.
    pub(crate) victim: String,
}

/// What a scenario begins with: a directory, a disk, and the calls of a pull that nothing happens to.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) scenario: Scenario,
    pub(crate) directory: PathBuf,
    pub(crate) disk: PathBuf,
    pub(crate) calls: Vec<Call>,
    /// What the store has in the end, of a verb that changes what is here.
    pub(crate) left: BTreeSet<PathBuf>,
    /// What the names point to in the end.
    pub(crate) after: Names,
    /// What is written to, before and in the end.
    pub(crate) shots: Shots,
}

impl Base {
    /// Prepares a scenario below `at`.
    pub(crate) fn make(machine: &Machine, scenario: Scenario, at: &Path) -> Self {
        let (directory, disk) = (at.join(format!("{scenario:?}")), at.join(format!("{scenario:?}.ext4")));
        clear(&directory);
        scenario.prepare(machine, &directory);
        Disk::make(&disk, DISK_BYTES, DISK_OPTIONS);
        let mounted = Disk::mount(&disk, &machine.directory.join("disk"));
        if scenario != Scenario::Fresh {
            copy(&directory, &mounted.store());
            // A copy has no room of its own for more than is in it.
            let output = machine.run(machine.command(&mounted.store(), &["images"]));
            assert!(output.status.success(), "{}", said(&output));
        }
        rustix::mount::unmount(machine.directory.join("disk"), rustix::mount::UnmountFlags::empty())
            .expect("nobody uses it");
        let shots = Shots::learn(machine, scenario, &directory);
        let (left, after) = (BTreeSet::new(), scenario.after());
        let mut base = Self { scenario, directory, disk, calls: Vec::new(), left, after, shots };
        base.calls = base.trace(machine, &[]);
        let work = machine.directory.join("work");
        let found = named(machine, &work).expect("nothing happened to it");
        if let Some(made) = found.get(NEW_NAME) {
            base.after.insert(NEW_NAME, made.clone());
        }
        base.shots.learn_more(machine, &work);
        let output = machine.run(machine.collect(&work));
        assert!(output.status.success(), "{}", said(&output));
        base.left = contents(&work);
        base
    }

    /// Returns the calls of a run that nothing happens to.
    pub(crate) fn trace(&self, machine: &Machine, options: &[&str]) -> Vec<Call> {
        let work = self.start(machine);
        let mut command = self.scenario.command(machine, &work);
        command.args(options);
        let run = tracer::run(command, &work, None);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.calls
    }

    fn start(&self, machine: &Machine) -> PathBuf {
        let work = machine.place("work");
        if self.directory.exists() {
            copy(&self.directory, &work);
        }
        work
    }
}

/// Lists the cases of a scenario.
pub(crate) fn cases(base: &Base, kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for (point, call) in (1..).zip(&base.calls) {
        let mut add = |blow| cases.push(Case { kind, scenario: base.scenario, strike: Strike { point, blow } });
        match kind {
            Kind::Kill | Kind::Power => {
                add(Blow::Kill);
                if matches!(call.deed, Deed::Sync | Deed::Rename) {
                    add(Blow::KillAfter);
                }
            }
            Kind::Errno => {
                for errno in [Errno::EIO, Errno::ENOSPC, Errno::EROFS, Errno::EDQUOT] {
                    add(Blow::Fail(errno));
                }
                match call.deed {
                    Deed::Open => add(Blow::Fail(Errno::EMFILE)),
                    Deed::Write => add(Blow::Short),
                    _ => {}
                }
            }
            Kind::Full | Kind::Corrupt | Kind::Order => {}
        }
    }
    if kind == Kind::Power {
        // Past the last call: the power goes after the pull has said that all is well.
        for point in 1..=5 {
            let strike = Strike { point: base.calls.len() + 200 + point, blow: Blow::Kill };
            cases.push(Case { kind, scenario: base.scenario, strike });
        }
    }
    cases
}

/// Runs a case.
pub(crate) fn run(machine: &Machine, expected: &Expected, base: &Base, case: Case) -> Outcome {
    match case.kind {
        Kind::Power => power(machine, expected, base, case),
        _ => blow(machine, expected, base, case),
    }
}

/// Strikes a pull in a directory, while the machine stays up.
fn blow(machine: &Machine, expected: &Expected, base: &Base, case: Case) -> Outcome {
    let store = base.start(machine);
    let run = tracer::run(base.scenario.command(machine, &store), &store, Some(case.strike));
    let mut outcome = Outcome { struck: run.struck.is_some(), victim: run.victim(), ..Outcome::default() };
    if let Blow::Fail(errno) = case.strike.blow {
        outcome.wrong.extend(ended(&run));
        outcome.wrong.extend(swallowed(&run, errno, case.scenario));
    }
    if run.is_hung {
        outcome.wrong.push("it did not end".to_owned());
    }
    judge(machine, expected, base, &store, run.code == Some(0), &mut outcome);
    outcome.wrong.extend(heal(machine, expected, base, &store));
    outcome
}

/// Takes the power away from a pull on a disk, and for every second point from the pull that heals too. At two of three
/// points the kernel has written something of its own accord.
fn power(machine: &Machine, expected: &Expected, base: &Base, case: Case) -> Outcome {
    let (file, at) = (machine.directory.join("disk.ext4"), machine.directory.join("disk"));
    let disk = Disk::mount_copy(&base.disk, &file, &at);
    machine.restart();
    let store = disk.store();
    let run = tracer::run(base.scenario.command(machine, &store), &store, Some(case.strike));
    let point = case.strike.point;
    let disk = lose_power(disk, point);
    machine.restart();
    // Past the end is a point too: all was well.
    let mut outcome = Outcome { struck: true, victim: run.victim(), ..Outcome::default() };
    let is_done = run.code == Some(0);
    judge(machine, expected, base, &store, is_done, &mut outcome);
    if point.is_multiple_of(2) {
        // Some other call each time.
        let points = base.calls.len().min(SECOND_POINTS);
        let strike = Strike { point: 1 + point * 31 % points, blow: Blow::Kill };
        let run = tracer::run(base.scenario.next(machine, &store), &store, Some(strike));
        outcome.twice = run.struck.is_some();
        let disk = lose_power(disk, point + 1);
        machine.restart();
        // A collection that succeeds says nothing of the names.
        let is_done = is_done || base.scenario.is_pull() && run.code == Some(0);
        judge(machine, expected, base, &store, is_done, &mut outcome);
        outcome.wrong.extend(heal(machine, expected, base, &store));
        drop(disk);
    } else {
        outcome.wrong.extend(heal(machine, expected, base, &store));
    }
    outcome
}

/// Cuts the power, and gives it back, after what the kernel has written by then.
fn lose_power(disk: Disk, seed: usize) -> Disk {
    if !seed.is_multiple_of(3) {
        disk.write_back(seed);
    }
    disk.cut()
}

fn judge(machine: &Machine, expected: &Expected, base: &Base, store: &Path, is_done: bool, outcome: &mut Outcome) {
    if !store.exists() {
        // Nothing of it had come into being.
        return;
    }
    outcome.wrong.extend(base.shots.examine(machine, store, is_done));
    let (before, after) = (base.scenario.before(), base.after.clone());
    let allowed = if is_done { vec![after] } else { vec![before, after] };
    outcome.wrong.extend(expected.examine(machine, store, &allowed));
}

/// A sync that failed says that bytes may be lost. Nobody may go on as if they were there.
fn swallowed(run: &Run, errno: Errno, scenario: Scenario) -> Option<String> {
    let at = run.struck?;
    let call = run.calls.get(at)?;
    // The last that a prune records is that it has ended. What stays of that says nothing after a while. That it was
    // not recorded is written, too.
    let mut after = run.calls.iter().skip(at + 1);
    let is_end = scenario == Scenario::Pruned && after.all(|call| call.path.to_string_lossy().starts_with("metadata."));
    // SQLite does not look at what the sync of its directory says, which is that of the store.
    let is_minded = call.deed == Deed::Sync && call.path != Path::new("") && !is_end;
    // A layer of which no recipe could be written keeps its blob, and that is told.
    let is_told = scenario == Scenario::Retained && run.stderr.contains("stays compressed");
    // What is compressed on the way is nobody's: that it is gone again is no promise.
    let is_nobodys = scenario == Scenario::Compressed && call.path == Path::new("blobs/sha256");
    (is_minded && !is_told && !is_nobodys && run.code == Some(0)).then(|| format!("{errno:?} of a sync was not minded"))
}
