//! The cases of containerd's suites for content stores (`core/content/testsuite`) and for snapshotters
//! (`core/snapshots/testsuite`), by the names that containerd gives them: which test of this binary is for which. Each of
//! them is also run by a client over gRPC, against wharf and against containerd: `containerd::content_suite`,
//! `containerd::snapshot_suite`. It tests nothing else.

use std::collections::BTreeSet;
use std::process::Command;

/// What stands for a case.
#[derive(Clone, Copy, Debug)]
enum Here {
    /// These tests, on every host that has the service if the name has a star.
    By(&'static [&'static str]),
    /// None, because of this.
    Out(&'static str),
}

use Here::{By, Out};

/// What only a client of the door can say: namespaces, labels, where a copy begins.
const CONTENT_DOOR: Here = By(&["containerd::content_suite::content_is_what_it_is_in_containerd"]);
const ISOLATED: Here = By(&["containerd::content_suite::namespaces_are_isolated_as_in_containerd"]);
/// What only a client of the door can say, or somebody who writes into a mount.
const SNAPSHOT_DOOR: Here = By(&["containerd::snapshot_suite::snapshots_are_what_they_are_in_containerd"]);

/// The four suites for content: 16 cases.
const CONTENT: &[(&str, Here)] = &[
    ("Writer", By(&["contracts::suites::content::*::a_blob_is_visible_after_its_commit_and_not_before"])),
    ("UpdateStatus", By(&["contracts::suites::content::*::the_offset_grows_with_what_arrives"])),
    ("CommitExists", By(&["contracts::suites::content::*::a_commit_of_what_is_there_returns_the_blob"])),
    ("Resume", By(&["contracts::suites::content::*::a_dropped_ingest_continues_where_it_stopped"])),
    ("ResumeTruncate", By(&["contracts::suites::content::*::restart_and_discard_forget_the_bytes"])),
    ("ResumeDiscard", By(&["contracts::suites::content::*::a_dropped_ingest_continues_where_it_stopped"])),
    ("ResumeCopy", By(&["contracts::suites::content::*::an_append_takes_up_to_its_limit_and_gives_the_rest_back"])),
    ("ResumeCopySeeker", CONTENT_DOOR),
    ("ResumeCopyReaderAt", CONTENT_DOOR),
    ("SmallBlob", By(&["contracts::suites::content::*::a_read_is_bounded_by_its_limit_and_by_the_blob"])),
    ("Labels", CONTENT_DOOR),
    (
        "CommitErrorState",
        By(&[
            "contracts::suites::content::*::wrong_bytes_are_refused_and_gone",
            "contracts::suites::content::*::who_wants_an_ingest_that_is_held_waits",
        ]),
    ),
    ("CrossNamespaceAppend", CONTENT_DOOR),
    ("CrossNamespaceShare", CONTENT_DOOR),
    ("CrossNamespaceIsolate", ISOLATED),
    ("SharedNamespaceIsolate", ISOLATED),
];

/// The suite for snapshotters: 21 cases.
const SNAPSHOTS: &[(&str, Here)] = &[
    (
        "Basic",
        By(&[
            "contracts::suites::layers::*::a_stack_is_found_by_its_name",
            "layers::mount::two_layers_are_seen_as_one",
        ]),
    ),
    ("StatActive", SNAPSHOT_DOOR),
    ("StatComitted", By(&["contracts::suites::layers::*::another_process_finds_layers_and_snapshots"])),
    ("TransitivityTest", By(&["layers::store::a_snapshot_with_a_handle_or_a_child_is_in_use"])),
    ("PreareViewFailingtest", By(&["contracts::suites::layers::*::a_name_belongs_to_the_first_snapshot_that_has_it"])),
    ("Update", SNAPSHOT_DOOR),
    ("Remove", By(&["layers::store::a_layer_stays_while_another_snapshot_or_a_handle_uses_it"])),
    ("Walk", By(&["layers::store::names_come_in_pages_and_in_order"])),
    ("LayerFileupdate", By(&["layers::stacks::stacks_become_what_containerd_makes_of_them"])),
    ("RemoveDirectoryInLowerLayer", By(&["layers::stacks::stacks_become_what_containerd_makes_of_them"])),
    ("Chown", By(&["layers::stacks::stacks_become_what_containerd_makes_of_them"])),
    ("DirectoryPermissionOnCommit", By(&["layers::settle::an_implied_directory_looks_like_the_nearest_one_below"])),
    ("RemoveIntermediateSnapshot", By(&["layers::store::a_snapshot_with_a_handle_or_a_child_is_in_use"])),
    ("DeletedFilesInChildSnapshot", By(&["layers::stacks::stacks_become_what_containerd_makes_of_them"])),
    ("MoveFileFromLowerLayer", SNAPSHOT_DOOR),
    ("ViewReadonly", By(&["layers::mount::one_layer_is_mounted_and_cannot_be_written_to"])),
    ("StatInWalk", SNAPSHOT_DOOR),
    ("CloseTwice", Out("a service has no call to close it: it ends with its last handle")),
    ("RootPermission", By(&["layers::settle::a_root_that_no_entry_names_looks_like_the_one_below"])),
    ("Rename", SNAPSHOT_DOOR),
    ("128LayersMount", By(&["layers::mount::five_hundred_layers_are_mounted_and_listed"])),
];

/// The tests of this binary, by their whole names.
fn tests() -> BTreeSet<String> {
    let program = std::env::current_exe().expect("a test is a program");
    let listed = Command::new(program).arg("--list").output().expect("it can be run again").stdout;
    let listed = String::from_utf8(listed).expect("names of tests are text");
    listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// What is wrong with a table, if it has to have so many cases.
fn faults(cases: &[(&str, Here)], count: usize, tests: &BTreeSet<String>) -> Vec<String> {
    let names: BTreeSet<&str> = cases.iter().map(|(name, _)| *name).collect();
    let short = (names.len() != count).then(|| format!("there are {} cases, not {count}", names.len()));
    let is_there = |name: &str| match name.split_once('*') {
        Some((before, after)) => tests.iter().any(|test| test.starts_with(before) && test.ends_with(after)),
        None => tests.contains(name),
    };
    let wrong = cases.iter().flat_map(|(case, here)| match here {
        By([]) | Out("") => vec![format!("`{case}`: neither a test nor a reason")],
        Out(_) => Vec::new(),
        By(names) => {
            let absent = names.iter().filter(|name| !is_there(name));
            absent.map(|name| format!("`{case}`: there is no test `{name}`")).collect()
        }
    });
    short.into_iter().chain(wrong).collect()
}

#[test]
fn every_case_of_containerd_has_a_test_or_a_reason() {
    let tests = tests();
    assert_eq!(faults(CONTENT, 16, &tests), [""; 0]);
    assert_eq!(faults(SNAPSHOTS, 21, &tests), [""; 0]);
}

#[test]
fn a_table_with_a_hole_is_noticed() {
    let tests = ["suites::real::here", "other"].map(str::to_owned).into();
    let cases =
        [("One", By(&["suites::*::here", "other"])), ("Two", By(&["suites::*::gone", "another"])), ("Three", Out(""))];
    let expected = [
        "there are 3 cases, not 4",
        "`Two`: there is no test `suites::*::gone`",
        "`Two`: there is no test `another`",
        "`Three`: neither a test nor a reason",
    ];
    assert_eq!(faults(&cases, 4, &tests), expected);
}
