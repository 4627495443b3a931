//! The cases of containerd's suite for snapshotters (`core/snapshots/testsuite`), under its names, over gRPC by its own
//! client, against wharf and against containerd, side by side (`suite`). What is in the trees is compared too. Needs root.

mod client;

use super::suite::{Case, Difference, compare};
use client::{Client, Kind, told};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

type Step = fn(&Path);

const DIFFERENCES: &[Difference] = &[
    (
        "PreareViewFailingtest",
        "prepare  on ``: InvalidArgument",
        "prepare  on ``: Unknown",
        "it has no code for a key that is empty",
    ),
    (
        "PreareViewFailingtest",
        "commit key-0 as : FailedPrecondition",
        "commit key-0 as : Unknown",
        "it has no code for a name that is empty",
    ),
    ("Walk", "list kind==: InvalidArgument", "list kind==: Unknown", "it has no code for a filter that cannot be read"),
    (
        "Walk",
        "list name~=[: InvalidArgument",
        "list name~=[: ",
        "an expression that is none finds nothing there, and nobody is told",
    ),
    ("Cleanup", "cleanup: done", "cleanup: Unimplemented", NO_CLEANUP),
    ("Cleanup", "cleanup: done", "cleanup: Unimplemented", NO_CLEANUP),
];
const NO_CLEANUP: &str = "its overlayfs of version 1.6 cleans up when it starts, and not when it is asked";

const CASES: &[Case<Client>] = &[
    ("Basic", basic),
    ("StatActive", stat_active),
    ("StatComitted", stat_committed),
    ("Transitivity", transitivity),
    ("PreareViewFailingtest", prepare_view_failing),
    ("Update", update),
    ("Remove", remove),
    ("Walk", walk),
    ("LayerFileupdate", layer_file_update),
    ("RemoveDirectoryInLowerLayer", remove_directory_in_lower_layer),
    ("Chown", chown_of_what_is_below),
    ("DirectoryPermissionOnCommit", directory_permission_on_commit),
    ("RemoveIntermediateSnapshot", remove_intermediate_snapshot),
    ("DeletedFilesInChildSnapshot", deleted_files_in_child_snapshot),
    ("MoveFileFromLowerLayer", move_file_from_lower_layer),
    ("ViewReadonly", view_readonly),
    ("RootPermission", root_permission),
    ("128LayersMount", a_hundred_and_twenty_eight_layers),
    ("Rename", rename),
    ("Cleanup", cleanup),
];

#[test]
fn snapshots_are_what_they_are_in_containerd() {
    compare(CASES, Client::new, DIFFERENCES);
}

fn put(tree: &Path, path: &str, text: &str) {
    fs::write(tree.join(path), text).expect("a file");
    fs::set_permissions(tree.join(path), fs::Permissions::from_mode(0o777)).expect("a mode");
}

fn make(tree: &Path, path: &str, mode: u32) {
    fs::create_dir(tree.join(path)).expect("a directory");
    fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
}

fn clear(tree: &Path, path: &str) {
    fs::remove_dir_all(tree.join(path)).expect("a directory");
}

/// Takes each step in a snapshot on the one before, commits it, and writes down what a view of the last one shows.
fn build(client: &mut Client, steps: &[Step]) {
    let mut parent = String::new();
    for (number, step) in steps.iter().enumerate() {
        let (active, committed) = (format!("active-{number}"), format!("committed-{number}"));
        client.fill(&active, &parent, step);
        client.commit(&committed, &active);
        parent = committed;
    }
    client.show(&parent);
}

fn basic(client: &mut Client) {
    let first = |tree: &Path| {
        put(tree, "foo", "foo\n");
        make(tree, "a", 0o755);
        make(tree, "a/b", 0o755);
        make(tree, "a/b/c", 0o755);
    };
    let second = |tree: &Path| {
        put(tree, "bar", "bar\n");
        put(tree, "foo", "bar\n");
        clear(tree, "a/b");
    };
    build(client, &[first, second]);
    for key in ["committed-0", "committed-1", "active-1", "nothing"] {
        client.stat(key);
    }
    for key in ["committed-0", "committed-1", "committed-0", "committed-0"] {
        client.remove(key);
    }
}

fn stat_active(client: &mut Client) {
    client.fill("active", "", |tree| put(tree, "foo", "foo\n"));
    client.stat("active");
    client.usage("active");
    client.remove("active");
}

fn stat_committed(client: &mut Client) {
    client.fill("active", "", |tree| put(tree, "foo", "foo\n"));
    client.commit("committed", "active");
    client.stat("committed");
    client.stat("active");
    client.usage("committed");
    client.mounts("committed");
    client.commit("again", "committed");
    client.commit("again", "nothing");
}

fn transitivity(client: &mut Client) {
    build(client, &[|tree| put(tree, "foo", "foo\n"), |tree| put(tree, "foo", "foo bar\n")]);
    client.stat("committed-1");
    client.stat("committed-0");
}

