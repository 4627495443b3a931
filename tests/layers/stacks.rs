//! Whole stacks, from their archives to the mounted tree, against what containerd makes of the same image with its
//! overlayfs snapshotter. Needs root, `containerd` and `ctr` (Debian's `containerd`).

use super::apply::peers::containerd::Containerd;
use super::apply::write::{Entry, character, directory, fifo, file, layer, link, symlink};
use super::mount::Mount;
use super::shelf::Shelf;
use super::view::{mounted, viewed};
use crate::support::tree::{self, Tree};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Budget;
use wharf::layers::{Error, Snapshot, View, unpack};

/// When the tests were written, in seconds since 1970. What is younger got its time when it was extracted.
pub(crate) const NOW: i64 = 1_700_000_000;

/// Unpacks archives and stacks them, the lowest first.
pub(super) fn stacked(shelf: &Shelf, archives: &[Vec<u8>]) -> Result<Snapshot, Error> {
    let mut top: Option<Snapshot> = None;
    for (number, archive) in archives.iter().enumerate() {
        let diff_id = Digest::of(Algorithm::Sha256, archive);
        let unpacked = unpack(&shelf.layers, archive.as_slice(), &Budget::default(), &AtomicBool::new(false))?;
        let layer = unpacked.publish(&diff_id)?;
        top = Some(shelf.layers.stack(&number.to_string(), top.as_ref(), &layer)?);
    }
    Ok(top.expect("an image has a layer"))
}

/// Leaves out how many names a file has on disk: a settled tree shares its files with that of the layer. Which names of
/// the stack are one file stays.
pub(crate) fn comparable(mut tree: Tree) -> Tree {
    let mut sizes: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for first in tree.values().filter_map(|node| node.first.clone()) {
        *sizes.entry(first).or_default() += 1;
    }
    for node in tree.values_mut() {
        node.names = 0;
        if node.first.as_ref().is_some_and(|first| sizes[first] == 1) {
            node.first = None;
        }
    }
    tree
}

/// Stacks with everything that a layer may imply about those below it.
pub(super) fn stacks() -> Vec<(&'static str, Vec<Vec<Entry>>)> {
    let shut = |name: &str| directory(name).mode(0o700).owner(5, 6).mtime("1234.5");
    vec![
        (
            "two levels",
            vec![
                vec![shut("a").xattr("user.k", b"v"), directory("a/b").mode(0o1777).owner(7, 0), file("a/b/f", b"1")],
                vec![file("a/b/g", b"2")],
            ],
        ),
        (
            "three layers",
            vec![
                vec![shut("a"), directory("a/b").mode(0o711)],
                vec![file("a/b/c/d", b"1")],
                vec![file("a/b/c/e", b"2"), directory("a/b/x"), file("a/b/x/y", b"3")],
                vec![file("a/b/x/z", b"4"), file("a/.wh.nothing", b"")],
            ],
        ),
        ("the nearest", vec![vec![shut("a")], vec![directory("a").mode(0o711).owner(6, 0)], vec![file("a/g", b"1")]]),
        ("replaced", vec![vec![shut("a"), file("a/f", b"1")], vec![file("a", b"2")], vec![file("a/g", b"3")]]),
        ("removed", vec![vec![shut("a"), file("a/f", b"1")], vec![file(".wh.a", b"")], vec![file("a/g", b"2")]]),
        (
            "opaque",
            vec![
                vec![shut("a"), directory("a/b").mode(0o711).owner(9, 0), file("a/b/f", b"1")],
                vec![directory("a"), file("a/.wh..wh..opq", b"")],
                vec![file("a/b/g", b"2")],
            ],
        ),
        (
            "an implied directory that is opaque",
            vec![vec![shut("a"), file("a/f", b"1")], vec![file("a/.wh..wh..opq", b""), file("a/g", b"2")]],
        ),
        (
            "a link in the same layer",
            vec![
                vec![shut("c"), directory("c/d").mode(0o711).owner(8, 0), symlink("a", "/c")],
                vec![file("a/d/g", b"1")],
            ],
        ),
        ("a link in a lower layer", vec![vec![shut("c")], vec![symlink("a", "c")], vec![file("a/g", b"1")]]),
        (
            "a link to a link, and out",
            vec![
                vec![shut("c"), symlink("b", "c"), symlink("a", "../../b"), symlink("o", "/../../tmp")],
                vec![file("a/g", b"1"), file("o/g", b"2")],
            ],
        ),
        ("special bits", vec![vec![directory("a").mode(0o6755).owner(5, 9)], vec![file("a/g", b"1")]]),
        (
            "files of every kind in a settled tree",
            vec![
                vec![shut("a")],
                vec![
                    file("a/set-user", b"x").mode(0o4755).owner(9, 9).xattr("user.x", b"y"),
                    link("a/again", "a/set-user").mode(0o4755).owner(9, 9).xattr("user.x", b"y"),
                    symlink("a/link", "nowhere"),
                    link("a/link too", "a/link"),
                    fifo("a/fifo"),
                    character("a/null", 1, 3),
                    directory("a/shut").mode(0o500).mtime("99.5"),
                    file("a/shut/in", b"x"),
                    file("a/.wh.gone", b""),
                ],
            ],
        ),
        (
            "directories with entries over other ones",
            vec![
                vec![shut("a"), file("a/f", b"1"), directory("a/b"), file("a/b/f", b"2")],
                vec![directory("a").mode(0o750), file("a/b/.wh.f", b""), file("a/b/g", b"3")],
                vec![file("a/b", b"4")],
                vec![directory("a/b").mode(0o701), file("a/b/h", b"5")],
            ],
        ),
    ]
}

