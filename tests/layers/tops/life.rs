//! The life of a top: it is durable at once, keeps what it stands on, and goes when nobody has it.

use super::super::shelf::{self, Shelf, id};
use super::{Client, made, place, prepare, read, remove, write};
use std::fs;
use wharf::hash::Digest;
use wharf::layers::top::NAME_BYTES_MAX;
use wharf::layers::{Error, Layers};

#[test]
fn a_top_is_found_with_what_is_known_of_it_also_after_a_power_cut() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    let longest = "n".repeat(NAME_BYTES_MAX);
    for (name, writable, parent) in [
        ("on nothing", true, None),
        ("../../etc/passwd", true, Some(&stack[1])),
        ("a view\0of one\n", false, Some(&stack[0])),
        (&*longest, false, None),
    ] {
        drop(shelf.layers.prepare(name, writable, parent).expect("a top"));
        // Nobody has called `sync`.
        let found = shelf.again("the next boot").find_top(name).expect("it is durable");
        let expected = (name, writable, parent.map(wharf::layers::Snapshot::name));
        assert_eq!((found.name(), found.writable(), found.parent()), expected);
    }
    assert!(matches!(shelf.layers.find_top("absent"), Err(Error::NotFound)));
    assert_eq!(shelf.names("tops").len(), 4);
    assert!(shelf.names("extract").is_empty());
}

#[test]
fn a_name_is_given_to_one_top_and_has_its_limits() {
    let shelf = Shelf::new();
    let snapshot = shelf.stack(&["a"]).remove(0);
    drop(prepare(&shelf, "taken", None));
    for writable in [true, false] {
        let again = shelf.layers.prepare("taken", writable, Some(&snapshot));
        assert!(matches!(again, Err(Error::Conflict)), "{again:?}");
    }
    // A snapshot of that name is something else.
    drop(prepare(&shelf, snapshot.name(), Some(&snapshot)));
    for name in [String::new(), "n".repeat(NAME_BYTES_MAX + 1)] {
        assert!(matches!(shelf.layers.prepare(&name, true, None), Err(Error::Invalid(_))));
        assert!(matches!(shelf.layers.find_top("taken").expect("a top").commit(&name), Err(Error::Invalid(_))));
    }
    remove(&shelf.layers, "taken");
    drop(shelf.layers.prepare("taken", false, None).expect("the name is free"));
}

#[test]
fn of_many_who_prepare_the_same_name_one_gets_it() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let made = std::thread::scope(|scope| {
        let prepare = || shelf.again("this boot").prepare("wanted", true, None);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(prepare)).collect();
        let made = threads.into_iter().map(|thread| thread.join().expect("an answer"));
        made.filter(|made| match made {
            Ok(_) => true,
            Err(Error::Conflict) => false,
            Err(error) => panic!("{error}"),
        })
        .count()
    });
    assert_eq!((made, shelf.names("tops").len(), shelf.names("extract").len()), (1, 1, 0));
}

/// What can be claimed of three snapshots and their layers.
fn claimable(layers: &Layers) -> (Vec<String>, Vec<Digest>) {
    let names = ["a", "b", "c"].map(|name| format!("snapshot {name}"));
    let claim = layers.claim(&names, &["a", "b", "c"].map(id)).expect("a claim");
    (claim.snapshots().map(str::to_owned).collect(), claim.layers().copied().collect())
}

#[test]
fn what_a_top_stands_on_stays_and_what_is_above_does_not() {
    if shelf::runs_elsewhere() {
        return;
    }
    for writable in [true, false] {
        let shelf = Shelf::new();
        let mut stack = shelf.stack(&["a", "b", "c"]);
        drop(shelf.layers.prepare("top", writable, Some(&stack[1])).expect("a top"));
        stack.clear();
        shelf.layers.sync().expect("durable");
        for boot in ["this boot", "the next boot"] {
            let other = shelf.again(boot);
            assert_eq!(claimable(&other), (vec!["snapshot c".to_owned()], vec![id("c")]), "{boot}");
            for name in ["snapshot a", "snapshot b"] {
                assert!(matches!(other.remove(name), Err(Error::InUse)), "{name}");
            }
            assert!(matches!(other.remove_layer(&id("b")), Err(Error::InUse)));
        }
        remove(&shelf.layers, "top");
        assert_eq!(claimable(&shelf.layers).0.len(), 3);
        shelf.layers.remove("snapshot c").expect("nobody uses it");
        shelf.layers.remove("snapshot b").expect("nobody uses it");
    }
}

