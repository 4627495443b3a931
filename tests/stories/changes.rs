//! Living with images: names that come and go, plans, prunes, collections, leases, sizes, labels and events.

use super::{json, open_registry, wharf};
use crate::support::docker_registry::DockerRegistry;
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::wharf::{TIMEOUT, Wharf};
use serde_json::Value;
use serde_json::json as object;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use wharf::demo::image::demo;

/// A store with `app:1`, and the registry that it came from.
pub(super) fn with_app() -> (DockerRegistry, TempDir, Wharf, String) {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let repository = format!("{}/app", registry.address());
    let (directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &format!("{repository}:1")]).success();
    (registry, directory, wharf, repository)
}

/// How many blobs, layers or snapshots a directory of the store has. `snapshots/empty` is none: it is what overlays of
/// one layer stand on.
pub(super) fn count(wharf: &Wharf, below: &str) -> usize {
    let Ok(entries) = fs::read_dir(wharf.store().join(below)) else { return 0 };
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != "empty")).count()
}

/// The bytes of the files in a directory.
fn bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("it is there").len()).sum()
}

/// The names that are here.
fn names(wharf: &Wharf) -> Vec<String> {
    let images = json(&wharf.run(&["images", "--format", "json"]).success());
    let names =
        images.as_array().expect("a list").iter().map(|image| image["name"].as_str().expect("a name").to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn an_image_gets_names_and_goes_with_the_last_one() {
    let (_registry, _directory, wharf, repository) = with_app();
    let (one, two) = (format!("{repository}:1"), "docker.io/library/kept:2");
    let output = wharf.run(&["tag", &one, "kept:2"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (format!("tagged {two}\n").as_str(), ""));
    let mut both = [one.as_str(), two];
    both.sort_unstable();
    assert_eq!(names(&wharf), both);

    let output = wharf.run(&["rm", &one]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        (format!("untagged {one}\n").as_str(), "freed nothing\n")
    );
    wharf.run(&["ls", "kept:2", "/"]).success();

    let output = wharf.run(&["rmi", "kept:2"]);
    assert!(output.stderr.starts_with("freed ") && output.stderr.contains(" blobs, "), "{}", output.stderr);
    let digest = demo().root().digest.to_string();
    assert_eq!(output.success(), format!("untagged {two}\ndeleted {digest}\n"));
    for below in ["blobs/sha256", "layers", "snapshots"] {
        assert_eq!(count(&wharf, below), 0, "{below}");
    }
    wharf.run(&["fsck"]).success();

    let told = wharf.run(&["rm", "kept:2"]).failure();
    assert!(told.starts_with("error: cannot remove `kept:2`\n"), "{told}");
    assert_eq!(wharf.run(&["rm"]).status.code(), Some(2));
}

#[test]
fn a_plan_is_shown_saved_and_carried_out_exactly_or_not_at_all() {
    let (_registry, directory, wharf, repository) = with_app();
    let one = format!("{repository}:1");
    let digest = demo().root().digest.to_string();
    let before = count(&wharf, "blobs/sha256");
    let shown = wharf.run(&["prune", "--all", "--dry-run"]).success();
    assert!(
        shown.starts_with(&format!("would untag {one}: nobody uses it\nwould delete {digest}\nwould free ")),
        "{shown}"
    );
    assert_eq!(wharf.run(&["prune", "--dry-run"]).success(), "nothing would change\n");
    let read = json(&wharf.run(&["rm", "--dry-run", "--format", "json", &one]).success());
    assert_eq!((&read["names"][0]["before"], &read["names"][0]["after"]), (&object!(digest), &Value::Null), "{read}");
    assert_eq!(read["garbage"]["blobs"].as_array().map(Vec::len), Some(before), "{read}");

    let file = directory.path().join("plan.json");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(wharf.run(&["prune", "--all", "--plan", path]).success(), shown);
    let saved = fs::read_to_string(&file).expect("it was saved");
    assert_eq!(json(&saved)["names"][0]["name"], one);
    assert_eq!(json(&wharf.run(&["prune", "--all", "--plan", "-"]).success())["verb"], "prune");

    // The record is another one by now, though it points to the same.
    wharf.run(&["label", &one, "team=web"]).success();
    let told = wharf.run(&["apply", path]).failure();
    assert!(told.contains(&format!("`{one}` has changed since the plan was made")), "{told}");
    assert_eq!((names(&wharf), count(&wharf, "blobs/sha256")), (vec![one.clone()], before));

    let plan = wharf.run(&["rm", &one, "--plan", "-"]).success();
    let applied = wharf.run_with_input(&["apply", "--format", "json", "-"], &plan);
    let applied = json(&applied.success());
    assert_eq!((&applied["gone"], &applied["failed"]), (&object!([digest]), &object!([])), "{applied}");
    assert_eq!(applied["removed"]["blobs"].as_array().map(Vec::len), Some(before), "{applied}");
    assert_eq!((names(&wharf).len(), count(&wharf, "blobs/sha256")), (0, 0));

    let told = wharf.run_with_input(&["apply", "-"], "{}").failure();
    assert!(told.contains("this is no plan of wharf"), "{told}");
    let told = wharf.run(&["apply", &format!("{path}.none")]).failure();
    assert!(told.starts_with(&format!("error: cannot read the plan in `{path}.none`")), "{told}");
}

#[test]
fn what_is_left_for_a_collection_is_collected() {
    let (_registry, _directory, wharf, repository) = with_app();
    let before = count(&wharf, "blobs/sha256");
    wharf.run(&["rm", "--no-prune", &format!("{repository}:1")]).success();
    assert_eq!(count(&wharf, "blobs/sha256"), before);
    assert!(wharf.run(&["gc", "--dry-run"]).success().starts_with("would free "));
    let output = wharf.run(&["gc"]);
    assert!(output.stderr.starts_with("freed "), "{}", output.stderr);
    assert_eq!(output.success(), "");
    assert_eq!((count(&wharf, "blobs/sha256"), count(&wharf, "layers")), (0, 0));
    assert_eq!(wharf.run(&["gc"]).stderr, "freed nothing\n");
}

#[test]
fn sizes_add_up_to_what_is_on_the_disk() {
    let (registry, _directory, wharf, repository) = with_app();
    registry.push("other", "1", &large(5, 2, 100_000));
    wharf.run(&["pull", "-q", &format!("{}/other:1", registry.address())]).success();
    wharf.run(&["tag", &format!("{repository}:1"), "kept:1"]).success();
    let usage = json(&wharf.run(&["df", "--format", "json"]).success());
    let number = |value: &Value| value.as_u64().expect("a number");
    for kind in ["content", "unpacked"] {
        let sum = &usage[kind];
        let parts = ["unique", "shared", "others", "unneeded"].map(|part| number(&sum[part]));
        assert_eq!(number(&sum["total"]), parts.iter().sum::<u64>(), "{usage}");
        let images = usage["images"].as_array().expect("a list");
        assert_eq!(images.iter().map(|image| number(&image[kind]["unique"])).sum::<u64>(), parts[0], "{usage}");
        assert_eq!(number(&sum["reclaimable"]), number(&sum["total"]), "nothing is in use: {usage}");
    }
    assert_eq!(number(&usage["content"]["total"]), bytes(&wharf.store().join("blobs/sha256")));
    assert_eq!(usage["images"].as_array().map(Vec::len), Some(2), "{usage}");

    let table = wharf.run(&["df"]).success();
    let heads: Vec<&str> = table.lines().map(|line| line.split_ascii_whitespace().next().expect("a word")).collect();
    assert_eq!(heads, ["UNIQUE", "content", "unpacked", "written", "ingests", "all"], "{table}");
    let table = wharf.run(&["df", "-v"]).success();
    assert!(table.contains("docker.io/library/kept:1") && table.contains("IN USE"), "{table}");

    wharf.run(&["prune", "--all"]).success();
    let usage = json(&wharf.run(&["df", "--format", "json"]).success());
    assert_eq!((number(&usage["content"]["total"]), number(&usage["unpacked"]["total"])), (0, 0), "{usage}");
}

#[test]
fn a_lease_holds_what_has_no_name_any_more() {
    let (_registry, _directory, wharf, repository) = with_app();
    let one = format!("{repository}:1");
    let before = count(&wharf, "blobs/sha256");
    let id = wharf.run(&["lease", "create", "--expires", "24h", "--label", "for=test", &one]).success();
    let leases = json(&wharf.run(&["lease", "ls", "--format", "json"]).success());
    assert_eq!((&leases[0]["id"], &leases[0]["labels"]), (&object!(id.trim()), &object!({"for": "test"})));
    assert_eq!(wharf.run(&["lease", "ls", "-q"]).success(), id);
    assert!(wharf.run(&["lease", "create", "--id", id.trim(), &one]).failure().contains(id.trim()));

    assert_eq!(wharf.run(&["prune", "--all"]).success(), "");
    wharf.run(&["rm", &one]).success();
    wharf.run(&["gc"]).success();
    assert_eq!((names(&wharf).len(), count(&wharf, "blobs/sha256")), (0, before));

    wharf.run(&["lease", "rm", "nothing"]).failure();
    assert_eq!(wharf.run(&["lease", "rm", id.trim()]).success(), id);
    wharf.run(&["gc"]).success();
    assert_eq!(count(&wharf, "blobs/sha256"), 0);
}

#[test]
fn a_download_that_was_given_up_is_listed_and_removed() {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 1, 8 << 20));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    proxy.slow_down(2 << 20);
    let pull = wharf.spawn(&["pull", "-q", &format!("{}/app:1", proxy.address())]);
    proxy.wait_for(3 << 20, Duration::from_secs(60));
    pull.kill();

    let listed = json(&wharf.run(&["ingest", "ls", "--format", "json"]).success());
    let listed = listed.as_array().expect("a list");
    let layer = listed.iter().max_by_key(|ingest| ingest["size"].as_u64()).expect("the layer has begun");
    assert!(layer["size"].as_u64() > Some(0) && layer["held"] == false, "{layer}");
    let usage = json(&wharf.run(&["df", "--format", "json"]).success());
    assert_eq!(usage["ingests"]["count"], object!(listed.len()), "{usage}");

    let key = layer["key"].as_str().expect("a key");
    wharf.run(&["ingest", "rm", "0000000000"]).failure();
    let output = wharf.run(&["ingest", "rm", &key[..12]]);
    assert!(output.stderr.starts_with("freed "), "{}", output.stderr);
    assert_eq!(output.success(), format!("{key}\n"));
    assert!(!wharf.run(&["ingest", "ls", "-q"]).success().contains(key));
    wharf.run(&["gc", "--ingest-age", "0s"]).success();
    assert_eq!(wharf.run(&["ingest", "ls", "-q"]).success(), "");
}

#[test]
fn labels_are_set_shown_and_taken_away() {
    let (_registry, _directory, wharf, repository) = with_app();
    let one = format!("{repository}:1");
    assert_eq!(wharf.run(&["label", &one, "team=web", "why=a-"]).success(), "team=web\nwhy=a-\n");
    assert_eq!(wharf.run(&["label", &one, "why-"]).success(), "team=web\n");
    assert_eq!(json(&wharf.run(&["label", "--format", "json", &one]).success()), object!({"team": "web"}));
    // A name whose time is over goes with the next collection.
    wharf.run(&["label", &one, "containerd.io/gc.expire=2020-01-01T00:00:00Z"]).success();
    let digest = demo().root().digest.to_string();
    assert_eq!(wharf.run(&["gc"]).success(), format!("untagged {one}\ndeleted {digest}\n"));
}

#[test]
fn what_happens_is_told_afterwards_and_while_it_happens() {
    let (_registry, _directory, wharf, repository) = with_app();
    let one = format!("{repository}:1");
    let digest = demo().root().digest.to_string();
    let following = wharf.spawn(&["events", "--since", "1h", "--filter", "event=tag", "--format", "json"]);
    wharf.run(&["tag", &one, "kept:1"]).success();
    wharf.run(&["rm", &one]).success();
    let told = wharf.run(&["events", "--since", "1h", "--until", "0s"]).success();
    let words: Vec<String> = told
        .lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(time.len() == 30 && time.ends_with('Z'), "{line}");
            rest.to_owned()
        })
        .collect();
    let expected = [("pull", &*one), ("tag", "docker.io/library/kept:1"), ("untag", &*one)];
    assert_eq!(words, expected.map(|(action, name)| format!("{action} {name} ({digest})")));
    let filtered = wharf.run(&["events", "--since", "1h", "--until", "0s", "--filter", "event=untag"]).success();
    assert_eq!(filtered.lines().count(), 1, "{filtered}");

    // It looks twice a second, and Ctrl-C is how it ends.
    std::thread::sleep(Duration::from_secs(2));
    following.interrupt();
    let output = following.wait(TIMEOUT);
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(130), ""));
    let lines: Vec<Value> = output.stdout.lines().map(json).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["action"], &lines[0]["subject"]), (&object!("tag"), &object!("docker.io/library/kept:1")));
}
