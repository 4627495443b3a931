//! What it says where something is missing, and how it ends.

use super::{check_layout, index, json, names, open_registry, portable};
use crate::support::portable::Portable;
use crate::support::push::large;
use crate::support::wharf::Output;
use clap::CommandFactory as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use wharf::demo::image::demo;
use wharf_terminal::cli::{Cli, exit};

#[track_caller]
fn check(output: Output, expected: &[&str]) {
    assert_eq!(output.status.code(), Some(i32::from(exit::FAILED)), "{output:?}");
    let told = output.failure();
    for text in expected {
        assert!(told.contains(text), "`{text}` is not in: {told}");
    }
}

#[test]
fn what_the_runtime_does_not_give_is_explained() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let alone = Portable::alone(directory.path());
    // Without HTTP it does not even start, and wharf's own words are not heard: `--help` has those of wasmtime.
    let help = Portable::new(directory.path()).run(&["--help"]).success();
    assert!(help.contains("without it wasmtime says that `wasi:http/types` is missing"), "{help}");
    check(alone.run(&["images"]), &["wasi:http/types", "was not found in the linker"]);

    let http = alone.give("-Shttp");
    let fix = ["cannot open the directory of images `store`", "`wasmtime run --dir ./images::store -Shttp wharf.wasm"];
    check(http.run(&["images"]), &fix);
    check(http.run(&["pull", "127.0.0.1:1/app"]), &fix);
    check(http.run(&["--root", "other", "images"]), &["`other`", "--dir ./images::other"]);
    // Some verbs need no images.
    assert!(http.run(&["explain", "alpine"]).success().contains("https://registry-1.docker.io/v2/library/alpine"));

    // What takes no directory at all, takes no harm.
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("the temporary directory is writable");
    let named = http.give_directory(&elsewhere, "other");
    assert_eq!(named.run(&["--root", "other", "images", "-q"]).success(), "");
    check_layout(&elsewhere);
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let (_directory, wharf) = portable();
    fs::write(wharf.images().join("letter.txt"), "dear harbour").expect("it is writable");
    check(wharf.run(&["images"]), &["there is `letter.txt` in it", "hint: give an empty directory"]);
    check(wharf.run(&["pull", "127.0.0.1:1/app"]), &["there is `letter.txt` in it"]);
    assert_eq!(names(&wharf.images()).len(), 1);

    fs::remove_file(wharf.images().join("letter.txt")).expect("it is there");
    fs::write(wharf.images().join("oci-layout"), r#"{"imageLayoutVersion":"9.0.0"}"#).expect("it is writable");
    check(wharf.run(&["images"]), &["says version `9.0.0`"]);
    assert_eq!(names(&wharf.images()).len(), 1);
}

#[test]
fn a_directory_that_cannot_be_written_is_told_and_can_be_read() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let (_directory, wharf) = portable();
    let name = format!("{}/app:1", registry.address());
    permit(&wharf.images(), 0o555);
    check(
        wharf.clone().ordinary().run(&["images"]),
        &["cannot open the directory of images `store`", "Permission denied", "may write to"],
    );
    permit(&wharf.images(), 0o755);
    wharf.run(&["pull", "-q", &name]).success();
    let before = index(&wharf.images());
    permit(&wharf.images(), 0o555);
    let reading = wharf.clone().ordinary();
    assert_eq!(reading.run(&["images", "-q"]).success().lines().count(), 1);
    reading.run(&["inspect", &name]).success();
    let other = ["pull", "--platform", "linux/arm64", &name];
    check(reading.run(&other), &["cannot pull", "Permission denied"]);
    assert_eq!(index(&wharf.images()), before);
    permit(&wharf.images(), 0o755);
    wharf.run(&other).success();
}

/// Sets the permissions of a directory and of those below it.
fn permit(directory: &Path, mode: u32) {
    fs::set_permissions(directory, Permissions::from_mode(mode)).expect("it is our own");
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_dir() {
            permit(&path, mode);
        }
    }
}

