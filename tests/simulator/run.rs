//! One run: a scenario from a seed, carried out, and everything that was
//! promised looked at after each call, each crash and each recovery. At the end
//! the damage is healed by verbs, and the power goes once more.

use crate::{
    chronicle::Chronicle,
    collector::{collect, indexes, recorded, recorded_names, unneeded},
    dice::Dice,
    fate::Seeded,
    hub::{Hub, Mood},
    invariants::{Promise, Violation, check},
    memory::Memory,
    scenario::{Harm, Outside, Phase, Scenario},
    schedule::{Schedule, Turn},
    steps,
};
use futures_util::FutureExt;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};
use wharf_component::{host::Host as _, nouns::digest::Digest};

/// Virtual time after which a phase is taken to wait for something that never comes.
const PATIENCE_MS: u64 = 4 * 60 * 60 * 1000;
/// The same where something hangs, which is then ended as a person would do it.
const PATIENCE_HUNG_MS: u64 = 15 * 60 * 1000;
/// A call that sends more requests than this does not end.
const REQUESTS_MAX: u64 = 2_000;
/// What happens from outside has numbers from here on; processes have lower ones.
const OUTSIDE: u32 = 1_000_000;

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was not as it was promised.
    pub violations: Vec<Violation>,
    /// Stands for everything that happened.
    pub hash: u64,
    /// What happened, if that was wanted.
    pub lines: Vec<String>,
    /// The functions of `wit/images.wit` and `wit/records.wit` that were called.
    pub verbs: BTreeSet<&'static str>,
}

/// What everybody in a run shares.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) machine: Memory,
    pub(crate) hub: Hub,
    pub(crate) chronicle: Chronicle,
    pub(crate) fate: Rc<Seeded>,
    pub(crate) verbs: RefCell<BTreeSet<&'static str>>,
    violations: RefCell<Vec<Violation>>,
    /// How often records had been written when they were last looked at.
    written: Cell<u64>,
    /// Ingests that a crash may have left beside their blobs.
    orphans: RefCell<BTreeSet<String>>,
}

impl World {
    /// Notes a broken promise.
    pub(crate) fn broken(&self, promise: Promise, what: impl Into<String>) {
        let violation = Violation::new(promise, what);
        let mut violations = self.violations.borrow_mut();
        if !violations.contains(&violation) {
            self.fate.tell(self.machine.clock().now_ms(), "VIOLATION", || violation.to_string());
            violations.push(violation);
        }
    }

    /// Writes down something that is no call.
    pub(crate) fn tell(&self, who: &str, what: impl FnOnce() -> String) {
        self.fate.tell(self.machine.clock().now_ms(), who, what);
    }

    fn is_sound(&self) -> bool {
        self.violations.borrow().is_empty()
    }

    /// Whether a blob is there with the right bytes.
    pub(crate) fn is_whole(&self, digest: &Digest) -> bool {
        self.machine.content().bytes(digest.as_str()).is_some_and(|bytes| digest.verify(&bytes))
    }

    /// The blobs that were harmed and are wrong or gone now.
    fn wrong(&self) -> BTreeSet<Digest> {
        self.chronicle.excused().into_iter().filter(|digest| !self.is_whole(digest)).collect()
    }

    /// Notes which manifests are recorded, if that may have changed.
    pub(crate) fn note_records(&self) {
        let written = self.machine.records_written();
        if self.written.replace(written) != written {
            self.chronicle.recorded(recorded(&self.machine));
        }
    }

    /// Notes which indexes may have been made here: of what is composed comes what a registry has, too.
    pub(crate) fn note_composed(&self) {
        indexes(&self.machine).into_iter().for_each(|index| self.chronicle.composed(index));
    }

    /// What may get a name although no record names it: every document that there may be.
    pub(crate) fn recoverable(&self) -> BTreeSet<Digest> {
        let tags = self.hub.tags();
        let versions = tags.iter().flat_map(|tag| self.hub.versions(tag));
        let documents = versions
            .flat_map(|version| version.manifests.into_iter().map(|(_, manifest)| manifest).chain([version.target]));
        documents
            .chain(self.chronicle.all_composed())
            .chain(steps::all_imported())
            .chain(steps::all_committed())
            .collect()
    }

    /// Looks at everything that was promised.
    fn look(&self) {
        self.note_records();
        self.note_composed();
        for digest in self.fate.unreadable() {
            self.chronicle.harm(digest.parse().expect("blobs have digests"));
        }
        let wrong = self.wrong();
        for digest in self.chronicle.leases().blobs(self.machine.observer().now()) {
            if !self.is_whole(&digest) && !wrong.contains(&digest) {
                self.broken(Promise::Kept, format!("`{}` is not here, and a lease holds it", digest.short()));
            }
        }
        for flaw in self.hub.dock().flaws() {
            self.broken(Promise::Whole, flaw);
        }
        let expectation = self.chronicle.expectation(&self.hub, &wrong);
        let found = check(&self.machine.observer(), &expectation).now_or_never();
        for Violation { promise, what } in found.expect("an observer waits for nothing") {
            self.broken(promise, what);
        }
    }