#[test]
fn what_a_top_has_adopted_stays_with_it() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let layer = shelf.layer("a", super::super::shelf::named(), |tree| write(tree.join("f"), "1"));
    prepare(&shelf, "top", None).adopt(&layer).expect("it is adopted");
    drop(layer);
    let file = shelf.path(&format!("layers/{}/tree/f", id("a").encoded()));
    write(file, "damaged");
    for boot in ["this boot", "the next boot"] {
        let other = shelf.again(boot);
        assert!(matches!(other.remove_layer(&id("a")), Err(Error::InUse)), "{boot}");
        assert!(matches!(other.revoke_layer(&id("a")), Err(Error::InUse)), "{boot}");
        assert!(claimable(&other).1.is_empty(), "{boot}");
    }
    remove(&shelf.layers, "top");
    shelf.layers.remove_layer(&id("a")).expect("nobody uses it");
}

#[test]
fn what_somebody_has_is_not_removed() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let top = prepare(&shelf, "top", None);
    let other = shelf.again("this boot");
    assert!(matches!(other.remove_top("top"), Err(Error::InUse)));
    let client = Client::of(&top);
    drop(top);
    assert!(matches!(other.remove_top("top"), Err(Error::InUse)));
    write(client.join("kept"), "1");
    drop(client);
    remove(&other, "top");
    remove(&other, "top");
    assert!(shelf.names("tops").is_empty() && shelf.names("extract").is_empty() && shelf.names("l").is_empty());
}

#[test]
fn names_are_listed_in_pages() {
    let shelf = Shelf::new();
    let names: Vec<_> = (0..12).map(|number| format!("top {number:02}")).collect();
    names.iter().for_each(|name| drop(shelf.layers.prepare(name, name.ends_with('1'), None).expect("a top")));
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = shelf.layers.tops(after.as_deref(), 5).expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        listed.extend(page);
    }
    assert_eq!(listed, names);
    assert!(shelf.layers.entries(None, 10).expect("a page").is_empty(), "they are no snapshots");
}

#[test]
fn the_space_of_what_was_written_is_told_and_names_of_one_file_count_once() {
    let shelf = Shelf::new();
    let below = made(&shelf, "below", None, |tree| write(tree.join("large"), &"x".repeat(100_000)));
    let top = prepare(&shelf, "top", Some(&below));
    let (empty, inodes) = top.usage().expect("its space");
    assert_eq!(inodes, 1);
    let client = Client::of(&top);
    write(client.join("one"), &"y".repeat(50_000));
    fs::hard_link(client.join("one"), client.join("two")).expect("a second name");
    fs::remove_file(client.join("large")).expect("it is there");
    drop(client);
    let (bytes, inodes) = top.usage().expect("its space");
    // The root, a file and a whiteout.
    assert_eq!(inodes, 3);
    assert!((50_000..100_000).contains(&(bytes - empty)), "{bytes} {empty}");
    let view = shelf.layers.prepare("view", false, Some(&below)).expect("a view");
    assert_eq!(view.usage().expect("none"), (0, 0));
    let frozen = top.commit("frozen").expect("a snapshot");
    assert_eq!(frozen.usage(), (bytes, inodes));
}

