//! What an archive may say, entry by entry, beyond what containerd is asked about in `peers`.

use super::write::{Entry, block, character, directory, file, layer, link, sparse, symlink};
use super::{applied, refusal};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wharf::layers::apply::Link;
use wharf::layers::archive::Time;

/// Every order of some entries.
fn orders(entries: &[Entry]) -> Vec<Vec<Entry>> {
    if entries.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let mut rest = entries.to_vec();
        rest.remove(at);
        orders.extend(self::orders(&rest).into_iter().map(|rest| [vec![entry.clone()], rest].concat()));
    }
    orders
}

#[test]
fn a_whiteout_hides_what_is_below_and_nothing_of_its_layer_in_any_order() {
    let opaque = [(b"trusted.overlay.opaque".to_vec(), b"y".to_vec())].into();
    for entries in orders(&[directory("d").mode(0o700), file(".wh.d", b""), file("d/x", b"x"), file(".wh.d", b"")]) {
        let (_directory, applied, tree) = applied(&layer(&entries));
        let d = &tree[Path::new("d")];
        assert_eq!((d.kind, d.mode, &d.xattrs), ('d', 0o700, &opaque), "{entries:?}");
        assert_eq!(tree[Path::new("d/x")].kind, '-');
        assert!(applied.implied.is_empty());
        assert_eq!(applied.inodes, 3);
    }
    for entries in orders(&[file("x", b"x"), file(".wh.x", b""), file(".wh.x", b"")]) {
        let (_directory, _, tree) = applied(&layer(&entries));
        assert_eq!(tree[Path::new("x")].kind, '-', "{entries:?}");
    }
    for entries in orders(&[directory("d"), file("d/.wh..wh..opq", b""), file("d/x", b"x"), file("d/.wh.y", b"")]) {
        let (_directory, _, tree) = applied(&layer(&entries));
        assert_eq!(tree[Path::new("d")].xattrs, opaque, "{entries:?}");
        assert_eq!((tree[Path::new("d/x")].kind, tree[Path::new("d/y")].kind), ('-', 'w'));
    }
}

#[test]
fn a_directory_in_the_place_of_a_whiteout_owes_nothing_to_the_layers_below() {
    let (_directory, applied, tree) = applied(&layer(&[file(".wh.d", b""), file("d/x", b"x"), file("e/x", b"x")]));
    assert_eq!(applied.implied, [b"e"]);
    assert_eq!(tree[Path::new("d")].xattrs.len(), 1);
}

#[test]
fn directories_are_implied_until_an_entry_names_them() {
    let entries =
        [file("a/b/c/x", b""), directory("a/b").mode(0o700), file("e/x", b""), directory("s"), symlink("l", "t/u")];
    let (_directory, applied, tree) = applied(&layer(&[&entries[..], &[file("l/x", b"")]].concat()));
    assert_eq!(applied.implied, [&b"a"[..], b"a/b/c", b"e", b"t", b"t/u"]);
    assert!(!applied.names_root && !applied.is_opaque);
    assert_eq!((tree[Path::new("a")].mode, tree[Path::new("a/b")].mode), (0o755, 0o700));
    // What is removed is no longer implied.
    let (_directory, applied, _) = self::applied(&layer(&[file("a/b/x", b""), file("a", b""), directory("./")]));
    assert!(applied.implied.is_empty() && applied.names_root);
}

#[test]
fn an_opaque_root_is_told() {
    let (_directory, applied, _) = applied(&layer(&[file(".wh..wh..opq", b""), file("x", b"")]));
    assert!(applied.is_opaque);
}

