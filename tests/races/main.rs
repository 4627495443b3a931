//! Sixteen processes on one store: each does what its dice say, some are killed, and what they saw is judged as a whole.
//! A program of its own: `cargo test --test races` runs a share, and with `-- --whole` at least 100 000 operations. A map:
//!
//! - `world`, `registry`: the images, and where they come from; tags move all the time.
//! - `worker`, `failed`: one process, which is this program again, and how its operations fail.
//! - `history`: what it writes down. `checker`, `register`: what may not be.
//! - `referee`: the store when everybody has gone.
//! - `pruning`: a prune beside four pulls, for so long; `-- --prune-beside-pulls SECONDS` runs that alone.
//!
//! A seed gives the same choices again, and not the same order: that is the kernel's. It takes the rights of root, for
//! mounts in a namespace of its own.

#![allow(clippy::disallowed_methods, reason = "tests take the authority that they hand to the code under test")]

mod checker;
mod failed;
mod history;
#[path = "../native.rs"]
mod native;
mod pruning;
mod referee;
mod register;
mod registry;
mod worker;
mod world;

use history::{Event, Moment, Outcome};
use registry::Registry;
use rustix::thread::UnshareFlags;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use worker::Assignment;
use world::Dice;

/// What belongs into every run of the tests.
const SHARE_OPERATIONS: usize = 2_000;
/// What `--whole` does.
const WHOLE_OPERATIONS: usize = 100_000;
/// After so many operations everybody stops, the store is looked at, and the next one is begun.
const ROUND_OPERATIONS: usize = 5_000;
/// How many processes there are.
const WORKERS: usize = 16;
/// Somebody is killed after so long, in milliseconds.
const KILL_MS: std::ops::Range<u64> = 20..250;
/// How often it is looked who has ended.
const LOOK: Duration = Duration::from_millis(3);
/// Nothing here takes so long that is not stuck.
const PATIENCE: Duration = Duration::from_secs(300);

/// Reads the clock that all processes of the machine share.
fn clock() -> Moment {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let positive = |part: i64| u64::try_from(part).expect("the machine started before now");
    positive(now.tv_sec) * 1_000_000_000 + positive(now.tv_nsec)
}

/// What was typed.
#[derive(Clone, Debug)]
struct Arguments {
    seed: u64,
    operations: usize,
    workers: usize,
    /// For how long there is a prune beside four pulls.
    seconds: u64,
    /// Set in a process that this program started.
    assignment: Option<Assignment>,
    /// The same, in one of those that prune and pull.
    part: Option<pruning::Part>,
    /// Whether there is nothing to run.
    is_empty: bool,
}

/// Reads the arguments; those that `cargo test` passes to any test are taken and mean what they can.
///
/// Fails with a sentence for a person.
fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let seed = std::hash::RandomState::new().hash_one(0);
    let mut read = Arguments {
        seed,
        operations: SHARE_OPERATIONS,
        workers: WORKERS,
        seconds: pruning::SHARE_S,
        assignment: None,
        part: None,
        is_empty: false,
    };
    let number = |word: &str, value: Option<String>| -> Result<u64, String> {
        value.and_then(|text| text.parse().ok()).ok_or(format!("`{word}` takes a number"))
    };
    let count = |number: u64| usize::try_from(number).map_err(|_| "that is too many".to_owned());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seed" => read.seed = number(&word, words.next())?,
            "--operations" => read.operations = count(number(&word, words.next())?)?,
            "--workers" => read.workers = count(number(&word, words.next())?)?,
            "--whole" => (read.operations, read.seconds) = (WHOLE_OPERATIONS, pruning::WHOLE_S),
            "--prune-beside-pulls" => (read.operations, read.seconds) = (0, number(&word, words.next())?),
            "--beside" => {
                let mut next = || words.next().ok_or("one that prunes or pulls takes five arguments");
                let (store, registry) = (next()?, next()?);
                let mut next = || number(&word, words.next());
                let (at, seed, seconds) = (count(next()?)?, next()?, next()?);
                read.part = Some(pruning::Part { store, registry, number: at, seed, seconds });
            }
            "--worker" => {
                let mut next = || words.next().ok_or("a worker takes six arguments");
                let directory = PathBuf::from(next()?);
                let registry = next()?;
                let mut next = || number(&word, words.next());
                let (worker, generation) = (count(next()?)?, count(next()?)?);
                let (seed, operations) = (next()?, count(next()?)?);
                read.assignment = Some(Assignment { directory, worker, generation, registry, seed, operations });
            }
            "--list" => read.is_empty = true,
            "--test-threads" | "--format" | "--color" | "--skip" | "-Z" => drop(words.next()),
            _ if word.starts_with('-') => {}
            // A filter: there is one test here.
            filter => read.is_empty |= !"races".contains(filter),
        }
    }
    Ok(read)
}

