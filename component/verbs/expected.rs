//! What a pull has to find because a plan that was saved says so, name by name. Whatever is not as the plan has it ends
//! the pull with [`ErrorCode::Conflict`], and says what it is.

use super::{
    failing::{fail, try_this},
    filed,
};
use crate::{
    nouns::{digest::Digest, problem::ErrorCode},
    registry::Failure,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How many manifests a message lists.
const LISTED_MAX: usize = 20;

/// What a plan says of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// Fully qualified.
    pub(super) name: String,
    /// What the record here hashes to, if there is one.
    pub(super) mark: Option<Digest>,
    /// What the name points to.
    pub(super) target: Digest,
    /// What is chosen of it.
    pub(super) manifests: Vec<Digest>,
}

impl Expected {
    /// Holds the record of the name against the plan, by its mark.
    pub(super) fn check_record(&self, mark: Option<&Digest>) -> Result<(), Failure> {
        match filed::difference(self.mark.as_ref(), mark) {
            None => Ok(()),
            Some(difference) => Err(conflict(format!("`{}` {difference}", self.name))),
        }
    }

    /// Holds what the name points to against the plan.
    pub(super) fn check_target(&self, target: &Digest) -> Result<(), Failure> {
        if *target == self.target {
            return Ok(());
        }
        Err(conflict(format!("`{}` points to `{target}` now, and the plan has `{}`", self.name, self.target)))
    }

    /// Holds what was chosen against the plan.
    pub(super) fn check_manifests<'d>(&self, manifests: impl Iterator<Item = &'d Digest>) -> Result<(), Failure> {
        let (now, then): (BTreeSet<_>, BTreeSet<_>) = (manifests.collect(), self.manifests.iter().collect());
        if now == then {
            return Ok(());
        }
        let (now, then) = (list(&now), list(&then));
        Err(conflict(format!("of `{}` this machine chooses {now}, and the plan has {then}", self.name)))
    }
}

fn conflict(why: String) -> Failure {
    try_this(fail(ErrorCode::Conflict, why), "make a new plan: nothing of this name has been changed")
}

fn list(digests: &BTreeSet<&Digest>) -> String {
    let mut listed = digests.iter().take(LISTED_MAX).map(|digest| format!("`{digest}`")).collect::<Vec<_>>().join(", ");
    match digests.len().saturating_sub(LISTED_MAX) {
        0 => {}
        more => listed.push_str(&format!(" and {more} more")),
    }
    if listed.is_empty() { "nothing".to_owned() } else { listed }
}
