//! The program against real registries, as a person uses it.

mod archives;
mod broken;
mod changes;
mod configured;
mod docker;
mod door;
mod durable;
mod explain;
mod fsck;
mod importing;
mod lists;
mod loading;
mod logins;
mod manifests;
mod mirrors;
mod owners;
mod planned;
mod pulls;
mod pushes;
mod referred;
mod refused_layers;
mod restart;
mod retain;
mod schedule;
mod snapshots;
mod stopped;
mod text;
mod token_auth;
mod trees;

use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::wharf::Wharf;
use tempfile::TempDir;

/// wharf on an empty store.
fn wharf() -> (TempDir, Wharf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let wharf = Wharf::new(directory.path());
    (directory, wharf)
}

/// A registry that anybody may use.
fn open_registry() -> DockerRegistry {
    DockerRegistry::start(Access::Open)
}

/// Parses what a command printed.
#[track_caller]
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
