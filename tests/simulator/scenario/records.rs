//! What a client of containerd asks for, one record at a time, drawn from a seed.

use super::Step;
use crate::{
    dice::Dice,
    hub::{AUTHORITY, Hub},
};
use std::fmt;

/// So many names are made that no registry has: those of the other verbs.
const MADE: usize = 3;
/// So many leases there are at once.
const LEASES: usize = 2;
/// So many blobs are written.
pub const WRITTEN: usize = 3;

/// One of the functions of `wit/records.wit`, with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `get-image`.
    GetImage(String),
    /// `list-images`.
    ListImages,
    /// `get-image` of another name, and `create-image` of what that points to.
    CreateImage(String, String),
    /// `get-image` of another name, and `update-image` to what that points to.
    MoveImage(String, String),
    /// `update-image`, of a label alone.
    LabelImage(String),
    /// `delete-image`, and whether what nothing needs goes with it.
    DeleteImage(String, bool),
    /// `get-namespace`.
    GetNamespace,
    /// `list-namespaces`.
    ListNamespaces,
    /// `create-namespace`.
    CreateNamespace,
    /// `update-namespace`.
    UpdateNamespace,
    /// `delete-namespace`.
    DeleteNamespace,
    /// `create-lease`, and for how many seconds.
    CreateLease(String, Option<u64>),
    /// `delete-lease`, and whether what nothing needs goes with it.
    DeleteLease(String, bool),
    /// `list-leases`.
    ListLeases,
    /// `add-resource`, of what a name points to.
    AddResource(String, String),
    /// `delete-resource`, of what a name points to.
    DeleteResource(String, String),
    /// `list-resources`.
    ListResources(String),
    /// `admit-writing` of a blob with a number, for a lease, its bytes, and `wrote` with a label that keeps it or without.
    Write(usize, Option<String>, bool),
    /// `get-content` of what was written with a number.
    GetContent(usize),
    /// `get-content` of what a name points to.
    GetContentOf(String),
    /// `list-content`.
    ListContent,
    /// `update-content` of what was written with a number.
    UpdateContent(usize),
    /// `delete-content` of what was written with a number.
    DeleteContent(usize),
    /// `list-writings`.
    ListWritings,
    /// `get-writing`.
    GetWriting(usize),
    /// `abort-writing`.
    AbortWriting(usize),
    /// `matches`.
    Matches,
}

impl Request {
    /// The function of `wit/records.wit` that it calls first.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::GetImage(_) => "get-image",
            Self::ListImages => "list-images",
            Self::CreateImage(..) => "create-image",
            Self::MoveImage(..) | Self::LabelImage(_) => "update-image",
            Self::DeleteImage(..) => "delete-image",
            Self::GetNamespace => "get-namespace",
            Self::ListNamespaces => "list-namespaces",
            Self::CreateNamespace => "create-namespace",
            Self::UpdateNamespace => "update-namespace",
            Self::DeleteNamespace => "delete-namespace",
            Self::CreateLease(..) => "create-lease",
            Self::DeleteLease(..) => "delete-lease",
            Self::ListLeases => "list-leases",
            Self::AddResource(..) => "add-resource",
            Self::DeleteResource(..) => "delete-resource",
            Self::ListResources(_) => "list-resources",
            Self::Write(..) => "admit-writing",
            Self::GetContent(_) | Self::GetContentOf(_) => "get-content",
            Self::ListContent => "list-content",
            Self::UpdateContent(_) => "update-content",
            Self::DeleteContent(_) => "delete-content",
            Self::ListWritings => "list-writings",
            Self::GetWriting(_) => "get-writing",
            Self::AbortWriting(_) => "abort-writing",
            Self::Matches => "matches",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {self:?}")
    }
}

/// Draws what a client asks for: it pulls something first, and then mostly asks about that.
pub(super) fn steps(dice: &mut Dice, hub: &Hub) -> Vec<Step> {
    let mine = format!("{AUTHORITY}/{}", dice.pick::<String>(&hub.tags()));
    let begin =
        [Step::Record(Request::CreateLease(lease(dice), None)), Step::Pull(mine.clone(), super::options(dice), None)];
    let count = 3 + dice.below(6);
    begin.into_iter().chain((0..count).map(|_| step(dice, hub, &mine))).collect()
}

fn lease(dice: &mut Dice) -> String {
    format!("client-{}", dice.below(LEASES))
}

fn step(dice: &mut Dice, hub: &Hub, mine: &str) -> Step {
    let made = |dice: &mut Dice| format!("{AUTHORITY}/made:{}", 1 + dice.below(MADE));
    let pulled = |dice: &mut Dice| match dice.chance(3, 4) {
        true => mine.to_owned(),
        false => format!("{AUTHORITY}/{}", dice.pick::<String>(&hub.tags())),
    };
    let number = |dice: &mut Dice| dice.below(WRITTEN);
    Step::Record(match dice.below(40) {
        0..4 => Request::CreateImage(made(dice), pulled(dice)),
        4..6 => Request::MoveImage(made(dice), pulled(dice)),
        6 => Request::LabelImage(if dice.chance(1, 2) { made(dice) } else { pulled(dice) }),
        7..10 => Request::DeleteImage(if dice.chance(3, 4) { made(dice) } else { pulled(dice) }, dice.chance(1, 2)),
        10 => Request::GetImage(pulled(dice)),
        11 => Request::ListImages,
        12..15 => Request::CreateLease(lease(dice), dice.chance(1, 3).then(|| 1 + dice.below(8) as u64)),
        15 | 16 => Request::DeleteLease(lease(dice), dice.chance(1, 2)),
        17..20 => Request::AddResource(lease(dice), pulled(dice)),
        20 => Request::DeleteResource(lease(dice), pulled(dice)),
        21 => Request::ListResources(lease(dice)),
        22 => Request::ListLeases,
        23..28 => {
            let lease = dice.chance(1, 3).then(|| lease(dice));
            Request::Write(number(dice), lease, dice.chance(2, 3))
        }
        28 => Request::GetContent(number(dice)),
        29 => Request::GetContentOf(pulled(dice)),
        30 => Request::ListContent,
        31 => Request::UpdateContent(number(dice)),
        32 => Request::DeleteContent(number(dice)),
        33 => Request::ListWritings,
        34 => Request::GetWriting(number(dice)),
        35 => Request::AbortWriting(number(dice)),
        36 => Request::CreateNamespace,
        37 => Request::UpdateNamespace,
        38 => Request::DeleteNamespace,
        _ if dice.chance(1, 3) => Request::Matches,
        _ if dice.chance(1, 2) => Request::GetNamespace,
        _ => Request::ListNamespaces,
    })
}
