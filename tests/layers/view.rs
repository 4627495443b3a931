//! Reading a stack without mounting it, against what the kernel shows of the same stack when it is mounted.

use super::mount::Mount;
use super::shelf::{Shelf, directory, named, whiteout};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use wharf::layers::view::{Change, Kind};
use wharf::layers::{Error, Snapshot, View};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    fs::write(path, text).expect("a file");
}

fn opaque(path: &Path) {
    rustix::fs::lsetxattr(path, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).expect("the mark");
}

/// A stack with every way in which layers meet.
pub(super) fn nasty(shelf: &Shelf) -> Vec<Snapshot> {
    let fills: [fn(&Path); 4] = [
        |tree| {
            for path in ["a/b/c/one", "a/b/two", "hidden/x", "hidden/deep/y", "file", "dir/z", "link/q", "gone/r"] {
                write(&tree.join(path), path);
            }
            directory(tree.join("a"), 0o2711, (12, 70_000));
            fs::hard_link(tree.join("file"), tree.join("second name")).expect("a hard link");
            symlink("a/b", tree.join("short")).expect("a link");
            symlink("/a/../../../file", tree.join("climbs")).expect("a link");
            symlink("loop", tree.join("loop")).expect("a link");
            symlink("b/..", tree.join("a/up")).expect("a link");
            symlink("/file", tree.join("a/to the root")).expect("a link");
        },
        |tree| {
            write(&tree.join("a/b/two"), "changed");
            write(&tree.join("hidden/new"), "new");
            opaque(&tree.join("hidden"));
            fs::create_dir(tree.join("file")).expect("a directory in place of a file");
            fs::write(tree.join("file/inside"), "").expect("a file");
            fs::write(tree.join("dir"), "a file in place of a directory").expect("a file");
            symlink("a", tree.join("link")).expect("a link in place of a directory");
            whiteout(&tree.join("gone"));
            let fifo = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
            rustix::fs::mknodat(rustix::fs::CWD, tree.join("pipe"), fifo.0, fifo.1, 0).expect("a pipe");
        },
        |tree| {
            directory(tree.join("a"), 0o700, (1, 1));
            directory(tree.join("hidden/deep"), 0o755, (0, 0));
            write(&tree.join("gone/back"), "again");
            directory(tree.join("dir/again"), 0o755, (0, 0));
            whiteout(&tree.join("a/b"));
            let device = (rustix::fs::FileType::BlockDevice, rustix::fs::Mode::from_raw_mode(0o640));
            rustix::fs::mknodat(rustix::fs::CWD, tree.join("disk"), device.0, device.1, rustix::fs::makedev(8, 300))
                .expect("a device");
        },
        |tree| {
            write(&tree.join("a/b/three"), "three");
            let name = std::ffi::OsStr::from_bytes(b"no \xff UTF-8\n");
            write(&tree.join(name), "");
        },
    ];
    let mut stack: Vec<Snapshot> = Vec::new();
    for (number, fill) in fills.into_iter().enumerate() {
        let layer = shelf.layer(&number.to_string(), named(), fill);
        stack.push(shelf.layers.stack(&number.to_string(), stack.last(), &layer).expect("a snapshot"));
    }
    stack
}

/// What the kernel shows: path to description and content.
pub(super) fn mounted(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let name = path.strip_prefix(root).expect("it is below").as_os_str().as_bytes().to_vec();
        let content = match metadata.file_type() {
            kind if kind.is_file() => fs::read(&path).expect("a file"),
            kind if kind.is_symlink() => fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec(),
            _ => Vec::new(),
        };
        let is_device = matches!(metadata.mode() & 0o170_000, 0o060_000 | 0o020_000);
        let device = if is_device { metadata.rdev() } else { 0 };
        let device = (rustix::fs::major(device), rustix::fs::minor(device));
        let times = (metadata.mtime(), metadata.mtime_nsec());
        let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
        seen.insert(name, format!("{mode:o} {owner:?} {times:?} {device:?} {}", content.escape_ascii()));
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        }
    }
    seen
}

/// What the view shows, in the same words.
pub(super) fn viewed(view: &View) -> BTreeMap<Vec<u8>, String> {
    let walk = view.walk().map(|step| {
        let (path, entry) = step.expect("a step");
        let kind = match entry.kind {
            Kind::File => 0o100_000,
            Kind::Directory => 0o040_000,
            Kind::Symlink => 0o120_000,
            Kind::Character => 0o020_000,
            Kind::Block => 0o060_000,
            Kind::Fifo => 0o010_000,
            Kind::Socket => 0o140_000,
        };
        let content = match &entry.link {
            Some(link) => link.clone(),
            None if entry.kind == Kind::File => {
                let mut content = Vec::new();
                view.read(&path).expect("a file").read_to_end(&mut content).expect("its content");
                content
            }
            None => Vec::new(),
        };
        let times = (entry.mtime.seconds, i64::from(entry.mtime.nanoseconds));
        let (mode, owner, device) = (kind | entry.mode, entry.owner, entry.device.unwrap_or_default());
        (path, format!("{mode:o} {owner:?} {times:?} {device:?} {}", content.escape_ascii()))
    });
    walk.collect()
}

#[test]
fn a_view_shows_what_the_kernel_shows() {
    let shelf = Shelf::new();
    for snapshot in nasty(&shelf) {
        let mount = Mount::new(&shelf, &snapshot);
        let view = View::new(&shelf.layers, &snapshot).expect("a view");
        let (kernel, own) = (mounted(mount.path()), viewed(&view));
        assert!(kernel.len() > 10, "{}", kernel.len());
        assert_eq!(kernel, own, "snapshot {}", snapshot.name());
    }
}

