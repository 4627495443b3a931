//! What happens in a run, drawn from its seed: the processes and what each of
//! them asks for, the weather, and what goes wrong from outside. Drawing it
//! does nothing.

mod changes;
mod pushes;
pub mod records;
pub mod snapshots;

use crate::{
    dice::Dice,
    fate::{Strike, Weather, What, When},
    hub::{AUTHORITY, Hub, Mood, PLATFORMS},
    memory::process::Call,
};
use std::fmt;
use wharf_component::verbs::contract::{Access, Change, Edit, PullOptions, Retention, Wanted};

pub use pushes::Pushing;

/// What somebody asks for: one of the verbs, with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `images.pull`, and after how many events the listener leaves.
    Pull(String, PullOptions, Option<usize>),
    /// `images.plan-pull`.
    PlanPull(String, PullOptions),
    /// `images.plan-pull`, and so many milliseconds later `images.pull-planned`.
    PullPlanned(String, PullOptions, u64),
    /// `images.entries`.
    Entries(Vec<String>),
    /// `images.inspect`.
    Inspect(String),
    /// `images.unpack`, and for which platform.
    Unpack(String, Option<String>),
    /// `images.history`.
    History(String),
    /// `images.save`.
    Save(String),
    /// `images.push`, to the dock, and after how many events the listener leaves.
    Push(String, Pushing, Option<usize>),
    /// `images.plan-push`.
    PlanPush(String),
    /// `images.copy`, to the dock.
    Copy(String),
    /// `images.plan-copy`, to the dock.
    PlanCopy(String),
    /// `images.save`, and so many milliseconds later `images.load` under other names; after how many events the
    /// listener leaves.
    Load(String, Vec<String>, u64, Option<usize>),
    /// `images.import` of so many words under a name, or `images.import-from`; after how many events the listener leaves.
    Import(String, usize, bool, Option<usize>),
    /// `images.compose`.
    Compose(String, Edit),
    /// `images.manifest`.
    Manifest(String),
    /// `images.explain`.
    Explain(String),
    /// `images.check-login`.
    CheckLogin,
    /// `images.tags`.
    Tags(String),
    /// `images.catalog`.
    Catalog,
    /// `images.search`.
    Search(String),
    /// `images.referrers`.
    Referrers(String),
    /// `images.fsck`, whether to repair what is damaged, and whether to give names to what has none.
    Fsck(Vec<String>, bool, bool),
    /// `images.perform`, and after how many events the listener leaves.
    Perform(Change, Option<usize>),
    /// `images.plan-change`.
    PlanChange(Change),
    /// `images.plan-change`, and so many milliseconds later `images.apply`.
    Apply(Change, u64),
    /// `images.retain-by-default`.
    RetainByDefault(Option<Retention>),
    /// `images.disk-usage`.
    DiskUsage,
    /// `images.leases`.
    Leases,
    /// `images.hold`: an ID, a reference, and for how many seconds.
    Hold(String, String, Option<u64>),
    /// `images.release`.
    Release(Vec<String>),
    /// `images.ingests`.
    Ingests,
    /// `images.discard`.
    Discard(Vec<String>),
    /// `images.label`.
    Label(String, Vec<(String, Option<String>)>),
    /// `images.watch`, and after how many events the listener leaves.
    Watch(Option<usize>),
    /// A function of `records`.
    Record(records::Request),
    /// A function of `snapshots`.
    Snapshot(snapshots::Act),
}

