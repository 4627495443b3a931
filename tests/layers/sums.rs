//! The sums of trees: whatever changes in one is noticed, and nothing else is.

use super::shelf::{Shelf, named};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use wharf::layers::Error;
use wharf::layers::apply::{Applied, Link};
use wharf::layers::archive::Time;

/// A tree with something of every kind that an ordinary user can make.
fn fill(tree: &Path) {
    fs::create_dir_all(tree.join("etc/empty")).expect("directories");
    fs::write(tree.join("etc/passwd"), "root:x:0:0").expect("a file");
    fs::write(tree.join("etc/group"), "root:x:0:").expect("a file");
    fs::write(tree.join("none"), "").expect("a file");
    fs::write(tree.join("large"), vec![7; 300_000]).expect("a file");
    let sparse = fs::File::create(tree.join("sparse")).expect("a file");
    sparse.set_len(10 << 20).expect("a hole");
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", 5 << 20).expect("data");
    fs::hard_link(tree.join("etc/passwd"), tree.join("etc/passwd-")).expect("a link");
    symlink("etc/passwd", tree.join("link")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, tree.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    set(&tree.join("large"), "user.note", b"kept");
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).expect("an attribute");
}

/// Runs `act` and gives the file its time back, so that the time does not tell.
fn quietly(path: &Path, act: impl FnOnce(&Path)) {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    act(path);
    fs::File::open(path).and_then(|file| file.set_modified(modified)).expect("a time");
}

