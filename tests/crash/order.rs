//! The order of calls that a disk needs: what a power cut may lose is not what one file system loses. ext4 writes all
//! names with the first sync that comes; others write what they are told to, and a pull has to tell them.
//!
//! It looks at the calls of a pull that succeeded, and at no disk.

use crate::calls::{Call, Deed};
use std::path::Path;

const LOG: &str = "metadata.sqlite-wal";
const JOURNAL: &str = "durable.new";

/// Returns what is not synced when it has to be.
pub(crate) fn violations(calls: &[Call]) -> Vec<String> {
    let mut wrong = Vec::new();
    let last = |is: &dyn Fn(&Call) -> bool, before: usize| calls[..before].iter().rposition(is);
    let first = |is: &dyn Fn(&Call) -> bool, from: usize| calls[from..].iter().position(is).map(|at| at + from);
    let synced = |path: &Path, from: usize, to: usize| {
        calls[from..to].iter().any(|call| call.deed == Deed::Sync && (call.path == path || call.name == "syncfs"))
    };
    let Some(acknowledged) = last(&|call| call.deed == Deed::Sync && call.path == Path::new(LOG), calls.len()) else {
        return vec!["what the pull recorded is not synced".to_owned()];
    };
    for (at, call) in calls.iter().enumerate().filter(|(_, call)| call.deed == Deed::Rename) {
        let Some(target) = &call.target else { continue };
        let parent = target.parent().unwrap_or(Path::new(""));
        let is_tree = target.starts_with("layers") || target.starts_with("snapshots");
        let written = last(&|one| one.deed == Deed::Write && one.path == call.path, at);
        if let Some(written) = written
            && !synced(&call.path, written, at)
        {
            wrong.push(format!("`{call}`: its bytes are not synced before"));
        }
        // `version` is synced with the next file of the store, and records of no image need it.
        let is_named = synced(parent, at, acknowledged);
        if !is_tree && !is_named && !target.starts_with("extract") {
            wrong.push(format!("`{call}`: the new name is not synced before the record"));
        }
        if is_tree {
            let whole = first(&|one| one.name == "syncfs", at);
            let noted =
                whole.and_then(|whole| first(&|one| one.deed == Deed::Write && one.path == Path::new(JOURNAL), whole));
            if noted.is_none_or(|noted| noted > acknowledged) {
                wrong.push(format!("`{call}`: no `syncfs` and no journal after it come before the record"));
            }
        }
    }
    wrong
}
