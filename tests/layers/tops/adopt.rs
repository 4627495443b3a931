//! Layers that a top shows without having their files.

use super::super::apply::write::{directory, file, layer, link};
use super::super::shelf::{self, Shelf};
use super::super::stacks::stacks;
use super::{Client, apply, extracted, made, names, place, prepare, read, same, shown, write};
use std::fs;
use wharf::layers::{Error, Snapshot};

#[test]
fn options_from_before_show_what_is_adopted_later() {
    let shelf = Shelf::new();
    let below = shelf.stack(&["a"]).remove(0);
    for parent in [None, Some(&below)] {
        let name = format!("{}", parent.is_some());
        let top = prepare(&shelf, &name, parent);
        let before = top.mounts().expect("options");
        top.adopt(&extracted(&shelf, &[file("new", b"1"), directory("d").mode(0o700)])).expect("it is adopted");
        assert_eq!(top.mounts().expect("options"), before);
        let client = Client::new(&before);
        assert_eq!(names(client.path()).len(), 2 + usize::from(parent.is_some()));
        assert_eq!((read(client.join("new")), shelf::look(&client.join("d"))), ("1".into(), "40700 0:0".into()));
        assert!(names(place(&shelf, &name).join("tree")).is_empty(), "nothing was copied");
    }
}

/// What a stack of layers becomes if each is adopted by a top on the one before.
fn adopted(shelf: &Shelf, archives: &[Vec<super::Entry>]) -> Snapshot {
    let mut below: Option<Snapshot> = None;
    for (number, entries) in archives.iter().enumerate() {
        let top = prepare(shelf, &format!("top {number}"), below.as_ref());
        top.adopt(&extracted(shelf, entries)).expect("it is adopted");
        below = Some(top.commit(&number.to_string()).expect("a snapshot"));
    }
    below.expect("there are layers")
}

#[test]
fn what_is_adopted_and_committed_is_what_a_stack_is() {
    for (name, stack) in stacks() {
        let shelf = Shelf::new();
        let ours = adopted(&shelf, &stack);
        // It is there already, and so it is what comes of it.
        let mut theirs: Option<Snapshot> = None;
        for (number, entries) in stack.iter().enumerate() {
            let found = shelf.layers.stack(&number.to_string(), theirs.as_ref(), &extracted(&shelf, entries));
            theirs = Some(found.expect("a snapshot"));
        }
        let theirs = theirs.expect("there are layers");
        assert_eq!((ours.layer(), ours.parent(), ours.height()), (theirs.layer(), theirs.parent(), theirs.height()));
        ours.verify(&|| false).expect("it is whole");
        let other = Shelf::new();
        let archives: Vec<_> = stack.iter().map(|entries| layer(entries)).collect();
        let stacked = super::super::stacks::stacked(&other, &archives).expect("a snapshot");
        same(name, &shown(&shelf, &ours), &shown(&other, &stacked));
        assert!(shelf.names("tops").is_empty() && shelf.names("extract").is_empty(), "{name}");
        // It was made durable with the commit.
        shelf.again("the next boot").snapshot(ours.name()).expect("it is durable");
    }
}

#[test]
fn a_top_that_has_adopted_shows_what_the_snapshot_will() {
    let mut all = stacks();
    all.push(("a hard link below", vec![vec![file("a/f", b"1")], vec![link("b", "a/f").mtime("7").mode(0o600)]]));
    all.push((
        "an opaque root",
        vec![vec![file("old", b"1"), file("d/f", b"2")], vec![file(".wh..wh..opq", b""), file("d/g", b"3")]],
    ));
    for (name, stack) in all {
        let shelf = Shelf::new();
        let (last, first) = stack.split_last().expect("there are layers");
        let below = if first.is_empty() { None } else { Some(adopted(&shelf, first)) };
        let top = prepare(&shelf, "top", below.as_ref());
        let before = top.mounts().expect("options");
        top.adopt(&extracted(&shelf, last)).expect("it is adopted");
        let ours = Client::new(&before).tree();
        let snapshot = top.commit("snapshot").expect("a snapshot");
        assert!(snapshot.layer().is_some(), "{name}");
        same(name, &ours, &shown(&shelf, &snapshot));
    }
}

