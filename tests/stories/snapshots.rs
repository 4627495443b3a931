//! `wharf snapshot`: what is written on an image is seen, listed, and becomes an image. Mounting takes root.

use super::trees::{base, image};
use super::{json, open_registry, wharf};
use crate::support::docker_registry::DockerRegistry;
use crate::support::wharf::{Output, Wharf};
use serde_json::json as object;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// An image in a store, and its name.
fn with_app() -> (DockerRegistry, TempDir, Wharf, String) {
    let registry = open_registry();
    registry.push("app", "1", &image(&[base()]));
    let name = format!("{}/app:1", registry.address());
    let (directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &name]).success();
    (registry, directory, wharf, name)
}

/// What the name, the kind and what it stands on are of each snapshot that has a name of its own.
fn listed(wharf: &Wharf) -> Vec<(String, String, bool)> {
    let all = json(&wharf.run(&["snapshot", "ls", "--format", "json"]).success());
    let all = all.as_array().expect("a list").iter();
    let named = all.filter(|one| !one["name"].as_str().expect("a name").starts_with("sha256:"));
    let text = |one: &serde_json::Value| one.as_str().expect("a text").to_owned();
    named.map(|one| (text(&one["name"]), text(&one["kind"]), one["parent"].is_string())).collect()
}

fn row(name: &str, kind: &str, stands: bool) -> (String, String, bool) {
    (name.to_owned(), kind.to_owned(), stands)
}

#[track_caller]
fn refused(output: Output, why: &str) {
    let text = output.failure();
    assert!(text.contains(why), "{text}");
}

const WRITE: &str = "echo new >etc/greeting; rm etc/old; mkdir made; ln etc/greeting made/link; chmod 700 made";

#[test]
fn what_is_written_on_an_image_is_seen_and_becomes_an_image() {
    let (_registry, directory, wharf, name) = with_app();
    assert_eq!(wharf.run(&["snapshot", "prepare", "work", &name, "--label", "for=test"]).success(), "work\n");
    assert_eq!(listed(&wharf), [row("work", "active", true)]);
    wharf.run(&["snapshot", "mount", "work", "--", "sh", "-c", WRITE]).success();
    let changes = ["C /etc/greeting", "D /etc/old", "A /made", "A /made/link"];
    assert_eq!(wharf.run(&["snapshot", "diff", "work"]).success().lines().collect::<Vec<_>>(), changes);
    assert_eq!(wharf.run(&["cat", &name, "etc/greeting"]).success(), "hello\n", "the image is what it was");

    let options =
        ["--change", "CMD [\"cat\", \"/etc/greeting\"]", "-m", "a greeting", "-a", "Ada", "--created", "1000000000"];
    let commit = [&["snapshot", "commit", "work", "made:1", "--format", "json"][..], &options].concat();
    let made = json(&wharf.run(&commit).success());
    assert_eq!(made["name"], "docker.io/library/made:1");
    assert_eq!(wharf.run(&["cat", "made:1", "made/link"]).success(), "new\n");
    let differs = wharf.run(&["diff", &name, "made:1"]).success();
    assert_eq!(differs.lines().collect::<Vec<_>>(), changes);
    let shown = json(&wharf.run(&["inspect", "made:1"]).success());
    let (layers, config) = (&shown[0]["RootFS"]["Layers"], &shown[0]["Config"]);
    assert_eq!((layers.as_array().map(Vec::len), &layers[1]), (Some(2), &made["diff_id"]));
    assert_eq!((&config["Cmd"], &shown[0]["Author"]), (&object!(["cat", "/etc/greeting"]), &object!("Ada")));
    let history = json(&wharf.run(&["history", "made:1", "--format", "json"]).success());
    assert_eq!((history.as_array().map(Vec::len), &history[0]["comment"]), (Some(2), &object!("a greeting")));
    assert_eq!(json(&wharf.run(&commit).success())["id"], made["id"], "the same makes the same");

    // The layer that `diff` writes is the one of the image.
    let layer = directory.path().join("layer.tar");
    wharf.run(&["snapshot", "diff", "work", "-o", &layer.to_string_lossy()]).success();
    assert_eq!(
        wharf::demo::image::digest(&fs::read(&layer).expect("a file")),
        made["diff_id"].as_str().expect("a digest")
    );
    let tar = Command::new("tar").arg("tf").arg(&layer).output().expect("tar");
    assert!(String::from_utf8_lossy(&tar.stdout).lines().any(|line| line == "etc/.wh.old"));

    // The image below stays as long as something stands on it, whatever becomes of its names.
    wharf.run(&["rm", &name, "made:1"]).success();
    wharf.run(&["gc"]).success();
    assert_eq!(wharf.run(&["snapshot", "mount", "work", "--", "cat", "etc/tool"]).success(), "#!\n");
    wharf.run(&["snapshot", "commit", "-q", "work", "again:1"]).success();
    assert_eq!(wharf.run(&["cat", "again:1", "etc/greeting"]).success(), "new\n");
    wharf.run(&["fsck"]).success();
    wharf.run(&["rm", "again:1"]).success();
    assert_eq!(wharf.run(&["snapshot", "rm", "work"]).success(), "work\n");
    wharf.run(&["gc"]).success();
    let usage = json(&wharf.run(&["df", "--format", "json"]).success());
    assert_eq!((&usage["content"]["total"], &usage["unpacked"]["total"]), (&object!(0), &object!(0)), "{usage}");
    assert_eq!(listed(&wharf), []);
}