fn main() -> ExitCode {
    // The workers are this program too, and have the same environment.
    #[cfg(feature = "planted")]
    if let Ok(name) = std::env::var("WHARF_PLANTED") {
        assert!(wharf::planted::plant(&name), "`{name}` is no fault that can be planted");
    }
    let read = match arguments(std::env::args().skip(1)) {
        Ok(read) => read,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    if let Some(assignment) = &read.assignment {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the machine gives a runtime").block_on(worker::work(assignment));
        return ExitCode::SUCCESS;
    }
    if let Some(part) = &read.part {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let count = runtime.expect("the machine gives a runtime").block_on(pruning::work(part));
        println!("{}", serde_json::to_string(&count).expect("numbers and texts"));
        return ExitCode::SUCCESS;
    }
    if read.is_empty {
        return ExitCode::SUCCESS;
    }
    if let Err(why) = apart() {
        eprintln!("error: the races need a namespace of mounts of their own, which takes root: {why}");
        return ExitCode::from(101);
    }
    let command = format!(
        "cargo test --release --test races -- --seed {} --operations {} --workers {}",
        read.seed, read.operations, read.workers
    );
    println!("races: {command}");
    let (mut tally, began) = (Tally::default(), Instant::now());
    let mut dice = Dice::new(read.seed);
    while tally.operations < read.operations {
        let operations = (read.operations - tally.operations).min(ROUND_OPERATIONS);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let violations = round(&mut tally, directory.path(), &mut dice, operations, read.workers);
        if !violations.is_empty() {
            fs::write(directory.path().join("violations"), violations.join("\n")).expect("a file for what is wrong");
            let shown: String = violations.iter().take(10).fold(String::new(), |mut text, why| {
                let _ = writeln!(text, "violation: {why}");
                text
            });
            eprintln!(
                "{shown}{} violations; they, the store and the logs stay in `{}`",
                violations.len(),
                directory.keep().display()
            );
            eprintln!("the same choices again: {command}");
            return ExitCode::from(101);
        }
        if tally.operations < read.operations {
            println!("races: {} operations, {:.0} s", tally.operations, began.elapsed().as_secs_f64());
        }
    }
    if read.operations > 0 {
        println!("{}", tally.text(began.elapsed()));
    }
    prune_beside_pulls(&mut dice, read.seed, read.seconds)
}

/// Has a prune run beside four pulls, and says what came of it.
fn prune_beside_pulls(dice: &mut Dice, seed: u64, seconds: u64) -> ExitCode {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let count = pruning::run(directory.path(), dice, seconds, clock);
    println!("{}", count.text(seconds));
    if count.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    for why in count.violations.iter().take(10) {
        eprintln!("violation: {why}");
    }
    eprintln!("the store stays in `{}`", directory.keep().display());
    eprintln!("again: cargo test --release --test races -- --seed {seed} --prune-beside-pulls {seconds}");
    ExitCode::from(101)
}

/// Enters a namespace of mounts, so that those of workers that are killed go with the last of them.
fn apart() -> rustix::io::Result<()> {
    // SAFETY: this is the only thread, and no directory or file table is unshared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    use rustix::mount::MountPropagationFlags;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

/// What was done in all rounds.
#[derive(Debug, Default)]
struct Tally {
    operations: usize,
    rounds: usize,
    killed: usize,
    moves: usize,
    /// How often a tag was pushed or copied.
    pushed: usize,
    /// By kind and outcome.
    kinds: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, event: &Event) {
        self.operations += 1;
        let kind = event.operation.kind();
        let outcome = match &event.outcome {
            Outcome::Done(_) => "done",
            Outcome::Failed { code, .. } => code,
            Outcome::Killed => "killed",
        };
        *self.kinds.entry(format!("{kind}: {outcome}")).or_default() += 1;
    }

    fn text(&self, took: Duration) -> String {
        let Self { operations, rounds, killed, moves, pushed, kinds } = self;
        let lines: String = kinds.iter().fold(String::new(), |mut text, (kind, count)| {
            let _ = writeln!(text, "  {count:6} {kind}");
            text
        });
        format!(
            "{lines}races: {operations} operations in {rounds} rounds, {killed} processes killed, {moves} tags moved, \
             {pushed} tags pushed, 0 violations, {:.0} s, {:.0} operations a second",
            took.as_secs_f64(),
            *operations as f64 / took.as_secs_f64()
        )
    }
}

/// The place of one worker.
struct Seat {
    child: Child,
    assignment: Assignment,
}

/// Starts a worker.
fn seat(assignment: Assignment) -> Seat {
    let errors = File::create(assignment.log().with_extension("err")).expect("a file for what it says");
    let child = Command::new(std::env::current_exe().expect("the path of this program"))
        .arg("--worker")
        .arg(&assignment.directory)
        .arg(&assignment.registry)
        .args([assignment.worker, assignment.generation].map(|number| number.to_string()))
        .args([assignment.seed.to_string(), assignment.operations.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .expect("this program starts again");
    Seat { child, assignment }
}

/// Runs operations on a new store, and returns what is wrong.
fn round(tally: &mut Tally, directory: &Path, dice: &mut Dice, operations: usize, workers: usize) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("the machine gives a runtime");
    let started = runtime.block_on(Registry::start(dice.below(u64::MAX), clock));
    let registry = started.expect("the machine gives a port");
    fs::create_dir(directory.join("store")).expect("a directory");
    let (mut events, mut violations) = run(tally, directory, dice, &registry, operations, workers);
    events.iter().for_each(|event| tally.add(event));
    tally.rounds += 1;
    let log = registry.log();
    tally.moves += log.moves.len();
    tally.pushed += log.pushed.len();
    let store = directory.join("store");
    events.push(referee::last(&runtime, &store, &registry));
    violations.extend(checker::violations(&events, &log));
    violations.extend(referee::look(&runtime, &store, &registry, &events));
    violations
}

/// Lets the workers run, kills some, and returns what happened.
fn run(
    tally: &mut Tally,
    directory: &Path,
    dice: &mut Dice,
    registry: &Registry,
    operations: usize,
    workers: usize,
) -> (Vec<Event>, Vec<String>) {
    let assigned = |worker: usize, generation, seed, operations| Assignment {
        directory: directory.to_owned(),
        worker,
        generation,
        registry: registry.address().to_string(),
        seed,
        operations,
    };
    let mut seats: Vec<Seat> = (0..workers)
        .map(|worker| {
            let operations = operations / workers + usize::from(worker < operations % workers);
            seat(assigned(worker, 0, dice.below(u64::MAX), operations))
        })
        .collect();
    let (mut events, mut violations) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let mut next_kill = began + wait(dice);
    while !seats.is_empty() {
        std::thread::sleep(LOOK);
        let is_kill = Instant::now() >= next_kill;
        if is_kill {
            let victim = dice.below(seats.len() as u64);
            let victim = &mut seats[usize::try_from(victim).expect("there are few")];
            // It may have ended by itself.
            let _ = victim.child.kill();
            next_kill = Instant::now() + wait(dice);
        }
        let mut still = Vec::new();
        for Seat { mut child, assignment } in seats {
            let Some(status) = child.try_wait().expect("it is a child") else {
                still.push(Seat { child, assignment });
                continue;
            };
            let log = fs::read_to_string(assignment.log()).unwrap_or_default();
            let done = match history::read(assignment.worker, &log, clock()) {
                Ok(done) => done,
                Err(why) => return (events, vec![format!("the log of {assignment:?}: {why}")]),
            };
            let left = assignment.operations.saturating_sub(done.len());
            events.extend(done);
            if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
                tally.killed += 1;
                if left > 0 {
                    still.push(seat(assigned(
                        assignment.worker,
                        assignment.generation + 1,
                        dice.below(u64::MAX),
                        left,
                    )));
                }
            } else if !status.success() {
                let said = fs::read_to_string(assignment.log().with_extension("err")).unwrap_or_default();
                violations.push(format!("a worker ended with {status}: {said}"));
            }
        }
        seats = still;
        if began.elapsed() > PATIENCE {
            seats.iter_mut().for_each(|seat| drop(seat.child.kill()));
            violations.push(format!("the round is not over after {PATIENCE:?}"));
            return (events, violations);
        }
    }
    (events, violations)
}

fn wait(dice: &mut Dice) -> Duration {
    Duration::from_millis(KILL_MS.start + dice.below(KILL_MS.end - KILL_MS.start))
}