#[test]
fn what_is_mounted_or_was_written_to_adopts_nothing() {
    let shelf = Shelf::new();
    let (one, two) = (extracted(&shelf, &[file("one", b"1")]), extracted(&shelf, &[file("two", b"2")]));
    let top = prepare(&shelf, "top", None);
    let client = Client::of(&top);
    assert!(matches!(top.adopt(&one), Err(Error::InUse)));
    // That is what is left to do then.
    apply(&top, &layer(&[file("one", b"1")])).expect("it is written");
    drop(client);
    assert!(matches!(top.adopt(&one), Err(Error::Conflict)));
    assert_eq!(read(Client::of(&top).join("one")), "1");

    let other = prepare(&shelf, "other", None);
    other.adopt(&one).expect("it is adopted");
    other.adopt(&one).expect("it is adopted already");
    assert!(matches!(other.adopt(&two), Err(Error::Conflict)));
    fs::set_permissions(Client::of(&other).path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("a mode");
    assert!(matches!(other.adopt(&one), Err(Error::Conflict)), "the root was changed");

    let view = shelf.layers.prepare("view", false, None).expect("a view");
    assert!(matches!(view.adopt(&one), Err(Error::Invalid(_))));
    assert!(matches!(apply(&view, &layer(&[])), Err(Error::Invalid(_))));
    assert!(matches!(view.commit("v"), Err(Error::Invalid(_))));
}

#[test]
fn what_is_written_on_an_adopted_layer_stands_on_a_snapshot_of_it() {
    let shelf = Shelf::new();
    let base = adopted(&shelf, &[vec![file("base", b"1"), directory("d").mode(0o711)]]);
    for parent in [None, Some(&base)] {
        let name = format!("{}", parent.is_some());
        let top = prepare(&shelf, &name, parent);
        let layer = extracted(&shelf, &[file("d/adopted", b"2"), file("gone", b"")]);
        top.adopt(&layer).expect("it is adopted");
        let client = Client::of(&top);
        write(client.join("d/written"), "3");
        fs::remove_file(client.join("gone")).expect("it is there");
        drop(client);
        let ours = Client::of(&top).tree();
        let snapshot = top.commit(&format!("{name}, committed")).expect("a snapshot");
        assert_eq!((snapshot.layer(), snapshot.height()), (None, 2 + u32::from(parent.is_some())));
        same(&name, &ours, &shown(&shelf, &snapshot));
        let beneath = shelf.layers.snapshot(snapshot.parent().expect("the layer")).expect("a snapshot");
        assert_eq!(
            (beneath.layer(), beneath.parent()),
            (Some(&*layer.diff_id().to_string()), parent.map(Snapshot::name))
        );
        snapshot.verify(&|| false).expect("it is whole");
    }
}

#[test]
fn who_dies_before_the_adopted_layer_is_shown_leaves_that_to_the_next() {
    let shelf = Shelf::new();
    let layer = extracted(&shelf, &[directory("./").mode(0o711), file("f", b"1")]);
    let top = prepare(&shelf, "top", None);
    let before = top.mounts().expect("options");
    top.adopt(&layer).expect("it is adopted");
    drop(top);
    let at = place(&shelf, "top");
    fs::remove_file(at.join("shown")).expect("it is there");
    std::os::unix::fs::symlink("../../snapshots/empty", at.join("shown")).expect("a link");
    std::os::unix::fs::symlink("nowhere", at.join("shown.new")).expect("a link");
    fs::set_permissions(at.join("tree"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    fs::remove_dir_all(at.join("work")).expect("a directory");
    let top = shelf.layers.find_top("top").expect("a top");
    let client = Client::new(&before);
    assert_eq!((read(client.join("f")), shelf::look(client.path())), ("1".into(), "40711 0:0".into()));
    drop(client);
    assert!(top.commit("snapshot").expect("a snapshot").layer().is_some());
}

#[test]
fn what_is_copied_up_leaves_the_layer_as_it_is() {
    let shelf = Shelf::new();
    let base = made(&shelf, "base", None, |tree| write(tree.join("below"), "1"));
    let layer = extracted(&shelf, &[file("f", b"1"), link("second", "below").mtime("5")]);
    let top = prepare(&shelf, "top", Some(&base));
    top.adopt(&layer).expect("it is adopted");
    let client = Client::of(&top);
    for name in ["f", "below", "second"] {
        write(client.join(name), "changed");
    }
    drop(client);
    layer.verify(&|| false).expect("it never changes");
    base.verify(&|| false).expect("it never changes");
}