    /// Notes what a crash may leave behind. Before anything is dropped.
    fn note_orphans(&self) {
        self.orphans.borrow_mut().extend(self.machine.content().ingests_held());
    }
}

/// Carries out the run of a seed. `is_told` says whether lines are written.
pub fn run(seed: u64, is_told: bool) -> Report {
    let fate = Rc::new(Seeded::new(seed, is_told));
    let told = fate.clone();
    let verbs = Rc::new(RefCell::new(BTreeSet::new()));
    let carried_out = verbs.clone();
    let outcome = catch_unwind(AssertUnwindSafe(move || carry_out(seed, fate, &carried_out)));
    let mut violations = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        vec![Violation::new(Promise::Ended, format!("a call trapped: {text}"))]
    });
    violations.sort();
    Report { violations, hash: told.hash(), lines: told.lines(), verbs: verbs.take() }
}

fn carry_out(seed: u64, fate: Rc<Seeded>, verbs: &RefCell<BTreeSet<&'static str>>) -> Vec<Violation> {
    let mut dice = Dice::new(seed, 1);
    let machine = Memory::default();
    machine.seed(seed);
    let hub = Hub::start(&machine, &mut dice);
    let scenario = Scenario::draw(&mut dice, &hub);
    let world = Rc::new(World {
        machine,
        hub,
        chronicle: Chronicle::default(),
        fate,
        verbs: RefCell::default(),
        violations: RefCell::default(),
        written: Cell::new(0),
        orphans: RefCell::default(),
    });
    for (number, phase) in scenario.phases.into_iter().enumerate() {
        world.tell("phase", || format!("{}: {}", number + 1, describe(&phase)));
        go_through(&world, phase, &mut dice);
        if !world.is_sound() {
            break;
        }
    }
    if world.is_sound() {
        heal(&world);
    }
    if world.is_sound() {
        power_goes(&world, &mut dice);
        world.look();
    }
    verbs.replace(world.verbs.take());
    world.machine.entrust(None);
    world.violations.take()
}

fn describe(phase: &Phase) -> String {
    let strikes: Vec<_> = phase.weather.strikes.iter().map(ToString::to_string).collect();
    let calm = if phase.is_calm { "calm" } else { "not calm" };
    format!(
        "{} processes, {calm}, waits to {} ms; {}{}",
        phase.works.len(),
        phase.weather.wait_ms_max,
        strikes.join(", "),
        if phase.ends_in_the_dark { "; the power goes at the end" } else { "" }
    )
}

/// Runs a phase until everybody is done or dead.
fn go_through(world: &Rc<World>, phase: Phase, dice: &mut Dice) {
    world.fate.begin(phase.weather);
    world.hub.be(phase.mood);
    world.machine.entrust(Some(world.fate.clone()));
    let (clock, begun_ms) = (world.machine.clock().clone(), world.machine.clock().now_ms());
    let (mut schedule, mut processes) = (Schedule::default(), Vec::new());
    // What was harmed in an earlier phase may still be.
    let is_calm = phase.is_calm && world.chronicle.harmed().is_empty();
    for work in phase.works {
        let process = world.machine.spawn();
        processes.push(process.clone());
        let (number, world) = (process.id(), world.clone());
        let live = async move {
            process.clock().sleep(work.delay_ms).await;
            for step in work.steps {
                steps::perform(&world, &process, step, is_calm).await;
            }
            if process.process().handles() > 0 {
                world.broken(Promise::Tidy, format!("process {number} holds handles after its calls"));
            }
        };
        schedule.add(number, live.boxed_local());
    }
    for (at, (wait_ms, outside)) in phase.outside.into_iter().enumerate() {
        let world = world.clone();
        let strike = async move {
            world.machine.clock().sleep(wait_ms).await;
            happen(&world, outside);
        };
        schedule.add(OUTSIDE + u32::try_from(at).expect("few things happen"), strike.boxed_local());
    }
    let everybody_dies = |schedule: &mut Schedule| {
        world.note_orphans();
        processes.iter().for_each(Memory::kill);
        schedule.numbers().into_iter().for_each(|number| schedule.drop_task(number));
    };
    loop {
        let turn = schedule.turn(&clock, dice);
        world.note_records();
        for killed in world.fate.killed() {
            world.note_orphans();
            processes.iter().filter(|process| process.id() == killed).for_each(Memory::kill);
            schedule.drop_task(killed);
            world.look();
        }
        if world.fate.is_cut() {
            everybody_dies(&mut schedule);
            power_goes(world, dice);
            break;
        }
        let patience_ms = if world.fate.has_hung() { PATIENCE_HUNG_MS } else { PATIENCE_MS };
        let is_stuck = turn == Turn::Stuck || clock.now_ms() > begun_ms + patience_ms;
        let sends = processes.iter().find(|process| world.fate.sent(process.id()) > REQUESTS_MAX);
        if let Some(process) = sends {
            world.broken(Promise::Ended, format!("process {} sends requests without an end", process.id()));
        }
        if is_stuck || sends.is_some() {
            if !world.fate.has_hung() && sends.is_none() {
                world.broken(Promise::Ended, "a call waits for something that never comes");
            }
            everybody_dies(&mut schedule);
            break;
        }
        match turn {
            Turn::Over => break,
            Turn::Done(number) if number < OUTSIDE => world.look(),
            _ => {}
        }
    }
    if phase.ends_in_the_dark && world.is_sound() && !world.fate.is_cut() {
        power_goes(world, dice);
    }
    world.look();
}

