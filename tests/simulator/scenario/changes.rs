//! The changes that somebody asks for, drawn from a seed.

use super::Step;
use crate::{
    dice::Dice,
    hub::{AUTHORITY, FILE_WORDS, Hub, PLATFORMS},
};
use wharf_component::verbs::contract::{
    Change, Collecting, Edit, Member, Pruning, Removal, Retaining, Retention, Tagging, Wording,
};

/// So many names are made that no registry has.
const MADE: usize = 3;
/// So many leases there are at once.
const LEASES: usize = 3;
/// The label that says when a name goes.
const EXPIRY_LABEL: &str = "containerd.io/gc.expire";
const LONG_AGO: &str = "2001-01-01T00:00:00Z";
const FAR_AWAY: &str = "2101-01-01T00:00:00Z";

/// A name that no registry has.
pub(super) fn made(dice: &mut Dice) -> String {
    format!("{AUTHORITY}/made:{}", 1 + dice.below(MADE))
}

/// A name that may be here.
fn name(dice: &mut Dice, hub: &Hub) -> String {
    match dice.below(4) {
        0 => made(dice),
        _ => format!("{AUTHORITY}/{}", dice.pick(&hub.tags())),
    }
}

/// Draws a load of what `source` is.
pub(super) fn load(dice: &mut Dice, source: String) -> Step {
    let names = if dice.chance(1, 2) { vec![made(dice)] } else { vec![made(dice), made(dice)] };
    let names = names.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    Step::Load(source, names, dice.below(400) as u64, dice.chance(1, 8).then(|| 1 + dice.below(10)))
}

/// Draws an import: sometimes of an archive that somebody else imports too.
pub(super) fn import(dice: &mut Dice) -> Step {
    let leave = dice.chance(1, 8).then(|| 1 + dice.below(6));
    Step::Import(made(dice), *dice.pick(&FILE_WORDS), dice.chance(1, 2), leave)
}

/// Draws an index that is made here, or what becomes of one.
pub(super) fn compose(dice: &mut Dice, hub: &Hub) -> Step {
    let at = made(dice);
    let member = |dice: &mut Dice| Member {
        reference: name(dice, hub),
        platform: dice.chance(1, 4).then(|| (*dice.pick(&PLATFORMS)).to_owned()),
        wording: Wording::default(),
    };
    let platform = (*dice.pick(&PLATFORMS)).to_owned();
    let wording = Wording { annotations: vec![("a.key".to_owned(), "a value".to_owned())], ..Wording::default() };
    let edit = match dice.below(10) {
        0..3 => Edit::Create(vec![member(dice), member(dice)]),
        3..6 => Edit::Amend(vec![member(dice)]),
        6 => Edit::Add(member(dice)),
        7 => Edit::Remove(vec![platform]),
        8 => Edit::Annotate(platform, wording),
        _ => Edit::AnnotateIndex(wording),
    };
    Step::Compose(at, edit)
}

/// Draws one of the verbs about changes, and of those beside them.
pub(super) fn step(dice: &mut Dice, hub: &Hub) -> Step {
    if dice.chance(1, 3) {
        return aside(dice, hub);
    }
    let change = change(dice, hub);
    match dice.below(8) {
        0 => Step::PlanChange(change),
        1 | 2 => Step::Apply(change, dice.below(400) as u64),
        _ => Step::Perform(change, dice.chance(1, 12).then(|| 1 + dice.below(10))),
    }
}

fn aside(dice: &mut Dice, hub: &Hub) -> Step {
    let lease = |dice: &mut Dice| format!("lease-{}", dice.below(LEASES));
    match dice.below(14) {
        0..4 => Step::Hold(lease(dice), name(dice, hub), dice.chance(1, 2).then(|| 1 + dice.below(8) as u64)),
        4..6 => Step::Release(vec![lease(dice)]),
        6 if dice.aside().chance(2, 3) => {
            let mut aside = dice.aside();
            Step::RetainByDefault(aside.chance(3, 4).then(|| retention(&mut aside)))
        }
        6 => Step::Leases,
        7 | 8 => Step::DiskUsage,
        9 => Step::Ingests,
        10 => {
            let versions = hub.versions(dice.pick::<String>(&hub.tags()));
            let blobs = &dice.pick(&versions).blobs;
            Step::Discard(vec![dice.pick(blobs).to_string()])
        }
        11 | 12 => {
            let label = *dice.pick(&[("a.label", "a value"), (EXPIRY_LABEL, LONG_AGO), (EXPIRY_LABEL, FAR_AWAY)]);
            let value = dice.chance(3, 4).then(|| label.1.to_owned());
            Step::Label(name(dice, hub), vec![(label.0.to_owned(), value)])
        }
        _ => Step::Watch(dice.chance(1, 3).then(|| 1 + dice.below(10))),
    }
}

fn change(dice: &mut Dice, hub: &Hub) -> Change {
    match dice.below(12) {
        0..3 => Change::Tag(tagging(dice, hub)),
        3..7 => Change::Remove(removal(dice, hub)),
        7..9 => Change::Prune(Pruning {
            all: dice.chance(1, 3),
            filters: if dice.chance(1, 4) { vec!["unused-for=1s".to_owned()] } else { Vec::new() },
            keep_bytes: dice.chance(1, 4).then(|| dice.below(4_000) as u64),
            who: "a process".to_owned(),
        }),
        9 | 10 => Change::Collect(Collecting { ingest_age_s: dice.below(4) as u64 }),
        _ => Change::Retain(retaining(dice, hub)),
    }
}

fn retaining(dice: &mut Dice, hub: &Hub) -> Retaining {
    let retention = retention(dice);
    Retaining { references: vec![name(dice, hub)], retention }
}

/// Draws what is to be kept.
pub(super) fn retention(dice: &mut Dice) -> Retention {
    match dice.below(8) {
        0..4 => Retention::Unpacked,
        4 | 5 => Retention::Compressed,
        _ => Retention::Both,
    }
}

fn tagging(dice: &mut Dice, hub: &Hub) -> Tagging {
    let source = name(dice, hub);
    let count = 1 + dice.below(2);
    let name = |dice: &mut Dice| match dice.below(6) {
        0 => name(dice, hub),
        _ => made(dice),
    };
    let mut names: Vec<String> = (0..count).map(|_| name(dice)).collect();
    names.dedup();
    Tagging { source, names }
}

fn removal(dice: &mut Dice, hub: &Hub) -> Removal {
    let reference = match dice.below(6) {
        0 => {
            let versions = hub.versions(dice.pick::<String>(&hub.tags()));
            dice.pick(&versions).target.to_string()
        }
        _ => name(dice, hub),
    };
    let platforms = dice.chance(1, 6).then(|| (*dice.pick(&PLATFORMS)).to_owned());
    Removal {
        references: vec![reference],
        force: dice.chance(1, 2),
        no_prune: dice.chance(1, 6),
        platforms: platforms.into_iter().collect(),
    }
}
