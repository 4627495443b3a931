//! The life of layers and snapshots in the store: publishing, holding, believing, removing. What is in a tree does not
//! matter here.

use super::shelf::{self, Shelf, directory, id, layer, named, open};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use wharf::layers::apply::{Applied, Aside};
use wharf::layers::{Error, HEIGHT_MAX};

#[test]
fn a_layer_is_found_again_with_what_is_known_of_it() {
    let shelf = Shelf::new();
    let applied = Applied { size: 5, inodes: 2, warnings: vec!["left out".to_owned()], ..named() };
    let made = shelf.layer("a", applied, |tree| fs::write(tree.join("f"), "hello").expect("a file"));
    assert_eq!((made.size(), made.diff_id()), (5, &id("a")));
    let found = shelf.again("this boot").layer(&id("a")).expect("the layer");
    assert_eq!((found.size(), found.inodes(), found.warnings()), (5, 2, &["left out".to_owned()][..]));
    assert_eq!(fs::read(shelf.path(&format!("layers/{}/tree/f", id("a").encoded()))).expect("the file"), b"hello");
    assert!(shelf.names("extract").is_empty());
    assert!(matches!(shelf.layers.layer(&id("b")), Err(Error::NotFound)));
}

#[test]
fn directories_and_records_belong_to_the_owner_alone() {
    let shelf = Shelf::new();
    shelf.stack(&["a"]);
    shelf.layers.sync().expect("durable");
    let layer = format!("layers/{}", id("a").encoded());
    let mode = |path: &str| fs::metadata(shelf.path(path)).expect("it is there").permissions().mode() & 0o7777;
    for directory in ["layers", "snapshots", "extract", "snapshots/empty", &layer] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
    for file in ["layer", "durable"] {
        assert_eq!(mode(&format!("{layer}/{file}")), 0o600, "{file}");
    }
    assert_eq!(mode(&format!("{layer}/tree")), 0o755);
}

#[test]
fn of_two_who_publish_the_same_layer_both_get_it_and_one_tree_stays() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let results: Vec<_> = std::thread::scope(|scope| {
        let publish = |number: usize| {
            let layers = shelf.again("this boot");
            let fill = move |tree: &std::path::Path| fs::write(tree.join(number.to_string()), "").expect("a file");
            layer(&layers, "a", named(), fill)
        };
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || publish(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a layer")).collect()
    });
    assert_eq!(results.len(), 8);
    let tree = fs::read_dir(shelf.path(&format!("layers/{}/tree", id("a").encoded()))).expect("the tree");
    assert_eq!(tree.count(), 1);
    assert!(shelf.names("extract").is_empty());
}

#[test]
fn what_is_begun_and_dropped_leaves_nothing_whatever_its_modes_and_depth() {
    let shelf = Shelf::new();
    let nascent = shelf.layers.begin().expect("a private directory");
    let name = shelf.names("extract").pop().expect("it is there");
    let mut path = shelf.path(&format!("extract/{name}/tree"));
    for number in 0..300 {
        path.push(format!("a long name of a directory {number}"));
        // The path is too long for one call soon.
        if path.as_os_str().len() > 3_900 {
            break;
        }
        directory(path.clone(), 0o755, (0, 0));
        fs::write(path.join("file"), "").expect("a file");
    }
    fs::set_permissions(shelf.path(&format!("extract/{name}/tree")), fs::Permissions::from_mode(0o0))
        .expect("a mode that lets nobody in");
    drop(nascent);
    assert!(shelf.names("extract").is_empty());
}

#[test]
fn debris_of_a_dead_process_is_removed_and_work_of_a_living_one_is_not() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let living = shelf.layers.begin().expect("a private directory");
    fs::create_dir_all(shelf.path("extract/77777777-0/tree/~0/deep")).expect("debris");
    fs::create_dir_all(shelf.path("extract/77777777-0/~0/in the way")).expect("debris");
    let other = shelf.again("this boot").begin().expect("a private directory");
    let names = shelf.names("extract");
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(!names.contains(&"77777777-0".to_owned()), "{names:?}");
    drop((living, other));
}

