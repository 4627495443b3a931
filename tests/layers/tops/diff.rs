//! What a top changes, as an archive: applied to the same parent it makes the same tree. The first cases have the names of
//! those that containerd's own suite (continuity, `fs/fstest`) has for this.

use super::super::apply::write::{character, directory, fifo, file, link, symlink};
use super::super::shelf::Shelf;
use super::super::stacks::stacks;
use super::{Client, apply, extracted, made, prepare, same, shown, write};
use crate::support::tree::Tree;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink as make_symlink};
use std::path::Path;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::view::ArchiveError;
use wharf::layers::{Error, Snapshot, Top};

type Step = fn(&Path);

fn put(tree: &Path, path: &str, text: &str, mode: u32) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    write(&path, text);
    chmod(&path, mode);
}

fn make(tree: &Path, path: &str, mode: u32) {
    fs::create_dir_all(tree.join(path)).expect("directories");
    chmod(&tree.join(path), mode);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path).expect("it is there").is_dir() {
        true => fs::remove_dir_all(path).expect("a directory"),
        false => fs::remove_file(path).expect("a file"),
    }
}

fn hard(tree: &Path, from: &str, to: &str) {
    fs::hard_link(tree.join(from), tree.join(to)).expect("a second name");
}

fn diff(top: &Top) -> (Vec<u8>, Digest) {
    let mut bytes = Vec::new();
    let changes = top.diff(&mut bytes).expect("an archive");
    assert_eq!((changes.archived.bytes, changes.diff_id), (bytes.len() as u64, Digest::of(Algorithm::Sha256, &bytes)));
    (bytes, changes.diff_id)
}