#[test]
fn stacks_become_what_containerd_makes_of_them() {
    let containerd = Containerd::start();
    let mut wrong = Vec::new();
    for (name, stack) in stacks() {
        let archives: Vec<_> = stack.iter().map(|entries| layer(entries)).collect();
        let borrowed: Vec<_> = archives.iter().map(Vec::as_slice).collect();
        containerd.layer(&borrowed).unwrap_or_else(|error| panic!("{name}: {error}"));
        let at = tempfile::tempdir().expect("a temporary directory");
        containerd.mount(at.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs = comparable(tree::read(at.path()));
        rustix::mount::unmount(at.path(), rustix::mount::UnmountFlags::empty()).expect("it is mounted");

        let shelf = Shelf::new();
        let snapshot = stacked(&shelf, &archives).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mount = Mount::new(&shelf, &snapshot);
        let ours = comparable(tree::read(mount.path()));
        assert!(ours.len() > 1, "{name}");
        let differences = tree::differences(&ours, &theirs, |_, ours, theirs| {
            // What no entry names has the time of the extraction there.
            let is_younger = theirs.kind == 'd' && theirs.mtime.0 > NOW;
            is_younger && tree::Node { mtime: theirs.mtime, ..ours.clone() } == *theirs
        });
        wrong.extend(differences.into_iter().map(|difference| format!("{name}: {difference}")));

        let view = View::new(&shelf.layers, &snapshot).expect("a view");
        assert_eq!(viewed(&view), mounted(mount.path()), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What containerd refuses and wharf settles. If containerd no longer does, the documentation of `settle` is wrong.
#[test]
fn what_containerd_refuses_of_stacks_is_what_is_listed() {
    let containerd = Containerd::start();
    for stack in [
        vec![vec![file("a/f", b"1")], vec![link("b", "a/f")]],
        vec![vec![directory("a/b"), file("a/b/f", b"1")], vec![file(".wh.a", b"")], vec![file("a/b/g", b"2")]],
    ] {
        let archives: Vec<_> = stack.iter().map(|entries| layer(entries)).collect();
        let borrowed: Vec<_> = archives.iter().map(Vec::as_slice).collect();
        assert!(containerd.layer(&borrowed).is_err(), "{stack:?}");
        stacked(&Shelf::new(), &archives).expect("a snapshot");
    }
}

#[test]
fn a_root_that_is_opaque_hides_everything_below() {
    let shelf = Shelf::new();
    let archives = [
        layer(&[file("old", b"1"), directory("a"), file("a/f", b"2")]),
        layer(&[file("new", b"3"), file(".wh..wh..opq", b""), file("a/g", b"4")]),
        layer(&[file("top", b"5")]),
    ];
    let snapshot = stacked(&shelf, &archives).expect("a snapshot");
    let mount = Mount::new(&shelf, &snapshot);
    let names: Vec<_> = tree::read(mount.path()).into_keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["", "a", "a/g", "new", "top"]);
    let view = View::new(&shelf.layers, &snapshot).expect("a view");
    assert_eq!(viewed(&view), mounted(mount.path()));
}
