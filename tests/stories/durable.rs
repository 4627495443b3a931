//! What a pull costs to be durable, counted where the kernel is called.

use super::trees::{image, pushed};
use super::{open_registry, wharf};
use crate::layers::apply::write::{directory, file};
use crate::support::require;
use std::fs;

#[test]
fn a_pull_of_any_number_of_layers_makes_one_syncfs_and_one_journal() {
    let strace = require("strace");
    let registry = open_registry();
    let layer = |number: usize| vec![directory("etc"), file(format!("etc/{number}"), b"content\n")];
    for layers in [1, 40] {
        let layers: Vec<_> = (0..layers).map(layer).collect();
        let reference = pushed(&registry, &layers.len().to_string(), &image(&layers));
        let (directory, wharf) = wharf();
        let said = directory.path().join("calls");
        let options = ["-f", "-qq", "-y", "-e", "trace=syncfs,fsync,fdatasync", "-o"];
        let traced = wharf
            .clone()
            .under([strace.as_os_str()].into_iter().chain(options.map(AsRef::as_ref)).chain([said.as_os_str()]));
        traced.run(&["pull", "-q", &reference]).success();
        let said = fs::read_to_string(&said).expect("strace writes a file");
        let count = |what: &str| said.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("syncfs("), count("/durable.new>")), (1, 1), "{} layers: {said}", layers.len());
        // What is up to date costs nothing.
        let again = directory.path().join("again");
        let traced =
            wharf.under([strace.as_os_str()].into_iter().chain(options.map(AsRef::as_ref)).chain([again.as_os_str()]));
        traced.run(&["pull", "-q", &reference]).success();
        let again = fs::read_to_string(&again).expect("strace writes a file");
        assert!(!again.contains("syncfs(") && !again.contains("/durable"), "{again}");
    }
}
