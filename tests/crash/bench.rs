//! Runs the cases on two machines at once, prints what was wrong and how to see it again, and counts.

use crate::Arguments;
use crate::check::{Expected, said};
use crate::corrupt::Sound;
use crate::images::{self, BYSTANDER, NAME, Version};
use crate::machine::{self, Machine};
use crate::points::{self, Base, Case, Kind, Outcome};
use crate::scenario::Scenario;
use crate::tracer::{Blow, Strike};
use crate::{full, order};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use wharf::demo::registry::Registry;

/// How many runs go on at once.
const WORKERS: usize = 2;
/// Of so many cases of each kind, one is run every time.
const SHARE: usize = 24;

/// What all runs share.
pub(crate) struct Bench<'a> {
    arguments: &'a Arguments,
    directory: PathBuf,
    expected: Expected,
    bases: Vec<Base>,
    sounds: Vec<Sound>,
}

/// What came of the cases of one kind.
#[derive(Debug, Default)]
struct Count {
    points: usize,
    twice: usize,
    wrong: usize,
}

impl<'a> Bench<'a> {
    /// Prepares everything in memory that goes with `work`.
    pub(crate) fn with<T>(arguments: &'a Arguments, work: impl FnOnce(&Self) -> T) -> T {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        machine::seclude(directory.path());
        let runtime = tokio::runtime::Runtime::new().expect("the machine gives threads");
        let entered = runtime.enter();
        let start = |version| Registry::start(images::images(version)).expect("the machine gives ports");
        let registries = [Version::Old, Version::New].map(start);
        drop(entered);
        let mut bench = Self {
            arguments,
            directory: directory.path().to_owned(),
            expected: Expected::default(),
            bases: Vec::new(),
            sounds: Vec::new(),
        };
        machine::describe(&bench.directory.join("registries"), registries.each_ref().map(Registry::address));
        let machine = bench.machine("first");
        for (name, version, target) in [
            (NAME, Version::Old, images::target(Version::Old)),
            (NAME, Version::New, images::target(Version::New)),
            (BYSTANDER, Version::New, images::bystander()),
        ] {
            let store = machine.place("reference");
            let output = machine.run(machine.pull(&store, name, version));
            assert!(output.status.success(), "{}", said(&output));
            bench.expected.learn(&machine, &store, target);
        }
        let store = machine.place("reference");
        let archive = machine.archive().to_str().expect("the path is text").to_owned();
        for command in [
            machine.pull(&store, NAME, Version::New),
            machine.command(&store, &["save", "--quiet", "--output", &archive, NAME]),
        ] {
            let output = machine.run(command);
            assert!(output.status.success(), "{}", said(&output));
        }
        for scenario in Scenario::ALL {
            let base = Base::make(&machine, scenario, &bench.directory);
            if scenario == Scenario::Committed {
                // The store that it was made in has it, and nothing that is higher.
                let made = base.after[images::NEW_NAME].clone();
                bench.expected.learn(&machine, &machine.directory.join("work"), made);
            }
            bench.bases.push(base);
        }
        for base in bench.bases.iter().filter(|base| [Scenario::Moved, Scenario::Resumed].contains(&base.scenario)) {
            bench.sounds.push(Sound::make(&machine, base.scenario, &base.directory, &bench.directory));
        }
        let done = work(&bench);
        rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::DETACH).expect("it was mounted");
        done
    }

    /// A machine for the calling thread.
    pub(crate) fn machine(&self, name: &str) -> Machine {
        Machine::new(self.directory.join(name), &self.directory.join("registries"), &self.arguments.program)
    }

    /// Runs what was asked for, prints what came of it, and returns whether anything was wrong.
    pub(crate) fn run(&self) -> bool {
        let cases = self.asked();
        let (next, counts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<Kind, Count>::new()));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for worker in 0..WORKERS {
                let (cases, next, counts) = (&cases, &next, &counts);
                scope.spawn(move || {
                    let machine = self.machine(&format!("worker {worker}"));
                    while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                        let outcome = self.case(&machine, *case);
                        tell(*case, &outcome);
                        let mut counts = counts.lock().expect("counting does not panic");
                        let count = counts.entry(case.kind).or_default();
                        count.points += usize::from(outcome.struck);
                        count.twice += usize::from(outcome.twice);
                        count.wrong += usize::from(!outcome.wrong.is_empty());
                    }
                });
            }
        });
        let counts = counts.into_inner().expect("counting does not panic");
        println!("{:<10}{:>8}{:>8}{:>12}", "kind", "points", "twice", "violations");
        for (kind, Count { points, twice, wrong }) in &counts {
            println!("{:<10}{points:>8}{twice:>8}{wrong:>12}", format!("{kind:?}").to_lowercase());
        }
        println!("{} s", begun.elapsed().as_secs());
        counts.values().any(|count| count.wrong > 0)
    }

    /// Runs one case.
    pub(crate) fn case(&self, machine: &Machine, case: Case) -> Outcome {
        let base = self.bases.iter().find(|base| base.scenario == case.scenario).expect("every scenario has a base");
        let sound = || self.sounds.iter().find(|sound| sound.scenario == case.scenario);
        let run = || match case.kind {
            Kind::Kill | Kind::Errno | Kind::Power => points::run(machine, &self.expected, base, case),
            Kind::Full => full::run(machine, &self.expected, base, case),
            Kind::Corrupt => sound().expect("it has cases").run(machine, &self.expected, case),
            Kind::Order => Outcome { struck: true, wrong: order::run(machine, base, case), ..Outcome::default() },
        };
        // What a check cannot even look at is wrong as well.
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            Outcome { wrong: vec![format!("the check panicked: {text}")], ..Outcome::default() }
        })
    }

    /// Every case of a kind.
    pub(crate) fn cases(&self, kind: Kind) -> Vec<Case> {
        let numbered = |scenario, count| {
            let case = move |point| Case { kind, scenario, strike: Strike { point, blow: Blow::Kill } };
            (1..=count).map(case).collect::<Vec<_>>()
        };
        match kind {
            Kind::Kill | Kind::Errno | Kind::Power => {
                self.bases.iter().flat_map(|base| points::cases(base, kind)).collect()
            }
            Kind::Full => {
                self.bases.iter().flat_map(|base| numbered(base.scenario, full::cases(base.scenario))).collect()
            }
            Kind::Corrupt => self.sounds.iter().flat_map(|sound| numbered(sound.scenario, sound.cases())).collect(),
            Kind::Order => {
                self.bases.iter().flat_map(|base| numbered(base.scenario, order::cases(base.scenario))).collect()
            }
        }
    }

    /// What was asked for.
    fn asked(&self) -> Vec<Case> {
        let Arguments { whole, kind, scenario, .. } = self.arguments;
        let kinds = Kind::ALL.into_iter().filter(|one| kind.is_none_or(|kind| kind == *one));
        let is_asked = |case: &Case| scenario.is_none_or(|scenario| scenario == case.scenario);
        if let Some(strike) = self.arguments.strike() {
            let kind = kind.unwrap_or(Kind::Kill);
            let case = |base: &Base| Case { kind, scenario: base.scenario, strike };
            return self.bases.iter().map(case).filter(is_asked).collect();
        }
        let some = |kind: Kind| {
            let cases: Vec<_> = self.cases(kind).into_iter().filter(is_asked).collect();
            let step = if *whole || kind == Kind::Order { 1 } else { SHARE };
            cases.into_iter().step_by(step)
        };
        kinds.flat_map(some).collect()
    }
}

/// Says what was wrong, and how to see it again.
fn tell(case: Case, outcome: &Outcome) {
    if outcome.wrong.is_empty() {
        return;
    }
    let mut text = format!("violation: {}\n", outcome.victim);
    outcome.wrong.iter().for_each(|wrong| text.push_str(&format!("  {wrong}\n")));
    println!("{text}  again: cargo test --release --test crash -- {case}");
}