impl Step {
    /// The function of `wit/images.wit` or `wit/records.wit` that it calls.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Pull(..) => "pull",
            Self::PlanPull(..) | Self::PullPlanned(..) => "plan-pull",
            Self::Entries(_) => "entries",
            Self::Inspect(_) => "inspect",
            Self::Unpack(..) => "unpack",
            Self::History(_) => "history",
            Self::Save(_) => "save",
            Self::Push(..) => "push",
            Self::PlanPush(_) => "plan-push",
            Self::Copy(_) => "copy",
            Self::PlanCopy(_) => "plan-copy",
            Self::Load(..) => "load",
            Self::Compose(..) => "compose",
            Self::Manifest(_) => "manifest",
            Self::Import(_, _, false, _) => "import",
            Self::Import(_, _, true, _) => "import-from",
            Self::Explain(_) => "explain",
            Self::CheckLogin => "check-login",
            Self::Tags(_) => "tags",
            Self::Catalog => "catalog",
            Self::Search(_) => "search",
            Self::Referrers(_) => "referrers",
            Self::Fsck(..) => "fsck",
            Self::Perform(..) => "perform",
            Self::PlanChange(_) | Self::Apply(..) => "plan-change",
            Self::RetainByDefault(_) => "retain-by-default",
            Self::DiskUsage => "disk-usage",
            Self::Leases => "leases",
            Self::Hold(..) => "hold",
            Self::Release(_) => "release",
            Self::Ingests => "ingests",
            Self::Discard(_) => "discard",
            Self::Label(..) => "label",
            Self::Watch(_) => "watch",
            Self::Record(request) => request.verb(),
            Self::Snapshot(act) => act.verb(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        match self {
            Self::Pull(reference, options, leave) => {
                write!(f, " {reference} {}", told(options))?;
                leave.map_or(Ok(()), |events| write!(f, ", until {events} events"))
            }
            Self::PlanPull(reference, options) => write!(f, " {reference} {}", told(options)),
            Self::PullPlanned(reference, options, wait_ms) => {
                write!(f, " {reference} {}, carried out {wait_ms} ms later", told(options))
            }
            Self::Entries(filters) => write!(f, " {}", filters.join(" ")),
            Self::Inspect(reference) | Self::History(reference) | Self::Explain(reference) => write!(f, " {reference}"),
            Self::Manifest(reference) => write!(f, " {reference}"),
            Self::Compose(name, edit) => write!(f, " {name} {edit:?}"),
            Self::Search(reference) | Self::Referrers(reference) => write!(f, " {reference}"),
            Self::Tags(reference)
            | Self::Save(reference)
            | Self::PlanPush(reference)
            | Self::Copy(reference)
            | Self::PlanCopy(reference) => {
                write!(f, " {reference}")
            }
            Self::Push(reference, pushing, leave) => {
                write!(f, " {reference}{pushing}")?;
                leave.map_or(Ok(()), |events| write!(f, ", until {events} events"))
            }
            Self::Load(reference, names, wait_ms, _) => {
                write!(f, " {reference} as {}, {wait_ms} ms later", names.join(" "))
            }
            Self::Import(name, words, ..) => write!(f, " {words} words as {name}"),
            Self::Unpack(reference, platform) => write!(f, " {reference} {}", platform.as_deref().unwrap_or_default()),
            Self::CheckLogin | Self::Catalog | Self::DiskUsage | Self::Leases | Self::Ingests | Self::Watch(_) => {
                Ok(())
            }
            Self::RetainByDefault(retention) => write!(f, " {retention:?}"),
            Self::Record(request) => request.fmt(f),
            Self::Snapshot(act) => act.fmt(f),
            Self::Hold(id, reference, seconds) => write!(f, " {id} {reference} {seconds:?}"),
            Self::Release(which) | Self::Discard(which) => write!(f, " {}", which.join(" ")),
            Self::Label(reference, labels) => write!(f, " {reference} {labels:?}"),
            Self::Fsck(references, repair, rebuild) => {
                write!(f, " {} repair={repair} rebuild={rebuild}", references.join(" "))
            }
            Self::Perform(change, leave) => {
                write!(f, " {change:?}")?;
                leave.map_or(Ok(()), |events| write!(f, ", until {events} events"))
            }
            Self::PlanChange(change) => write!(f, " {change:?}"),
            Self::Apply(change, wait_ms) => write!(f, " {change:?}, carried out {wait_ms} ms later"),
        }
    }
}

fn told(options: &PullOptions) -> String {
    let wanted = match &options.wanted {
        Wanted::Machine => "machine".to_owned(),
        Wanted::These(platforms) => platforms.join(","),
        Wanted::All => "all".to_owned(),
    };
    let all_tags = if options.all_tags { " all-tags" } else { "" };
    let retain = options.retention.map(|retention| format!(" retain={retention}")).unwrap_or_default();
    format!("{wanted}{all_tags} unpack={}{retain} at-once={}", options.unpack, options.concurrent_downloads)
}

/// What happens from outside, and when in milliseconds after the phase began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// A tag comes to point to this one of its versions.
    Move(String, usize),
    /// A blob's bytes change on the disk: one of those that are there, by number.
    Harm(usize, Harm),
    /// What nobody needs is collected.
    Collect,
}

/// How a disk changes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// One bit is another.
    Flip,
    /// Only the first half is left.
    Half,
    /// Nothing is left.
    Empty,
}

/// One process: how long it waits before it begins, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// In milliseconds.
    pub delay_ms: u64,
    /// One after the other.
    pub steps: Vec<Step>,
}

/// What happens until everybody is done or the power goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The processes.
    pub works: Vec<Work>,
    /// How calls go.
    pub weather: Weather,
    /// How the registry answers.
    pub mood: Mood,
    /// In no order.
    pub outside: Vec<(u64, Outside)>,
    /// Whether the power goes when everybody is done.
    pub ends_in_the_dark: bool,
    /// Whether nothing happens that a pull may fail of.
    pub is_calm: bool,
}

/// Everything that is drawn from a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// One after the other.
    pub phases: Vec<Phase>,
}

