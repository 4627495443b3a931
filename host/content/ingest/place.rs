//! Giving a file its place under a new name, never in the place of another one.
//!
//! It does not look at the file, and syncs nothing.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::io::{Errno, Result};

use crate::content::directory::Directory;

/// Moves the file `from` to `name` in `target`, unless something has that name: `EXIST`.
pub(super) fn place(source: &Directory, from: &str, target: &Directory, name: &str) -> Result<()> {
    match source.transfer(from, target, name) {
        // The file system, or the kernel, has no rename that refuses to replace: NFS and some FUSE file systems.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link(source, from, target, name),
        other => other,
    }
}

/// Does the same with a second name, which never replaces anything either. Whoever dies in between leaves a file with
/// two names; the next holder of the ingest takes the first one away.
fn link(source: &Directory, from: &str, target: &Directory, name: &str) -> Result<()> {
    rustix::fs::linkat(source.as_fd(), from, target.as_fd(), name, AtFlags::empty())?;
    if let Err(error) = source.unlink(from) {
        // The file has its place. The first name goes with the ingest, which says so if it cannot.
        tracing::debug!(%error, "a file keeps its first name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    type Way = fn(&Directory, &str, &Directory, &str) -> Result<()>;

    #[test]
    fn both_ways_move_a_file_and_replace_none() {
        for (what, way) in [("the rename", place as Way), ("the second name", link as Way)] {
            let temporary = tempfile::tempdir().expect("a temporary directory");
            let root = Dir::open_ambient_dir(temporary.path(), ambient_authority()).expect("the directory");
            for name in ["source", "target"] {
                root.create_dir(name).expect("a directory");
            }
            let both = Directory::of(&root).expect("the directory");
            let (source, target) = (both.enter("source").expect("source"), both.enter("target").expect("target"));

            root.write("source/data", b"first").expect("a file");
            way(&source, "data", &target, "blob").expect("the place is free");
            assert_eq!(root.read("target/blob").expect("a file"), b"first", "{what}");
            assert!(!root.exists("source/data"), "{what}");

            root.write("source/data", b"second").expect("a file");
            assert_eq!(way(&source, "data", &target, "blob"), Err(Errno::EXIST), "{what}");
            assert_eq!(root.read("target/blob").expect("a file"), b"first", "{what}");
            assert_eq!(root.read("source/data").expect("a file"), b"second", "{what}");

            root.symlink("nowhere", "target/link").expect("a symbolic link");
            assert_eq!(way(&source, "data", &target, "link"), Err(Errno::EXIST), "{what}");
            assert_eq!(way(&source, "absent", &target, "free"), Err(Errno::NOENT), "{what}");
        }
    }
}
