//! Hard links of a layer to files of the layers below, as they would be made in a container: containerd refuses them.
//!
//! The entry of a link says what the file looks like from then on. If that is what it looks like, the link is a second
//! name of the file below. Else the file is copied into the tree, under its old name as well, as overlay would.

use super::Error;
use super::attributes::{self, Attribute};
use super::copy::{self, Look};
use super::record::Link;
use super::view::View;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, fstat, mkdirat, statat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

/// Makes `link` in `tree`, which stands on the trees `below`, the nearest first, each with whether an ordinary user made
/// it. Of the first `shared` of those a file may get a second name here; of the others it is copied. `ways` tells what a
/// directory below looks like. Returns which tree below has the file, and where.
pub(super) fn link(
    tree: BorrowedFd<'_>,
    user: bool,
    below: &[(BorrowedFd<'_>, bool)],
    shared: usize,
    link: &Link,
    ways: impl Fn(&[u8]) -> Result<Option<Look>, Error>,
) -> Result<Option<(usize, Vec<u8>)>, Error> {
    let refused = |why: &str| Error::Entry { path: link.path.escape_ascii().to_string(), why: why.to_owned() };
    let failed = Error::io("cannot settle a hard link");
    let trees: Vec<_> = std::iter::once((tree, user)).chain(below.iter().copied()).collect();
    // The layer may have removed what it links to. In a container that could not be; in an archive it can.
    let found = match View::of(&trees)?.file(&link.target)? {
        None => View::of(below)?.file(&link.target)?.map(|(level, found)| (level + 1, found)),
        found => found,
    };
    let Some((level, found)) = found else {
        let target = link.target.escape_ascii();
        return Err(refused(&format!("is a hard link to `{target}`, which no layer below has as a file")));
    };
    let ((from, from_name), (to, to_name)) = (split(&found), split(&link.path));
    let from = copy::below(trees[level].0, from).map_err(&failed)?;
    let to = copy::below(tree, to).map_err(|_| refused("is in no directory of its layer"))?;
    let times = copy::times(&fstat(&to).map_err(&failed)?);
    let is_same = level <= shared && looks_so(from.as_fd(), &from_name, link, user).map_err(&failed)?;
    let made = if is_same {
        copy::link(from.as_fd(), &from_name, to.as_fd(), &to_name)
    } else {
        // A copy also of a file of this tree: it is the layer's own under another name, and a layer never changes.
        copy::again(from.as_fd(), &from_name, to.as_fd(), &to_name)
            .and_then(|()| dress(to.as_fd(), &to_name, link, user))
    };
    match made {
        Ok(()) => {}
        // What came later in the archive has taken its place.
        Err(Errno::EXIST) => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    if !is_same && level == 0 {
        let times = copy::times(&fstat(&from).map_err(&failed)?);
        rustix::fs::unlinkat(&from, from_name.as_c_str(), AtFlags::empty())
            .and_then(|()| copy::link(to.as_fd(), &to_name, from.as_fd(), &from_name))
            .and_then(|()| rustix::fs::futimens(&from, &times))
            .map_err(&failed)?;
    }
    if !is_same && level > 0 {
        let home = directories(tree, split(&found).0, &ways)?;
        let times = copy::times(&fstat(&home).map_err(&failed)?);
        match copy::link(to.as_fd(), &to_name, home.as_fd(), &from_name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        rustix::fs::futimens(&home, &times).map_err(&failed)?;
    }
    rustix::fs::futimens(&to, &times).map_err(failed)?;
    Ok(level.checked_sub(1).map(|level| (level, found)))
}

/// Makes the directories on the way to `path` that the tree does not have, as they look below.
fn directories(
    tree: BorrowedFd<'_>,
    path: &[u8],
    ways: impl Fn(&[u8]) -> Result<Option<Look>, Error>,
) -> Result<std::os::fd::OwnedFd, Error> {
    let failed = Error::io("cannot settle a hard link");
    let ends = (0..=path.len()).filter(|&end| !path.is_empty() && path.get(end).is_none_or(|&byte| byte == b'/'));
    for end in ends {
        let (parent, name) = split(&path[..end]);
        let parent = copy::below(tree, parent).map_err(&failed)?;
        let times = copy::times(&fstat(&parent).map_err(&failed)?);
        match mkdirat(&parent, name.as_c_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => continue,
            Err(error) => return Err(failed(error)),
        }
        if let Some(look) = ways(&path[..end])? {
            let made = copy::below(tree, &path[..end]).map_err(&failed)?;
            look.apply(made.as_fd()).map_err(&failed)?;
        }
        rustix::fs::futimens(&parent, &times).map_err(&failed)?;
    }
    copy::below(tree, path).map_err(failed)
}

/// Whether the file looks as the link says. What an ordinary user cannot set does not count for one.
fn looks_so(directory: BorrowedFd<'_>, name: &CString, link: &Link, user: bool) -> rustix::io::Result<bool> {
    let stat = statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    let is_symlink = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let time = copy::times(&stat).last_modification;
    let has = attributes::read_at(directory, name)?;
    let set = wanted(link).into_iter().all(|attribute| has.contains(&attribute));
    Ok((is_symlink || user || stat.st_mode & 0o7777 == link.mode)
        && (user || (stat.st_uid, stat.st_gid) == link.owner)
        && (time.tv_sec, time.tv_nsec) == (link.mtime.0, i64::from(link.mtime.1))
        && (user || set))
}

/// Makes the file look as the link says.
fn dress(directory: BorrowedFd<'_>, name: &CString, link: &Link, user: bool) -> rustix::io::Result<()> {
    let stat = statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    if !user {
        let owner = (Some(Uid::from_raw(link.owner.0)), Some(Gid::from_raw(link.owner.1)));
        rustix::fs::chownat(directory, name.as_c_str(), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        attributes::write_at(directory, name, &wanted(link))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            // A change of owner takes special bits away; so the mode comes after it.
            rustix::fs::chmodat(directory, name.as_c_str(), Mode::from_raw_mode(link.mode), AtFlags::empty())?;
        }
    }
    let time = Timespec { tv_sec: link.mtime.0, tv_nsec: link.mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(directory, name.as_c_str(), &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn wanted(link: &Link) -> Vec<Attribute> {
    let named = link.xattrs.iter().filter_map(|(name, value)| Some((CString::new(name.clone()).ok()?, value.clone())));
    named.collect()
}

/// The directory and the last component of a path.
fn split(path: &[u8]) -> (&[u8], CString) {
    let at = path.iter().rposition(|&byte| byte == b'/');
    let (parent, name) = at.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
    (parent, CString::new(name).expect("a path has no zero byte"))
}
