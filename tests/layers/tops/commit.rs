//! Tops that become snapshots: what comes of it, who may, and what is there if somebody dies on the way.

use super::super::shelf::{self, Shelf, named};
use super::{Client, made, names, place, prepare, read, shown, write};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use wharf::layers::{Error, HEIGHT_MAX, Snapshot};

#[test]
fn what_was_written_is_a_snapshot_that_is_durable_at_once() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    for (number, parent) in [None, Some(&stack[1])].into_iter().enumerate() {
        let name = format!("snapshot {number}");
        let snapshot = made(&shelf, &name, parent, |tree| {
            write(tree.join("one"), "1");
            fs::hard_link(tree.join("one"), tree.join("two")).expect("a second name");
            fs::create_dir(tree.join("d")).expect("a directory");
        });
        assert_eq!((snapshot.name(), snapshot.layer(), snapshot.parent()), (&*name, None, parent.map(Snapshot::name)));
        assert_eq!(snapshot.height(), 1 + parent.map_or(0, Snapshot::height));
        snapshot.verify(&|| false).expect("it is whole");
        assert!(shelf.names("tops").is_empty() && shelf.names("extract").is_empty());
        drop(snapshot);
        // The power goes, and nobody has called `sync`.
        let found = shelf.again("the next boot").snapshot(&name).expect("it is durable, and so is what is below");
        assert_eq!(names(place_of(&shelf, &name)), ["durable", "snapshot", "sums", "top", "tree"]);
        let tree = shown(&shelf, &found);
        assert_eq!(tree.len(), 4 + parent.map_or(0, |_| 2));
        assert_eq!(tree[std::path::Path::new("two")].first.as_deref(), Some("one".as_ref()));
    }
}

fn place_of(shelf: &Shelf, snapshot: &str) -> std::path::PathBuf {
    shelf.path(&format!("snapshots/{}", shelf::id(snapshot).encoded()))
}

#[test]
fn damage_of_what_was_a_top_is_found() {
    let shelf = Shelf::new();
    let snapshot = made(&shelf, "snapshot", None, |tree| {
        write(tree.join("one"), "content");
        fs::hard_link(tree.join("one"), tree.join("two")).expect("a second name");
    });
    let file = place_of(&shelf, "snapshot").join("tree/one");
    let time = fs::metadata(&file).and_then(|found| found.modified()).expect("a time");
    write(&file, "damage!");
    fs::File::open(&file).and_then(|file| file.set_modified(time)).expect("a time");
    assert!(matches!(snapshot.verify(&|| false), Err(Error::Changed(_))));
}

#[test]
fn a_name_that_is_taken_or_a_stack_that_is_too_high_leaves_the_top() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a"]);
    let top = prepare(&shelf, "top", None);
    let client = Client::of(&top);
    write(client.join("mine"), "1");
    drop(client);
    assert!(matches!(top.commit(stack[0].name()), Err(Error::Conflict)));
    let top = shelf.layers.find_top("top").expect("a top");
    assert_eq!(read(Client::of(&top).join("mine")), "1");
    // Its own name is as good as any.
    assert_eq!(top.commit("top").expect("a snapshot").name(), "top");
    assert!(matches!(shelf.layers.find_top("top"), Err(Error::NotFound)));
    drop(prepare(&shelf, "top", None));
    assert_eq!(HEIGHT_MAX, 500);
}

#[test]
fn a_top_that_somebody_else_holds_is_not_committed() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let top = prepare(&shelf, "top", None);
    let other = shelf.again("this boot").find_top("top").expect("a top");
    assert!(matches!(top.commit("snapshot"), Err(Error::InUse)));
    drop(other);
    shelf.layers.find_top("top").expect("a top").commit("snapshot").expect("nobody else has it");
}

#[test]
fn of_many_who_commit_under_one_name_one_succeeds_and_the_others_keep_their_tops() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let committed = std::thread::scope(|scope| {
        let commit = |number: usize| {
            let layers = shelf.again("this boot");
            let top = layers.prepare(&format!("top {number}"), true, None).expect("a top");
            top.commit("wanted").map(drop)
        };
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || commit(number))).collect();
        let committed = threads.into_iter().map(|thread| thread.join().expect("an answer"));
        committed
            .filter(|committed| match committed {
                Ok(()) => true,
                Err(Error::Conflict) => false,
                Err(error) => panic!("{error}"),
            })
            .count()
    });
    assert_eq!((committed, shelf.names("tops").len(), shelf.names("snapshots").len()), (1, 7, 1));
}