#[test]
fn a_walk_is_in_order_and_tells_hard_links() {
    let shelf = Shelf::new();
    let stack = nasty(&shelf);
    let view = View::new(&shelf.layers, &stack[0]).expect("a view");
    let paths: Vec<_> = view.walk().map(|step| step.expect("a step").0).collect();
    let listed: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    assert_eq!(listed[..6], ["", "a", "a/b", "a/b/c", "a/b/c/one", "a/b/two"]);
    let id = |path: &[u8]| view.entry(path).expect("an entry").id;
    assert_eq!(id(b"file"), id(b"second name"));
    assert_ne!(id(b"file"), id(b"dir/z"));
}

#[test]
fn links_are_resolved_inside_the_image() {
    let shelf = Shelf::new();
    let stack = nasty(&shelf);
    let view = View::new(&shelf.layers, &stack[0]).expect("a view");
    let read = |path: &str| {
        let mut text = String::new();
        view.read(path.as_bytes()).map(|mut file| file.read_to_string(&mut text).expect("a text")).map(|_| text)
    };
    for (path, content) in [
        ("file", "file"),
        ("/file", "file"),
        ("short/two", "a/b/two"),
        ("climbs", "file"),
        ("../../../file", "file"),
        ("short/../b/./two", "a/b/two"),
        ("a/up/b/c/one", "a/b/c/one"),
        ("a//b/two", "a/b/two"),
        ("a/to the root", "file"),
    ] {
        assert_eq!(read(path).expect(path), content, "{path}");
    }
    for path in ["absent", "file/below", "etc/passwd", "../../../../etc/passwd"] {
        assert!(matches!(read(path), Err(Error::NotFound)), "{path}");
    }
    for path in ["loop", "a", ""] {
        assert!(matches!(read(path), Err(Error::Entry { .. })), "{path}");
    }
    assert_eq!(view.entry(b"loop").expect("the link itself").link, Some(b"loop".to_vec()));
    let names: Vec<_> = view.list(b"short").expect("a directory").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"c".to_vec(), b"two".to_vec()]);
    assert!(matches!(view.list(b"file"), Err(Error::NotFound)));
}

#[test]
fn attributes_are_told_without_those_of_overlay() {
    let shelf = Shelf::new();
    let layer = shelf.layer("a", named(), |tree| {
        write(&tree.join("d/f"), "");
        opaque(&tree.join("d"));
        for (path, name) in [("d", "user.b"), ("d", "trusted.a"), ("d/f", "security.none")] {
            let path = tree.join(path);
            rustix::fs::lsetxattr(&path, name, b"1", rustix::fs::XattrFlags::empty()).expect("an attribute");
        }
    });
    let snapshot = shelf.layers.stack("a", None, &layer).expect("a snapshot");
    let view = View::new(&shelf.layers, &snapshot).expect("a view");
    let attributes = |path: &str| view.entry(path.as_bytes()).expect("an entry").attributes;
    assert_eq!(attributes("d"), [b"trusted.a".to_vec(), b"user.b".to_vec()]);
    assert_eq!(attributes("d/f"), [b"security.none".to_vec()]);
}

#[test]
fn differences_are_told_both_ways() {
    let shelf = Shelf::new();
    let stack = nasty(&shelf);
    let views: Vec<_> = stack.iter().map(|snapshot| View::new(&shelf.layers, snapshot).expect("a view")).collect();
    let told = |first: &View, second: &View| -> Vec<(Change, String)> {
        let changes = first.difference(second).map(|item| item.expect("a difference"));
        changes.map(|(change, path)| (change, String::from_utf8_lossy(&path).into_owned())).collect()
    };
    let expected = [
        (Change::Changed, "a/b/two"),
        (Change::Changed, "dir"),
        (Change::Deleted, "dir/z"),
        (Change::Changed, "file"),
        (Change::Added, "file/inside"),
        (Change::Deleted, "gone"),
        (Change::Deleted, "gone/r"),
        (Change::Deleted, "hidden/deep"),
        (Change::Deleted, "hidden/deep/y"),
        (Change::Added, "hidden/new"),
        (Change::Deleted, "hidden/x"),
        (Change::Changed, "link"),
        (Change::Deleted, "link/q"),
        (Change::Added, "pipe"),
    ];
    let forward = told(&views[0], &views[1]);
    // The first layer says how `a` looks, and the second one makes it without saying: that is a difference too.
    let forward: Vec<_> = forward.into_iter().filter(|(_, path)| path != "a").collect();
    assert_eq!(forward, expected.map(|(change, path)| (change, path.to_owned())));
    let turned = |change| match change {
        Change::Added => Change::Deleted,
        Change::Changed => Change::Changed,
        Change::Deleted => Change::Added,
    };
    let back: Vec<_> = told(&views[1], &views[0]).into_iter().filter(|(_, path)| path != "a").collect();
    assert_eq!(back, forward.into_iter().map(|(change, path)| (turned(change), path)).collect::<Vec<_>>());
    assert!(told(&views[3], &views[3]).is_empty());
}

#[test]
fn the_same_content_at_another_time_is_no_difference() {
    let shelf = Shelf::new();
    let make = |name: &str, text: &'static str| {
        let layer = shelf.layer(name, named(), |tree| write(&tree.join("f"), text));
        shelf.layers.stack(name, None, &layer).expect("a snapshot")
    };
    let [a, b, c] = [make("a", "same"), make("b", "same"), make("c", "else")]
        .map(|snapshot| View::new(&shelf.layers, &snapshot).expect("a view"));
    assert_eq!(a.difference(&b).count(), 0);
    let changes: Vec<_> = a.difference(&c).map(|item| item.expect("a difference")).collect();
    assert_eq!(changes, [(Change::Changed, b"f".to_vec())]);
}
