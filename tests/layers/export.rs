//! A stack as one tar, against what the kernel shows of the same stack when it is mounted: GNU tar extracts the one as
//! root, and the trees are compared. Needs root.

use super::apply::write::{Entry, character, directory, fifo, file, layer, link, symlink};
use super::mount::Mount;
use super::shelf::Shelf;
use super::stacks::{comparable, stacked, stacks};
use super::view::nasty;
use crate::support::tree;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use wharf::layers::view::Archived;
use wharf::layers::{Snapshot, View};

fn export(shelf: &Shelf, snapshot: &Snapshot) -> (Vec<u8>, Archived) {
    let mut bytes = Vec::new();
    let view = View::new(&shelf.layers, snapshot).expect("a view");
    let archived = view.archive(&mut bytes).expect("an archive");
    (bytes, archived)
}

/// Has GNU tar extract an archive with everything that it has.
pub(crate) fn extract(bytes: &[u8], at: &Path) {
    let archive = at.with_extension("tar");
    fs::write(&archive, bytes).expect("the temporary directory is writable");
    // It warns of times before 1970.
    let options =
        ["--warning=no-timestamp", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-xpf"];
    let output = Command::new("tar").args(options).arg(&archive).arg("-C").arg(at).output().expect("GNU tar is here");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
}

/// Everything that a header has no room for.
fn odd() -> Vec<Entry> {
    let level = "directory-of-fifty-bytes-as-far-as-it-is-counted/";
    let long = level.repeat(4);
    let levels = (1..=4).map(|levels| directory(level.repeat(levels)));
    let others = vec![
        directory("./").mode(0o711).owner(3, 4).mtime("77.000000001").xattr("user.root", b"yes"),
        file(format!("{long}file"), b"deep").owner(3_000_000, 4_000_000),
        symlink("far", format!("/{long}file")).owner(5, 5).mtime("-1.5"),
        link("z-also", format!("{long}file")).owner(3_000_000, 4_000_000),
        file("at-100-bytes-".to_owned() + &"x".repeat(87), b""),
        file("at-101-bytes-".to_owned() + &"x".repeat(88), b""),
        file("old", b"before 1970").mtime("-86400.25"),
        file("future", b"").mtime("9000000000.125"),
        file("able", b"x")
            .mode(0o4755)
            .xattr("security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        file("said", b"x").xattr("user.b", b"two\nlines=\0zero").xattr("user.a", b"").xattr("trusted.t", b"t"),
        file(b"no \xff UTF-8", b"x"),
        file("block", &[b'b'; 512]),
        file("block and one", &[b'b'; 513]),
        fifo("pipe"),
        character("tty", 5, 0).owner(0, 5).mode(0o666),
    ];
    levels.chain(others).collect()
}

#[test]
fn an_archive_is_what_is_mounted() {
    let mut stacks = stacks();
    stacks.push(("odd", vec![odd(), vec![file("able", b"another"), file(".wh.old", b"")]]));
    for (name, stack) in stacks {
        let archives: Vec<_> = stack.iter().map(|entries| layer(entries)).collect();
        let shelf = Shelf::new();
        let snapshot = stacked(&shelf, &archives).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(name, &shelf, &snapshot);
        let (bytes, archived) = export(&shelf, &snapshot);
        assert_eq!((bytes.len() as u64, &archived.left_out), (archived.bytes, &Vec::new()), "{name}");

        assert!(export(&shelf, &snapshot).0 == bytes, "{name}: another time makes other bytes");
    }
}

/// Compares what GNU tar makes of the archive with the mount.
fn compare(name: &str, shelf: &Shelf, snapshot: &Snapshot) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = directory.path().join("tree");
    fs::create_dir(&at).expect("a directory");
    extract(&export(shelf, snapshot).0, &at);
    let mount = Mount::new(shelf, snapshot);
    let (ours, theirs) = (comparable(tree::read(&at)), comparable(tree::read(mount.path())));
    let differences = tree::differences(&ours, &theirs, |_, _, _| false);
    assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
}

/// What no entry names has the time of its extraction; here everything is named.
#[test]
fn the_same_tree_makes_the_same_bytes_in_another_store() {
    let archives = [layer(&odd()), layer(&[file("able", b"another"), file(".wh.old", b"")])];
    let exported = [(); 2].map(|()| {
        let shelf = Shelf::new();
        let snapshot = stacked(&shelf, &archives).expect("a snapshot");
        export(&shelf, &snapshot).0
    });
    assert!(exported[0] == exported[1]);
}

#[test]
fn every_way_in_which_layers_meet_is_in_the_archive() {
    let shelf = Shelf::new();
    for snapshot in nasty(&shelf) {
        compare(snapshot.name(), &shelf, &snapshot);
    }
}

#[test]
fn entries_are_in_order_and_a_second_name_is_a_link_to_the_first() {
    let shelf = Shelf::new();
    let snapshot = stacked(&shelf, &[layer(&odd())]).expect("a snapshot");
    let bytes = export(&shelf, &snapshot).0;
    let mut archive = tar::Archive::new(&*bytes);
    let entries = archive.entries().expect("an archive").map(|entry| {
        let entry = entry.expect("an entry");
        let link = entry.link_name_bytes().filter(|_| entry.header().entry_type().is_hard_link());
        (entry.path_bytes().into_owned(), link.map(|link| link.into_owned()))
    });
    let entries: Vec<_> = entries.collect();
    let names: Vec<_> = entries.iter().map(|(name, _)| name.strip_suffix(b"/").unwrap_or(name).to_vec()).collect();
    assert_eq!(names[0], b".");
    assert!(
        names[1..].is_sorted_by_key(|name| name.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>())
    );
    let links: BTreeMap<_, _> = entries.into_iter().filter_map(|(name, link)| Some((name, link?))).collect();
    let (name, first) = links.first_key_value().expect("there is a link");
    assert_eq!((links.len(), &name[..]), (1, &b"z-also"[..]));
    assert!(first.starts_with(b"directory-of-fifty") && first.ends_with(b"/file"), "{}", first.escape_ascii());
}

#[test]
fn a_socket_is_left_out_and_told() {
    let shelf = Shelf::new();
    let layer = shelf.layer("socket", super::shelf::named(), |tree| {
        UnixListener::bind(tree.join("listens")).expect("a socket");
        fs::write(tree.join("file"), "x").expect("a file");
    });
    let snapshot = shelf.layers.stack("socket", None, &layer).expect("a snapshot");
    let (bytes, archived) = export(&shelf, &snapshot);
    assert_eq!((archived.entries, archived.left_out[0].as_os_str().as_bytes()), (2, &b"listens"[..]));
    let count = tar::Archive::new(&*bytes).entries().expect("an archive").count();
    assert_eq!(count, 2);
}

#[test]
fn an_archive_that_cannot_be_written_is_told() {
    let shelf = Shelf::new();
    let snapshot = stacked(&shelf, &[layer(&[file("a", &[7; 4_000])])]).expect("a snapshot");
    let view = View::new(&shelf.layers, &snapshot).expect("a view");
    let mut small = [0; 2_048];
    let error = view.archive(&mut small[..]).expect_err("it does not fit");
    assert!(error.to_string().contains("write"), "{error}");
}