#[test]
fn a_link_into_the_layers_below_is_told_with_all_that_it_says() {
    let said = link("d/l", "/lib/../etc/./a").mode(0o4711).owner(3, 4).mtime("5.000000006").xattr("user.a", b"b");
    let entries = [
        symlink("lib", "usr/lib"),
        file(".wh.h", b""),
        said.xattr("trusted.x", b"y"),
        link("h", "d/l"),
        link("i", "lib/b"),
    ];
    let (_directory, applied, tree) = applied(&layer(&entries));
    assert_eq!(
        applied.links[0],
        Link {
            path: b"d/l".to_vec(),
            // As in containerd, `..` is about where the link leads.
            target: b"usr/etc/a".to_vec(),
            mode: 0o4711,
            owner: (3, 4),
            mtime: Time { seconds: 5, nanoseconds: 6 },
            xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())],
        }
    );
    let rest: Vec<_> = applied.links[1..].iter().map(|link| (&link.path[..], &link.target[..])).collect();
    assert_eq!(rest, [(&b"h"[..], &b"d/l"[..]), (b"i", b"usr/lib/b")]);
    assert!(!tree.contains_key(Path::new("h")) && !tree.contains_key(Path::new("d/l")));
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    for (entries, expected) in [
        (vec![character("dev/z", 0, 0)], "the entry `dev/z` is a device 0:0, which overlay takes for a removed file"),
        (vec![file("a/.wh..", b"")], "the entry `a/.wh..` is a whiteout of nothing that could be removed"),
        (vec![file(".wh.", b"")], "the entry `.wh.` is a whiteout of nothing that could be removed"),
        (vec![file("a", b""), file("a/b", b"")], "the entry `a/b` is in `a`, which is no directory"),
        (
            vec![symlink("a", "b"), symlink("b", "a"), file("a/x", b"")],
            "the entry `a` leads over too many symbolic links",
        ),
        (vec![directory("a"), link("b", "a")], "the entry `b` is a hard link to a directory"),
        (vec![directory("a"), link("b", "a/..")], "the entry `b` is a hard link to a directory"),
        (vec![link("a", "./a")], "the entry `a` is a hard link to itself"),
        (vec![file(".wh.a", b""), link("b", "a")], "the entry `b` is a hard link to what the same layer removes"),
        (vec![link("b", "a"), file("b", b"")], "the entry `b` replaces a hard link to what no entry before it has"),
        (vec![link("b", "a"), file("b/x", b"")], "the entry `b/x` is in `b`, which is no directory"),
        (vec![file("x".repeat(300), b"")], "cannot be made: File name too long"),
        (vec![link("x", "y".repeat(300) + "/z")], "leads to a directory that cannot be opened: File name too long"),
        (vec![file(b"bad\xff\n/.wh.", b"")], "the entry `bad\\xff\\n/.wh.` is a whiteout"),
        (vec![file("a/".repeat(1_025) + "x", b"")], "the layer has more than 1024 directories below each other"),
    ] {
        let refusal = refusal(&layer(&entries));
        assert!(refusal.contains(expected), "{refusal}, and not {expected}");
    }
}

#[test]
fn attributes_of_overlay_are_dropped_with_a_warning_and_20_of_those_are_enough() {
    let entry = file("a\nb", b"")
        .xattr("trusted.overlay.opaque", b"y")
        .xattr("user.overlay.redirect", b"/")
        .xattr("user.fine", b"");
    let (_directory, applied, tree) = applied(&layer(&[entry]));
    assert_eq!(tree[Path::new("a\nb")].xattrs.len(), 1);
    assert_eq!(
        applied.warnings[0],
        "the attribute `trusted.overlay.opaque` of `a\\nb` was left out: \
         it would say something to overlay, and cannot come from an image"
    );
    assert_eq!(applied.warnings.len(), 2);
    let many: Vec<_> = (0..30).map(|number| directory(number.to_string()).xattr("trusted.x", b"")).collect();
    assert_eq!(self::applied(&layer(&many)).1.warnings.len(), 20);
}

#[test]
fn what_is_replaced_is_not_counted() {
    let (_directory, applied, tree) = applied(&layer(&[
        file("d/a", b"12345"),
        link("d/b", "d/a"),
        file("d/deep/deeper/deepest/c", b"1"),
        block("d/deep/e", 7, 7),
        file("keep", b"123"),
        link("keep-too", "d/a"),
        file("d", b"12"),
        file("d", b"1"),
        sparse("holes", 1 << 30, &[(1 << 20, b"data")]),
    ]));
    assert_eq!((applied.size, applied.inodes), (5 + 3 + 1 + (1 << 30), 1 + 4));
    assert_eq!(tree.len(), 5);
}

#[test]
fn a_removed_directory_can_hold_any_number_of_files_on_any_depth() {
    let wide = (0..3_000).map(|number| file(format!("d/{number}"), b"x"));
    let deep = (1..200).map(|depth| file(format!("{}x", "d/".repeat(depth)), b"x"));
    // Names that are used while directories are moved up.
    let taken = (1..50).map(|number| directory(format!("d/.{number}/.{number}")));
    let entries: Vec<_> = wide.chain(deep).chain(taken).chain([file("d", b"last")]).collect();
    let (_directory, applied, tree) = applied(&layer(&entries));
    assert_eq!((applied.size, applied.inodes, tree.len()), (4, 2, 2));
}

#[test]
fn holes_take_no_room() {
    let (directory, _, tree) = applied(&layer(&[sparse("holes", 1 << 30, &[(512 << 20, b"data")])]));
    assert_eq!(tree[Path::new("holes")].size, 1 << 30);
    let blocks = std::fs::metadata(directory.path().join("holes")).expect("it was made").blocks();
    assert!(blocks < 128, "{blocks} blocks of 512 bytes");
}
