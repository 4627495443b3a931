//! What a process does next, by its dice.

use super::super::history::{Change, Edit, Kept, Operation};
use super::super::world::{self, Dice, JOINED, KEPT, REPOSITORIES, TAGS};
use super::{Prepared, STOP_MS_MAX, Saved, Worker};

/// When a change is stopped at the latest, in milliseconds.
const CHANGE_STOP_MS_MAX: u64 = 80;
/// How far back events are asked for, in seconds.
const EVENTS_S: u64 = 4;
/// What may stay of everything when a prune has a limit, in bytes.
const KEPT_BYTES: u64 = 3_000_000;

impl Worker<'_> {
    /// Throws the dice.
    pub(super) fn draw(&self, dice: &mut Dice) -> Operation {
        match dice.below(3) {
            0 => self.draw_change(dice),
            _ => self.draw_look(dice),
        }
    }

    fn draw_look(&self, dice: &mut Dice) -> Operation {
        let names = world::names();
        let all = world::all_names();
        let name = |dice: &mut Dice| match dice.below(20) {
            0 => Operation::VICTIM.to_owned(),
            _ => dice.choose(&all).clone(),
        };
        let blob = |dice: &mut Dice| dice.choose(&self.digests).clone();
        match dice.below(100) {
            at @ 0..30 => {
                let stop_ms = (at >= 22).then(|| dice.below(STOP_MS_MAX));
                let name = if at == 0 { Operation::VICTIM.to_owned() } else { dice.choose(&names).clone() };
                let (unpack, whole) = (dice.below(2) == 0, dice.below(4) == 0);
                Operation::Pull { names: vec![name], unpack, whole, stop_ms }
            }
            30..32 => {
                let repository = dice.choose(&REPOSITORIES);
                let names = TAGS.iter().map(|tag| format!("{repository}:{tag}")).collect();
                Operation::Pull { names, unpack: false, whole: false, stop_ms: None }
            }
            32..35 => Operation::Plan { name: dice.choose(&names).clone() },
            35..44 => Operation::Images,
            44..53 => Operation::Inspect { name: name(dice) },
            53..57 => Operation::History { name: name(dice) },
            57..60 => Operation::Save { name: name(dice) },
            60..65 => Operation::Unpack { name: name(dice) },
            65..67 => Operation::List { name: name(dice) },
            67 => Operation::Export { name: name(dice) },
            68..70 => Operation::Compare { from: name(dice), to: name(dice) },
            70..73 => Operation::Mount { name: name(dice) },
            73..76 => Operation::Fsck { name: Some(name(dice)), repair: dice.below(2) == 0 },
            76..77 => Operation::Fsck { name: None, repair: dice.below(2) == 0 },
            77..79 => Operation::Tags { repository: (*dice.choose(&REPOSITORIES)).to_owned() },
            79..87 => Operation::Put { blob: blob(dice) },
            87..92 => Operation::Hold { blob: blob(dice) },
            92..99 => Operation::Remove { blob: blob(dice) },
            _ => {
                let (image, _) = world::image(Operation::VICTIM, 1);
                let blobs: Vec<String> =
                    image.blobs.into_keys().chain(image.documents.into_iter().map(|it| it.digest)).collect();
                Operation::Damage { blob: dice.choose(&blobs).clone() }
            }
        }
    }

    fn draw_change(&self, dice: &mut Dice) -> Operation {
        let all = world::all_names();
        let name = |dice: &mut Dice| dice.choose(&all).clone();
        match dice.below(69) {
            50..54 => {
                let (name, to) = (name(dice), given(dice));
                let stop_ms = (dice.below(4) == 0).then(|| dice.below(CHANGE_STOP_MS_MAX));
                match to != name && may_spread(&name) {
                    true => Operation::Load { name, names: vec![to], stop_ms },
                    false => Operation::Save { name },
                }
            }
            54 | 55 => {
                let stop_ms = (dice.below(4) == 0).then(|| dice.below(CHANGE_STOP_MS_MAX));
                Operation::Push { name: (*dice.choose(&KEPT)).to_owned(), stop_ms }
            }
            57..60 => {
                let stop_ms = (dice.below(4) == 0).then(|| dice.below(CHANGE_STOP_MS_MAX));
                let text = format!("imported {:016x}", dice.below(u64::MAX));
                Operation::Import { name: given(dice), text, stop_ms }
            }
            60..64 => compose(dice),
            64..69 => self.draw_snapshot(dice),
            56 => Operation::Copy { name: dice.choose(&world::names()).clone() },
            0..27 => {
                let change = self.change(dice);
                let is_stopped = !matches!(change, Change::Tag { .. }) && dice.below(4) == 0;
                Operation::Perform { change, stop_ms: is_stopped.then(|| dice.below(CHANGE_STOP_MS_MAX)) }
            }
            27..33 => match &self.saved {
                Some(Saved { change, shifts, made, .. }) => {
                    Operation::Apply { change: change.clone(), shifts: shifts.clone(), made: *made }
                }
                None => Operation::Draft { change: self.change(dice) },
            },
            33..36 => Operation::Usage,
            36..41 => match &self.lease {
                Some(_) => Operation::Release,
                None => Operation::Lease { name: name(dice) },
            },
            41 => Operation::Ingests,
            42 => Operation::Discard,
            43..46 => {
                let value = (dice.below(3) > 0).then(|| dice.below(u64::MAX).to_string());
                Operation::Label { name: name(dice), value }
            }
            46 => Operation::Expire { name: name(dice) },
            _ => Operation::Events { name: name(dice), seconds: EVENTS_S },
        }
    }

    /// What is done with the snapshot of this process, or else that there is one.
    fn draw_snapshot(&self, dice: &mut Dice) -> Operation {
        match &self.prepared {
            None => {
                let all: Vec<String> = world::all_names().into_iter().filter(|name| may_spread(name)).collect();
                Operation::Prepare { name: dice.choose(&all).clone() }
            }
            Some(Prepared { text, base: Some(_), .. }) if dice.below(3) > 0 => {
                // It is for the same machine as what is below it.
                let machine = if text.ends_with(" arm64") { " arm64" } else { "" };
                let text = format!("committed {:016x}{machine}", dice.below(u64::MAX));
                let stop_ms = (dice.below(4) == 0).then(|| dice.below(CHANGE_STOP_MS_MAX));
                Operation::Commit { name: given(dice), text, stop_ms }
            }
            Some(_) => Operation::Leave,
        }
    }

    fn change(&self, dice: &mut Dice) -> Change {
        let all = world::all_names();
        match dice.below(30) {
            27.. => {
                // Of the first nothing is wanted back: it would be missed, and nobody pulls these names.
                let lean: Vec<&String> = all.iter().filter(|name| name.starts_with(Operation::GIVEN_UP)).collect();
                let (what, kept) = match dice.below(4) {
                    0 => (lean[1], Kept::Both),
                    1 => (lean[1], Kept::Compressed),
                    _ => (lean[0], Kept::Unpacked),
                };
                Change::Retain { what: what.clone(), kept }
            }
            0..10 => {
                let mut names = vec![given(dice)];
                if dice.below(3) == 0 {
                    names.push(given(dice));
                }
                let source = dice.choose(&all).clone();
                names.retain(|name| *name != source && may_spread(&source));
                if names.is_empty() {
                    return Change::Collect { ingest_age_s: 3_600 };
                }
                names.dedup();
                Change::Tag { source, names }
            }
            10..19 => {
                let seen: Vec<&String> = self.seen.values().collect();
                let what = match dice.below(4) {
                    0 if !seen.is_empty() => (*dice.choose(&seen)).clone(),
                    _ => dice.choose(&all).clone(),
                };
                let platform = (dice.below(6) == 0).then(|| format!("linux/{}", dice.choose(&["amd64", "arm64"])));
                Change::Untag { what, force: dice.below(3) == 0, platform }
            }
            19..23 => {
                let below = format!("race/{}", dice.choose(&["a", "b", "c", "d"]));
                match dice.below(10) {
                    0 => Change::Prune { all: true, below: None, keep_bytes: None },
                    1..6 => Change::Prune { all: true, below: Some(below), keep_bytes: None },
                    6 => Change::Prune { all: false, below: None, keep_bytes: Some(KEPT_BYTES) },
                    7 => Change::Prune { all: false, below: Some(below), keep_bytes: None },
                    _ => Change::Prune { all: false, below: None, keep_bytes: None },
                }
            }
            _ => Change::Collect { ingest_age_s: if dice.below(3) == 0 { 0 } else { 3_600 } },
        }
    }
}

