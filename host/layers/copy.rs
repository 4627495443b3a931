//! A second tree with the files of a first: every file a hard link, or a copy, and every directory made again.
//!
//! It does not change the first tree, follows no links, and keeps at most a few directories open, whatever the depth.

use super::Error;
use super::attributes::{self, Attribute};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, fchmod, fchown, fstat,
    linkat, mkdirat, openat, openat2, statat,
};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a directory is to look like.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
    pub(super) times: Timestamps,
    pub(super) attributes: Vec<Attribute>,
}

impl Look {
    /// Describes an open directory.
    pub(super) fn of(directory: impl AsFd) -> Result<Self> {
        let stat = fstat(&directory)?;
        let attributes = attributes::read(&directory)?;
        Ok(Self { owner: (stat.st_uid, stat.st_gid), mode: stat.st_mode & 0o7777, times: times(&stat), attributes })
    }

    /// Gives it to an open directory.
    pub(super) fn apply(&self, directory: BorrowedFd<'_>) -> Result<()> {
        let stat = fstat(directory)?;
        if (stat.st_uid, stat.st_gid) != self.owner {
            fchown(directory, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)))?;
        }
        attributes::write(directory, &self.attributes)?;
        fchmod(directory, Mode::from_raw_mode(self.mode))?;
        rustix::fs::futimens(directory, &self.times)
    }
}

/// Fills `target`, which is empty. `looks` are directories that look otherwise than in `source`, by path.
pub(super) fn copy(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    looks: &HashMap<Vec<u8>, Look>,
) -> std::result::Result<(), Error> {
    let put =
        |from: &OwnedFd, name: &CStr, to: &OwnedFd, _: &[u8], _: &Stat| link(from.as_fd(), name, to.as_fd(), name);
    tree(source, target, looks, put).map_err(Error::io("cannot settle a layer"))
}

/// Fills `target`, which is empty, with files of its own. Names of one file are names of one file again.
pub(super) fn duplicate(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> std::result::Result<(), Error> {
    // By file system and number: the directory and the name that it was copied to.
    let mut firsts: HashMap<(u64, u64), (Vec<u8>, CString)> = HashMap::new();
    let put = |from: &OwnedFd, name: &CStr, to: &OwnedFd, path: &[u8], stat: &Stat| {
        #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
        let id = (stat.st_dev as u64, stat.st_ino as u64);
        if let Some((path, first)) = firsts.get(&id) {
            return link(below(target, path)?.as_fd(), first, to.as_fd(), name);
        }
        if stat.st_nlink > 1 {
            firsts.insert(id, (path.to_vec(), name.to_owned()));
        }
        again(from.as_fd(), name, to.as_fd(), name)
    };
    tree(source, target, &HashMap::new(), put).map_err(Error::io("cannot copy a tree"))
}

/// A directory that is being filled.
struct Frame {
    /// How long its path is.
    length: usize,
    /// Directories in it that are still to be filled.
    children: Vec<CString>,
}

fn tree(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    looks: &HashMap<Vec<u8>, Look>,
    mut put: impl FnMut(&OwnedFd, &CStr, &OwnedFd, &[u8], &Stat) -> Result<()>,
) -> Result<()> {
    let mut path = Vec::new();
    let mut frames = vec![Frame { length: 0, children: fill(source, target, &path, &mut put)? }];
    while let Some(frame) = frames.last_mut() {
        path.truncate(frame.length);
        if let Some(child) = frame.children.pop() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(child.to_bytes());
            frames.push(Frame { length: path.len(), children: fill(source, target, &path, &mut put)? });
            continue;
        }
        // Everything in it is there, so that its times stay what they are now.
        let look = match looks.get(&path) {
            Some(look) => look.clone(),
            None => Look::of(below(source, &path)?)?,
        };
        look.apply(below(target, &path)?.as_fd())?;
        frames.pop();
    }
    Ok(())
}

/// Puts the files of the directory `path` in place and makes the directories in it. Returns their names.
fn fill(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    path: &[u8],
    put: &mut impl FnMut(&OwnedFd, &CStr, &OwnedFd, &[u8], &Stat) -> Result<()>,
) -> Result<Vec<CString>> {
    let (source, target) = (below(source, path)?, below(target, path)?);
    let mut children = Vec::new();
    for entry in Dir::read_from(&source)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let stat = statat(&source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            mkdirat(&target, name, Mode::RWXU)?;
            children.push(name.to_owned());
        } else {
            put(&source, name, &target, path, &stat)?;
        }
    }
    Ok(children)
}

/// Opens the directory `path` below `root`. No part of it may be a link.
pub(super) fn below(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // The tree was changed elsewhere meanwhile, and the kernel is not sure.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// Gives a file a second name, or makes a second file where it has too many.
pub(super) fn link(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, as_name: &CStr) -> Result<()> {
    match linkat(from, name, to, as_name, AtFlags::empty()) {
        Err(Errno::MLINK) => again(from, name, to, as_name),
        other => other,
    }
}

/// Makes a file that is the same as another.
pub(super) fn again(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, as_name: &CStr) -> Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut source = File::from(openat(from, name, flags | OFlags::RDONLY, Mode::empty())?);
            let new = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            let mut target = File::from(openat(to, as_name, new, Mode::RUSR | Mode::WUSR)?);
            std::io::copy(&mut source, &mut target)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        FileType::Symlink => {
            rustix::fs::symlinkat(rustix::fs::readlinkat(from, name, Vec::new())?.as_c_str(), to, as_name)?;
        }
        kind => rustix::fs::mknodat(to, as_name, kind, mode, stat.st_rdev)?,
    }
    let found = statat(to, as_name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (found.st_uid, found.st_gid) != (stat.st_uid, stat.st_gid) {
        let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        rustix::fs::chownat(to, as_name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    attributes::write_at(to, as_name, &attributes::read_at(from, name)?)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        rustix::fs::chmodat(to, as_name, mode, AtFlags::empty())?;
    }
    rustix::fs::utimensat(to, as_name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)
}

/// The times of a file, as they are set again.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between architectures")]
pub(super) fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime as i64, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime as i64, tv_nsec: stat.st_mtime_nsec as _ },
    }
}