#[test]
fn what_is_mounted_is_committed_as_it_is_and_does_not_change_after_that() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a"]);
    let top = prepare(&shelf, "top", Some(&stack[0]));
    let client = Client::of(&top);
    write(client.join("mine"), "before");
    fs::hard_link(client.join("mine"), client.join("second")).expect("a second name");
    fs::create_dir(client.join("d")).expect("a directory");
    fs::set_permissions(client.join("d"), fs::Permissions::from_mode(0o1711)).expect("a mode");
    fs::remove_file(client.join("a")).expect("it is there");
    let expected = client.tree();
    let snapshot = top.commit("snapshot").expect("a snapshot");
    write(client.join("mine"), "after");
    write(client.join("late"), "after");
    assert!(matches!(shelf.layers.find_top("top"), Err(Error::NotFound)));
    super::same("committed", &expected, &shown(&shelf, &snapshot));
    snapshot.verify(&|| false).expect("it is whole");
    // What overlay still uses stays, out of sight, for as long.
    drop(shelf.layers.claim(&[], &[]).expect("a sweep"));
    assert_eq!((read(client.join("late")), shelf.names("extract").len()), ("after".to_owned(), 1));
    drop(client);
    drop(shelf.layers.claim(&[], &[]).expect("a sweep"));
    assert!(shelf.names("extract").is_empty());
}

#[test]
fn who_dies_before_the_rename_leaves_a_top_that_can_be_written_to_and_committed() {
    let shelf = Shelf::new();
    let other = made(&shelf, "other", None, |tree| write(tree.join("theirs"), "1"));
    drop(prepare(&shelf, "top", Some(&other)));
    for left in ["snapshot", "sums", "durable"] {
        fs::copy(place_of(&shelf, "other").join(left), place(&shelf, "top").join(left)).expect("a file");
        assert_eq!(shelf.again("the next boot").tops(None, 10).expect("a page"), ["top"]);
        let top = shelf.again("the next boot").find_top("top").expect("it is a top");
        let client = Client::of(&top);
        write(client.join(left), "1");
    }
    let snapshot = shelf.layers.find_top("top").expect("a top").commit("snapshot").expect("a snapshot");
    snapshot.verify(&|| false).expect("its sums are its own");
    assert_eq!(shown(&shelf, &snapshot).len(), 5);
}

#[test]
fn who_dies_after_the_rename_leaves_a_snapshot() {
    let shelf = Shelf::new();
    drop(made(&shelf, "snapshot", None, |tree| write(tree.join("f"), "1")));
    // What is removed after that.
    let at = place_of(&shelf, "snapshot");
    fs::create_dir_all(at.join("work/work")).expect("directories");
    fs::create_dir_all(at.join("adopted/tree")).expect("directories");
    std::os::unix::fs::symlink("../../snapshots/empty", at.join("shown")).expect("a link");
    let snapshot = shelf.again("the next boot").snapshot("snapshot").expect("it is whole");
    snapshot.verify(&|| false).expect("it is whole");
    assert_eq!(shown(&shelf, &snapshot).len(), 2);
    drop(snapshot);
    shelf.layers.remove("snapshot").expect("nobody uses it");
    assert!(!at.exists() && shelf.names("extract").is_empty());
}

#[test]
fn who_dies_while_it_prepares_or_removes_leaves_nothing_for_long() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let living = shelf.layers.begin().expect("a private directory");
    for name in ["77777777-0", "gone-77777777-1"] {
        drop(prepare(&shelf, "top", None));
        fs::rename(place(&shelf, "top"), shelf.path(&format!("extract/{name}"))).expect("it is moved");
    }
    drop(shelf.again("this boot").claim(&[], &[]).expect("a sweep"));
    assert_eq!(shelf.names("extract").len(), 1);
    drop(living);
    assert!(shelf.names("tops").is_empty() && shelf.names("extract").is_empty());
}

/// One whose record of a snapshot was not made durable is none after a power cut. What was a top never is in that state.
#[test]
fn what_a_power_cut_made_of_a_name_gives_way() {
    let shelf = Shelf::new();
    let layer = shelf.layer("a", named(), |_| {});
    drop(shelf.layers.stack("snapshot", None, &layer).expect("a snapshot"));
    drop(layer);
    let after = shelf.again("the next boot");
    let top = after.prepare("top", true, None).expect("a top");
    let client = Client::of(&top);
    write(client.join("f"), "1");
    drop(client);
    top.commit("snapshot").expect("the name is free");
    assert_eq!(fs::metadata(place_of(&shelf, "snapshot").join("tree/f")).expect("a file").len(), 1);
}

#[test]
fn directories_and_records_belong_to_the_owner_alone() {
    let shelf = Shelf::new();
    drop(prepare(&shelf, "top", None));
    let mode = |path: std::path::PathBuf| fs::metadata(path).expect("it is there").mode() & 0o7777;
    for directory in ["tops", "l"] {
        assert_eq!(mode(shelf.path(directory)), 0o700, "{directory}");
    }
    for (name, expected) in [("", 0o700), ("work", 0o700), ("top", 0o600), ("tree", 0o755)] {
        assert_eq!(mode(place(&shelf, "top").join(name)), expected, "{name}");
    }
}