impl Scenario {
    /// Draws one.
    pub fn draw(dice: &mut Dice, hub: &Hub) -> Self {
        let temper = dice.below(100);
        let count = 1 + dice.below(3);
        let mut phases: Vec<Phase> = (0..count).map(|at| phase(dice, hub, temper, at)).collect();
        // Of four runs one has a client of containerd in it; the others are as they were without one.
        let mut aside = dice.aside();
        if aside.chance(1, 4) {
            let at = aside.below(phases.len());
            for _ in 0..=aside.below(2) {
                let steps = records::steps(&mut aside, hub);
                phases[at].works.push(Work { delay_ms: aside.below(3_000) as u64, steps });
            }
            for _ in 0..(if aside.chance(1, 2) { 2 } else { 0 }) {
                let steps = snapshots::steps(&mut aside);
                phases[at].works.push(Work { delay_ms: aside.below(1_000) as u64, steps });
            }
        }
        Self { phases }
    }
}

fn phase(dice: &mut Dice, hub: &Hub, temper: usize, at: usize) -> Phase {
    // Of a hundred seeds, 30 are calm, 45 have crashes, 10 have errors and 15 have all of it.
    let (crashes, errors) = match temper {
        0..30 => (false, false),
        30..75 => (true, false),
        75..85 => (false, true),
        _ => (true, true),
    };
    // In half of the phases much is changed, and not only pulled.
    let eagerness = if dice.chance(1, 2) { 2 } else { 5 };
    let processes = if at == 0 { 2 + dice.below(4) } else { 1 + dice.below(3) };
    let works: Vec<Work> = (0..processes)
        .map(|_| {
            let reach = if dice.chance(1, 2) { 20 } else { 3_000 };
            let (delay_ms, steps) = (dice.below(reach) as u64, 1 + dice.below(3));
            Work { delay_ms, steps: (0..steps).map(|_| step(dice, hub, eagerness)).collect() }
        })
        .collect();
    let mut strikes = Vec::new();
    if crashes {
        let (kills, has_cut) = (dice.below(3), dice.chance(1, 3));
        strikes.extend((0..kills).map(|_| Strike { when: moment(dice), what: What::Kill }));
        strikes.extend(has_cut.then(|| Strike { when: moment(dice), what: What::Cut }));
    }
    if errors {
        for _ in 0..=dice.below(3) {
            let what = match dice.below(8) {
                0 => What::Hang,
                1 => What::Slow(dice.below(600_000) as u64),
                _ => What::Error,
            };
            strikes.push(Strike { when: moment(dice), what });
        }
    }
    let is_calm = !crashes && !errors;
    let waits = [0, 2, 10, 60];
    let weather =
        Weather { wait_ms_max: *dice.pick(&waits), slow_one_in: if dice.chance(1, 3) { 30 } else { 0 }, strikes };
    let tags = hub.tags();
    let mut outside = Vec::new();
    for _ in 0..dice.below(4) {
        outside.push((dice.below(6_000) as u64, Outside::Move(dice.pick(&tags).clone(), dice.below(4))));
    }
    for _ in 0..dice.below(6) {
        outside.push((dice.below(6_000) as u64, Outside::Collect));
    }
    if !is_calm || dice.chance(1, 4) {
        for _ in 0..dice.below(3) {
            let harm = *dice.pick(&[Harm::Flip, Harm::Half, Harm::Empty]);
            outside.push((dice.below(6_000) as u64, Outside::Harm(dice.below(1_000), harm)));
        }
    }
    let is_harmed = outside.iter().any(|(_, outside)| matches!(outside, Outside::Harm(..)));
    let broken = (!is_calm && dice.chance(1, 6)).then(|| {
        let versions = hub.versions(dice.pick::<String>(&tags));
        let blobs = &versions[0].blobs;
        dice.pick(blobs).clone()
    });
    Phase {
        works,
        weather,
        mood: Mood {
            wrong_one_in: *dice.pick(&[0, 2, 6]),
            wrong_max: if is_calm { 1 } else { 6 },
            spoilt_max: if is_calm { 1 } else { 4 },
            ignores_range: dice.chance(1, 8),
            token_ms: if dice.chance(1, 2) { Some(4_000 + dice.below(4_000) as u64) } else { None },
            broken,
        },
        outside,
        ends_in_the_dark: crashes && dice.chance(1, 2),
        is_calm: is_calm && !is_harmed,
    }
}

