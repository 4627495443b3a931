//! Claims of layers and snapshots: what stands on what, who waits, and what is left in which order.

#![allow(clippy::disallowed_methods, reason = "a test looks behind the store's back")]

use super::super::apply::Applied;
use super::{Claim, Error, Layers};
use crate::hash::{Algorithm, Digest};
use crate::layers::{Rights, Settings, Snapshot};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use tempfile::TempDir;

fn open(root: &Path, boot: &str) -> Layers {
    let directory = |path| Dir::open_ambient_dir(path, ambient_authority()).expect("a directory");
    let rights = if rustix::process::geteuid().is_root() { Rights::Root } else { Rights::User };
    let settings = Settings { rights, boot: boot.to_owned(), proc: directory(Path::new("/proc")) };
    Layers::open(&directory(root), settings).expect("a layer store")
}

fn store() -> (TempDir, Layers) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let layers = open(directory.path(), "this boot");
    (directory, layers)
}

fn id(name: &str) -> Digest {
    Digest::of(Algorithm::Sha256, name.as_bytes())
}

/// Makes a stack of layers, the lowest first, with snapshots of the same names.
fn stack(layers: &Layers, names: &[&str]) -> Vec<Snapshot> {
    let mut stack: Vec<Snapshot> = Vec::new();
    for name in names {
        let nascent = layers.begin().expect("a private directory");
        let applied = Applied { names_root: true, ..Applied::default() };
        let layer = nascent.publish(&id(name), applied).expect("a layer");
        stack.push(layers.stack(name, stack.last(), &layer).expect("a snapshot"));
    }
    stack
}

