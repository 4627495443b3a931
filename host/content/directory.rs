//! One directory of the store: what may be done with a name in it.
//!
//! Names are single components that wharf made itself (digits, `data`, `name`), never paths, and symbolic links are
//! never followed; so nothing here can leave the directory. It decides nothing about locks.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory(Dir);

impl Directory {
    /// Opens `root` once more, in a form that can be synced and locked.
    pub(crate) fn of(root: &Dir) -> Result<Self> {
        open_directory(root.as_fd(), ".")
    }

    /// Makes the directory `name` for the owner alone. Does nothing if it exists.
    pub(crate) fn make(&self, name: &str) -> Result<()> {
        match rustix::fs::mkdirat(&self.0, name, Mode::RWXU) {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        }
    }

    /// Opens the directory `name`.
    pub(crate) fn enter(&self, name: &str) -> Result<Self> {
        open_directory(self.0.as_fd(), name)
    }

    /// Takes away what permissions others have on the directory.
    pub(crate) fn close_to_others(&self) -> Result<()> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode);
        if mode.intersects(Mode::RWXG | Mode::RWXO) { rustix::fs::fchmod(&self.0, Mode::RWXU) } else { Ok(()) }
    }

    /// Opens the file `name`. Created files belong to the owner alone.
    ///
    /// Whatever has taken the place of a file cannot make this wait (a FIFO) or lead elsewhere (a symbolic link).
    pub(crate) fn open(&self, name: &str, flags: OFlags) -> Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Opens the file `name` for reading, if the kernel knows it without asking the disk; fails with `AGAIN` otherwise.
    ///
    /// Kernels before 5.12 fail in ways of their own, and so does `openat2` where it is forbidden.
    pub(crate) fn open_cached(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::CACHED;
        rustix::fs::openat2(&self.0, name, flags, Mode::empty(), resolve).map(File::from)
    }

    /// Gives the owner, and nobody else, the permission to read and write the file `name`.
    pub(crate) fn permit(&self, name: &str) -> Result<()> {
        rustix::fs::chmodat(&self.0, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())
    }

    /// Describes what has the name `name`, links not followed.
    pub(crate) fn stat(&self, name: &str) -> Result<Stat> {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Whether the name `name` still leads to `child`, which was opened by it.
    pub(crate) fn leads_to(&self, name: &str, child: &Self) -> Result<bool> {
        let child = rustix::fs::fstat(&child.0)?;
        match self.stat(name) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (child.st_dev, child.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the file `from` to `name` in `target`, unless something has that name: `EXIST`.
    pub(crate) fn transfer(&self, from: &str, target: &Self, name: &str) -> Result<()> {
        rustix::fs::renameat_with(&self.0, from, &target.0, name, RenameFlags::NOREPLACE)
    }

    /// Removes the file `name`.
    pub(crate) fn unlink(&self, name: &str) -> Result<()> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::empty())
    }

    /// Removes the directory `name` and everything in it.
    pub(crate) fn remove_tree(&self, name: &str) -> std::io::Result<()> {
        self.0.remove_dir_all(name)
    }

    /// Returns the names in the directory, in no order. Names that are no UTF-8 are not wharf's, and left out.
    pub(crate) fn names(&self) -> std::io::Result<impl Iterator<Item = std::io::Result<String>>> {
        let entries = self.0.entries()?;
        Ok(entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()))
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.0)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Directory {
    fn from(open: OwnedFd) -> Self {
        Self(Dir::from_std_file(File::from(open)))
    }
}

/// Opens a directory for reading: `cap_std` itself would choose `O_PATH`, which can be neither synced nor locked.
fn open_directory(parent: BorrowedFd<'_>, name: &str) -> Result<Directory> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    Ok(Directory::from(opened))
}