#[test]
fn what_was_not_made_durable_is_not_believed_after_a_restart() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    shelf.stack(&["a", "b"]);
    let after = shelf.again("the next boot");
    assert!(matches!(after.layer(&id("a")), Err(Error::NotFound)));
    assert!(matches!(after.snapshot("snapshot b"), Err(Error::NotFound)));
    assert!(after.entries(None, 10).expect("a page").is_empty());
    // What an earlier boot left does not become durable by a sync in this one.
    after.sync().expect("durable");
    assert!(matches!(after.layer(&id("a")), Err(Error::NotFound)));

    let new = layer(&after, "a", named(), |tree| fs::write(tree.join("new"), "").expect("a file"));
    assert!(shelf.path(&format!("layers/{}/tree/new", id("a").encoded())).exists());
    after.stack("snapshot a", None, &new).expect("a snapshot");
    after.sync().expect("durable");
    let later = shelf.again("the boot after that");
    assert_eq!(later.entries(None, 10).expect("a page"), ["snapshot a"]);
    assert!(matches!(later.snapshot("snapshot b"), Err(Error::NotFound)));
}

#[test]
fn what_was_made_durable_is_believed_after_a_restart() {
    let shelf = Shelf::new();
    shelf.stack(&["a", "b"]);
    shelf.layers.sync().expect("durable");
    let after = shelf.again("the next boot");
    let top = after.snapshot("snapshot b").expect("the snapshot");
    assert_eq!((top.parent(), top.height()), (Some("snapshot a"), 2));
    // A layer that nothing vouches for makes the whole stack on it absent.
    fs::remove_file(shelf.path(&format!("layers/{}/durable", id("a").encoded()))).expect("the marker");
    fs::remove_file(shelf.path("durable")).expect("the journal");
    assert!(matches!(after.snapshot("snapshot b"), Err(Error::NotFound)));
}

#[test]
fn a_record_that_is_damaged_is_replaced_and_not_believed() {
    if shelf::runs_elsewhere() {
        return;
    }
    for damage in [&b""[..], b"\0\0\0\0", b"\x01", b"\x02rest"] {
        let shelf = Shelf::new();
        shelf.stack(&["a"]);
        fs::write(shelf.path(&format!("layers/{}/layer", id("a").encoded())), damage).expect("the record");
        assert!(matches!(shelf.layers.layer(&id("a")), Err(Error::NotFound)), "{damage:?}");
        assert!(matches!(shelf.layers.snapshot("snapshot a"), Err(Error::NotFound)), "{damage:?}");
        shelf.stack(&["a"]);
        shelf.layers.snapshot("snapshot a").expect("it is whole again");
    }
}

#[test]
fn a_record_with_more_bytes_than_it_needs_is_not_believed() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    shelf.layer("a", named(), |_| {});
    let path = shelf.path(&format!("layers/{}/layer", id("a").encoded()));
    let mut bytes = fs::read(&path).expect("the record");
    bytes.push(0);
    fs::write(&path, bytes).expect("the record");
    assert!(matches!(shelf.layers.layer(&id("a")), Err(Error::NotFound)));
}

#[test]
fn a_snapshot_with_a_handle_or_a_child_is_in_use() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let mut stack = shelf.stack(&["a", "b"]);
    let other = shelf.again("this boot");
    assert!(matches!(other.remove("snapshot b"), Err(Error::InUse)), "it has a handle");
    drop(stack.pop());
    drop(stack.pop());
    assert!(matches!(other.remove("snapshot a"), Err(Error::InUse)), "it has a child");
    other.remove("snapshot b").expect("nobody uses it");
    assert!(matches!(shelf.layers.layer(&id("b")), Err(Error::NotFound)), "its layer goes with it");
    other.remove("snapshot a").expect("nobody uses it");
    other.remove("snapshot a").expect("nobody uses it");
    for directory in ["layers", "snapshots", "extract"] {
        assert!(shelf.names(directory).is_empty(), "{directory}");
    }
}