fn verify(shelf: &Shelf) -> Result<(), String> {
    let layer = shelf.layers.layer(&super::shelf::id("one")).expect("a layer");
    match layer.verify(&|| false) {
        Ok(()) => Ok(()),
        Err(Error::Changed(why)) => Err(why),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_change_of_a_tree_is_noticed_and_named() {
    type Act = fn(&Path);
    let rows: &[(&str, Act, &str)] = &[
        (
            "a byte",
            |tree| {
                quietly(&tree.join("large"), |path| {
                    let mut bytes = fs::read(path).expect("bytes");
                    bytes[299_999] ^= 1;
                    fs::write(path, bytes).expect("other bytes");
                })
            },
            "`large` is not what it was",
        ),
        (
            "a byte behind a hole",
            |tree| {
                quietly(&tree.join("sparse"), |path| {
                    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
                    std::os::unix::fs::FileExt::write_all_at(&file, b"date", 5 << 20).expect("data");
                })
            },
            "`sparse` is not what it was",
        ),
        (
            "the size",
            |tree| {
                quietly(&tree.join("etc/group"), |path| {
                    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(3)).expect("a cut");
                })
            },
            "`etc/group` is not what it was",
        ),
        (
            "the mode",
            |tree| {
                fs::set_permissions(tree.join("none"), fs::Permissions::from_mode(0o600)).expect("a mode");
            },
            "`none` is not what it was",
        ),
        (
            "the time",
            |tree| {
                let file = fs::File::open(tree.join("none")).expect("a file");
                file.set_modified(std::time::UNIX_EPOCH).expect("a time");
            },
            "`none` is not what it was",
        ),
        ("an attribute", |tree| set(&tree.join("large"), "user.note", b"lost"), "`large` is not what it was"),
        ("one attribute more", |tree| set(&tree.join("etc"), "user.more", b""), "`etc` is not what it was"),
        (
            "a file more",
            |tree| quietly(&tree.join("etc"), |path| fs::write(path.join("more"), "").expect("a file")),
            "`etc/more` is not what it was",
        ),
        (
            "a file less",
            |tree| quietly(&tree.join("etc"), |path| fs::remove_file(path.join("group")).expect("gone")),
            "1 of its files are missing",
        ),
        (
            "a directory less",
            |tree| {
                quietly(&tree.join("etc"), |path| fs::remove_dir(path.join("empty")).expect("gone"));
            },
            "1 of its files are missing",
        ),
        (
            "where a link leads",
            |tree| {
                quietly(tree, |path| {
                    fs::remove_file(path.join("link")).expect("gone");
                    symlink("etc/shadow", path.join("link")).expect("a link");
                })
            },
            "`link` is not what it was",
        ),
        (
            "a link in the place of a file",
            |tree| {
                quietly(tree, |path| {
                    fs::remove_file(path.join("none")).expect("gone");
                    symlink("large", path.join("none")).expect("a link");
                })
            },
            "`none` is not what it was",
        ),
        (
            "a directory in the place of a file",
            |tree| {
                quietly(tree, |path| {
                    fs::remove_file(path.join("none")).expect("gone");
                    fs::create_dir(path.join("none")).expect("a directory");
                })
            },
            "`none` is not what it was",
        ),
        (
            "a copy in the place of a second name",
            |tree| {
                quietly(&tree.join("etc"), |path| {
                    let modified =
                        fs::metadata(path.join("passwd-")).and_then(|found| found.modified()).expect("a time");
                    fs::remove_file(path.join("passwd-")).expect("gone");
                    fs::copy(path.join("passwd"), path.join("passwd-")).expect("a copy");
                    fs::File::open(path.join("passwd-")).and_then(|file| file.set_modified(modified)).expect("a time");
                })
            },
            "`etc/passwd` is not what it was, the first of 2 files",
        ),
        ("the whole tree", |tree| fs::remove_dir_all(tree).expect("gone"), "a part of it is missing"),
        (
            "the sums",
            |tree| fs::write(tree.join("../sums"), [0; 16]).expect("other sums"),
            "the sums of its files are not what was recorded",
        ),
        (
            "the sums' file",
            |tree| fs::remove_file(tree.join("../sums")).expect("gone"),
            "the sums of its files are not what was recorded",
        ),
        (
            "what is kept aside",
            |tree| fs::write(tree.join("../aside"), "more").expect("more"),
            "what is kept beside its files is not what was recorded",
        ),
    ];
    for (what, act, expected) in rows {
        let shelf = Shelf::new();
        shelf.layer("one", named(), fill);
        assert_eq!(verify(&shelf), Ok(()), "before {what}");
        act(&shelf.path(&format!("layers/{}/tree", super::shelf::id("one").encoded())));
        let why = verify(&shelf).expect_err(what);
        assert!(why.contains(expected), "{what}: {why}");
    }
}

#[test]
fn an_owner_and_a_device_are_noticed() {
    assert!(rustix::process::geteuid().is_root(), "this takes root, who alone can give files away");
    for is_device in [false, true] {
        let shelf = Shelf::new();
        shelf.layer("one", named(), |tree| {
            fill(tree);
            super::shelf::whiteout(&tree.join("gone"));
        });
        assert_eq!(verify(&shelf), Ok(()));
        let tree = shelf.path(&format!("layers/{}/tree", super::shelf::id("one").encoded()));
        if is_device {
            quietly(&tree, |tree| {
                let modified = fs::symlink_metadata(tree.join("gone")).expect("a device").mtime();
                fs::remove_file(tree.join("gone")).expect("gone");
                let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
                let number = rustix::fs::makedev(1, 3);
                rustix::fs::mknodat(rustix::fs::CWD, tree.join("gone"), kind, mode, number).expect("a device");
                let time = rustix::fs::Timespec { tv_sec: modified, tv_nsec: 0 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                rustix::fs::utimensat(rustix::fs::CWD, tree.join("gone"), &times, rustix::fs::AtFlags::empty())
                    .expect("a time");
            });
        } else {
            std::os::unix::fs::chown(tree.join("none"), Some(7), None).expect("an owner");
        }
        let why = verify(&shelf).expect_err("a change");
        assert!(why.contains(if is_device { "`gone`" } else { "`none`" }), "{why}");
    }
}

/// A hard link into the layer itself, to an entry that comes after it, was once settled by changing the layer's own file.
#[test]
fn settling_a_layer_does_not_change_it() {
    let shelf = Shelf::new();
    let below = shelf.layers.stack("below", None, &shelf.layer("zero", named(), |_| {})).expect("a snapshot");
    let link = Link {
        path: b"second".to_vec(),
        target: b"etc/passwd".to_vec(),
        mode: 0o600,
        owner: (0, 0),
        mtime: Time { seconds: 7, nanoseconds: 0 },
        xattrs: Vec::new(),
    };
    let layer = shelf.layer("one", Applied { links: vec![link], ..named() }, fill);
    let snapshot = shelf.layers.stack("top", Some(&below), &layer).expect("a snapshot");
    assert_eq!(verify(&shelf), Ok(()));
    snapshot.verify(&|| false).expect("it is as it was made");
    let tree = shelf.path(&format!("snapshots/{}/tree", super::shelf::id("top").encoded()));
    let (first, second) = (tree.join("etc/passwd"), tree.join("second"));
    let inode = |path| fs::metadata(path).expect("a file").ino();
    assert_eq!(inode(&first), inode(&second), "they are one file");
    assert_eq!(fs::metadata(&second).expect("a file").mtime(), 7);
    fs::write(&first, "other").expect("a change");
    let why = snapshot.verify(&|| false).expect_err("it has changed").to_string();
    assert!(why.contains("`etc/passwd`"), "{why}");
}

#[test]
fn a_damaged_layer_is_taken_from_under_its_snapshots_and_put_back() {
    if super::shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b", "c"]);
    let b = super::shelf::id("b");
    shelf.layers.revoke_layer(&b).expect("nothing is wrong with it");
    shelf.layers.layer(&b).expect("it stays");
    fs::write(shelf.path(&format!("layers/{}/tree/b", b.encoded())), "other").expect("a change");
    assert!(matches!(shelf.layers.revoke_layer(&b), Err(Error::InUse)), "a handle is held on what stands on it");
    drop(stack);
    assert!(matches!(shelf.layers.remove_layer(&b), Err(Error::InUse)), "a snapshot uses it");
    shelf.layers.revoke_layer(&b).expect("nobody holds it");
    shelf.layers.revoke_layer(&b).expect("it is gone");
    for (name, is_there) in [("snapshot a", true), ("snapshot b", false), ("snapshot c", false)] {
        assert_eq!(shelf.layers.snapshot(name).is_ok(), is_there, "{name}");
    }
    shelf.layer("b", named(), |tree| fs::write(tree.join("b"), "b").expect("a file"));
    shelf.layers.snapshot("snapshot c").expect("it is whole again");
    let ids = shelf.layers.layer_entries(None, 10).expect("a list");
    assert_eq!(ids.len(), 3);
    assert_eq!(shelf.layers.layer_entries(Some(&ids[0]), 1).expect("a page"), [ids[1]]);
    shelf.layers.revoke("snapshot b").expect("nothing is wrong with it");
    shelf.layers.snapshot("snapshot c").expect("so it stays");
    let record = format!("snapshots/{}/snapshot", super::shelf::id("snapshot b").encoded());
    fs::write(shelf.path(&record), "none").expect("a change");
    shelf.layers.revoke("snapshot b").expect("nobody holds it");
    assert!(matches!(shelf.layers.snapshot("snapshot c"), Err(Error::NotFound)));
    assert!(!shelf.path(&record).exists());
}

#[test]
fn what_has_the_name_of_a_layer_and_is_none_is_replaced() {
    for what in ["a file", "a link", "a directory"] {
        let shelf = Shelf::new();
        shelf.layer("one", named(), fill);
        let path = shelf.path(&format!("layers/{}", super::shelf::id("one").encoded()));
        fs::remove_dir_all(&path).expect("gone");
        match what {
            "a file" => fs::write(&path, "").expect("a file"),
            "a link" => symlink("/", &path).expect("a link"),
            _ => fs::create_dir_all(path.join("layer")).expect("a directory"),
        }
        assert!(matches!(shelf.layers.layer(&super::shelf::id("one")), Err(Error::NotFound)), "{what}");
        shelf.layer("one", named(), fill);
        assert_eq!(verify(&shelf), Ok(()), "{what}");
    }
}
