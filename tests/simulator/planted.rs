//! The bugs that runs are known to find: each is a switch in the code under
//! test, never in the machine or in what judges it.

use crate::{invariants::Violation, run::run};
use std::ops::Range;
use wharf_component::planted::{Bug, plant};

/// Every bug, and the seed from which on it is looked for. That is 0, but for
/// those that are so rare that a test cannot begin there.
pub const BUGS: [(Bug, u64); 24] = [
    (Bug::ConflictTaken, 0),
    (Bug::StaleRecordMerged, 0),
    (Bug::NameMovesBack, 0),
    (Bug::BlobsUnsynced, 5_000),
    (Bug::LayersUnsynced, 0),
    (Bug::OthersLayersUnsynced, 0),
    (Bug::UpToDateUnsynced, 31_000),
    (Bug::TreeUnsynced, 3_000),
    (Bug::BlobsReleased, 0),
    (Bug::TreeReleased, 0),
    (Bug::BlobsBelieved, 0),
    (Bug::EvictedUnheld, 14_000),
    (Bug::EndUnawaited, 0),
    (Bug::StaleGrantKept, 0),
    (Bug::MismatchIsFinal, 0),
    (Bug::TransientIsFinal, 0),
    (Bug::SweepUnchecked, 0),
    (Bug::LeaseIgnored, 0),
    (Bug::CollectedEarly, 0),
    (Bug::UploadOffsetTrusted, 0),
    (Bug::ManifestEarly, 2_000),
    (Bug::RecipeUnwritten, 2_900),
    (Bug::LoadUnsynced, 0),
    (Bug::StrayUnheld, 0),
];

/// The bug of this name, as in `ConflictTaken`.
pub fn named(name: &str) -> Option<Bug> {
    BUGS.iter().map(|(bug, _)| *bug).find(|bug| format!("{bug:?}") == name)
}

/// Returns the first of the seeds whose run finds a bug, and by what.
pub fn find(bug: Bug, mut seeds: Range<u64>) -> Option<(u64, Violation)> {
    let _planted = plant(bug);
    seeds.find_map(|seed| Some((seed, run(seed, false).violations.into_iter().next()?)))
}

/// What is said of a seed whose run has violations, with the command that tells
/// the whole story.
pub fn told(seed: u64, violations: &[Violation]) -> String {
    let told: Vec<_> = violations.iter().map(|violation| format!("  {violation}")).collect();
    format!("seed {seed}:\n{}\nreplay: cargo run --release -p wharf-sim -- replay {seed}", told.join("\n"))
}