#[test]
fn a_layer_stays_while_another_snapshot_or_a_handle_uses_it() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    drop(shelf.stack(&["a", "b"]));
    let layer = shelf.layers.layer(&id("b")).expect("the layer");
    shelf.layers.stack("b alone", None, &layer).expect("a snapshot");
    drop(layer);
    shelf.layers.remove("b alone").expect("nobody uses it");
    let held = shelf.layers.layer(&id("b")).expect("the other snapshot uses it");
    shelf.layers.remove("snapshot b").expect("nobody uses it");
    shelf.layers.layer(&id("b")).expect("a handle is held");
    assert_eq!(held.size(), 0);
}

/// A lock on a directory that was taken away between opening and locking protects nothing.
/// Tells others that it is over when it goes, also by a panic.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn whoever_has_a_handle_has_the_tree_however_often_it_is_removed() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let tree = shelf.path(&format!("layers/{}/tree", id("a").encoded()));
    let is_over = AtomicBool::new(false);
    let opened = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (layers, mut opened) = (shelf.again("this boot"), 0);
                    while !is_over.load(Ordering::Relaxed) {
                        if let Ok(_held) = layers.layer(&id("a")) {
                            assert!(tree.exists());
                            opened += 1;
                        }
                    }
                    opened
                })
            })
            .collect();
        // Whatever ends this ends the readers too.
        let over = Over(&is_over);
        for _ in 0..400 {
            drop(shelf.stack(&["a"]));
            shelf.layers.remove("snapshot a").expect("nobody uses it");
        }
        drop(over);
        readers.into_iter().map(|reader| reader.join().expect("every handle has a tree")).sum::<u32>()
    });
    assert!(opened > 0);
}

#[test]
fn a_name_belongs_to_the_first_snapshot_that_has_it() {
    let shelf = Shelf::new();
    let (a, b) = (shelf.layer("a", named(), |_| {}), shelf.layer("b", named(), |_| {}));
    shelf.layers.stack("name", None, &a).expect("a snapshot");
    let second = shelf.layers.stack("name", None, &b).expect("the same one");
    assert_eq!(second.layer(), Some(&*id("a").to_string()));
}

#[test]
fn names_come_in_pages_and_in_order() {
    let shelf = Shelf::new();
    shelf.stack(&["c", "a", "b"]);
    let page = |after, limit| shelf.layers.entries(after, limit).expect("a page");
    assert_eq!(page(None, 2), ["snapshot a", "snapshot b"]);
    assert_eq!(page(Some("snapshot b"), 2), ["snapshot c"]);
    assert!(page(Some("snapshot c"), 2).is_empty());
}

#[test]
fn a_stack_is_at_most_500_layers_high() {
    let shelf = Shelf::new();
    let layer = shelf.layer("a", named(), |_| {});
    let mut top = shelf.layers.stack("1", None, &layer).expect("a snapshot");
    for number in 2..=HEIGHT_MAX {
        top = shelf.layers.stack(&number.to_string(), Some(&top), &layer).expect("a snapshot");
    }
    assert_eq!(top.height(), 500);
    assert!(matches!(shelf.layers.stack("501", Some(&top), &layer), Err(Error::TooLarge { .. })));
}

#[test]
fn what_could_not_be_set_lies_beside_the_tree() {
    let shelf = Shelf::new();
    let aside = Aside { path: b"f".to_vec(), owner: (1, 2), mode: 0o4755, device: None, xattrs: Vec::new() };
    shelf.layer("a", Applied { aside: vec![aside], ..named() }, |_| {});
    assert!(shelf.path(&format!("layers/{}/aside", id("a").encoded())).exists());
    shelf.layer("b", named(), |_| {});
    assert!(!shelf.path(&format!("layers/{}/aside", id("b").encoded())).exists());
}

#[test]
fn a_store_that_was_open_to_others_is_closed() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    directory(temporary.path().join("layers"), 0o755, (0, 0));
    open(temporary.path(), "this boot");
    let mode = fs::metadata(temporary.path().join("layers")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}
