//! What a layer implies about the layers below it. The rows about directories are what containerd 1.6.20 makes of the
//! same layers, by `ctr images import` and `ctr images mount`; the links are what it refuses.

use super::shelf::{Shelf, directory, look, named, whiteout};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use wharf::layers::Error;
use wharf::layers::apply::{Applied, Link};
use wharf::layers::archive::Time;

type Fill = fn(&Path);

/// Puts layers with `below` under one that has `file`, and looks at `directories` of the top tree.
fn check(what: &str, below: &[Fill], implied: &[&str], file: &str, expected: &[(&str, &str)]) {
    let shelf = Shelf::new();
    let mut stack = Vec::new();
    for (number, fill) in below.iter().enumerate() {
        let layer = shelf.layer(&number.to_string(), named(), fill);
        stack.push(shelf.layers.stack(&number.to_string(), stack.last(), &layer).expect("a snapshot"));
    }
    let implied = implied.iter().map(|path| path.as_bytes().to_vec()).collect();
    let top = shelf.layer("top", Applied { implied, ..named() }, |tree| {
        let path = tree.join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        fs::write(path, "new").expect("a file");
    });
    shelf.layers.stack("top", stack.last(), &top).expect("a snapshot");
    let tree = tree(&shelf);
    for (path, expected) in expected {
        assert_eq!(look(&tree.join(path)), *expected, "{what}: {path}");
    }
    assert_eq!(fs::read(tree.join(file)).expect("the file"), b"new", "{what}");
}

/// The tree of the snapshot `top`: its own, or that of its layer.
fn tree(shelf: &Shelf) -> std::path::PathBuf {
    let key = super::shelf::id("top").encoded();
    let own = shelf.path(&format!("snapshots/{key}/tree"));
    if own.exists() { own } else { shelf.path(&format!("layers/{key}/tree")) }
}