#[test]
fn a_snapshot_is_mounted_where_a_person_says_and_stays_until_it_is_removed() {
    let (_registry, directory, wharf, name) = with_app();
    wharf.run(&["snapshot", "prepare", "work", &name]).success();
    wharf.run(&["snapshot", "prepare", "--view", "look", &name]).success();
    let place = directory.path().join("at");
    fs::create_dir(&place).expect("a directory");
    let at = place.to_string_lossy().into_owned();
    wharf.run(&["snapshot", "mount", "work", &at]).success();
    fs::write(place.join("etc/written"), "here").expect("a file");
    refused(wharf.run(&["snapshot", "rm", "work"]), "in use");
    wharf.run(&["snapshot", "umount", &at]).success();
    wharf.run(&["snapshot", "mount", "work", &at]).success();
    assert_eq!(fs::read_to_string(place.join("etc/written")).expect("it stays"), "here");
    wharf.run(&["umount", &at]).success();
    wharf.run(&["snapshot", "mount", "look", &at]).success();
    assert_eq!(fs::read_to_string(place.join("etc/greeting")).expect("a file"), "hello\n");
    fs::write(place.join("etc/greeting"), "other").expect_err("nothing is written there");
    wharf.run(&["umount", &at]).success();
    wharf.run(&["gc"]).success();
    assert_eq!(listed(&wharf), [row("look", "view", true), row("work", "active", true)]);
    assert_eq!(wharf.run(&["snapshot", "rm", "work", "look"]).success(), "look\nwork\n");
    assert!(!Path::new(&at).join("etc").exists());
}

#[test]
fn what_stands_on_nothing_becomes_an_image_too() {
    let (_directory, wharf) = wharf();
    wharf.run(&["snapshot", "prepare", "empty"]).success();
    wharf.run(&["snapshot", "mount", "empty", "--", "sh", "-c", "echo alone >file"]).success();
    assert_eq!(wharf.run(&["snapshot", "diff", "empty"]).success(), "A /file\n");
    wharf.run(&["snapshot", "commit", "-q", "empty", "alone:1", "-c", "CMD /file"]).success();
    assert_eq!(wharf.run(&["cat", "alone:1", "file"]).success(), "alone\n");
    let nameless = wharf.run(&["snapshot", "commit", "-q", "empty"]).success();
    assert!(nameless.starts_with("sha256:"));
}

#[test]
fn what_cannot_be_done_to_a_snapshot_says_why() {
    let (_registry, directory, wharf, name) = with_app();
    wharf.run(&["snapshot", "prepare", "work", &name]).success();
    wharf.run(&["snapshot", "prepare", "--view", "look", &name]).success();
    let at = directory.path().to_string_lossy().into_owned();
    let parent = json(&wharf.run(&["snapshot", "ls", "--format", "json"]).success());
    let parent = parent.as_array().expect("a list").iter().find(|one| one["name"] == "work").expect("it is there");
    let parent = parent["parent"].as_str().expect("it stands on the image").to_owned();
    for (arguments, why) in [
        (&["prepare", "work", &name][..], "work"),
        (&["prepare", "other", "nothing:1"], "no image here is called"),
        (&["mount", "nobody", &at], "no snapshot `nobody`"),
        (&["mount", &parent, &at], "it is committed"),
        (&["diff", "nobody"], "no snapshot `nobody`"),
        (&["commit", "look", "x:1"], "it is a view"),
        (&["commit", "nobody", "x:1"], "there is no such snapshot"),
        (&["commit", "work", "x:1", "-c", "FROM y"], "the change `FROM y` is not usable"),
        (&["rm", &parent], "stands on it"),
        (&["rm", "nobody"], "no snapshot `nobody`"),
    ] {
        refused(wharf.run(&[&["snapshot"], arguments].concat()), why);
    }
    assert_eq!(listed(&wharf), [row("look", "view", true), row("work", "active", true)]);
}