/// Early moments are drawn more often than late ones, and those at which a crash
/// makes a difference more often than others.
fn moment(dice: &mut Dice) -> When {
    const DELICATE: [Call; 21] = [
        Call::CommitIngest,
        Call::Synced,
        Call::Renamed,
        Call::Named,
        Call::Append,
        Call::Discard,
        Call::Sync,
        Call::Unpack,
        Call::Describe,
        Call::Described,
        Call::Stack,
        Call::SyncLayers,
        Call::LayersSynced,
        Call::Commit,
        Call::Committed,
        Call::Ingest,
        Call::Claim,
        Call::RemoveClaimed,
        Call::ClaimTrees,
        Call::RemoveTrees,
        Call::Removed,
    ];
    match dice.chance(1, 2) {
        true => {
            let reach = 1 << dice.below(5);
            When::Kind(*dice.pick(&DELICATE), 1 + dice.below(reach) as u64)
        }
        false => {
            let reach = 8 << dice.below(7);
            When::Call(1 + dice.below(reach) as u64)
        }
    }
}

/// Of so many steps, `eagerness`, one is about changes.
fn step(dice: &mut Dice, hub: &Hub, eagerness: usize) -> Step {
    if dice.chance(1, eagerness) {
        return changes::step(dice, hub);
    }
    let tags = hub.tags();
    let tag = dice.pick(&tags).clone();
    let name = format!("{AUTHORITY}/{tag}");
    let (repository, _) = name.rsplit_once(':').expect("a tag follows");
    match dice.below(20) {
        0..11 => {
            let mut options = options(dice);
            options.all_tags = dice.chance(1, 12);
            let reference = match dice.below(8) {
                _ if options.all_tags => repository.to_owned(),
                0 => format!("{repository}@{}", dice.pick(&hub.versions(&tag)).target),
                _ => name,
            };
            let leave = dice.chance(1, 12).then(|| 1 + dice.below(30));
            Step::Pull(reference, options, leave)
        }
        11 => {
            let mut options = options(dice);
            options.all_tags = dice.chance(1, 6);
            let reference = if options.all_tags { repository.to_owned() } else { name };
            match dice.chance(1, 3) {
                true => Step::PlanPull(reference, options),
                false => Step::PullPlanned(reference, options, dice.below(3_000) as u64),
            }
        }
        12 => match dice.below(3) {
            0 if dice.aside().chance(1, 2) => changes::compose(&mut dice.aside(), hub),
            0 => Step::Entries(Vec::new()),
            1 => Step::Entries(vec![format!("reference={AUTHORITY}/*")]),
            _ => Step::Tags(repository.to_owned()),
        },
        13 if dice.chance(3, 4) => match dice.below(8) {
            0 | 7 => Step::PlanPush(name),
            1 | 2 if dice.aside().chance(1, 6) => Step::PlanCopy(name),
            1 | 2 => Step::Copy(name),
            draw => {
                let platform = (draw < 5).then(|| (*dice.pick(&PLATFORMS)).to_owned());
                let leave = dice.chance(1, 12).then(|| 1 + dice.below(20));
                let (reference, pushing) = pushes::draw(&mut dice.aside(), name, platform);
                Step::Push(reference, pushing, leave)
            }
        },
        13 => match dice.below(3) {
            0 => Step::Inspect(name),
            1 => Step::Manifest(name),
            _ => changes::compose(dice, hub),
        },
        14..16 => Step::Unpack(name, dice.chance(1, 4).then(|| (*dice.pick(&PLATFORMS)).to_owned())),
        16 => match dice.below(9) {
            0 | 1 => Step::Save(name),
            2..5 => changes::load(dice, name),
            5..8 => changes::import(dice),
            _ => Step::History(name),
        },
        17 => match dice.below(5) {
            0 => Step::Explain(name),
            1 => Step::CheckLogin,
            2 => Step::Search(repository.to_owned()),
            3 => Step::Referrers(name),
            _ => Step::Catalog,
        },
        _ => {
            let references = if dice.chance(1, 3) { vec![name] } else { Vec::new() };
            let repair = dice.chance(1, 2);
            Step::Fsck(references, repair, dice.aside().chance(1, 3))
        }
    }
}

fn options(dice: &mut Dice) -> PullOptions {
    let wanted = match dice.below(6) {
        0 => Wanted::All,
        1 => Wanted::These(vec![(*dice.pick(&PLATFORMS)).to_owned()]),
        2 => Wanted::These(PLATFORMS.map(str::to_owned).to_vec()),
        _ => Wanted::Machine,
    };
    let (concurrent, unpack) = (1 + dice.below(4), dice.chance(1, 2));
    let mut aside = dice.aside();
    // What is not extracted cannot be kept unpacked.
    let retention = aside.chance(1, 10).then(|| match unpack {
        true => changes::retention(&mut aside),
        false => Retention::Both,
    });
    PullOptions {
        wanted,
        all_tags: false,
        concurrent_downloads: u32::try_from(concurrent).expect("it is below 5"),
        unpack,
        retention,
        access: Access::default(),
    }
}