/// Takes one step after the other, each on a snapshot of the one before, and makes the same of the archives.
fn check(what: &str, steps: &[Step]) {
    let (shelf, other) = (Shelf::new(), Shelf::new());
    let (mut ours, mut theirs): (Option<Snapshot>, Option<Snapshot>) = (None, None);
    for (number, step) in steps.iter().enumerate() {
        let what = format!("{what}, step {number}");
        let top = prepare(&shelf, "top", ours.as_ref());
        let client = Client::of(&top);
        step(client.path());
        drop(client);
        let expected = Client::of(&top).tree();
        let (bytes, diff_id) = diff(&top);
        assert!(diff(&top).0 == bytes, "{what}: another time makes other bytes");
        let snapshot = top.commit(&number.to_string()).expect("a snapshot");
        let mut again = Vec::new();
        let changes = shelf.layers.diff(&snapshot, &mut again).expect("an archive");
        assert!(again == bytes && changes.diff_id == diff_id, "{what}: a snapshot says otherwise than the top did");

        // Onto the same parent, as files and as a layer, and in another store as a layer on layers.
        let copy = prepare(&shelf, "copy", ours.as_ref());
        apply(&copy, &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        same(&what, &Client::of(&copy).tree(), &expected);
        let (copied, _) = diff(&copy);
        drop(copy);
        super::remove(&shelf.layers, "copy");
        let adopting = prepare(&shelf, "copy", ours.as_ref());
        adopting.adopt(&unpacked(&shelf, &bytes)).expect("it is adopted");
        same(&what, &Client::of(&adopting).tree(), &expected);
        assert!(diff(&adopting).0 == copied, "{what}: the same tree makes other bytes");
        drop(adopting);
        super::remove(&shelf.layers, "copy");
        let layer = unpacked(&other, &bytes);
        theirs = Some(other.layers.stack(&number.to_string(), theirs.as_ref(), &layer).expect("a snapshot"));
        same(&what, &shown(&other, theirs.as_ref().expect("a snapshot")), &expected);
        ours = Some(snapshot);
    }
}

fn unpacked(shelf: &Shelf, bytes: &[u8]) -> wharf::layers::Layer {
    let (budget, stop) = (wharf::layers::apply::Budget::default(), std::sync::atomic::AtomicBool::new(false));
    let unpacked = wharf::layers::unpack(&shelf.layers, bytes, &budget, &stop).expect("a layer");
    unpacked.publish(&Digest::of(Algorithm::Sha256, bytes)).expect("a layer")
}

#[test]
fn basic() {
    let steps: [Step; 4] = [
        |tree| {
            put(tree, "etc/hosts", "127.0.0.1 localhost", 0o644);
            hard(tree, "etc/hosts", "etc/hosts.allow");
            put(tree, "usr/local/lib/libnothing.so", "\0\0", 0o755);
            make_symlink("libnothing.so", tree.join("usr/local/lib/libnothing.so.2")).expect("a link");
            make(tree, "home/derek", 0o700);
        },
        |tree| {
            put(tree, "etc/hosts", "127.0.0.1 localhost.localdomain", 0o644);
            put(tree, "etc/fstab", "/dev/sda1\t/\text4\tdefaults 1 1\n", 0o600);
            put(tree, "etc/badfile", "", 0o666);
            put(tree, "home/derek/.zshrc", "#ZSH is just better\n", 0o640);
        },
        |tree| {
            remove(&tree.join("etc/badfile"));
            remove(&tree.join("home/derek"));
            put(tree, "home/notderek/.zshrc", "#ZSH is just better\n", 0o640);
        },
        |tree| {
            remove(&tree.join("usr"));
            remove(&tree.join("home"));
            make(tree, "home/derek", 0o700);
            put(tree, "home/derek/.bashrc", "#not going away\n", 0o640);
            remove(&tree.join("etc/hosts.allow"));
            hard(tree, "etc/hosts", "etc/hosts.allow");
        },
    ];
    check("basic", &steps);
}

#[test]
fn deletion() {
    let steps: [Step; 4] = [
        |tree| {
            make(tree, "test/somedir", 0o755);
            put(tree, "lib/hidden", "", 0o644);
            chmod(&tree.join("lib"), 0o700);
            put(tree, "test/a", "", 0o644);
            put(tree, "test/b", "", 0o644);
            put(tree, "test/otherdir/.empty", "", 0o644);
        },
        |tree| {
            remove(&tree.join("lib"));
            make(tree, "lib", 0o711);
            put(tree, "lib/not-hidden", "", 0o644);
            remove(&tree.join("test/a"));
            remove(&tree.join("test/b"));
            remove(&tree.join("test/otherdir"));
        },
        |tree| {
            put(tree, "lib/newfile", "", 0o644);
            remove(&tree.join("test/somedir"));
            put(tree, "test/somedir", "a file now", 0o644);
        },
        |tree| {
            remove(&tree.join("test/somedir"));
            remove(&tree.join("lib"));
            make_symlink("test", tree.join("lib")).expect("a link");
        },
    ];
    check("deletion", &steps);
}

#[test]
fn update() {
    let steps: [Step; 3] = [
        |tree| {
            for (path, mode) in [("d1/f1", 0o644), ("d1/f2", 0o644), ("d2/f1", 0o644), ("d3/f1", 0o644)] {
                put(tree, path, "something...", mode);
            }
        },
        |tree| {
            put(tree, "d1/f1", "a different content...", 0o664);
            put(tree, "d1/f3", "another file", 0o600);
            chmod(&tree.join("d1/f2"), 0o766);
            chmod(&tree.join("d2"), 0o777);
            std::os::unix::fs::chown(tree.join("d3/f1"), Some(5), Some(6)).expect("an owner");
        },
        |tree| {
            fs::rename(tree.join("d1/f2"), tree.join("d3/f2")).expect("it is moved");
            fs::File::open(tree.join("d2/f1"))
                .and_then(|file| file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_234, 5)))
                .expect("a time");
        },
    ];
    check("update", &steps);
}

#[test]
fn directory_permission() {
    let steps: [Step; 3] = [
        |tree| {
            for (path, mode) in [("d1", 0o700), ("d2", 0o751), ("d3", 0o777), ("d4", 0o1777), ("d5", 0o2755)] {
                make(tree, path, mode);
            }
        },
        |tree| {
            for (path, mode) in [("d1", 0o755), ("d2", 0o700), ("d3", 0o1777), ("d4", 0o700), ("d5", 0o755)] {
                chmod(&tree.join(path), mode);
            }
            chmod(tree, 0o711);
        },
        |tree| {
            std::os::unix::fs::chown(tree.join("d1"), Some(7), Some(8)).expect("an owner");
            rustix::fs::lsetxattr(tree.join("d2"), "user.k", b"v", rustix::fs::XattrFlags::empty())
                .expect("an attribute");
        },
    ];
    check("directory permission", &steps);
}

