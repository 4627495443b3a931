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
    // A directory without an entry has the time of its extraction.
    let content = || -> Vec<String> {
        let listed = wharf.run(&["ls", &one]).success();
        let timeless = listed.lines().map(|line| {
            let mut fields: Vec<&str> = line.split_whitespace().collect();
            fields.remove(3);
            fields.join(" ")
        });
        timeless.collect()
    };
    let before = content();
    wharf.run(&["retain", "compressed", &one]).success();
    assert_eq!((count(&wharf, "layers"), count(&wharf, "snapshots")), (0, 0));
    wharf.run(&["fsck"]).success();
    wharf.run(&["pull", "-q", &one]).success();
    assert_eq!(count(&wharf, "layers"), 0, "a pull does not make them");
    wharf.run(&["unpack", &one]).success();
    assert_eq!(content(), before);
}

#[test]
fn what_is_kept_is_chosen_with_a_pull_or_for_all_that_comes() {
    let registry = open_registry();
    let names = ["1", "2", "3"].map(|tag| {
        registry.push("app", tag, &large(u64::from(tag.as_bytes()[0]), LAYERS, LAYER_BYTES));
        format!("{}/app:{tag}", registry.address())
    });
    let [one, two, three] = &names;
    let (directory, wharf) = wharf();
    assert_eq!(wharf.run(&["retain"]).success(), "both\n");
    assert_eq!(wharf.run(&["retain", "--default", "unpacked"]).success(), "unpacked\n");
    assert_eq!(json(&wharf.run(&["retain", "--format", "json"]).success())["default"], "unpacked");

    // A manifest and a config; and nothing of the layers, but trees and recipes.
    wharf.run(&["pull", "-q", one]).success();
    assert_eq!((count(&wharf, "blobs/sha256"), of_layers(&wharf, "recipe").len()), (2, LAYERS));
    wharf.run(&["pull", "-q", "--retain", "both", two]).success();
    assert_eq!(count(&wharf, "blobs/sha256"), 2 + 2 + LAYERS);
    let archive = directory.path().join("two.tar");
    let archive = archive.to_str().expect("the path is text");
    wharf.run(&["save", two, "-o", archive]).success();
    wharf.run(&["rm", two]).success();
    wharf.run(&["load", "-q", "--retain", "compressed", "-i", archive]).success();
    assert_eq!((count(&wharf, "blobs/sha256"), of_layers(&wharf, "tree").len()), (2 + 2 + LAYERS, LAYERS));
    assert_eq!(wharf.run(&["retain", "--default", "both"]).success(), "both\n");
    wharf.run(&["pull", "-q", three]).success();

    let listed = json(&wharf.run(&["images", "--format", "json"]).success());
    for (name, kept) in [(one, "unpacked"), (two, "compressed"), (three, "both")] {
        let is_it = |image: &&Value| image["name"] == **name;
        let image = listed.as_array().and_then(|images| images.iter().find(is_it)).expect("it is listed");
        assert_eq!(image["retention"], kept, "{name}");
        assert_eq!(json(&wharf.run(&["inspect", name]).success())[0]["Retention"], kept, "{name}");
    }
    let error = wharf.run(&["pull", "--no-unpack", "--retain", "unpacked", one]).failure();
    assert!(error.contains("hint: leave out `--no-unpack`, or `--retain unpacked`"), "{error}");
    wharf.run(&["fsck"]).success();
}

#[test]
fn what_is_to_be_kept_and_of_what_go_together() {
    let (_directory, wharf) = wharf();
    for words in [&["retain", "unpacked"][..], &["retain", "--default", "both", "unpacked", "a"]] {
        assert_eq!(wharf.run(words).status.code(), Some(2), "{words:?}");
    }
    let error = wharf.run(&["retain", "--default", "both", "--dry-run"]);
    assert_eq!(error.status.code(), Some(2), "{}", error.stderr);
}
