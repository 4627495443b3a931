//! What the program says.

use super::{json, open_registry, wharf};
use serde_json::json as object;
use wharf::demo::image::demo;

#[test]
fn the_demo_runs_without_network_and_without_a_store() {
    let (_directory, wharf) = wharf();
    let told = wharf.run(&["demo"]).success();
    for part in [
        "linux/amd64 is ",
        "linux/arm64/v8 is ",
        "linux/arm/v7 is ",
        "the connection broke; continuing at byte ",
        "hash to their names",
        "REPOSITORY",
        "COPY greeting /etc/greeting",
        "1 request, 0 bytes of blobs: up to date",
        "content.ingest.append ×",
        "0B went by as handles",
    ] {
        assert!(told.contains(part), "`{part}` is not in {told}");
    }
    assert!(!wharf.store().exists(), "the demo has a store of its own");
}

#[test]
fn progress_lines_are_json_objects_of_known_types() {
    let registry = open_registry();
    registry.push("demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let output =
        wharf.run(&["pull", "--progress", "json", "--format", "json", &format!("{}/demo", registry.address())]);
    let result = json(&output.clone().success());
    assert_eq!(result[0]["up_to_date"], object!(false));
    let types: Vec<String> = output
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| json(line)["type"].as_str().expect("each line has a type").to_owned())
        .collect();
    for expected in ["resolved", "selected", "progress", "summary"] {
        assert!(types.iter().any(|name| name == expected), "{expected} is not in {types:?}");
    }
}

#[test]
fn wrong_arguments_teach() {
    let (_directory, wharf) = wharf();
    for (arguments, part) in [
        (&["pul", "alpine"][..], "pull"),
        (&["pull"], "REFERENCE"),
        (&["pull", "--platfrom", "linux/arm64", "alpine"], "--platform"),
        (&["images", "--filter", "dangling"], "expected a key and a value"),
    ] {
        let output = wharf.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(part), "{arguments:?}: {}", output.stderr);
    }
    for (arguments, parts) in [
        (&["pull", "-q", "lower/UPPER"][..], ["error: cannot pull `lower/UPPER`", "lower"]),
        (&["pull", "-q", "--platform", "a/b/c/d/e", "127.0.0.1:1/x"], ["error: ", "a/b/c/d/e"]),
        (&["images", "--filter", "color=red"], ["error: cannot list the images", "reference"]),
        (&["inspect", "nothing/here"], ["error: ", "nothing/here"]),
        (&["history", "nothing/here"], ["error: ", "nothing/here"]),
    ] {
        let error = wharf.run(arguments).failure();
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: `{part}` is not in {error}");
        }
    }
}

#[test]
fn a_store_of_a_later_wharf_is_refused_and_left_alone() {
    let (_directory, wharf) = wharf();
    wharf.run(&["images"]).success();
    std::fs::write(wharf.store().join("version"), "2\n").expect("the store can be written");
    let error = wharf.run(&["images"]).failure();
    assert!(error.contains("version `2`") && error.contains("version `1`"), "{error}");
}
