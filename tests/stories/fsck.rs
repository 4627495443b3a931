//! `wharf fsck` on a real store: what a disk has changed is found, told and
//! repaired, and stands in nobody's way meanwhile.

use super::{json, open_registry, wharf};
use crate::support::push::large;
use crate::support::wharf::Wharf;
use serde_json::json as object;
use std::fs;
use std::path::PathBuf;
use wharf::demo::image::{demo, digest};

/// The largest file in a directory of the store.
fn largest(wharf: &Wharf, below: &str) -> PathBuf {
    let entries = fs::read_dir(wharf.store().join(below)).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.max_by_key(|path| fs::metadata(path).expect("it is there").len()).expect("something is in it")
}

/// A file of some layer.
fn file(wharf: &Wharf) -> PathBuf {
    let mut open: Vec<PathBuf> = fs::read_dir(wharf.store().join("layers"))
        .expect("layers")
        .map(|layer| layer.expect("a layer").path().join("tree"))
        .collect();
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        if metadata.is_file() && metadata.len() > 0 {
            return path;
        }
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        }
    }
    panic!("no layer has a file")
}

#[test]
fn a_damaged_store_is_told_and_repaired() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let name = format!("{}/app:1", registry.address());
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &name]).success();
    let output = wharf.run(&["fsck"]);
    assert_eq!(output.clone().success(), "");
    assert!(output.stderr.ends_with(": all is as it should be\n"), "{}", output.stderr);

    let layer = largest(&wharf, "blobs/sha256");
    let bytes = fs::read(&layer).expect("a blob");
    let mut spoilt = bytes.clone();
    spoilt[bytes.len() / 2] ^= 4;
    fs::write(&layer, &spoilt).expect("root may write what is read-only");
    let changed = file(&wharf);
    fs::write(&changed, "changed").expect("root may write");

    let output = wharf.run(&["fsck", "--format", "json", &name]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    let flaws = json(&output.stdout)["flaws"].clone();
    assert_eq!(flaws.as_array().map(Vec::len), Some(2), "{flaws}");
    assert_eq!(flaws[0]["kind"], "damaged-blob");
    assert_eq!(flaws[0]["why"], format!("its bytes hash to `{}`", digest(&spoilt)));
    assert_eq!((&flaws[1]["kind"], &flaws[1]["images"]), (&object!("damaged-layer"), &object!([name])));
    let file_name = changed.file_name().expect("a name").to_str().expect("UTF-8");
    assert!(flaws[1]["why"].as_str().is_some_and(|why| why.contains(file_name)), "{flaws}");

    let output = wharf.run(&["fsck", "--repair"]);
    assert!(output.stdout.contains("; fetched again\n"), "{}", output.stdout);
    assert!(output.stdout.contains("; extracted again\n"), "{}", output.stdout);
    assert!(output.stderr.contains("2 repaired, and all is as it should be"), "{}", output.stderr);
    output.success();
    assert_eq!(fs::read(&layer).expect("it is here again"), bytes);
    assert_ne!(fs::read(&changed).expect("it is here again"), b"changed");
    wharf.run(&["fsck"]).success();
}

#[test]
fn damage_stands_in_the_way_of_nothing_else() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    registry.push("other", "1", &large(1, 1, 1_000));
    let (app, other) = (format!("{}/app:1", registry.address()), format!("{}/other:1", registry.address()));
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &app]).success();
    // A layer that was cut, a snapshot that is gone, and a directory in the place of a blob.
    fs::write(file(&wharf), "").expect("root may write");
    let snapshots = fs::read_dir(wharf.store().join("snapshots")).expect("snapshots");
    let snapshot = snapshots.map(|entry| entry.expect("an entry").path()).find(|path| path.join("snapshot").exists());
    fs::remove_dir_all(snapshot.expect("a snapshot")).expect("gone");
    let blob = largest(&wharf, "blobs/sha256");
    fs::remove_file(&blob).expect("gone");
    fs::create_dir(&blob).expect("a directory");

    wharf.run(&["images", "-q"]).success();
    wharf.run(&["inspect", &app]).success();
    wharf.run(&["pull", "-q", &other]).success();
    wharf.run(&["ls", &other, "/"]).success();
    let output = wharf.run(&["fsck", "--repair"]);
    assert!(output.status.success(), "{}{}", output.stdout, output.stderr);
    wharf.run(&["fsck"]).success();
    wharf.run(&["ls", &app, "/"]).success();
}

#[test]
fn records_that_are_damaged_or_lost_are_begun_anew_from_what_is_here() {
    for is_lost in [true, false] {
        let registry = open_registry();
        registry.push("app", "1", &demo());
        let name = format!("{}/app:1", registry.address());
        let (_directory, wharf) = wharf();
        wharf.run(&["pull", "-q", &name]).success();
        let records = wharf.store().join("metadata.sqlite");
        for part in ["-wal", "-shm"] {
            let _ = fs::remove_file(wharf.store().join(format!("metadata.sqlite{part}")));
        }
        if is_lost {
            fs::remove_file(&records).expect("gone");
        } else {
            fs::write(&records, "this is no database, and was one").expect("damage");
            let output = wharf.run(&["images"]);
            assert_eq!(output.status.code(), Some(1));
            assert!(output.stderr.contains("wharf fsck --repair --rebuild"), "{}", output.stderr);
            assert_eq!(wharf.run(&["fsck"]).status.code(), Some(1));
        }
        let output = wharf.run(&["fsck", "--repair", "--rebuild"]);
        assert!(output.stderr.contains("had no name, and is `localhost/recovered@sha256:"), "{}", output.stderr);
        assert_eq!(output.stderr.contains("metadata.sqlite.damaged-1"), !is_lost, "{}", output.stderr);
        output.success();
        assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1);
        wharf.run(&["pull", "-q", &name]).success();
        wharf.run(&["fsck"]).success();
    }
}
