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

/// A mistyped `--root` must not turn somebody's directory into a store.
#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let (_directory, wharf) = wharf();
    let theirs = wharf.store();
    std::fs::create_dir_all(theirs.join("blobs")).expect("the directory can be made");
    std::fs::write(theirs.join("oci-layout"), "theirs").expect("the directory can be written");
    let error = wharf.run(&["images"]).failure();
    assert!(error.contains("not a store of wharf"), "{error}");
    let mut names: Vec<_> = std::fs::read_dir(&theirs)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["blobs", "oci-layout"]);
    assert_eq!(std::fs::read(theirs.join("oci-layout")).expect("it is there"), b"theirs");
}

/// Talk that nobody can read is no reason to lose the result or the exit code.
#[test]
fn a_full_standard_error_changes_neither_the_data_nor_the_exit_code() {
    let registry = open_registry();
    registry.push("demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let run = |reference: &str| {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
            .arg("--root")
            .arg(wharf.store())
            .args(["pull", reference])
            .stderr(full)
            .output()
            .expect("wharf runs")
    };
    let reference = format!("{}/demo:latest", registry.address());
    let output = run(&reference);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).trim_end()), (Some(0), &*reference));
    assert_eq!(run(&format!("{}/demo:none", registry.address())).status.code(), Some(1));
}

/// Several first starts at once make one store.
#[test]
fn several_processes_that_start_on_an_empty_directory_agree() {
    let (_directory, wharf) = wharf();
    for _ in 0..5 {
        let running: Vec<_> = (0..6).map(|_| wharf.spawn(&["images", "-q"])).collect();
        for running in running {
            running.wait(std::time::Duration::from_secs(30)).success();
        }
        std::fs::remove_dir_all(wharf.store()).expect("the store can be removed");
    }
}