fn prepare_view_failing(client: &mut Client) {
    client.fill("active", "", |tree| put(tree, "foo", "foo\n"));
    client.commit("committed", "active");
    for (number, kinds) in [[true, false], [true, true], [false, false], [false, true]].iter().enumerate() {
        for &writable in kinds {
            drop(client.make(&format!("key-{number}"), "committed", writable));
        }
    }
    drop(client.make("committed", "", true));
    drop(client.make("on active", "key-0", true));
    drop(client.make("on a view", "key-2", true));
    drop(client.make("on nothing", "nothing", true));
    drop(client.make("on nothing", "nothing", false));
    drop(client.make("", "", true));
    client.commit("from a view", "key-2");
    client.commit("committed", "key-0");
    client.commit("", "key-0");
    client.mounts("nothing");
    client.remove("nothing");
    client.usage("nothing");
    for key in ["key-0", "key-1", "key-2", "key-3", "committed"] {
        client.remove(key);
    }
}

fn update(client: &mut Client) {
    client.fill("one", "", |tree| put(tree, "foo", "foo\n"));
    client.commit("c1", "one");
    drop(client.make("a1", "c1", true));
    drop(client.make("v1", "c1", false));
    for key in ["c1", "a1", "v1"] {
        client.update(key, &[("l1", "v1"), ("l2", "v2"), ("l3", "v3")], &[]);
        client.update(key, &[("l1", "other"), ("l2", "new")], &["labels.l2"]);
        client.update(key, &[("l4", "v4")], &["labels"]);
        client.update(key, &[("l4", "")], &["labels.l4"]);
        client.update(key, &[], &["kind"]);
        client.update(key, &[], &["parent"]);
        client.stat(key);
    }
    client.update("nothing", &[("a", "b")], &[]);
}

fn remove(client: &mut Client) {
    client.fill("preparing", "", |tree| put(tree, "foo", "foo\n"));
    client.commit("committed-1", "preparing");
    for writable in [true, false] {
        drop(client.make("reuse-1", "committed-1", writable));
        client.remove("committed-1");
        client.remove("reuse-1");
    }
    drop(client.make("reuse-1", "", true));
    client.remove("committed-1");
    client.commit("committed-1", "reuse-1");
    client.stat("committed-1");
    client.remove("committed-1");
}

/// With `StatInWalk`: everything that is listed can be looked at.
fn walk(client: &mut Client) {
    client.list(&[]);
    client.fill("preparing", "", |tree| put(tree, "foo", "foo\n"));
    client.commit("p", "preparing");
    for (key, parent, writable) in [("a-np", "", true), ("a", "p", true), ("v", "p", false), ("v-np", "", false)] {
        drop(client.make(key, parent, writable));
    }
    client.update("a", &[("team", "web")], &[]);
    client.update("p", &[("team", "db")], &[]);
    for key in client.list(&[]) {
        client.stat(&key);
    }
    for filters in [
        &["kind==active"][..],
        &["kind==view,parent==p"],
        &["parent!=p"],
        &["name~=^a"],
        &["labels.team==web", "name==v"],
        &["labels.team"],
        &["unknown==a"],
        &["kind=="],
        &["name~=["],
    ] {
        client.list(filters);
    }
}

fn layer_file_update(client: &mut Client) {
    let first = |tree: &Path| {
        put(tree, "foo", "foo\n");
        put(tree, "bar", "bar\n");
    };
    let second = |tree: &Path| {
        put(tree, "foo", "foo\nfoo\n");
        fs::remove_file(tree.join("bar")).expect("it is there");
    };
    build(client, &[first, second, |tree| put(tree, "bar", "bar\nbar\n")]);
}

fn remove_directory_in_lower_layer(client: &mut Client) {
    let first = |tree: &Path| {
        make(tree, "dir1", 0o755);
        put(tree, "dir1/f1", "1111");
        make(tree, "dir1/dir2", 0o755);
        put(tree, "dir1/dir2/f2", "2222");
    };
    let third = |tree: &Path| {
        make(tree, "dir1", 0o711);
        put(tree, "dir1/f2", "3333");
    };
    build(client, &[first, |tree| clear(tree, "dir1"), third]);
}

fn chown_of_what_is_below(client: &mut Client) {
    let first = |tree: &Path| {
        make(tree, "opt", 0o700);
        make(tree, "opt/a", 0o700);
        put(tree, "opt/a/f", "hello\n");
    };
    let second = |tree: &Path| {
        chown(tree.join("opt"), Some(1), Some(1)).expect("an owner");
        chown(tree.join("opt/a/f"), Some(2), Some(3)).expect("an owner");
    };
    build(client, &[first, second]);
}

