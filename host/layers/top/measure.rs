//! The disk space of a tree that may be written to meanwhile, and a look whether overlay has put into it what only overlay
//! understands.

use crate::content::directory::Directory;
use crate::layers::nascent::TREE;
use crate::layers::{Error, attributes, copy};
use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// The unit in which the kernel counts what a file takes, in bytes.
const BLOCK_BYTES: u64 = 512;

/// Returns the bytes and inodes of the tree in `directory`, its root included. A file with several names counts once.
pub(super) fn usage(directory: &Directory) -> Result<(u64, u64), Error> {
    let (mut seen, mut bytes, mut inodes) = (HashSet::new(), 0_u64, 0_u64);
    walk(directory, |_, _, stat| {
        let is_again = FileType::from_raw_mode(stat.st_mode) != FileType::Directory
            && stat.st_nlink > 1
            && !seen.insert((stat.st_dev, stat.st_ino));
        if !is_again {
            bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
            inodes += 1;
        }
        Ok(())
    })?;
    Ok((bytes, inodes))
}

/// Checks that the tree in `directory` says by itself what is in it. Mounted with other options than those that were told,
/// overlay writes down where a directory was moved from, or leaves the content of a file below.
///
/// Fails with [`Error::Unsupported`].
pub(super) fn check(directory: &Directory) -> Result<(), Error> {
    walk(directory, |parent, name, _| {
        let found = match attributes::read_at(parent, name) {
            Err(Errno::NOENT | Errno::ACCESS) => return Ok(()),
            other => other.map_err(Error::io("cannot describe a file of a top"))?,
        };
        let is_strange = |name: &CStr| {
            let own = name.to_bytes().strip_prefix(b"trusted.").or_else(|| name.to_bytes().strip_prefix(b"user."));
            matches!(own, Some(b"overlay.redirect" | b"overlay.metacopy"))
        };
        match found.iter().any(|(name, _)| is_strange(name)) {
            false => Ok(()),
            true => Err(Error::Unsupported(
                "it was mounted with `redirect_dir=on` or `metacopy=on`, so that its tree is not whole without a mount"
                    .to_owned(),
            )),
        }
    })
}

/// Shows everything to `visit`: the directory that has it, its name and what it is. What goes meanwhile is left out.
fn walk(
    directory: &Directory,
    mut visit: impl FnMut(BorrowedFd<'_>, &CStr, &Stat) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = Error::io("cannot list a top");
    let root = copy::below(directory.as_fd(), TREE.as_bytes()).map_err(&failed)?;
    visit(root.as_fd(), c".", &fstat(&root).map_err(&failed)?)?;
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let listed = match copy::below(root.as_fd(), &path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => continue,
            other => other.map_err(&failed)?,
        };
        for entry in Dir::read_from(&listed).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let stat = match statat(&listed, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT | Errno::ACCESS) => continue,
                other => other.map_err(&failed)?,
            };
            visit(listed.as_fd(), name, &stat)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let mut below = path.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(name.to_bytes());
                open.push(below);
            }
        }
    }
    Ok(())
}
