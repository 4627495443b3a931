//! What is kept of an image: trees without the blobs that they make good for, or blobs without trees.

use super::changes::count;
use super::{json, open_registry, wharf};
use crate::support::push::large;
use crate::support::wharf::Wharf;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const LAYERS: usize = 3;
const LAYER_BYTES: usize = 300_000;

fn total(usage: &Value, kind: &str) -> u64 {
    usage[kind]["total"].as_u64().expect("a number")
}

fn usage(wharf: &Wharf) -> Value {
    json(&wharf.run(&["df", "--format", "json"]).success())
}

/// The files of this name in the directories of layers.
fn of_layers(wharf: &Wharf, name: &str) -> Vec<PathBuf> {
    let layers = fs::read_dir(wharf.store().join("layers")).expect("a directory");
    let files = layers.map(|layer| layer.expect("an entry").path().join(name));
    files.filter(|file| file.exists()).collect()
}

#[test]
fn blobs_go_once_their_trees_make_them_again_and_come_back_when_they_are_wanted() {
    let registry = open_registry();
    registry.push("app", "1", &large(31, LAYERS, LAYER_BYTES));
    let one = format!("{}/app:1", registry.address());
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &one]).success();
    let blobs = count(&wharf, "blobs/sha256");
    let (before, content) = (usage(&wharf), wharf.run(&["ls", &one]).success());

    let planned = wharf.run(&["retain", "--dry-run", "unpacked", &one]).success();
    assert!(planned.starts_with(&format!("would keep unpacked of {one}: its trees are kept")), "{planned}");
    assert!(planned.contains(&format!(": {LAYERS} blobs\n")) && planned.contains("at risk: "), "{planned}");
    assert_eq!(count(&wharf, "blobs/sha256"), blobs);

    let output = wharf.run(&["retain", "unpacked", &one]);
    assert!(output.stderr.ends_with(&format!(": {LAYERS} blobs\n")), "{}", output.stderr);
    assert_eq!(output.success(), format!("keeping unpacked of {one}\n"));
    assert_eq!(count(&wharf, "blobs/sha256"), blobs - LAYERS);
    let recipes: u64 = of_layers(&wharf, "recipe").iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
    assert!(recipes > 0 && recipes < 3_000, "{recipes} bytes");
    let after = usage(&wharf);
    assert!(total(&before, "content") - total(&after, "content") > (LAYERS * LAYER_BYTES) as u64, "{after}");
    assert_eq!(total(&after, "unpacked") - total(&before, "unpacked"), recipes, "{after}");

    wharf.run(&["fsck"]).success();
    assert_eq!(wharf.run(&["ls", &one]).success(), content);
    wharf.run(&["pull", "-q", &one]).success();
    wharf.run(&["gc"]).success();
    assert_eq!((count(&wharf, "blobs/sha256"), of_layers(&wharf, "tree").len()), (blobs - LAYERS, LAYERS));
    let error = wharf.run(&["save", &one, "-o", "-"]).failure();
    assert!(error.contains(&format!("hint: wharf retain both {one} && wharf pull {one}")), "{error}");

    wharf.run(&["retain", "both", &one]).success();
    wharf.run(&["pull", "-q", &one]).success();
    assert_eq!(count(&wharf, "blobs/sha256"), blobs);
    wharf.run(&["fsck"]).success();
}

#[test]
fn a_tree_that_has_changed_is_found_and_repaired_from_the_registry() {
    let registry = open_registry();
    registry.push("app", "1", &large(32, LAYERS, LAYER_BYTES));
    let one = format!("{}/app:1", registry.address());
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &one]).success();
    wharf.run(&["retain", "unpacked", &one]).success();
    let file = of_layers(&wharf, "tree/srv/0").pop().expect("a file");
    let mut bytes = fs::read(&file).expect("bytes");
    bytes[100_000] ^= 1;
    fs::write(&file, bytes).expect("other bytes");
    let output = wharf.run(&["fsck"]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert!(output.stdout.contains("it is not here, and its tree"), "{}", output.stdout);
    wharf.run(&["fsck", "--repair"]).success();
    wharf.run(&["fsck"]).success();
}

#[test]
fn trees_go_and_are_made_again_when_they_are_wanted() {
    let registry = open_registry();
    registry.push("app", "1", &large(33, LAYERS, LAYER_BYTES));
    let one = format!("{}/app:1", registry.address());
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &one]).success();
    let content = wharf.run(&["ls", &one]).success();
    wharf.run(&["retain", "compressed", &one]).success();
    assert_eq!((count(&wharf, "layers"), count(&wharf, "snapshots")), (0, 0));
    wharf.run(&["fsck"]).success();
    wharf.run(&["pull", "-q", &one]).success();
    assert_eq!(count(&wharf, "layers"), 0, "a pull does not make them");
    wharf.run(&["unpack", &one]).success();
    assert_eq!(wharf.run(&["ls", &one]).success(), content);
}