#[test]
fn parent_directory_permission() {
    let steps: [Step; 2] = [
        |tree| {
            for (path, mode) in [("d1/d", 0o700), ("d1/a/b/c", 0o711), ("d2", 0o1777)] {
                make(tree, path, mode);
                chmod(&tree.join("d1"), 0o700);
            }
        },
        |tree| {
            put(tree, "d1/d/f", "1", 0o644);
            put(tree, "d1/a/b/c/f", "1", 0o644);
            put(tree, "d2/f", "1", 0o644);
        },
    ];
    check("parent directory permission", &steps);
}

fn linked(tree: &Path) {
    put(tree, "etc/hosts", "127.0.0.1 localhost", 0o644);
    hard(tree, "etc/hosts", "etc/hosts.allow");
    make(tree, "home", 0o755);
}

#[test]
fn hardlink_unmodified() {
    let steps: [Step; 3] = [
        linked,
        |tree| hard(tree, "etc/hosts", "home/hosts"),
        |tree| {
            remove(&tree.join("etc/hosts.allow"));
            hard(tree, "home/hosts", "etc/third");
        },
    ];
    check("hardlink unmodified", &steps);
}

#[test]
fn hardlink_before_unmodified() {
    let steps: [Step; 3] = [
        linked,
        |tree| hard(tree, "etc/hosts", "etc/before"),
        |tree| {
            put(tree, "etc/other", "1", 0o600);
            hard(tree, "etc/other", "a-before");
        },
    ];
    check("hardlink before unmodified", &steps);
}

#[test]
fn hardlink_before_modified() {
    let steps: [Step; 3] = [
        linked,
        |tree| {
            hard(tree, "etc/hosts", "etc/before");
            put(tree, "etc/hosts", "changed under both names", 0o600);
        },
        |tree| put(tree, "etc/before", "and again", 0o644),
    ];
    check("hardlink before modified", &steps);
}

#[test]
fn everything_that_a_file_can_be_is_in_the_archive() {
    let steps: [Step; 2] = [
        |tree| {
            let level = "directory-of-fifty-bytes-as-far-as-it-is-counted/".repeat(4);
            put(tree, &format!("{level}file"), "deep", 0o644);
            put(tree, &"x".repeat(101), "", 0o4755);
            for (name, kind, device) in [
                ("null", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
                ("disk", rustix::fs::FileType::BlockDevice, rustix::fs::makedev(8, 300)),
                ("pipe", rustix::fs::FileType::Fifo, 0),
            ] {
                let mode = rustix::fs::Mode::from_raw_mode(0o640);
                rustix::fs::mknodat(rustix::fs::CWD, tree.join(name), kind, mode, device).expect("a device");
            }
            make_symlink(format!("/{level}file"), tree.join("far")).expect("a link");
            make(tree, "said", 0o755);
            for (name, value) in [("user.b", &b"two\nlines=\0zero"[..]), ("user.a", b"")] {
                rustix::fs::lsetxattr(tree.join("said"), name, value, rustix::fs::XattrFlags::empty())
                    .expect("an attribute");
            }
            let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            put(tree, "able", "x", 0o755);
            rustix::fs::lsetxattr(
                tree.join("able"),
                "security.capability",
                &capability,
                rustix::fs::XattrFlags::empty(),
            )
            .expect("an attribute");
            std::os::unix::fs::chown(tree.join("null"), Some(3_000_000), Some(4_000_000)).expect("an owner");
        },
        |tree| {
            remove(&tree.join("null"));
            put(tree, "able", "changed", 0o755);
            make(tree, "said/more", 0o700);
        },
    ];
    check("everything", &steps);
}

#[test]
fn what_a_layer_changes_comes_back_from_its_tree() {
    for (name, mut stack) in stacks() {
        stack.push(vec![
            directory("./"),
            character("dev/null", 1, 3),
            fifo("dev/pipe"),
            symlink("dev/l", "x"),
            file("dev/f", b"1"),
            link("dev/g", "dev/f"),
        ]);
        let (shelf, other) = (Shelf::new(), Shelf::new());
        let (mut ours, mut theirs): (Option<Snapshot>, Option<Snapshot>) = (None, None);
        for (number, entries) in stack.iter().enumerate() {
            let number = number.to_string();
            let layer = extracted(&shelf, entries);
            let snapshot = shelf.layers.stack(&number, ours.as_ref(), &layer).expect("a snapshot");
            let mut bytes = Vec::new();
            shelf.layers.diff(&snapshot, &mut bytes).expect("an archive");
            let layer = unpacked(&other, &bytes);
            theirs = Some(other.layers.stack(&number, theirs.as_ref(), &layer).expect("a snapshot"));
            ours = Some(snapshot);
        }
        let trees: [Tree; 2] =
            [(&shelf, &ours), (&other, &theirs)].map(|(shelf, at)| shown(shelf, at.as_ref().expect("a snapshot")));
        same(name, &trees[0], &trees[1]);
    }
}

#[test]
fn what_changes_nothing_has_the_root_alone() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    for (name, writable) in [("top", true), ("view", false)] {
        let top = shelf.layers.prepare(name, writable, Some(&stack[1])).expect("a top");
        let (bytes, _) = diff(&top);
        let entries = tar::Archive::new(&*bytes).entries().expect("an archive").count();
        assert_eq!((entries, bytes.len()), (1, bytes.len()), "{name}");
    }
}

