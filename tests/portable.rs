//! The component for stock runtimes in the `wasmtime` of everybody, against real registries, and beside the tools that
//! read and write image layouts.
//!
//! - `session`, `changes`, `archives`: what a person does with it.
//! - `uploads`: what goes to a registry.
//! - `peers`: skopeo, umoci and podman on the same directory.
//! - `interrupted`, `rivals`: runs that are killed, and runs at the same time.
//! - `logins`: where they come from and where they go.
//! - `serve`: docker's clients, where the runtime listens.
//! - `refused`: what it says where something is missing.
//! - `compared`: the native program beside it, verb by verb.

mod archives;
mod changes;
mod compared;
mod interrupted;
mod logins;
mod peers;
mod refused;
mod rivals;
mod serve;
mod session;
mod uploads;

use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::portable::Portable;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use wharf::hash::Digest;

/// wharf on an empty directory.
fn portable() -> (TempDir, Portable) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let portable = Portable::new(directory.path());
    (directory, portable)
}

/// A registry that anybody may use.
fn open_registry() -> DockerRegistry {
    DockerRegistry::start(Access::Open)
}

/// Parses what a command printed.
#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The names of what is in a directory.
fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect()
}

/// `index.json` of a layout.
#[track_caller]
fn index(images: &Path) -> Value {
    json(&fs::read_to_string(images.join("index.json")).expect("a layout has it"))
}

/// Holds a directory to image-layout.md: each blob hashes to its name, and what `index.json` points to is there.
/// Returns the digests.
#[track_caller]
fn check_layout(images: &Path) -> BTreeSet<String> {
    assert_eq!(
        json(&fs::read_to_string(images.join("oci-layout")).expect("it is a layout"))["imageLayoutVersion"],
        "1.0.0"
    );
    let mut digests = BTreeSet::new();
    for algorithm in ["sha256", "sha512"] {
        for name in names(&images.join("blobs").join(algorithm)) {
            let bytes = fs::read(images.join("blobs").join(algorithm).join(&name)).expect("a blob can be read");
            let digest: Digest = format!("{algorithm}:{name}").parse().expect("a blob is named by its digest");
            assert_eq!(Digest::of(digest.algorithm(), &bytes), digest);
            digests.insert(digest.to_string());
        }
    }
    for entry in index(images)["manifests"].as_array().expect("it is a list") {
        let digest = entry["digest"].as_str().expect("an entry is a descriptor");
        assert!(digests.contains(digest), "{digest} is named and not there");
    }
    digests
}

/// Nothing is on its way any more.
#[track_caller]
fn check_tidy(images: &Path) {
    for place in ["ingest", "tmp"] {
        assert_eq!(names(&images.join(".wharf").join(place)), BTreeSet::new(), "{place}");
    }
    assert!(!images.join(".wharf/lock").exists());
}