/// Each verb that the declaration has is either there or says why not, with the native command.
#[test]
fn a_verb_that_it_lacks_says_so_in_the_error_and_is_not_in_the_help() {
    let (_directory, wharf) = portable();
    let help = wharf.run(&["--help"]).success();
    let rows: &[(&[&str], &str, &str)] = &[
        (&["unpack", "a"], "WASI cannot set", "wharf unpack REF"),
        (&["retain", "unpacked", "a"], "WASI cannot set", "wharf retain unpacked REF"),
        (&["ls", "a"], "WASI cannot set", "wharf ls REF"),
        (&["export", "a"], "WASI cannot set", "wharf export REF -o FILE"),
        (&["import", "a.tar"], "WASI cannot set", "wharf import FILE REF"),
        (&["cat", "a", "b"], "WASI cannot set", "wharf cat REF PATH"),
        (&["diff", "a", "b"], "WASI cannot set", "wharf diff REF REF"),
        (&["mount", "a", "b"], "WASI has no mounts", "wharf mount REF DIR"),
        (&["umount", "b"], "WASI has no mounts", "wharf umount DIR"),
        (&["mounts"], "WASI has no mounts", "wharf mounts"),
        (&["snapshot", "ls"], "WASI has no mounts", "wharf snapshot prepare NAME REF"),
        (&["login", "a"], "WASI starts no programs", "or give logins by `--auth-file` or `DOCKER_AUTH_CONFIG`"),
        (&["logout", "a"], "WASI starts no programs", "wharf logout REGISTRY"),
        (&["whoami"], "WASI starts no programs", "wharf whoami"),
        (&["serve"], "the runtime listens", "wasmtime serve -Scli -Shttp"),
        (&["demo"], "WASI opens no port", "wharf demo"),
    ];
    for (arguments, why, native) in rows {
        let verb = arguments[0];
        check(wharf.run(arguments), &[&format!("this wharf has no `{verb}`"), why, native]);
        assert!(!help.lines().any(|line| line.trim_start().starts_with(&format!("{verb} "))), "{verb} is in {help}");
    }
    for (arguments, native) in [
        (&["pull", "--retain", "unpacked", "a"], "wharf pull --retain unpacked"),
        (&["load", "--no-unpack", "--retain", "compressed"], "wharf load --retain unpacked"),
    ] {
        check(wharf.run(arguments), &["this wharf keeps images as they came", "WASI cannot set", native]);
    }
    // All others are in the help.
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let verb = command.get_name();
        let is_there = help.lines().any(|line| line.starts_with(&format!("  {verb} ")));
        assert_ne!(is_there, rows.iter().any(|(arguments, ..)| arguments[0] == verb), "{verb}");
    }
}

#[test]
fn an_option_that_it_lacks_says_so() {
    let (_directory, wharf) = portable();
    let files = ["--certs-d", "--registries-conf", "--daemon-json"];
    for verb in [
        &["pull", "127.0.0.1:1/a"][..],
        &["explain", "a"],
        &["tags", "127.0.0.1:1/a"],
        &["catalog", "127.0.0.1:1"],
        &["save", "--complete", "a"],
    ] {
        for option in files {
            let all = [verb, &[option, "store/x"]].concat();
            check(
                wharf.run(&all),
                &[&format!("this wharf has no `{option}`"), "leave it out, or use the native program"],
            );
        }
        if verb[0] != "explain" {
            check(wharf.run(&[verb, &["--limit-rate", "1M"]].concat()), &["this wharf has no `--limit-rate`"]);
        }
    }
    check(
        wharf.run(&["gc", "--scheduled"]),
        &["this wharf has no `--scheduled`", "by a timer", "`wharf gc --scheduled`"],
    );
    check(
        wharf.run(&["rm", "--platform", "linux/arm64", "a"]),
        &["this wharf has no `rm --platform`", "every blob that is there", "`wharf rm --platform PLATFORM REF`"],
    );
    check(
        wharf.run(&["push", "--compress", "zstd", "127.0.0.1:1/a"]),
        &["this wharf has no `--compress`", "`wharf push --compress`"],
    );
    check(wharf.run(&["save", "--format", "oci-dir", "a"]), &["is an OCI image layout itself", "copy that directory"]);
    for verb in [&["images"][..], &["pull", "127.0.0.1:1/a"], &["inspect", "a"]] {
        let all = [&["--namespace", "other"], verb].concat();
        check(wharf.run(&all), &["this wharf has no namespace `other`", "one set of names", "--dir"]);
    }
    assert_eq!(wharf.run(&["--namespace", "default", "images", "-q"]).success(), "");
}

/// `wasi:cli/run` says whether it went well, and nothing else: wrong arguments end with 1 here, and with 2 natively.
#[test]
fn exit_codes_tell_success_from_failure() {
    let (_directory, wharf) = portable();
    for (arguments, code) in [
        (&["--version"][..], exit::DONE),
        (&["pull", "--help"], exit::DONE),
        (&["images"], exit::DONE),
        (&["inspect", "nothing"], exit::FAILED),
        (&["pul"], exit::FAILED),
        (&["pull"], exit::FAILED),
        (&[], exit::FAILED),
    ] {
        assert_eq!(wharf.run(arguments).status.code(), Some(i32::from(code)), "{arguments:?}");
    }
    // Programs read a problem as JSON.
    let failed = wharf.run(&["pull", "--format", "json", "--retries", "0", "127.0.0.1:1/app"]).failure();
    let problem = json(failed.lines().last().expect("it says something"));
    assert_eq!((&problem["type"], &problem["code"]), (&"problem".into(), &"unavailable".into()), "{problem}");
}

/// What wasmtime may give of memory is far less than the image has.
#[test]
fn a_pull_takes_less_memory_than_the_image() {
    const MEMORY_BYTES: usize = 24 << 20;
    let registry = open_registry();
    let image = large(71, 6, 16 << 20);
    registry.push("app", "1", &image);
    let (_directory, wharf) = portable();
    let name = format!("{}/app:1", registry.address());
    let bounded = wharf.clone().give(format!("-Wmax-memory-size={MEMORY_BYTES}"));
    assert_eq!(bounded.run(&["pull", "-q", &name]).success(), format!("{name}\n"));
    assert_eq!(check_layout(&wharf.images()).len(), image.blobs.len() + 1);
    // The bound is one: a tenth of it is too little to begin.
    let starved = wharf.give(format!("-Wmax-memory-size={}", MEMORY_BYTES / 24));
    assert!(!starved.run(&["images"]).status.success());
}
