//! What a file looks like besides its content: owner, mode, times and extended attributes, and what of that can be set
//! with whose rights. It follows no links.
//!
//! An ordinary user's tree belongs to that user, who stands for root: only another owner is kept aside. Directories stay
//! readable, writable and searchable for the user and files readable, or the tree could be neither read nor removed; a
//! mode that says less is kept aside, and so are set-user-id and set-group-id bits of another owner's files, which
//! would mean the user.

use crate::layers::archive::{Entry, Time};
use crate::layers::{Error, Rights};
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The bits of `chmod` that are about running a file as another user or group, and the sticky bit.
pub(super) const SPECIAL: u32 = 0o7000;
/// Those which are about running a file as somebody else.
const SET_ID: u32 = 0o6000;

/// How a file looks that was just made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    pub(super) owner: (u32, u32),
    /// The bits that are taken from the mode that a file is made with.
    pub(super) mask: u32,
}

impl Fresh {
    /// Finds out by making a directory: the umask of a process cannot be read without changing it, and the owner may be
    /// a matter of the directory.
    pub(super) fn probe(root: BorrowedFd<'_>) -> Result<Self, Error> {
        let failed = Error::io("cannot write to the directory");
        let name = c".probe";
        fs::mkdirat(root, name, Mode::from_raw_mode(0o777)).map_err(&failed)?;
        let stat = fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)?;
        fs::unlinkat(root, name, AtFlags::REMOVEDIR).map_err(&failed)?;
        Ok(Self { owner: (stat.st_uid, stat.st_gid), mask: !stat.st_mode & 0o777 })
    }

    /// Whether a file that was made with `mode` has another one now.
    pub(super) fn differs(&self, mode: u32) -> bool {
        mode & (SPECIAL | self.mask) != 0
    }
}

/// Returns the mode that a file gets.
pub(super) fn mode(entry: &Entry, kind: FileType, rights: Rights) -> u32 {
    if rights == Rights::Root {
        return entry.mode;
    }
    let kept = if (entry.uid, entry.gid) == (0, 0) { entry.mode } else { entry.mode & !SET_ID };
    match kind {
        FileType::Directory => kept | 0o700,
        FileType::RegularFile => kept | 0o400,
        _ => kept,
    }
}

/// A file whose attributes are set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handle<'h> {
    /// It is open.
    Open(BorrowedFd<'h>),
    /// It has this name in a directory, and cannot or should not be opened.
    Name(BorrowedFd<'h>, &'h [u8]),
}

impl Handle<'_> {
    /// Sets the owner. This takes set-user-id bits and capabilities away.
    pub(super) fn chown(&self, (uid, gid): (u32, u32)) -> Result<(), Errno> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match *self {
            Self::Open(fd) => fs::fchown(fd, uid, gid),
            Self::Name(parent, base) => fs::chownat(parent, base, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Sets the mode. Of no use for a symbolic link.
    pub(super) fn chmod(&self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode);
        match *self {
            Self::Open(fd) => fs::fchmod(fd, mode),
            Self::Name(parent, base) => by_descriptor(parent, base, |path| fs::chmod(path, mode)),
        }
    }

    /// Sets an extended attribute.
    pub(super) fn set(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match *self {
            Self::Open(fd) => fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Name(parent, base) => {
                by_descriptor(parent, base, |path| fs::setxattr(path, name, value, XattrFlags::empty()))
            }
        }
    }

    /// Sets when it was changed, and read.
    pub(super) fn touch(&self, time: Time) -> Result<(), Errno> {
        let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        match *self {
            Self::Open(fd) => fs::futimens(fd, &times),
            Self::Name(parent, base) => fs::utimensat(parent, base, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}

/// Does something to a file that is not opened but held. The path is one that the kernel makes for the descriptor, and
/// leads to that file whatever has its name by then.
fn by_descriptor<T>(
    parent: BorrowedFd<'_>,
    base: &[u8],
    act: impl FnOnce(&str) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let held = fs::openat(parent, base, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    act(&format!("/proc/self/fd/{}", held.as_fd().as_raw_fd()))
}

/// What became of an extended attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Set,
    /// This user may not set it.
    Aside,
    /// It is not for this tree, and why.
    Left(&'static str),
}

/// Sets an attribute that an archive names.
pub(super) fn set(handle: Handle<'_>, name: &[u8], value: &[u8], rights: Rights) -> Result<Outcome, Errno> {
    if let Some(why) = refusal(name) {
        return Ok(Outcome::Left(why));
    }
    match (handle.set(name, value), rights) {
        (Ok(()), _) => Ok(Outcome::Set),
        (Err(Errno::OPNOTSUPP), Rights::Root) => {
            Ok(Outcome::Left("is of a kind that the file system of the store does not have"))
        }
        // xattr(7): only files and directories have them. They could not be set from the side file either.
        (Err(Errno::PERM), _) if name.starts_with(b"user.") && matches!(handle, Handle::Name(..)) => {
            Ok(Outcome::Left("is one that only files and directories can have"))
        }
        (Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS), Rights::User) => Ok(Outcome::Aside),
        (Err(errno), _) => Err(errno),
    }
}

/// Says why an attribute cannot come from an image, if so.
pub(super) fn refusal(name: &[u8]) -> Option<&'static str> {
    if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
        return Some("would say something to overlay, and cannot come from an image");
    }
    // containerd leaves these out as well.
    name.starts_with(b"trusted.").then_some("is for administrators, and cannot come from an image")
}
