//! Nasty layers, and what containerd makes of them with its overlayfs snapshotter: the same, entry by entry. Needs
//! `containerd` and `ctr` (Debian's `containerd`).

pub(crate) mod containerd;

use super::write::{block, character, directory, fifo, file, global, layer, link, sparse, symlink};
use super::{applied, write};
use crate::support::tree::{self, Node};
use containerd::Containerd;
use std::path::Path;

/// What every layer of this test stands on: the first one is applied in another way, without whiteouts.
fn below() -> Vec<u8> {
    layer(&[directory("usr").mode(0o711).owner(7, 8), file("usr/old", b"old"), file("gone", b"gone")])
}

/// Layers with everything that an archive can say, each with a name for messages.
pub(crate) fn layers() -> Vec<(&'static str, Vec<u8>)> {
    let long = |letter: &str, times| vec![letter.repeat(50); times].join("/");
    vec![
        (
            "whiteouts",
            layer(&[
                file(".wh.gone", b"").mode(0),
                file(".wh.never", b"content that nobody wants"),
                directory("usr"),
                file("usr/.wh..wh..opq", b""),
                file("usr/new", b"new"),
                directory("late"),
                file("late/new", b"new"),
                directory("late/deep"),
                file("late/.wh..wh..opq", b""),
                file(".wh.again", b""),
                file("again", b"after its whiteout"),
                file(".wh.link", b""),
                symlink("link", "usr"),
                directory(".wh.directory"),
                file("implied/.wh.x", b""),
                file("missing/.wh..wh..opq", b""),
                file(".wh.odd/file", b""),
            ]),
        ),
        (
            "replacements",
            layer(&[
                file("to-directory", b"1"),
                directory("to-directory"),
                file("to-directory/x", b"x"),
                symlink("link-to-file", "/usr"),
                file("link-to-file", b"2"),
                file("to-link/deep/deeper/x", b"x"),
                symlink("to-link", "nowhere"),
                file("twice", b"first").xattr("user.first", b"1"),
                file("twice", b"second").mode(0o600),
                directory("merged").mode(0o700).owner(5, 5).xattr("user.a", b"1"),
                file("merged/x", b"x"),
                directory("merged").mode(0o3777).xattr("user.b", b"2").mtime("5.5"),
                fifo("pipe"),
                file("pipe", b"3"),
                link("linked", "twice").mode(0o600),
                link("linked", "link-to-file").mode(0o644),
            ]),
        ),
        (
            "links",
            layer(&[
                file("a", b"body").mode(0o4755).owner(9, 9).xattr("user.x", b"y"),
                link("b", "a").mode(0o4755).owner(9, 9),
                link("c", "./b").mode(0o4711).owner(10, 10).mtime("7"),
                link("/d", "/c").mode(0o4711).owner(10, 10),
                symlink("to-a", "a").mtime("77.25").owner(11, 11),
                link("to-a-too", "to-a").owner(12, 12).mtime("78"),
                symlink("way", "/real/../real"),
                directory("real"),
                file("way/in", b"through a link"),
                directory("way/directory").mode(0o1777),
                link("real/out", "way/in"),
                symlink("dangling", "not/yet"),
                file("dangling/file", b"made where the link leads"),
                symlink("up", "../../../real"),
                file("up/climbed", b""),
                symlink("absolute", "/"),
                file("absolute/absolute/at-the-root", b""),
                fifo("fifo").mode(0o666),
                link("fifo-too", "fifo").mode(0o640).owner(1, 1),
                symlink("long", "t".repeat(3_000)),
            ]),
        ),
        (
            "devices",
            layer(&[
                character("null", 1, 3).mode(0o666),
                character("big", 260, 70_000).owner(0, 5),
                block("loop", 7, 0).mode(0o660).owner(0, 6),
                block("zero", 0, 0),
                fifo("fifo").mode(0o1777),
            ]),
        ),
        (
            "attributes",
            layer(&[
                file("capable", b"program").mode(0o755).xattr("security.capability", CAPABILITY),
                link("capable-too", "capable").mode(0o755).xattr("security.capability", CAPABILITY),
                file("lost", b"program").mode(0o755).xattr("security.capability", CAPABILITY),
                link("lost-too", "lost").mode(0o755),
                file("user", b"").xattr("user.empty", b"").xattr("user.binary", &[0, 1, 255, b'\n', b'=', 0]),
                directory("directory").xattr("user.on", b"directory").owner(4, 4),
                symlink("symlink", "user").xattr("user.impossible", b"x"),
                file("trusted", b"").xattr("trusted.anything", b"x"),
                fifo("labelled").xattr("security.label", b"x"),
            ]),
        ),
        (
            "modes",
            layer(&[
                file("set-user", b"x").mode(0o4755),
                file("set-group", b"x").mode(0o2755).owner(0, 50),
                file("all", b"x").mode(0o7777).owner(1, 1),
                file("none", b"x").mode(0),
                directory("sticky").mode(0o1777),
                directory("group").mode(0o2775).owner(0, 50),
                file("group/inherits-nothing", b"x").mode(0o666),
                directory("group/inherits-nothing-either").mode(0o770),
                directory("shut").mode(0),
                file("shut/in", b"x"),
            ]),
        ),
        (
            "owners",
            layer(&[
                file("large", b"").owner(70_000, 70_001),
                file("largest", b"").owner(4_294_967_294, 4_294_967_294),
                directory("directory").owner(2_500_000_000, 2_500_000_001),
                symlink("link", "x").owner(33, 33),
            ]),
        ),
        (
            "times",
            layer(&[
                file("nanoseconds", b"").mtime("1700000000.123456789"),
                file("truncated", b"").mtime("1700000000.1234567899"),
                file("zero", b"").mtime("0"),
                file("later", b"").mtime("4102444800.5"),
                file("last", b"").mtime("9223372036"),
                directory("directory").mtime("12345.678"),
                file("directory/changes-it", b""),
                directory("directory/below").mtime("1"),
                symlink("link", "x").mtime("99.000000001"),
            ]),
        ),
        (
            "names",
            layer(&[
                file(b"not\xff\xfeutf8", b"x"),
                directory(b"\x80dir"),
                file(b"\x80dir/\xe9", b"x"),
                file("tab\tnewline\nspace ", b"x"),
                file("back\\slash", b"x"),
                file("-dash", b"x"),
                file(".wh", b"x"),
                file("..dots", b"x"),
                file("é中🐳", b"x"),
                file("./a//b/./c/../d", b"cleaned"),
                file("../../climbs", b"x"),
                file("/absolute", b"x"),
                file(long("n", 40), b"x"),
                file("m".repeat(255), b"x"),
                link("long-link", long("n", 40)),
            ]),
        ),
        (
            "no parents",
            layer(&[
                file("x/y/z", b"x"),
                directory("x/y").mode(0o700).mtime("3"),
                file("v/w", b"x"),
                symlink("s/s", "v"),
                fifo("p/p"),
            ]),
        ),
        (
            "holes",
            layer(&[
                sparse("middle", 20 << 20, &[(5 << 20, b"middle"), (6 << 20, b"and more")]),
                sparse("only", 8 << 20, &[(8 << 20, b"")]),
                sparse("dense", 4, &[(0, b"full")]),
            ]),
        ),
        ("global header", [global("comment", "from git"), layer(&[file("x", b"x")])].concat()),
    ]
}