/// An index changes, mostly one of those that are nothing else.
fn compose(dice: &mut Dice) -> Operation {
    let name = match dice.below(5) {
        0 => given(dice),
        _ => (*dice.choose(&JOINED)).to_owned(),
    };
    let mut source = dice.choose(&world::all_names()).clone();
    if source == name || !may_spread(&source) {
        source = dice.choose(&world::names()).clone();
    }
    let platform = if dice.below(4) == 0 { "linux/arm64" } else { "linux/amd64" }.to_owned();
    let edit = match dice.below(12) {
        0..3 => Edit::Create { source, platform },
        3..7 => Edit::Amend { source, platform },
        7..9 => Edit::Add { source, platform },
        9 | 10 => Edit::Remove { platform },
        _ => Edit::Annotate,
    };
    Operation::Compose { name, edit, mark: format!("{:016x}", dice.below(u64::MAX)) }
}

/// Whether other names may become what this one is: what was given up stays below [`Operation::GIVEN_UP`].
fn may_spread(source: &str) -> bool {
    !source.starts_with(Operation::GIVEN_UP)
}

/// A name that is given here: mostly one that no registry has, because pulls move the others too.
fn given(dice: &mut Dice) -> String {
    match dice.below(5) {
        0 => dice.choose(&world::all_names()).clone(),
        _ => (*dice.choose(&KEPT)).to_owned(),
    }
}
