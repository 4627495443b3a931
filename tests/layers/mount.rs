//! Mounts of snapshots, which take root: what is seen in them, and what they keep.

use super::shelf::{self, Shelf, directory, id, named, whiteout};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wharf::layers::{Error, Mounted, Snapshot};

/// A snapshot on a directory, until the test ends.
pub(super) struct Mount {
    directory: TempDir,
}

impl Mount {
    pub(super) fn new(shelf: &Shelf, snapshot: &Snapshot) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        shelf.layers.mount(snapshot, open(directory.path())).expect("a mount");
        Self { directory }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// Kept open for as long as the call takes.
fn open(path: &Path) -> std::os::fd::BorrowedFd<'static> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened: &'static OwnedFd =
        Box::leak(Box::new(rustix::fs::open(path, flags, Mode::empty()).expect("the directory")));
    std::os::fd::AsFd::as_fd(opened)
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn one_layer_is_mounted_and_cannot_be_written_to() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a"]);
    let mount = Mount::new(&shelf, &stack[0]);
    assert_eq!(read(mount.path().join("a")), "a");
    let refused = fs::write(mount.path().join("b"), "").expect_err("it is read-only");
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn two_layers_are_seen_as_one() {
    let shelf = Shelf::new();
    let base = shelf.layer("base", named(), |tree| {
        fs::create_dir_all(tree.join("d/gone")).expect("directories");
        fs::write(tree.join("d/old"), "old").expect("a file");
        fs::write(tree.join("d/both"), "old").expect("a file");
    });
    let base = shelf.layers.stack("base", None, &base).expect("a snapshot");
    let top = shelf.layer("top", named(), |tree| {
        fs::create_dir(tree.join("d")).expect("a directory");
        fs::write(tree.join("d/both"), "new").expect("a file");
        whiteout(&tree.join("d/gone"));
    });
    let top = shelf.layers.stack("top", Some(&base), &top).expect("a snapshot");
    let mount = Mount::new(&shelf, &top);
    assert_eq!(read(mount.path().join("d/old")), "old");
    assert_eq!(read(mount.path().join("d/both")), "new");
    assert!(!mount.path().join("d/gone").exists());
}

#[test]
fn five_hundred_layers_are_mounted_and_listed() {
    let shelf = Shelf::new();
    let names: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    let stack = shelf.stack(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let top = stack.last().expect("a snapshot");
    let mount = Mount::new(&shelf, top);
    assert_eq!(fs::read_dir(mount.path()).expect("the root").count(), 500);
    assert_eq!(read(mount.path().join("0")), "0");
    let expected = Mounted { at: mount.path().to_owned(), snapshot: Some(top.name().to_owned()) };
    assert_eq!(shelf.layers.mounts().expect("mounts"), [expected]);
}

#[test]
fn where_an_image_has_links_the_machine_is_not_touched() {
    let shelf = Shelf::new();
    let layer = shelf.layer("a", named(), |tree| {
        for (name, target) in [("dev", "/tmp"), ("proc", "../../../../tmp"), ("etc", "/proc/self/root/etc")] {
            symlink(target, tree.join(name)).expect("a link");
        }
    });
    let snapshot = shelf.layers.stack("a", None, &layer).expect("a snapshot");
    let mount = Mount::new(&shelf, &snapshot);
    for name in ["dev", "proc", "etc"] {
        assert!(fs::symlink_metadata(mount.path().join(name)).expect("a link").is_symlink(), "{name}");
    }
}

#[test]
fn what_is_mounted_is_in_use_until_it_is_unmounted() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let mut stack = shelf.stack(&["a", "b"]);
    let mount = Mount::new(&shelf, &stack[1]);
    stack.clear();
    for name in ["snapshot a", "snapshot b"] {
        assert!(matches!(shelf.again("this boot").remove(name), Err(Error::InUse)), "{name}");
    }
    let inside = fs::File::open(mount.path().join("a")).expect("a file");
    assert!(matches!(shelf.layers.unmount(mount.path()), Err(Error::InUse)));
    drop(inside);
    shelf.layers.unmount(mount.path()).expect("nobody is in it");
    assert!(matches!(shelf.layers.unmount(mount.path()), Err(Error::NotFound)));
    assert!(shelf.layers.mounts().expect("mounts").is_empty());
    shelf.layers.remove("snapshot b").expect("nobody uses it");
    assert!(matches!(shelf.layers.layer(&id("b")), Err(Error::NotFound)));
}

#[test]
fn a_mount_of_another_store_is_none_of_its_business() {
    if shelf::runs_elsewhere() {
        return;
    }
    let (shelf, other) = (Shelf::new(), Shelf::new());
    drop(other.stack(&["a"]));
    let stack = shelf.stack(&["a"]);
    let mount = Mount::new(&shelf, &stack[0]);
    assert!(other.layers.mounts().expect("mounts").is_empty());
    assert!(matches!(other.layers.unmount(mount.path()), Err(Error::NotFound)));
    other.layers.remove("snapshot a").expect("nobody uses it");
}

#[test]
fn what_is_mounted_is_listed_and_neither_it_nor_what_is_below_it_is_claimed() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let names = ["a", "b", "c"].map(|name| format!("snapshot {name}"));
    let layers = ["a", "b", "c"].map(id);
    let claimed = || {
        let claim = shelf.again("this boot").claim(&names, &layers).expect("a claim");
        (claim.snapshots().map(str::to_owned).collect::<Vec<_>>(), claim.layers().copied().collect::<Vec<_>>())
    };
    let stack = shelf.stack(&["a", "b", "c"]);
    assert!(shelf.layers.mounted().expect("a list").is_empty());
    let (first, second) = (Mount::new(&shelf, &stack[1]), Mount::new(&shelf, &stack[1]));
    drop(stack);
    assert_eq!(shelf.layers.mounted().expect("a list"), names[1..2]);
    assert_eq!(claimed(), (names[2..].to_vec(), layers[2..].to_vec()));
    drop((first, second));
    assert_eq!(claimed(), (names.to_vec(), layers.to_vec()));
}

#[test]
fn devices_and_special_bits_of_an_image_are_of_no_use_to_the_machine() {
    let shelf = Shelf::new();
    let layer = shelf.layer("a", named(), |tree| {
        directory(tree.join("bin"), 0o755, (0, 0));
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.join("null"),
            kind,
            Mode::from_raw_mode(0o666),
            rustix::fs::makedev(1, 3),
        )
        .expect("a device");
    });
    let snapshot = shelf.layers.stack("a", None, &layer).expect("a snapshot");
    let mount = Mount::new(&shelf, &snapshot);
    let refused = fs::File::open(mount.path().join("null")).expect_err("devices do not work");
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    let flags = rustix::fs::statvfs(mount.path()).expect("flags").f_flag;
    assert!(flags.contains(rustix::fs::StatVfsMountFlags::NOSUID));
}
