//! Archives that are written into a top, compared with layers of the same archives.

use super::super::apply::write::{Entry, character, directory, fifo, file, layer, link, symlink};
use super::super::shelf::Shelf;
use super::super::stacks::{stacked, stacks};
use super::{Client, apply, extracted, names, prepare, read, same, shown, write};
use std::fs;
use std::sync::atomic::AtomicBool;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::Snapshot;
use wharf::layers::apply::Budget;

/// Stacks, and what only shows when one archive comes on top of another one in the same tree.
fn all() -> Vec<(&'static str, Vec<Vec<Entry>>)> {
    let mut all = stacks();
    all.extend([
        (
            "a hard link below",
            vec![vec![file("a/f", b"1")], vec![link("b", "a/f")], vec![link("c", "a/f").mode(0o600)]],
        ),
        (
            "an opaque root",
            vec![
                vec![file("old", b"1"), file("d/f", b"2"), directory("e")],
                vec![file(".wh..wh..opq", b""), file("d/g", b"3"), file("new", b"4")],
                vec![file("e/f", b"5")],
            ],
        ),
        (
            "an opaque directory over one",
            vec![
                vec![file("d/below", b"1"), directory("d/e"), file("d/e/f", b"")],
                vec![file("d/above", b"2"), file("d/e/g", b"")],
                vec![directory("d").mode(0o700), file("d/.wh..wh..opq", b""), file("d/new", b"3")],
            ],
        ),
        (
            "kinds that replace each other",
            vec![
                vec![file("f", b"1"), directory("d"), file("d/x", b""), symlink("l", "f"), fifo("p")],
                vec![directory("f"), file("f/in", b"2"), file("d", b"3"), fifo("l"), symlink("p", "d")],
                vec![file("f", b"4"), directory("d").owner(4, 5), character("l", 1, 3), file("p", b"5")],
            ],
        ),
        (
            "removed and back",
            vec![
                vec![directory("d").mode(0o711), file("d/x", b""), file("f", b"")],
                vec![file(".wh.d", b""), file(".wh.f", b"")],
                vec![file("d/y", b"1"), file("f", b"2")],
                vec![file("d/.wh.y", b""), file("d/.wh.x", b"")],
            ],
        ),
    ]);
    all
}

#[test]
fn archives_in_one_top_are_what_layers_on_each_other_are() {
    for (name, stack) in all() {
        let archives: Vec<_> = stack.iter().map(|entries| layer(entries)).collect();
        let other = Shelf::new();
        let expected = shown(&other, &stacked(&other, &archives).unwrap_or_else(|error| panic!("{name}: {error}")));
        // What a directory looks like that no entry names is said by what is below, each tree for itself: what an opaque
        // directory has hidden is in no tree any more if both were written here, and a link finds what was written beside it.
        let first = match name {
            "opaque" | "a link in a lower layer" | "a link to a link, and out" => 1,
            _ => 0,
        };
        for on in first..archives.len() {
            // The first ones are layers, the last ones are written.
            let shelf = Shelf::new();
            let below: Option<Snapshot> = (on > 0).then(|| stacked(&shelf, &archives[..on]).expect("a snapshot"));
            let top = prepare(&shelf, "top", below.as_ref());
            for archive in &archives[on..] {
                let written = apply(&top, archive).unwrap_or_else(|error| panic!("{name} on {on}: {error}"));
                assert_eq!(written.diff_id, Digest::of(Algorithm::Sha256, archive));
            }
            same(&format!("{name} on {on}"), &Client::of(&top).tree(), &expected);
            let snapshot = top.commit("committed").expect("a snapshot");
            same(&format!("{name} on {on}, committed"), &shown(&shelf, &snapshot), &expected);
            snapshot.verify(&|| false).expect("it is whole");
            assert!(shelf.names("extract").is_empty(), "{name}");
        }
    }
}

#[test]
fn archives_on_an_adopted_layer_are_what_layers_on_it_are() {
    for (name, stack) in all() {
        let archives: Vec<_> = stack.iter().map(|entries| layer(entries)).collect();
        let other = Shelf::new();
        let expected = shown(&other, &stacked(&other, &archives).expect("a snapshot"));
        let shelf = Shelf::new();
        let top = prepare(&shelf, "top", None);
        top.adopt(&extracted(&shelf, &stack[0])).expect("it is adopted");
        for archive in &archives[1..] {
            apply(&top, archive).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        same(name, &Client::of(&top).tree(), &expected);
    }
}

/// A second name of a layer's file in what can be written to would let a write through into the layer.
#[test]
fn a_hard_link_to_a_file_of_a_layer_is_a_file_of_the_top() {
    let shelf = Shelf::new();
    let below = extracted(&shelf, &[file("f", b"1")]);
    let snapshot = shelf.layers.stack("below", None, &below).expect("a snapshot");
    let top = prepare(&shelf, "top", Some(&snapshot));
    apply(&top, &layer(&[link("second", "f")])).expect("it is written");
    let client = Client::of(&top);
    write(client.join("second"), "changed");
    assert_eq!(read(client.join("f")), "changed");
    below.verify(&|| false).expect("a layer never changes");
}

#[test]
fn an_archive_that_is_refused_changes_nothing() {
    let shelf = Shelf::new();
    let top = prepare(&shelf, "top", None);
    apply(&top, &layer(&[file("kept", b"1")])).expect("it is written");
    let before = Client::of(&top).tree();
    let mut torn = layer(&[file("new", b"1"), file("torn", &[7; 5_000])]);
    torn.truncate(3_000);
    let entries = Budget { entries: 1, ..Budget::default() };
    for (what, archive, budget, stop) in [
        ("torn", torn, Budget::default(), false),
        ("a link to nothing", layer(&[file("new", b"1"), link("l", "absent")]), Budget::default(), false),
        ("a link out", layer(&[file("new", b"1"), link("l", "../../etc/passwd")]), Budget::default(), false),
        ("too much", layer(&[file("new", b"1"), file("too", b"")]), entries, false),
        ("0:0", layer(&[file("new", b"1"), character("c", 0, 0)]), Budget::default(), false),
        ("stopped", layer(&[file("new", b"1")]), Budget::default(), true),
    ] {
        let refused = top.apply(archive.as_slice(), &budget, &AtomicBool::new(stop));
        assert!(refused.is_err(), "{what}");
        same(what, &Client::of(&top).tree(), &before);
        assert!(shelf.names("extract").is_empty(), "{what}");
    }
}

#[test]
fn links_in_the_top_do_not_lead_an_archive_out_of_it() {
    let (shelf, outside) = (Shelf::new(), tempfile::tempdir().expect("a temporary directory"));
    let top = prepare(&shelf, "top", None);
    let client = Client::of(&top);
    std::os::unix::fs::symlink(outside.path(), client.join("out")).expect("a link");
    std::os::unix::fs::symlink("../../../../../../tmp", client.join("up")).expect("a link");
    drop(client);
    apply(&top, &layer(&[file("out/f", b"1"), file("up/f", b"2")])).expect("it is written");
    assert!(names(outside.path()).is_empty());
    let client = Client::of(&top);
    assert_eq!((read(client.join("out/f")), read(client.join("up/f"))), ("1".to_owned(), "2".to_owned()));
    assert!(fs::symlink_metadata(client.join("out")).expect("it is there").is_dir(), "it was replaced, as in a stack");
}
