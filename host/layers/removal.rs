//! Removes a directory of the store with everything in it: trees of strangers, with modes, names and depths of any kind.
//!
//! It follows no link, needs no memory for depth and no path: a directory that is not empty is moved up to the top
//! first, and is emptied there.
//!
//! ```text
//! extract/7-1/tree/a/b/c      tree is emptied: a becomes ~0
//! extract/7-1/~0/b/c          ~0 is emptied:   b becomes ~1
//! extract/7-1/~1/c            and so on
//! ```

use super::Error;
use crate::content::directory::Directory;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Removes the directory `name`. What is gone already, because somebody else removes it too, is no error.
pub(super) fn remove(parent: &Directory, name: &str) -> std::result::Result<(), Error> {
    match everything(parent, name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::io("cannot remove a directory of the layer store")(error)),
    }
}

fn everything(parent: &Directory, name: &str) -> Result<()> {
    let top = open(parent.as_fd(), name)?;
    let mut serial = 0;
    let mut pending = clear(top.as_fd(), None, &mut serial)?;
    while let Some(name) = pending.pop() {
        let directory = match open(top.as_fd(), name.as_c_str()) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        pending.extend(clear(directory.as_fd(), Some(top.as_fd()), &mut serial)?);
        gone(unlinkat(&top, name.as_c_str(), AtFlags::REMOVEDIR))?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Empties `directory`, except for directories that are not empty: they are moved to `top`, unless this is the top.
/// Returns their names there.
fn clear(directory: BorrowedFd<'_>, top: Option<BorrowedFd<'_>>, serial: &mut u64) -> Result<Vec<CString>> {
    let mut moved = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match unlinkat(directory, name, AtFlags::empty()) {
                // The file system does not say in a listing what it lists.
                Err(Errno::ISDIR) => {}
                other => {
                    gone(other)?;
                    continue;
                }
            }
        }
        match unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        match top {
            None => moved.push(name.to_owned()),
            Some(top) => moved.extend(lift(directory, name, top, serial)?),
        }
    }
    Ok(moved)
}

/// Moves the directory `name` to a new name in `top`.
fn lift(directory: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, serial: &mut u64) -> Result<Option<CString>> {
    loop {
        let place = CString::new(format!("~{serial}")).expect("digits have no zero byte");
        *serial += 1;
        match renameat(directory, name, top, place.as_c_str()) {
            Ok(()) => return Ok(Some(place)),
            Err(Errno::NOENT) => return Ok(None),
            // A removal that was interrupted has left something under this name.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            // A directory gets another parent, for which its owner needs the permission to write to it.
            Err(Errno::ACCESS) => drop(open(directory, name)?),
            Err(error) => return Err(error),
        }
    }
}

/// Opens a directory so that everything in it can be removed, whatever its mode.
fn open<P: rustix::path::Arg + Copy>(parent: BorrowedFd<'_>, name: P) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    if !Mode::from_raw_mode(fstat(&directory)?.st_mode).contains(Mode::RWXU) {
        fchmod(&directory, Mode::RWXU)?;
    }
    Ok(directory)
}

fn gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
