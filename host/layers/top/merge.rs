//! Moves a tree that is nobody's onto one that may have something, as if its entries were made in a mount of that: what has
//! a name already goes, and directories become one. It writes no file: everything is renamed, so that names of one file
//! stay names of one file.

use super::hide;
use crate::layers::copy::{self, Look};
use crate::layers::{Error, attributes};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat, renameat_with, statat};
use rustix::io::{Errno, Result};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

/// What is moved, and where to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merge<'a> {
    pub(super) from: BorrowedFd<'a>,
    pub(super) to: BorrowedFd<'a>,
    /// Where what has to go is put. Whoever calls removes it.
    pub(super) grave: BorrowedFd<'a>,
    /// Whether overlay's attributes are `user.overlay.*`.
    pub(super) user: bool,
    /// Directories that keep the look of what is there.
    pub(super) implied: &'a BTreeSet<Vec<u8>>,
}

impl Merge<'_> {
    /// Moves everything, and returns the paths of what has gone.
    pub(super) fn run(&self) -> std::result::Result<Vec<Vec<u8>>, Error> {
        self.directories().map_err(Error::io("cannot write into a top"))
    }

    fn directories(&self) -> Result<Vec<Vec<u8>>> {
        let (mut gone, mut pending) = (Vec::new(), vec![Vec::new()]);
        while let Some(path) = pending.pop() {
            let (from, to) = (copy::below(self.from, &path)?, copy::below(self.to, &path)?);
            let look = Look::of(if self.implied.contains(&path) { &to } else { &from })?;
            for name in names(from.as_fd())? {
                let below = join(&path, name.to_bytes());
                match self.entry(from.as_fd(), to.as_fd(), &name, gone.len())? {
                    Met::Directory => pending.push(below),
                    Met::Something => gone.push(below),
                    Met::Nothing => {}
                }
            }
            // What is moved out of its directories does not change them.
            look.apply(to.as_fd())?;
        }
        Ok(gone)
    }

    fn entry(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CString, number: usize) -> Result<Met> {
        let is_directory = kind(from, name)? == Some(FileType::Directory);
        let old = kind(to, name)?;
        if old.is_none() {
            renameat(from, name.as_c_str(), to, name.as_c_str())?;
            return Ok(Met::Nothing);
        }
        if is_directory && old == Some(FileType::Directory) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let new = openat(from, name.as_c_str(), flags, Mode::empty())?;
            if !attributes::is_opaque(&new, self.user)? {
                return Ok(Met::Directory);
            }
        }
        let grave = format!("gone-{number}");
        renameat_with(to, name.as_c_str(), self.grave, grave.as_str(), RenameFlags::NOREPLACE)?;
        renameat(from, name.as_c_str(), to, name.as_c_str())?;
        if is_directory {
            // What went had hidden what is below.
            hide::mark(to, name, self.user)?;
        }
        Ok(Met::Something)
    }
}

/// What had a name before.
enum Met {
    Nothing,
    /// A directory, and another one comes.
    Directory,
    /// It has gone.
    Something,
}

fn kind(directory: BorrowedFd<'_>, name: &CString) -> Result<Option<FileType>> {
    match statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns what is in a directory. All of it first: what is listed is moved away.
pub(super) fn names(directory: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