fn directory_permission_on_commit(client: &mut Client) {
    let first = |tree: &Path| {
        for name in ["dir1", "dir2", "dir3"] {
            make(tree, name, 0o700);
            put(tree, &format!("{name}/f"), name);
        }
        chown(tree.join("dir2"), Some(1), Some(1)).expect("an owner");
        chown(tree.join("dir3"), Some(1), Some(1)).expect("an owner");
    };
    let second = |tree: &Path| {
        fs::set_permissions(tree.join("dir1"), fs::Permissions::from_mode(0o711)).expect("a mode");
        fs::remove_file(tree.join("dir2/f")).expect("it is there");
        put(tree, "dir3/g", "1");
        make(tree, "dir3/e", 0o755);
    };
    build(client, &[first, second]);
}

fn remove_intermediate_snapshot(client: &mut Client) {
    drop(client.make("preparing", "", true));
    client.commit("base", "preparing");
    drop(client.make("preparing", "base", true));
    client.commit("inter", "preparing");
    drop(client.make("top", "inter", true));
    for key in ["inter", "top", "inter", "base"] {
        client.remove(key);
    }
    client.list(&[]);
}

fn deleted_files_in_child_snapshot(client: &mut Client) {
    let first = |tree: &Path| {
        put(tree, "foo", "foo\n");
        put(tree, "foobar", "foobar\n");
    };
    build(client, &[first, |tree| fs::remove_file(tree.join("foobar")).expect("it is there"), |_| {}]);
}

fn move_file_from_lower_layer(client: &mut Client) {
    let first = |tree: &Path| {
        make(tree, "dir1", 0o700);
        put(tree, "dir1/f1", "Hello");
        make(tree, "dir2", 0o700);
        put(tree, "dir2/f2", "...");
    };
    let second = |tree: &Path| {
        make(tree, "dir3", 0o700);
        put(tree, "dir3/f1", "Hello");
        clear(tree, "dir1");
        fs::hard_link(tree.join("dir2/f2"), tree.join("dir3/f2")).expect("a second name");
        fs::remove_file(tree.join("dir2/f2")).expect("it is there");
    };
    build(client, &[first, second]);
}

fn view_readonly(client: &mut Client) {
    client.fill("preparing", "", |tree| put(tree, "foo", "foo\n"));
    client.commit("committed", "preparing");
    let mounts = client.make("view", "committed", false).expect("a view");
    let refused = fs::write(Client::mount(&mounts).path().join("testfile"), "testcontent").is_err();
    client.talk.note("write", &if refused { "refused" } else { "done" });
    client.remove("view");
}

fn root_permission(client: &mut Client) {
    let mounts = client.make("preparing", "", true).expect("a snapshot");
    let mode = fs::metadata(Client::mount(&mounts).path()).expect("a directory").permissions().mode() & 0o7777;
    client.talk.note("mode", &format!("{mode:o}"));
}

fn a_hundred_and_twenty_eight_layers(client: &mut Client) {
    let lowest: Step = |tree| {
        put(tree, "bottom", "way at the bottom\n");
        put(tree, "overwriteme", "FIRST!\n");
        make(tree, "addhere", 0o755);
        make(tree, "onlyme", 0o755);
        put(tree, "onlyme/bottom", "bye!\n");
    };
    let other: Step = |tree| {
        let number = fs::read_dir(tree.join("addhere")).expect("a directory").count() + 1;
        put(tree, "overwriteme", &format!("{number} WAS HERE!\n"));
        put(tree, &format!("addhere/file-{number}"), "same\n");
        clear(tree, "onlyme");
        make(tree, "onlyme", 0o755);
        put(tree, &format!("onlyme/file-{number}"), "only me!\n");
    };
    let steps: Vec<_> = std::iter::once(lowest).chain(std::iter::repeat_n(other, 127)).collect();
    build(client, &steps);
}

fn rename(client: &mut Client) {
    let first = |tree: &Path| {
        make(tree, "dir1", 0o700);
        make(tree, "somefiles", 0o700);
        put(tree, "somefiles/f1", "was here first!");
        make(tree, "dir2", 0o700);
        put(tree, "dir2/f", "1");
    };
    let second = |tree: &Path| {
        fs::rename(tree.join("somefiles/f1"), tree.join("dir1/f1")).expect("it is moved");
        make(tree, "new", 0o711);
        put(tree, "new/f", "2");
        fs::rename(tree.join("new"), tree.join("dir3")).expect("it is moved");
        clear(tree, "dir2");
        fs::rename(tree.join("dir3"), tree.join("dir2")).expect("it is moved");
    };
    build(client, &[first, second]);
}

fn cleanup(client: &mut Client) {
    drop(client.make("preparing", "", true));
    client.cleanup();
    client.stat("preparing");
    client.remove("preparing");
    client.cleanup();
}

/// A record as a line says it. Times are those of each server.
fn line(name: &str, parent: &str, kind: Kind, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{name} on `{parent}` {} [{}]", told(kind), labels.join(" "))
}