#[test]
fn an_implied_directory_looks_like_the_nearest_one_below() {
    let plain = "40755 0:0";
    check(
        "two levels",
        &[|tree| {
            directory(tree.join("a"), 0o700, (5, 6));
            directory(tree.join("a/b"), 0o1777, (7, 0));
        }],
        &["a", "a/b"],
        "a/b/g",
        &[("a", "40700 5:6"), ("a/b", "41777 7:0")],
    );
    check(
        "the nearest decides",
        &[|tree| directory(tree.join("a"), 0o700, (5, 0)), |tree| directory(tree.join("a"), 0o711, (6, 0))],
        &["a"],
        "a/g",
        &[("a", "40711 6:0")],
    );
    check("special bits", &[|tree| directory(tree.join("a"), 0o6755, (5, 9))], &["a"], "a/g", &[("a", "46755 5:9")]);
    check(
        "replaced by a file",
        &[|tree| directory(tree.join("a"), 0o700, (5, 0)), |tree| fs::write(tree.join("a"), "").expect("a file")],
        &["a"],
        "a/g",
        &[("a", plain)],
    );
    check(
        "removed",
        &[|tree| directory(tree.join("a"), 0o700, (5, 0)), |tree| whiteout(&tree.join("a"))],
        &["a"],
        "a/g",
        &[("a", plain)],
    );
    check(
        "opaque directories are not minded",
        &[
            |tree| directory(tree.join("a/b"), 0o711, (9, 0)),
            |tree| {
                directory(tree.join("a"), 0o755, (0, 0));
                let path = tree.join("a");
                rustix::fs::lsetxattr(&path, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
                    .expect("the mark");
            },
        ],
        &["a", "a/b"],
        "a/b/g",
        &[("a", plain), ("a/b", "40711 9:0")],
    );
    check(
        "a link to a directory of the same layer",
        &[|tree| {
            directory(tree.join("c"), 0o700, (5, 0));
            directory(tree.join("c/d"), 0o711, (8, 0));
            symlink("/c", tree.join("a")).expect("a link");
        }],
        &["a", "a/d"],
        "a/d/g",
        &[("a", "40700 5:0"), ("a/d", "40711 8:0")],
    );
    check(
        "a link to a directory of a lower layer",
        &[|tree| directory(tree.join("c"), 0o700, (5, 0)), |tree| symlink("c", tree.join("a")).expect("a link")],
        &["a"],
        "a/g",
        &[("a", plain)],
    );
    check("nothing below", &[], &["a", "a/b"], "a/b/g", &[("a", plain), ("a/b", plain)]);
    // containerd refuses this image, because it looks for `a/b` below what removes `a`.
    check(
        "removed one level up",
        &[|tree| directory(tree.join("a/b"), 0o711, (9, 0)), |tree| whiteout(&tree.join("a"))],
        &["a", "a/b"],
        "a/b/g",
        &[("a", plain), ("a/b", plain)],
    );
}

#[test]
fn a_link_below_does_not_lead_out_of_the_layer() {
    check(
        "outside",
        &[|tree| {
            symlink("../../../../../../../../../../tmp", tree.join("a")).expect("a link");
            symlink("/proc/self/root", tree.join("b")).expect("a link");
        }],
        &["a"],
        "a/g",
        &[("a", "40755 0:0")],
    );
}

#[test]
fn attributes_and_times_come_along_and_overlays_own_do_not() {
    let shelf = Shelf::new();
    let set = |path: &Path, name: &str| {
        rustix::fs::lsetxattr(path, name, b"y", rustix::fs::XattrFlags::empty()).expect("an attribute");
    };
    let time = UNIX_EPOCH + Duration::new(1_234, 567);
    let base = shelf.layer("base", named(), |tree| {
        directory(tree.join("a"), 0o755, (0, 0));
        for name in ["user.kept", "trusted.left", "trusted.overlay.opaque"] {
            set(&tree.join("a"), name);
        }
        fs::File::open(tree.join("a")).expect("a directory").set_modified(time).expect("a time");
    });
    let base = shelf.layers.stack("base", None, &base).expect("a snapshot");
    let top = shelf.layer("top", Applied { implied: vec![b"a".to_vec()], ..named() }, |tree| {
        fs::create_dir(tree.join("a")).expect("a directory");
        fs::write(tree.join("a/g"), "new").expect("a file");
    });
    shelf.layers.stack("top", Some(&base), &top).expect("a snapshot");
    let path = tree(&shelf).join("a");
    let mut names = [0; 256];
    let length = rustix::fs::llistxattr(&path, &mut names[..]).expect("names");
    assert_eq!(&names[..length], b"user.kept\0");
    assert_eq!(fs::metadata(&path).expect("it is there").modified().expect("a time"), time);
}

#[test]
fn a_tree_that_is_right_is_used_as_it_is() {
    let shelf = Shelf::new();
    let implied = || Applied { implied: vec![b"a".to_vec()], ..named() };
    let make = |tree: &Path| directory(tree.join("a"), 0o755, (0, 0));
    let base = shelf.layer("base", named(), make);
    let base = shelf.layers.stack("base", None, &base).expect("a snapshot");
    let top = shelf.layer("top", implied(), make);
    shelf.layers.stack("top", Some(&base), &top).expect("a snapshot");
    assert!(tree(&shelf).starts_with(shelf.path("layers")));
}

#[test]
fn a_settled_tree_has_the_files_of_the_layer_and_its_directories_with_their_times() {
    let shelf = Shelf::new();
    let base = shelf.layer("base", named(), |tree| directory(tree.join("a"), 0o700, (5, 5)));
    let base = shelf.layers.stack("base", None, &base).expect("a snapshot");
    let time = UNIX_EPOCH + Duration::new(99, 1);
    let top = shelf.layer("top", Applied { implied: vec![b"a".to_vec()], ..named() }, |tree| {
        fs::create_dir_all(tree.join("a/kept/deep")).expect("directories");
        fs::write(tree.join("a/kept/deep/file"), "1").expect("a file");
        symlink("/nowhere", tree.join("a/kept/link")).expect("a link");
        whiteout(&tree.join("a/kept/gone"));
        let path = tree.join("a/kept");
        rustix::fs::lsetxattr(&path, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
            .expect("the mark");
        fs::set_permissions(tree.join("a/kept/deep"), fs::Permissions::from_mode(0o500)).expect("a mode");
        for path in ["a/kept/deep", "a/kept", ""] {
            fs::File::open(tree.join(path)).expect("a directory").set_modified(time).expect("a time");
        }
    });
    shelf.layers.stack("top", Some(&base), &top).expect("a snapshot");
    let settled = tree(&shelf);
    assert!(settled.starts_with(shelf.path("snapshots")));
    let layer = shelf.path(&format!("layers/{}/tree", super::shelf::id("top").encoded()));
    for path in ["a/kept/deep/file", "a/kept/link", "a/kept/gone"] {
        let ids = [&settled, &layer].map(|tree| fs::symlink_metadata(tree.join(path)).expect("it is there").ino());
        assert_eq!(ids[0], ids[1], "{path}");
    }
    for path in ["a/kept/deep", "a/kept", ""] {
        let [new, old] = [&settled, &layer].map(|tree| fs::metadata(tree.join(path)).expect("it is there"));
        assert_eq!((new.mode(), new.modified().expect("a time")), (old.mode(), time), "{path}");
    }
    let mut value = [0; 2];
    let length = rustix::fs::lgetxattr(settled.join("a/kept"), "trusted.overlay.opaque", &mut value[..]);
    assert_eq!(length.map(|length| value[..length].to_vec()), Ok(b"y".to_vec()));
    assert_eq!(look(&settled.join("a")), "40700 5:5");
}

#[test]
fn a_root_that_no_entry_names_looks_like_the_one_below() {
    let shelf = Shelf::new();
    let base = shelf.layer("base", named(), |tree| {
        std::os::unix::fs::chown(tree, Some(7), Some(8)).expect("an owner");
        fs::set_permissions(tree, fs::Permissions::from_mode(0o711)).expect("a mode");
    });
    let base = shelf.layers.stack("base", None, &base).expect("a snapshot");
    let top = shelf.layer("top", Applied::default(), |tree| fs::write(tree.join("f"), "").expect("a file"));
    shelf.layers.stack("top", Some(&base), &top).expect("a snapshot");
    assert_eq!(look(&tree(&shelf)), "40711 7:8");
}

/// A link as its entry says it.
fn link(path: &str, target: &str, mode: u32, owner: (u32, u32)) -> Link {
    let mtime = Time { seconds: 1_000, nanoseconds: 5 };
    Link { path: path.into(), target: target.into(), mode, owner, mtime, xattrs: Vec::new() }
}

/// Puts a layer with `links` on one with the file `d/f` and a link `l` to `d`.
fn linked(links: Vec<Link>, fill: Fill) -> Result<(Shelf, std::path::PathBuf), Error> {
    let shelf = Shelf::new();
    let base = shelf.layer("base", named(), |tree| {
        directory(tree.join("d"), 0o750, (3, 3));
        fs::write(tree.join("d/f"), "content").expect("a file");
        fs::set_permissions(tree.join("d/f"), fs::Permissions::from_mode(0o640)).expect("a mode");
        let file = fs::File::open(tree.join("d/f")).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::new(1_000, 5)).expect("a time");
        symlink("d", tree.join("l")).expect("a link");
    });
    let base = shelf.layers.stack("base", None, &base)?;
    let top = shelf.layer("top", Applied { links, ..named() }, fill);
    shelf.layers.stack("top", Some(&base), &top)?;
    let path = tree(&shelf);
    Ok((shelf, path))
}

#[test]
fn a_hard_link_to_a_file_below_is_a_second_name_of_it() {
    for target in ["d/f", "l/f"] {
        let (shelf, tree) = linked(vec![link("new", target, 0o640, (0, 0))], |_| {}).expect("a snapshot");
        let below = shelf.path(&format!("layers/{}/tree/d/f", super::shelf::id("base").encoded()));
        let [new, below] = [tree.join("new"), below].map(|path| fs::metadata(path).expect("it is there").ino());
        assert_eq!(new, below, "{target}");
        assert!(!tree.join("d").exists(), "{target}");
    }
}

#[test]
fn a_hard_link_that_looks_otherwise_takes_the_old_name_along() {
    let (shelf, tree) = linked(vec![link("new", "d/f", 0o4711, (1, 2))], |_| {}).expect("a snapshot");
    assert_eq!(look(&tree.join("new")), "104711 1:2");
    let [new, old] = ["new", "d/f"].map(|path| fs::metadata(tree.join(path)).expect("it is there").ino());
    assert_eq!(new, old);
    assert_eq!(look(&tree.join("d")), "40750 3:3");
    assert_eq!(fs::read(tree.join("new")).expect("the file"), b"content");
    let below = shelf.path(&format!("layers/{}/tree/d/f", super::shelf::id("base").encoded()));
    assert_eq!(look(&below), "100640 0:0", "the layer below does not change");
}

#[test]
fn a_hard_link_may_lead_to_another_one_of_the_same_layer() {
    let links = vec![link("one", "d/f", 0o640, (0, 0)), link("two", "one", 0o640, (0, 0))];
    let (_shelf, tree) = linked(links, |_| {}).expect("a snapshot");
    let [one, two] = ["one", "two"].map(|path| fs::metadata(tree.join(path)).expect("it is there").ino());
    assert_eq!(one, two);
}

#[test]
fn a_hard_link_finds_what_its_own_layer_removes() {
    let remove = |tree: &Path| {
        fs::create_dir(tree.join("d")).expect("a directory");
        whiteout(&tree.join("d/f"));
    };
    let (_shelf, tree) = linked(vec![link("new", "d/f", 0o640, (0, 0))], remove).expect("a snapshot");
    assert_eq!(fs::read(tree.join("new")).expect("the file"), b"content");
}

#[test]
fn a_hard_link_to_nothing_or_to_a_directory_is_refused_and_leaves_nothing() {
    for target in ["absent", "d", "d/f/below", "../../etc/passwd", "l"] {
        let outcome = linked(vec![link("new", target, 0o640, (0, 0))], |_| {}).map(|_| ());
        match target {
            // The link itself has a second name then.
            "l" => outcome.expect("a snapshot"),
            _ => assert!(matches!(outcome, Err(Error::Entry { .. })), "{target}: {outcome:?}"),
        }
    }
}