/// `cap_net_bind_service`, effective. Linux, `struct vfs_cap_data`.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn nasty_layers_become_what_containerd_makes_of_them() {
    let containerd = Containerd::start();
    let mut wrong = Vec::new();
    for (name, archive) in layers() {
        let theirs =
            tree::read(&containerd.layer(&[&below(), &archive]).unwrap_or_else(|error| panic!("{name}: {error}")));
        let (_directory, applied, ours) = applied(&archive);
        let implied = |path: &Path| {
            use std::os::unix::ffi::OsStrExt;
            path == Path::new("") || applied.implied.iter().any(|implied| implied == path.as_os_str().as_bytes())
        };
        let mut excused = 0;
        let differences = tree::differences(&ours, &theirs, |path, ours, theirs| {
            // The archive does not say when these were changed, or who owns them: the layers below do, if they have them.
            let is_excused = implied(path) && Node { mtime: theirs.mtime, ..ours.clone() } == *theirs;
            excused += usize::from(is_excused);
            is_excused
        });
        println!("{name}: {} nodes, {excused} implied", ours.len());
        wrong.extend(differences.into_iter().map(|difference| format!("{name}: {difference}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What containerd does otherwise. If it no longer does, the module's list is wrong.
#[test]
fn the_differences_from_containerd_are_those_that_are_listed() {
    let containerd = Containerd::start();
    let theirs =
        |entries: &[write::Entry]| containerd.layer(&[&below(), &layer(entries)]).map(|path| tree::read(&path));
    for refused in [
        vec![file("x", b"x"), file(".wh.x", b"")],
        vec![file(".wh.x", b""), file(".wh.x", b"")],
        vec![file(".wh.usr", b""), file("usr/new", b"x")],
        vec![link("into-the-layer-below", "gone")],
        vec![directory("x/y"), symlink("x", "nowhere")],
    ] {
        assert!(theirs(&refused).is_err(), "{refused:?}");
        applied(&layer(&refused));
    }
    let entries = [
        file("early", b"").mtime("-5.5"),
        file("late", b"").mtime("10413792000"),
        directory("./").mode(0o711).owner(3, 3),
        file(".wh.usr", b""),
        directory("usr"),
        file("overlay", b"").xattr("user.overlay.opaque", b"y"),
    ];
    let theirs = theirs(&entries).expect("containerd applies it");
    let (_directory, _, ours) = applied(&layer(&entries));
    let both = |path: &str| (&ours[Path::new(path)], &theirs[Path::new(path)]);
    let (ours, theirs) = both("early");
    assert_eq!((ours.mtime, theirs.mtime), ((-6, 500_000_000), (0, 0)));
    let (ours, theirs) = both("late");
    assert_eq!((ours.mtime, theirs.mtime), ((10_413_792_000, 0), (0, 0)));
    let (ours, theirs) = both("");
    assert_eq!((ours.mode, ours.owner, theirs.mode, theirs.owner), (0o711, (3, 3), 0o755, (0, 0)));
    let (ours, theirs) = both("usr");
    assert_eq!((ours.xattrs.len(), theirs.xattrs.len()), (1, 0), "what the whiteout removed would come back");
    let (ours, theirs) = both("overlay");
    assert_eq!((ours.xattrs.len(), theirs.xattrs.len()), (0, 1));
}
