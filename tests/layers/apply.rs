//! Applying one layer's archive to an empty directory: that what comes of it is what containerd makes of it, that nothing
//! gets out of the directory, and that it costs no more than it may.
//!
//! These tests need root: devices, owners, `trusted.*` attributes and a mount namespace of their own.

pub(crate) mod archives;
mod costs;
mod ordinary;
pub(crate) mod peers;
mod races;
mod rules;
mod tables;
pub(crate) mod write;

use crate::support::tree::{self, Tree};
use std::os::fd::AsFd;
use std::path::Path;
use tempfile::TempDir;
use wharf::layers::apply::{self, Applied, Budget};
use wharf::layers::archive::Archive;
use wharf::layers::{Error, Rights};

/// Applies an archive in memory to a directory.
pub(crate) fn apply_to(directory: &Path, archive: &[u8], rights: Rights, budget: &Budget) -> Result<Applied, Error> {
    let directory = std::fs::File::open(directory).expect("the directory exists");
    apply::apply(&mut Archive::new(archive), directory.as_fd(), rights, budget, &|| false)
}

/// Applies an archive to a new directory with root's rights. Returns what came of it with its tree.
fn applied(archive: &[u8]) -> (TempDir, Applied, Tree) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let applied = apply_to(directory.path(), archive, Rights::Root, &Budget::default())
        .unwrap_or_else(|error| panic!("the layer applies: {error}"));
    let tree = tree::read(directory.path());
    (directory, applied, tree)
}

/// Applies an archive that is refused.
fn refusal(archive: &[u8]) -> String {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let outcome = apply_to(directory.path(), archive, Rights::Root, &Budget::default());
    outcome.expect_err("the layer is refused").to_string()
}
