//! What a client of containerd asks for of snapshots, drawn from a seed. Two processes share the few keys that there are.

use super::Step;
use crate::dice::Dice;
use std::fmt;

/// So many keys there are of what is written to, and of what is committed.
const KEYS: usize = 2;
/// So many layers there are.
pub const LAYERS: usize = 2;

/// One of the functions of `wit/snapshots.wit`, with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// `stat-snapshot`.
    Stat(String),
    /// `list-snapshots`.
    List,
    /// `update-snapshot`, of a label.
    Update(String),
    /// `prepare-snapshot`, on what, and whether it can be written to.
    Prepare(String, Option<String>, bool),
    /// `tree-of`.
    Tree(String),
    /// `commit-snapshot`: a name, and a key.
    Commit(String, String),
    /// `remove-snapshot`.
    Remove(String),
    /// `usage-of`.
    Usage(String),
    /// `clean-snapshots`.
    Clean,
    /// `apply-layer` of a layer with a number.
    Apply(String, usize),
    /// `diff-layer` of a snapshot over nothing.
    Diff(String),
    /// `images.commit` of a text with a number, under a name.
    Image(String, usize),
}

impl Act {
    /// The function of `wit/snapshots.wit` that it calls at last.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Stat(_) => "stat-snapshot",
            Self::List => "list-snapshots",
            Self::Update(_) => "update-snapshot",
            Self::Prepare(..) => "prepare-snapshot",
            Self::Tree(_) => "tree-of",
            Self::Commit(..) => "commit-snapshot",
            Self::Remove(_) => "remove-snapshot",
            Self::Usage(_) => "usage-of",
            Self::Clean => "clean-snapshots",
            Self::Apply(..) => "apply-layer",
            Self::Diff(_) => "diff-layer",
            Self::Image(..) => "commit",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {self:?}")
    }
}

/// Draws what a client asks for: it makes something first, writes a layer into it and commits it.
pub(super) fn steps(dice: &mut Dice) -> Vec<Step> {
    let (key, name, below) = (key(dice), name(dice), dice.chance(1, 2).then(|| self::name(dice)));
    let begin = [
        Act::Prepare(key.clone(), below, true),
        Act::Apply(key.clone(), dice.below(LAYERS)),
        Act::Commit(name, key.clone()),
        Act::Prepare(key, Some(self::name(dice)), true),
    ];
    let count = 3 + dice.below(8);
    let more: Vec<Act> = (0..count).map(|_| act(dice)).collect();
    begin.into_iter().chain(more).map(Step::Snapshot).collect()
}

fn key(dice: &mut Dice) -> String {
    format!("work-{}", dice.below(KEYS))
}

fn name(dice: &mut Dice) -> String {
    format!("base-{}", dice.below(KEYS))
}

fn any(dice: &mut Dice) -> String {
    if dice.chance(1, 2) { key(dice) } else { name(dice) }
}

fn act(dice: &mut Dice) -> Act {
    match dice.below(26) {
        0..5 => {
            let below = dice.chance(2, 3).then(|| name(dice));
            Act::Prepare(key(dice), below, dice.chance(3, 4))
        }
        5..10 => Act::Apply(key(dice), dice.below(LAYERS)),
        10..14 => Act::Commit(name(dice), key(dice)),
        14..17 => Act::Remove(any(dice)),
        17 => Act::Stat(any(dice)),
        18 => Act::List,
        19 => Act::Update(any(dice)),
        20 => Act::Tree(key(dice)),
        21 => Act::Usage(any(dice)),
        22 => Act::Clean,
        23 => Act::Diff(key(dice)),
        _ => Act::Image(super::changes::made(dice), dice.below(LAYERS)),
    }
}