/// Nobody runs any more, and what is not synced may be lost.
fn power_goes(world: &World, dice: &mut Dice) {
    world.tell("machine", || "the power goes".to_owned());
    let returned = world.machine.cut(dice);
    world.orphans.borrow_mut().extend(returned);
}

/// What happens from outside.
fn happen(world: &World, outside: Outside) {
    match outside {
        Outside::Move(key, to) => {
            let (repository, tag) = key.split_once(':').expect("a repository and a tag");
            world.tell("registry", || format!("{key} moves to its version {to}"));
            world.hub.turn_to(repository, tag, to);
        }
        Outside::Harm(number, how) => {
            world.note_composed();
            let blobs = world.machine.content().visible().blobs;
            let Some((name, bytes)) = blobs.iter().nth(number % blobs.len().max(1)) else { return };
            let mut bytes = bytes.to_vec();
            match how {
                Harm::Flip if !bytes.is_empty() => {
                    let at = number % bytes.len();
                    bytes[at] ^= 4;
                }
                Harm::Half => bytes.truncate(bytes.len() / 2),
                _ => bytes.clear(),
            }
            world.tell("disk", || format!("{how:?} {name}"));
            world.machine.content().harm(name, &bytes);
            world.chronicle.harm(name.parse().expect("blobs have digests"));
        }
        Outside::Collect => {
            world.tell("collector", || "takes what nobody needs".to_owned());
            collect(&world.machine, &world.hub);
        }
    }
}

/// Finds damage and heals it with verbs, on a machine where nothing goes wrong.
fn heal(world: &Rc<World>) {
    world.tell("healing", String::new);
    world.hub.be(Mood::default());
    world.fate.begin(Default::default());
    let process = world.machine.spawn();
    let is_rotten =
        |digest: &Digest| world.machine.content().bytes(digest.as_str()).is_some() && !world.is_whole(digest);
    let rotten: BTreeSet<Digest> = world.chronicle.harmed().into_iter().filter(is_rotten).collect();
    if !rotten.is_empty() {
        let told = process.run(steps::damage(&process));
        for digest in rotten.difference(&told) {
            world.broken(Promise::Healed, format!("`{}` is damaged, and fsck does not tell it", digest.short()));
        }
    }
    // What no registry has cannot be brought again if it is damaged.
    let pulled = world.chronicle.names();
    let is_there = recorded_names(&world.machine);
    let mut made = world.chronicle.made();
    made.retain(|name| !pulled.contains(name) && is_there.contains(name));
    if !made.is_empty()
        && let Err(why) = process.run(steps::remove(world, &process, made))
    {
        world.broken(Promise::Healed, why);
    }
    for again in [false, true] {
        for name in world.chronicle.names() {
            if let Err(why) = process.run(steps::bring(world, &process, &name, again)) {
                world.broken(Promise::Healed, why);
            }
        }
        // What no name needs is not brought: a lease holds what was harmed, until `fsck` takes it away.
        let needed = steps::needed(world);
        world.chronicle.heal_all(|digest| needed.contains(digest.as_str()) || world.is_whole(digest));
        world.look();
    }
    // Everything is brought again, so nothing of it may lie about.
    let excused: BTreeSet<String> = world.orphans.borrow().union(&world.fate.undiscarded()).cloned().collect();
    let needed: BTreeSet<String> = steps::needed(world);
    let visible = world.machine.content().visible();
    for name in visible.ingests.keys() {
        // What a tree makes good for is not brought, and what has arrived of it waits for a collection.
        if needed.contains(name) && visible.blobs.contains_key(name) && !excused.contains(name) {
            world.broken(Promise::Tidy, format!("an ingest of `{name}` is left, which is here"));
        }
    }
    for ended in [process.run(steps::release_all(world, &process)), process.run(steps::forget_all(world, &process))] {
        if let Err(why) = ended {
            world.broken(Promise::Healed, why);
        }
    }
    if let Err(why) = process.run(steps::collect(world, &process)) {
        world.broken(Promise::Tidy, why);
    }
    for what in unneeded(&world.machine, &world.hub) {
        world.broken(Promise::Tidy, format!("{what} is left after a collection, and nothing needs it"));
    }
    if !world.machine.layers().visible().tops.is_empty() {
        world.broken(Promise::Tidy, "something that was written to is left after a collection, and nothing holds it");
    }
    let (private, debris) = world.machine.layers().private();
    if private > debris {
        world.broken(Promise::Tidy, "a private directory of a living process is left");
    }
    if debris > 0 {
        world.broken(Promise::Tidy, "a private directory of a dead process is left after a collection");
    }
    if process.process().handles() > 0 {
        world.broken(Promise::Tidy, "a process holds handles after its calls");
    }
}