fn claim(layers: &Layers, snapshots: &[&str], of: &[&str]) -> Claim {
    layers.claim(&texts(snapshots), &ids(of)).expect("a claim")
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ids(names: &[&str]) -> Vec<Digest> {
    names.iter().map(|name| id(name)).collect()
}

fn check(claim: &Claim, snapshots: &[&str], of: &[&str]) {
    assert_eq!(claim.snapshots().collect::<Vec<_>>(), snapshots);
    assert_eq!(claim.layers().copied().collect::<Vec<_>>(), ids(of));
}

fn count(directory: &TempDir, below: &str) -> usize {
    let entries = fs::read_dir(directory.path().join(below)).expect("a directory");
    entries.filter(|entry| entry.as_ref().expect("an entry").file_name() != "empty").count()
}

#[test]
fn what_something_outside_stands_on_is_not_claimed_and_nothing_below_it() {
    let (_directory, layers) = store();
    drop(stack(&layers, &["a", "b", "c"]));
    let all = ["a", "b", "c"];
    check(&claim(&layers, &["b", "a"], &all), &[], &[]);
    check(&claim(&layers, &["c"], &all), &["c"], &["c"]);
    check(&claim(&layers, &[], &all), &[], &[]);
    check(&claim(&layers, &["c", "a", "d"], &["d"]), &["c"], &[]);
    check(&claim(&layers, &["a", "c", "b"], &["b", "a", "c"]), &["a", "c", "b"], &["b", "a", "c"]);
    // A handle on the top keeps everything; one on the middle what is below.
    for (held, free) in [("c", &[][..]), ("b", &["c"]), ("a", &["c", "b"])] {
        let _held = layers.snapshot(held).expect("the snapshot");
        check(&claim(&layers, &["c", "b", "a"], &[]), free, &[]);
    }
    let _held = layers.layer(&id("a")).expect("the layer");
    check(&claim(&layers, &all, &all), &all, &["b", "c"]);
}

#[test]
fn a_layer_that_two_snapshots_use_goes_with_both() {
    let (_directory, layers) = store();
    drop(stack(&layers, &["a"]));
    let layer = layers.layer(&id("a")).expect("the layer");
    drop(layers.stack("again", None, &layer).expect("a snapshot"));
    drop(layer);
    check(&claim(&layers, &["a"], &["a"]), &["a"], &[]);
    let both = claim(&layers, &["a", "again"], &["a"]);
    check(&both, &["a", "again"], &["a"]);
    both.remove(&texts(&["a", "again"]), &ids(&["a"])).expect("removed");
    assert!(matches!(layers.layer(&id("a")), Err(Error::NotFound)));
}

#[test]
fn who_opens_what_is_claimed_waits_and_finds_it_if_it_stays_and_not_if_it_goes() {
    for goes in [false, true] {
        let (directory, layers) = store();
        drop(stack(&layers, &["a"]));
        let claim = claim(&layers, &["a"], &["a"]);
        let other = open(directory.path(), "this boot");
        std::thread::scope(|scope| {
            let (said, hear) = mpsc::channel();
            for is_layer in [true, false] {
                let (said, other) = (said.clone(), &other);
                scope.spawn(move || {
                    let found = if is_layer { other.layer(&id("a")).map(drop) } else { other.snapshot("a").map(drop) };
                    said.send(found).expect("somebody hears");
                });
            }
            let early = hear.recv_timeout(std::time::Duration::from_millis(50));
            assert!(early.is_err(), "it did not wait: {early:?}");
            if goes {
                claim.remove(&texts(&["a"]), &ids(&["a"])).expect("removed");
            } else {
                drop(claim);
            }
            for late in [hear.recv(), hear.recv()].map(|late| late.expect("an answer")) {
                assert!(if goes { matches!(late, Err(Error::NotFound)) } else { late.is_ok() }, "{late:?}");
            }
        });
    }
}

#[test]
fn what_is_listed_is_removed_and_the_rest_is_let_go() {
    let (directory, layers) = store();
    drop(stack(&layers, &["a", "b", "c"]));
    drop(stack(&layers, &["d"]));
    let held = layers.snapshot("d").expect("the snapshot");
    let all = claim(&layers, &["a", "b", "c", "d"], &["a", "b", "c", "d"]);
    check(&all, &["a", "b", "c"], &["a", "b", "c"]);
    all.remove(&texts(&["b", "c", "d"]), &ids(&["c", "d"])).expect("removed");
    assert_eq!(layers.entries(None, 10).expect("a page"), ["a", "d"]);
    assert_eq!((count(&directory, "layers"), count(&directory, "extract")), (3, 0));
    for name in ["a", "b"] {
        layers.layer(&id(name)).expect("it was let go");
    }
    drop(held);
}

#[test]
fn nothing_is_removed_from_below_what_stays() {
    let (_directory, layers) = store();
    drop(stack(&layers, &["a", "b"]));
    for (snapshots, of) in [(&["a"][..], &[][..]), (&["b"], &["a"]), (&[], &["b"])] {
        let refused = claim(&layers, &["a", "b"], &["a", "b"]).remove(&texts(snapshots), &ids(of));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        layers.snapshot("b").expect("everything is there, and nobody has it");
    }
}

#[test]
fn what_is_damaged_can_be_claimed_and_removed() {
    let (directory, layers) = store();
    drop(stack(&layers, &["a", "b"]));
    let layer = |name: &str| directory.path().join("layers").join(id(name).encoded());
    fs::write(layer("b").join("layer"), "no record").expect("a file");
    fs::write(directory.path().join("snapshots").join(super::key("b")).join("snapshot"), "").expect("a file");
    fs::write(layer("file"), "in the place of a layer").expect("a file");
    fs::create_dir(layer("empty")).expect("a directory");
    fs::create_dir_all(layer("stray").join("tree/deep")).expect("a directory");
    let names = ["b", "file", "empty", "stray", "absent"];
    let claim = claim(&layers, &["b"], &names);
    check(&claim, &["b"], &["b", "file", "empty", "stray"]);
    claim.remove(&texts(&["b"]), &ids(&names)).expect("removed");
    assert_eq!((count(&directory, "snapshots"), count(&directory, "layers"), count(&directory, "extract")), (1, 1, 0));
    layers.snapshot("a").expect("it is whole");
}

#[test]
fn debris_goes_with_a_claim_and_work_of_others_does_not() {
    let (directory, layers) = store();
    let working = open(directory.path(), "this boot").begin().expect("a private directory");
    for number in 0..40 {
        fs::create_dir_all(directory.path().join(format!("extract/gone-77777777-{number}/tree/deep"))).expect("debris");
    }
    claim(&layers, &[], &[]).remove(&[], &[]).expect("nothing to remove");
    assert_eq!(count(&directory, "extract"), 1);
    drop(working);
}

#[test]
fn a_tree_of_any_shape_is_removed_whole_by_several_threads() {
    let (directory, layers) = store();
    let names: Vec<_> = (0..6).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for (number, name) in names.iter().enumerate() {
        drop(stack(&layers, &[name]));
        let tree = directory.path().join("layers").join(id(name).encoded()).join("tree");
        for wide in 0..20 {
            let mut path = tree.join(wide.to_string());
            for deep in 0..=number * 10 {
                path.push(deep.to_string());
            }
            fs::create_dir_all(&path).expect("directories");
            for file in 0..10 {
                fs::write(path.join(file.to_string()), "").expect("a file");
            }
            // A name that the removal might choose.
            fs::create_dir_all(tree.join(format!("~{wide}/in the way"))).expect("a directory");
        }
    }
    claim(&layers, &names, &names).remove(&texts(&names), &ids(&names)).expect("removed");
    for below in ["layers", "snapshots", "extract"] {
        assert_eq!(count(&directory, below), 0, "{below}");
    }
}

/// A removal that stops has removed what stands on others, and not what they stand on.
#[test]
fn what_stands_on_others_goes_first() {
    let (directory, layers) = store();
    drop(stack(&layers, &["a", "b", "c"]));
    let claim = claim(&layers, &["a", "b", "c"], &["a", "b", "c"]);
    // The name of the middle one has become somebody's full directory, which no rename of this name finds.
    let path = |name: &str| directory.path().join("snapshots").join(super::key(name));
    fs::rename(path("b"), directory.path().join("elsewhere")).expect("it is moved");
    let failed = claim.remove(&texts(&["a", "c", "b"]), &ids(&["a", "b", "c"]));
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert!(!path("c").exists() && path("a").exists());
    assert_eq!((count(&directory, "layers"), count(&directory, "extract")), (3, 0));
    assert!(layers.snapshot("a").is_ok() && layers.layer(&id("c")).is_ok());
}

#[test]
fn what_an_earlier_boot_left_half_done_holds_nothing_back() {
    let (directory, layers) = store();
    drop(stack(&layers, &["a", "b"]));
    let after = open(directory.path(), "the next boot");
    check(&claim(&after, &["a"], &["a", "b"]), &["a"], &["a", "b"]);
}