#[test]
fn the_root_looks_as_below_and_as_every_root_on_nothing() {
    let shelf = Shelf::new();
    let layer = shelf.layer("a", super::super::shelf::named(), |tree| {
        shelf::directory(tree.to_owned(), 0o1711, (7, 8));
        rustix::fs::lsetxattr(tree.join("."), "user.k", b"v", rustix::fs::XattrFlags::empty()).expect("an attribute");
    });
    let snapshot = shelf.layers.stack("a", None, &layer).expect("a snapshot");
    for (name, parent, expected) in [("on a", Some(&snapshot), "41711 7:8"), ("on nothing", None, "40755 0:0")] {
        let top = prepare(&shelf, name, parent);
        assert_eq!(shelf::look(Client::of(&top).path()), expected, "{name}");
        let view = shelf.layers.prepare(&format!("{name}, a view"), false, parent).expect("a view");
        assert_eq!(shelf::look(Client::of(&view).path()), expected, "{name}");
    }
    let mut value = [0; 2];
    let client = Client::of(&shelf.layers.find_top("on a").expect("a top"));
    assert_eq!(rustix::fs::lgetxattr(client.path(), "user.k", &mut value[..]), Ok(1));
}

#[test]
fn a_top_on_what_is_damaged_is_not_found_until_that_is_there_again() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    drop(shelf.stack(&["a"]));
    let below = shelf.layers.snapshot("snapshot a").expect("a snapshot");
    let top = prepare(&shelf, "top", Some(&below));
    drop(below);
    let file = shelf.path(&format!("layers/{}/tree/a", id("a").encoded()));
    write(&file, "damaged");
    assert!(matches!(shelf.layers.revoke_layer(&id("a")), Err(Error::InUse)), "somebody has a top on it");
    write(&file, "a");
    write(shelf.path(&format!("snapshots/{}/snapshot", id("snapshot a").encoded())), "torn");
    assert!(matches!(shelf.layers.revoke("snapshot a"), Err(Error::InUse)), "somebody has a top on it");
    let client = Client::of(&top);
    write(client.join("mine"), "1");
    drop(top);
    assert!(matches!(shelf.layers.revoke("snapshot a"), Err(Error::InUse)), "it is mounted");
    drop(client);
    shelf.layers.revoke("snapshot a").expect("nobody uses it");
    assert!(matches!(shelf.layers.find_top("top"), Err(Error::NotFound)));
    assert!(matches!(shelf.layers.prepare("top", true, None), Err(Error::Conflict)), "it has what somebody wrote");
    let layer = shelf.layers.layer(&id("a")).expect("the layer");
    drop(shelf.layers.stack("snapshot a", None, &layer).expect("a snapshot"));
    let client = Client::of(&shelf.layers.find_top("top").expect("it is whole again"));
    assert_eq!((read(client.join("mine")), read(client.join("a"))), ("1".to_owned(), "a".to_owned()));
}

#[test]
fn what_was_frozen_is_not_removed_with_what_is_damaged_below_it() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a"]);
    drop(made(&shelf, "frozen", Some(&stack[0]), |tree| write(tree.join("mine"), "1")));
    drop(stack);
    write(shelf.path(&format!("layers/{}/tree/a", id("a").encoded())), "damaged");
    shelf.layers.revoke_layer(&id("a")).expect("nobody uses it");
    assert!(matches!(shelf.layers.snapshot("frozen"), Err(Error::NotFound)));
    drop(shelf.layer("a", super::super::shelf::named(), |tree| write(tree.join("a"), "a")));
    shelf.layers.snapshot("frozen").expect("it is whole again");
}

#[test]
fn what_is_no_top_has_no_right_to_its_name() {
    let shelf = Shelf::new();
    for damage in ["an empty directory", "a file", "a torn record", "no record"] {
        let at = place(&shelf, damage);
        match damage {
            "an empty directory" => fs::create_dir(&at).expect("a directory"),
            "a file" => write(&at, "no top"),
            "a torn record" => {
                drop(prepare(&shelf, damage, None));
                write(at.join("top"), "torn");
            }
            _ => fs::create_dir_all(at.join("tree/deep")).expect("directories"),
        }
        assert!(matches!(shelf.layers.find_top(damage), Err(Error::NotFound)), "{damage}");
        assert!(shelf.layers.tops(None, 10).expect("a page").is_empty(), "{damage}");
        drop(prepare(&shelf, damage, None));
        remove(&shelf.layers, damage);
    }
    assert!(shelf.names("extract").is_empty());
}
