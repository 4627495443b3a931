//! The cases of containerd's suite for snapshotters (`core/snapshots/testsuite`), under its names, as far as the layer store
//! has what they are about: labels, filters and times are records of whoever calls it.

use super::super::shelf::Shelf;
use super::{Client, made, names, prepare, read, same, shown, write};
use crate::support::tree::{self, Tree};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use wharf::layers::{Error, Snapshot};

type Step<'s> = &'s dyn Fn(&Path);

/// Takes each step in a top on the one before and in a plain directory, and compares what both show.
fn check(steps: &[Step<'_>]) -> (Shelf, Vec<Snapshot>) {
    let (shelf, flat) = (Shelf::new(), tempfile::tempdir().expect("a temporary directory"));
    fs::set_permissions(flat.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut stack: Vec<Snapshot> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let what = number.to_string();
        let top = prepare(&shelf, "preparing", stack.last());
        let client = Client::of(&top);
        same(&what, &timeless(client.tree()), &timeless(tree::read(flat.path())));
        step(flat.path());
        step(client.path());
        same(&what, &timeless(client.tree()), &timeless(tree::read(flat.path())));
        drop(client);
        stack.push(top.commit(&what).expect("a snapshot"));
    }
    let last = stack.last().expect("there are steps");
    same("the view", &timeless(shown(&shelf, last)), &timeless(tree::read(flat.path())));
    (shelf, stack)
}

/// Two who do the same do it at different times.
fn timeless(tree: Tree) -> Tree {
    let mut tree = super::comparable(tree);
    tree.values_mut().for_each(|node| node.mtime = (0, 0));
    tree
}

fn put(tree: &Path, path: &str, text: &str) {
    write(tree.join(path), text);
    fs::set_permissions(tree.join(path), fs::Permissions::from_mode(0o777)).expect("a mode");
}

fn make(tree: &Path, path: &str, mode: u32) {
    fs::create_dir(tree.join(path)).expect("a directory");
    fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
}

fn clear(tree: &Path, path: &str) {
    fs::remove_dir_all(tree.join(path)).expect("a directory");
}

#[test]
fn basic() {
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
    let (shelf, mut stack) = check(&[&first, &second]);
    assert_eq!((stack[0].parent(), stack[1].parent()), (None, Some("0")));
    assert!(matches!(shelf.layers.find_top("preparing"), Err(Error::NotFound)));
    assert_eq!(shelf.layers.entries(None, 10).expect("a page"), ["0", "1"]);
    stack.clear();
    assert!(matches!(shelf.layers.remove("0"), Err(Error::InUse)));
    shelf.layers.remove("1").expect("nobody uses it");
    shelf.layers.remove("0").expect("nobody uses it");
}

#[test]
fn stat_active() {
    let shelf = Shelf::new();
    let top = prepare(&shelf, "preparing", None);
    let client = Client::of(&top);
    write(client.join("foo"), "foo\n");
    let found = shelf.layers.find_top("preparing").expect("it is mounted, and there");
    assert_eq!((found.name(), found.writable(), found.parent()), ("preparing", true, None));
}

/// It is committed while it is mounted.
#[test]
fn stat_committed() {
    let shelf = Shelf::new();
    let top = prepare(&shelf, "preparing", None);
    let client = Client::of(&top);
    write(client.join("foo"), "foo\n");
    drop(top.commit("committed").expect("a snapshot"));
    let found = shelf.layers.snapshot("committed").expect("it is there");
    assert_eq!((found.name(), found.parent()), ("committed", None));
    assert_eq!(read(client.join("foo")), "foo\n");
}

#[test]
fn transitivity() {
    let (shelf, stack) =
        check(&[&|tree: &Path| write(tree.join("foo"), "foo\n"), &|tree: &Path| write(tree.join("foo"), "foo bar\n")]);
    let parent = shelf.layers.snapshot(stack[1].parent().expect("a name")).expect("a snapshot");
    assert_eq!((parent.name(), parent.parent()), (stack[0].name(), None));
}

#[test]
fn prepare_view_failing() {
    let shelf = Shelf::new();
    let below = made(&shelf, "a", None, |_| {});
    for (first, second) in [(true, false), (true, true), (false, false), (false, true)] {
        let name = format!("{first} {second}");
        drop(shelf.layers.prepare(&name, first, Some(&below)).expect("a top"));
        let again = shelf.layers.prepare(&name, second, Some(&below));
        assert!(matches!(again, Err(Error::Conflict)), "{name}: {again:?}");
    }
}

/// What of `Update` is no record of the caller's.
#[test]
fn update() {
    let shelf = Shelf::new();
    let one = made(&shelf, "c1", None, |_| {});
    let two = made(&shelf, "c2", Some(&one), |_| {});
    for (name, writable, parent) in
        [("a1", true, Some(&two)), ("a2", true, None), ("v1", false, Some(&two)), ("v2", false, None)]
    {
        drop(shelf.layers.prepare(name, writable, parent).expect("a top"));
        let found = shelf.layers.find_top(name).expect("a top");
        assert_eq!((found.writable(), found.parent()), (writable, parent.map(Snapshot::name)), "{name}");
    }
    assert_eq!(two.parent(), Some("c1"));
}

#[test]
fn remove() {
    let shelf = Shelf::new();
    drop(made(&shelf, "committed-1", None, |_| {}));
    for writable in [true, false] {
        let below = shelf.layers.snapshot("committed-1").expect("a snapshot");
        drop(shelf.layers.prepare("reuse-1", writable, Some(&below)).expect("a top"));
        drop(below);
        super::remove(&shelf.layers, "reuse-1");
    }
    let top = prepare(&shelf, "reuse-1", None);
    shelf.layers.remove("committed-1").expect("nobody uses it");
    drop(top.commit("committed-1").expect("the name is free"));
}

/// `Walk` and `StatInWalk`: everything is listed, and can be opened while it is.
#[test]
fn walk_and_stat_in_walk() {
    let shelf = Shelf::new();
    let below = made(&shelf, "p", None, |_| {});
    for (name, writable, parent) in
        [("a-np", true, None), ("a", true, Some(&below)), ("v", false, Some(&below)), ("v-np", false, None)]
    {
        drop(shelf.layers.prepare(name, writable, parent).expect("a top"));
    }
    let tops = shelf.layers.tops(None, 100).expect("a page");
    assert_eq!(tops, ["a", "a-np", "v", "v-np"]);
    tops.iter().for_each(|name| drop(shelf.layers.find_top(name).expect("a top")));
    for name in shelf.layers.entries(None, 100).expect("a page") {
        assert_eq!(shelf.layers.snapshot(&name).expect("a snapshot").name(), "p");
    }
}

#[test]
fn layer_file_update() {
    let first = |tree: &Path| {
        put(tree, "foo", "foo\n");
        put(tree, "bar", "bar\n");
    };
    let second = |tree: &Path| {
        put(tree, "foo", "foo\nfoo\n");
        fs::remove_file(tree.join("bar")).expect("it is there");
    };
    check(&[&first, &second, &|tree: &Path| put(tree, "bar", "bar\nbar\n")]);
}

#[test]
fn remove_directory_in_lower_layer() {
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
    check(&[&first, &|tree: &Path| clear(tree, "dir1"), &third]);
}

#[test]
fn chown_of_what_is_below() {
    let first = |tree: &Path| {
        make(tree, "opt", 0o700);
        make(tree, "opt/a", 0o700);
        put(tree, "opt/a/f", "hello\n");
    };
    let second = |tree: &Path| {
        chown(tree.join("opt"), Some(1), Some(1)).expect("an owner");
        chown(tree.join("opt/a/f"), Some(2), Some(3)).expect("an owner");
    };
    check(&[&first, &second]);
}

#[test]
fn directory_permission_on_commit() {
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
    check(&[&first, &second]);
}

#[test]
fn remove_intermediate_snapshot() {
    if super::super::shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let base = made(&shelf, "base", None, |_| {});
    let inter = made(&shelf, "inter", Some(&base), |_| {});
    drop(prepare(&shelf, "top", Some(&inter)));
    drop((base, inter));
    assert!(matches!(shelf.layers.remove("inter"), Err(Error::InUse)));
    super::remove(&shelf.layers, "top");
    shelf.layers.remove("inter").expect("nobody uses it");
    shelf.layers.remove("base").expect("nobody uses it");
    assert!(shelf.names("snapshots").is_empty());
}

#[test]
fn deleted_files_in_child_snapshot() {
    let first = |tree: &Path| {
        put(tree, "foo", "foo\n");
        put(tree, "foobar", "foobar\n");
    };
    check(&[&first, &|tree: &Path| fs::remove_file(tree.join("foobar")).expect("it is there"), &|_: &Path| {}]);
}

#[test]
fn move_file_from_lower_layer() {
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
    check(&[&first, &second]);
}

#[test]
fn view_readonly() {
    let shelf = Shelf::new();
    let committed = made(&shelf, "committed", None, |_| {});
    let view = shelf.layers.prepare("view", false, Some(&committed)).expect("a view");
    let client = Client::of(&view);
    assert!(fs::write(client.join("testfile"), "testcontent").is_err());
    drop((client, view, committed));
    super::remove(&shelf.layers, "view");
    shelf.layers.remove("committed").expect("nobody uses it");
}

/// There is nothing to close: whoever opens the store again, twice, sees the same.
#[test]
fn close_twice() {
    let shelf = Shelf::new();
    drop(made(&shelf, "n", None, |_| {}));
    for _ in 0..2 {
        drop(shelf.again("this boot").snapshot("n").expect("a snapshot"));
    }
    shelf.layers.remove("n").expect("nobody uses it");
}

#[test]
fn root_permission() {
    let shelf = Shelf::new();
    let client = Client::of(&prepare(&shelf, "preparing", None));
    assert_eq!(fs::metadata(client.path()).expect("a directory").mode() & 0o777, 0o755);
}

#[test]
fn rename() {
    let first = |tree: &Path| {
        make(tree, "dir1", 0o700);
        make(tree, "somefiles", 0o700);
        put(tree, "somefiles/f1", "was here first!");
        make(tree, "dir2", 0o700);
        put(tree, "dir2/f", "1");
    };
    // Overlay leaves the renaming of a directory that is below to the program, which copies it then.
    let second = |tree: &Path| {
        fs::rename(tree.join("somefiles/f1"), tree.join("dir1/f1")).expect("it is moved");
        make(tree, "new", 0o711);
        put(tree, "new/f", "2");
        fs::rename(tree.join("new"), tree.join("dir3")).expect("it is moved");
        clear(tree, "dir2");
        fs::rename(tree.join("dir3"), tree.join("dir2")).expect("it is moved");
    };
    let (shelf, stack) = check(&[&first, &second]);
    let top = prepare(&shelf, "top", stack.last());
    let client = Client::of(&top);
    let refused = fs::rename(client.join("dir1"), client.join("dir9")).expect_err("it is below");
    assert_eq!(refused.kind(), std::io::ErrorKind::CrossesDevices);
}

#[test]
fn a_hundred_and_twenty_eight_layers_mount() {
    let lowest = |tree: &Path| {
        put(tree, "bottom", "way at the bottom\n");
        put(tree, "overwriteme", "FIRST!\n");
        make(tree, "addhere", 0o755);
        make(tree, "onlyme", 0o755);
        put(tree, "onlyme/bottom", "bye!\n");
    };
    let others: Vec<_> = (1..128)
        .map(|number| {
            move |tree: &Path| {
                put(tree, "overwriteme", &format!("{number} WAS HERE!\n"));
                put(tree, &format!("addhere/file-{number}"), "same\n");
                clear(tree, "onlyme");
                make(tree, "onlyme", 0o755);
                put(tree, &format!("onlyme/file-{number}"), "only me!\n");
            }
        })
        .collect();
    let mut steps: Vec<Step<'_>> = vec![&lowest];
    steps.extend(others.iter().map(|step| step as Step<'_>));
    let (shelf, stack) = check(&steps);
    assert_eq!(stack.last().expect("a snapshot").height(), 128);
    assert_eq!(names(Client::of(&prepare(&shelf, "one more", stack.last())).join("onlyme")), ["file-127"]);
}