#[test]
fn what_an_archive_cannot_say_is_refused_or_told() {
    let shelf = Shelf::new();
    let top = prepare(&shelf, "top", None);
    let client = Client::of(&top);
    std::os::unix::net::UnixListener::bind(client.join("listens")).expect("a socket");
    let changes = top.diff(Vec::new()).expect("an archive");
    assert_eq!(changes.archived.left_out, [Path::new("listens")]);
    write(client.join(".wh.file"), "");
    drop(client);
    let refused = top.diff(Vec::new());
    assert!(matches!(refused, Err(ArchiveError::View(Error::Entry { .. }))), "{refused:?}");
    let mut small = [0; 700];
    assert!(matches!(prepare(&shelf, "other", None).diff(&mut small[..]), Err(ArchiveError::Write(_))));
}

#[test]
fn what_only_overlay_understands_is_refused() {
    let shelf = Shelf::new();
    let below = made(&shelf, "below", None, |tree| put(tree, "d/f", "1", 0o644));
    let top = prepare(&shelf, "top", Some(&below));
    let mut mount = top.mounts().expect("options").remove(0);
    mount.options.retain(|option| option != "redirect_dir=nofollow");
    mount.options.insert(0, "redirect_dir=on".to_owned());
    let client = Client::new(&[mount]);
    fs::rename(client.join("d"), client.join("moved")).expect("overlay can do that then");
    drop(client);
    assert!(matches!(top.diff(Vec::new()), Err(ArchiveError::View(Error::Unsupported(_)))));
    assert!(matches!(top.commit("snapshot"), Err(Error::Unsupported(_))));
    shelf.layers.find_top("top").expect("it is still there");
}

#[test]
fn an_archive_has_what_was_adopted_and_what_was_written_on_it() {
    let shelf = Shelf::new();
    let below = made(&shelf, "below", None, |tree| {
        put(tree, "old/f", "1", 0o644);
        put(tree, "hidden/f", "1", 0o644);
        put(tree, "both/below", "1", 0o644);
    });
    let top = prepare(&shelf, "top", Some(&below));
    let adopted = [
        file("new", b"2"),
        file("old/g", b"2"),
        file(".wh.hidden", b""),
        file("gone", b"2"),
        directory("both"),
        file("both/.wh..wh..opq", b""),
        file("both/adopted", b""),
    ];
    top.adopt(&extracted(&shelf, &adopted)).expect("it is adopted");
    let client = Client::of(&top);
    remove(&client.join("gone"));
    put(client.path(), "hidden/again", "3", 0o600);
    put(client.path(), "both/written", "3", 0o600);
    put(client.path(), "new", "3", 0o600);
    let expected = client.tree();
    drop(client);
    let copy = prepare(&shelf, "copy", Some(&below));
    apply(&copy, &diff(&top).0).expect("it is written");
    same("both", &Client::of(&copy).tree(), &expected);
}
