//! What is believed after a power cut: that one journal vouches for what the last calls of `sync` covered until the
//! markers are on disk, and for nothing that gets the same name later.

use super::shelf::{Shelf, id, layer, named};
use std::fs;
use std::path::PathBuf;
use wharf::layers::{Error, Layers};

fn marker(shelf: &Shelf, name: &str) -> PathBuf {
    shelf.path(&format!("layers/{}/durable", id(name).encoded()))
}

/// What a power cut does to markers that nothing has written to the disk.
fn lose_the_markers(shelf: &Shelf) {
    for parent in ["layers", "snapshots"] {
        for name in shelf.names(parent) {
            let _ = fs::remove_file(shelf.path(&format!("{parent}/{name}/durable")));
        }
    }
}

fn has(layers: &Layers, name: &str) -> bool {
    match layers.layer(&id(name)) {
        Ok(_) => true,
        Err(Error::NotFound) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_journal_alone_is_enough_right_after_a_sync() {
    let shelf = Shelf::new();
    shelf.stack(&["a", "b"]);
    shelf.layers.sync().expect("durable");
    lose_the_markers(&shelf);
    let after = shelf.again("the next boot");
    assert_eq!(after.snapshot("snapshot b").expect("the snapshot").height(), 2);
    assert_eq!(after.entries(None, 10).expect("a page"), ["snapshot a", "snapshot b"]);
    // What the journal vouches for does not become doubtful by the next sync, which writes another journal.
    layer(&after, "c", named(), |_| {});
    after.sync().expect("durable");
    assert!(marker(&shelf, "a").exists());
    let later = shelf.again("the boot after that");
    assert!(later.snapshot("snapshot b").is_ok() && has(&later, "c"));
}

#[test]
fn a_journal_that_is_torn_vouches_for_nothing_and_is_replaced() {
    for number in 0..4 {
        let damage = |bytes: &[u8]| match number {
            0 => Vec::new(),
            1 => bytes[..bytes.len() - 1].to_vec(),
            2 => vec![0; bytes.len()],
            _ => [bytes, &[0]].concat(),
        };
        let shelf = Shelf::new();
        drop(shelf.stack(&["a"]));
        shelf.layers.sync().expect("durable");
        let journal = fs::read(shelf.path("durable")).expect("the journal");
        fs::write(shelf.path("durable"), damage(&journal)).expect("the journal");
        assert!(has(&shelf.again("the next boot"), "a"), "{number}: the marker is enough");
        lose_the_markers(&shelf);
        let after = shelf.again("the next boot");
        assert!(!has(&after, "a"), "{number}");
        layer(&after, "b", named(), |_| {});
        after.sync().expect("durable");
        lose_the_markers(&shelf);
        assert!(has(&shelf.again("the boot after that"), "b"), "{number}");
    }
}

#[test]
fn a_process_that_died_while_it_wrote_the_journal_is_not_in_the_way() {
    let shelf = Shelf::new();
    fs::write(shelf.path("durable.new"), "half").expect("a file");
    shelf.layer("a", named(), |_| {});
    shelf.layers.sync().expect("durable");
    assert!(!shelf.path("durable.new").exists());
    lose_the_markers(&shelf);
    assert!(has(&shelf.again("the next boot"), "a"));
}

/// `tests/crash` found it: a directory in the place of a small file was an error for every pull that came later.
#[test]
fn a_directory_in_the_place_of_a_marker_a_record_or_the_journal_is_in_nobodys_way() {
    for number in 0..3 {
        let shelf = Shelf::new();
        drop(shelf.stack(&["a", "b"]));
        shelf.layers.sync().expect("durable");
        let path = match number {
            0 => marker(&shelf, "a"),
            1 => shelf.path("durable"),
            _ => shelf.path(&format!("layers/{}/layer", id("b").encoded())),
        };
        fs::remove_file(&path).expect("a file");
        fs::create_dir(&path).expect("a directory");
        let after = shelf.again("the next boot");
        assert!(has(&after, "a") && has(&after, "b") == (number != 2), "{number}");
        layer(&after, "c", named(), |_| {});
        after.sync().expect("durable");
        assert!(shelf.path("durable").is_file() && has(&shelf.again("the boot after that"), "c"), "{number}");
    }
}

#[test]
fn what_gets_the_name_of_something_durable_is_not_believed_for_that() {
    if super::shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    drop(shelf.stack(&["a"]));
    shelf.layers.sync().expect("durable");
    shelf.layers.remove("snapshot a").expect("nobody uses it");
    drop(shelf.stack(&["a"]));
    assert!(!marker(&shelf, "a").exists());
    let after = shelf.again("the next boot");
    assert!(!has(&after, "a") && matches!(after.snapshot("snapshot a"), Err(Error::NotFound)));
    // Nor does another sync give a marker to it because of what the journal says about its name.
    layer(&after, "b", named(), |_| {});
    after.sync().expect("durable");
    assert!(!marker(&shelf, "a").exists() && !has(&shelf.again("the boot after that"), "a"));
}

#[test]
fn the_journal_is_as_long_as_the_last_pull_was_large() {
    let shelf = Shelf::new();
    let length = |number: usize| {
        shelf.layer(&format!("{number:02}"), named(), |_| {});
        shelf.layers.sync().expect("durable");
        fs::metadata(shelf.path("durable")).expect("the journal").len()
    };
    let first = length(0);
    assert_eq!((1..20).map(length).collect::<Vec<_>>(), [first; 19]);
    shelf.layers.sync().expect("nothing is new");
    assert_eq!(fs::metadata(shelf.path("durable")).expect("the journal").len(), first);
}

#[test]
fn of_many_who_sync_at_once_each_has_its_layers_durable() {
    let shelf = Shelf::new();
    let name = |thread: usize, round: usize| format!("{thread} {round}");
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let layers = shelf.again("this boot");
            scope.spawn(move || {
                for round in 0..8 {
                    layer(&layers, &name(thread, round), named(), |_| {});
                    layers.sync().expect("durable");
                }
            });
        }
    });
    let after = shelf.again("the next boot");
    for (thread, round) in (0..6).flat_map(|thread| (0..8).map(move |round| (thread, round))) {
        assert!(has(&after, &name(thread, round)), "{thread} {round}");
    }
    assert!(!shelf.path("durable.new").exists());
}
