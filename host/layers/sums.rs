//! The sums of a tree: what it was when it was made, so that a later look tells whether a disk, or a person, has changed
//! it. It finds damage; it is no defence against people who can write into the store, because they can write these too.
//!
//! Every file has one sum of its path and one of everything else: type, mode, owner, time of its last change, size,
//! device, target of a link, extended attributes, which other names in the tree are the same file, and content. The sum
//! of them all is in the record of the layer or snapshot (`record`).
//!
//! ```text
//! sums    (path: u64, rest: u64)…    little-endian, in order of path; the last bit of `rest` says whether the
//!                                    content is in it
//! ```
//!
//! XXH3 costs next to nothing beside SHA-256. The content is summed while it is written (`apply`), so that making a layer
//! reads nothing twice. The trees of snapshots are hard links to what a layer has, mostly: of what has another name the
//! content is left to that layer.

mod content;

pub(super) use self::content::Content;

use super::Error;
use super::attributes;
use super::copy::below;
use super::nascent::TREE;
use super::record::{self, ASIDE};
use crate::content::directory::Directory;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use twox_hash::{XxHash3_64, XxHash3_128};

/// The name of the file with the sums.
const SUMS: &str = "sums";
/// The size of such a file, in bytes: more files than a layer may have.
const SUMS_BYTES_MAX: usize = 64 << 20;
/// The label that SELinux gives, which is the machine's word.
const LABEL: &CStr = c"security.selinux";

/// What became of the content of files while they were written, by number of inode. What is not in it is read.
pub type Contents = HashMap<u64, u64>;

/// Everything about a tree in a few bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Total {
    files: u64,
    sum: u128,
    /// Of what is kept beside the tree.
    aside: Option<u64>,
}

/// Whose tree it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tree<'c> {
    /// A layer's, with what is known of its content.
    Layer(&'c Contents),
    /// A snapshot's.
    Snapshot,
}

/// The sums of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sums {
    path: u64,
    rest: u64,
}

/// Writes the sums of the tree in `directory`, and returns what goes into the record.
pub(super) fn write(directory: &Directory, tree: Tree<'_>) -> Result<Total, Error> {
    let sums = sums(directory, tree, None, &|| false)?;
    let bytes = bytes(&sums);
    const WHAT: &str = "cannot write the sums of a tree";
    let file = directory.open(SUMS, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
    file.map_err(Error::io(WHAT))?.write_all(&bytes).map_err(Error::io(WHAT))?;
    total(directory, &bytes)
}

/// Removes the sums of a tree, if there are any.
pub(super) fn forget(directory: &Directory) -> Result<(), Error> {
    match directory.unlink(SUMS) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::io("cannot remove the sums of a tree")(error)),
    }
}

/// Compares the tree in `directory` with its sums, and those with `recorded`.
///
/// Fails with [`Error::Changed`] if anything is not as it was.
pub(super) fn verify(
    directory: &Directory,
    recorded: &Total,
    tree: Tree<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let written = match directory.open(SUMS, OFlags::RDONLY) {
        Ok(file) => {
            let mut bytes = Vec::new();
            match file.take(SUMS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes) {
                Ok(_) => bytes,
                // A directory has taken its place.
                Err(error) if error.kind() == ErrorKind::IsADirectory => Vec::new(),
                Err(error) => return Err(Error::io("cannot read the sums of a tree")(error)),
            }
        }
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Vec::new(),
        Err(error) => return Err(Error::io("cannot read the sums of a tree")(error)),
    };
    let changed = |why: &str| Err(Error::Changed(why.to_owned()));
    match total(directory, &written)? {
        total if total == *recorded => {}
        total if total.aside == recorded.aside => return changed("the sums of its files are not what was recorded"),
        _ => return changed("what is kept beside its files is not what was recorded"),
    }
    let (chunks, _) = written.as_chunks::<16>();
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut left: HashMap<u64, u64> = chunks.iter().map(|pair| (number(&pair[..8]), number(&pair[8..]))).collect();
    let found = match sums(directory, tree, Some(&left), stop) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return changed("a part of it is missing");
        }
        other => other?,
    };
    let strange: BTreeSet<u64> =
        found.iter().filter(|sums| left.remove(&sums.path) != Some(sums.rest)).map(|sums| sums.path).collect();
    if strange.is_empty() && left.is_empty() {
        return Ok(());
    }
    let first = first(directory, &strange)?;
    Err(Error::Changed(match (first, strange.len(), left.len()) {
        (Some(path), 1, 0) => format!("`{path}` is not what it was"),
        (Some(path), files, 0) => format!("`{path}` is not what it was, the first of {files} files"),
        (Some(path), files, lost) => {
            format!("{lost} of its files are missing, and {files} are not what they were: `{path}` is the first")
        }
        (None, _, lost) => format!("{lost} of its files are missing"),
    }))
}

fn total(directory: &Directory, bytes: &[u8]) -> Result<Total, Error> {
    let aside = record::bytes(directory, ASIDE)?.map(|bytes| XxHash3_64::oneshot(&bytes));
    Ok(Total { files: bytes.len() as u64 / 16, sum: XxHash3_128::oneshot(bytes), aside })
}

fn bytes(sums: &[Sums]) -> Vec<u8> {
    sums.iter().flat_map(|sums| [sums.path.to_le_bytes(), sums.rest.to_le_bytes()]).flatten().collect()
}

/// Sums what is in the tree. Of what was `recorded` the same things are summed again.
fn sums(
    directory: &Directory,
    tree: Tree<'_>,
    recorded: Option<&HashMap<u64, u64>>,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<Sums>, Error> {
    let mut found: Vec<Sums> = Vec::new();
    // By inode: where in `found` the names of files are that have more than one, here or elsewhere.
    let mut names: HashMap<u64, Vec<usize>> = HashMap::new();
    let (mut content, mut buffer, mut look) = (Content::default(), Vec::new(), Vec::new());
    walk(directory, |file| {
        if stop() {
            return Err(Error::Stopped);
        }
        let (path, mut has_content) = (XxHash3_64::oneshot(file.path), 0);
        look.clear();
        file.describe(&mut look).map_err(Error::io("cannot look at a file of a layer"))?;
        if file.kind() == FileType::RegularFile && file.stat.st_size > 0 {
            let kept = match tree {
                Tree::Layer(kept) if recorded.is_none() => kept.get(&file.stat.st_ino).copied(),
                _ => None,
            };
            let is_elsewhere = match (tree, recorded) {
                (Tree::Layer(_), _) => false,
                (Tree::Snapshot, None) => file.stat.st_nlink > 1,
                (Tree::Snapshot, Some(recorded)) => recorded.get(&path).is_some_and(|rest| rest & 1 == 0),
            };
            let sum = match kept {
                _ if is_elsewhere => None,
                Some(sum) => Some(sum),
                None => file.read(&mut content, &mut buffer, stop)?,
            };
            look.extend(sum.unwrap_or_default().to_le_bytes());
            has_content = u64::from(sum.is_some());
        }
        if file.stat.st_nlink > 1 && file.kind() != FileType::Directory {
            names.entry(file.stat.st_ino).or_default().push(found.len());
        }
        found.push(Sums { path, rest: XxHash3_64::oneshot(&look) & !1 | has_content });
        Ok(())
    })?;
    for group in names.into_values().filter(|group| group.len() > 1) {
        let first = group.iter().map(|&at| found[at].path).min().expect("it has more than one name");
        for at in group {
            let link = [found[at].rest.to_le_bytes(), first.to_le_bytes()].concat();
            found[at].rest = XxHash3_64::oneshot(&link) & !1 | found[at].rest & 1;
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Returns the first path, in order, that has one of these sums. Escaped.
fn first(directory: &Directory, paths: &BTreeSet<u64>) -> Result<Option<String>, Error> {
    let mut first: Option<Vec<u8>> = None;
    walk(directory, |file| {
        if paths.contains(&XxHash3_64::oneshot(file.path)) && first.as_deref().is_none_or(|first| file.path < first) {
            first = Some(file.path.to_vec());
        }
        Ok(())
    })?;
    Ok(first.map(|path| if path.is_empty() { "/".to_owned() } else { path.escape_ascii().to_string() }))
}

/// [`TREE`], as the kernel takes it.
const TREE_NAME: &CStr = c"tree";

/// What a walk meets.
struct Met<'w> {
    /// Below the root of the tree, which itself has an empty path.
    path: &'w [u8],
    directory: BorrowedFd<'w>,
    name: &'w CStr,
    stat: Stat,
}

impl Met<'_> {
    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Says what it looks like.
    #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
    fn describe(&self, look: &mut Vec<u8>) -> rustix::io::Result<()> {
        let stat = &self.stat;
        for number in [stat.st_mode, stat.st_uid, stat.st_gid] {
            look.extend((number as u64).to_le_bytes());
        }
        look.extend((stat.st_mtime as i64).to_le_bytes());
        look.extend((stat.st_mtime_nsec as u64).to_le_bytes());
        match self.kind() {
            // What a directory takes is the file system's matter.
            FileType::Directory => {}
            FileType::Symlink => look.extend(readlinkat(self.directory, self.name, Vec::new())?.as_bytes()),
            FileType::CharacterDevice | FileType::BlockDevice => look.extend((stat.st_rdev as u64).to_le_bytes()),
            _ => look.extend((stat.st_size as u64).to_le_bytes()),
        }
        for (name, value) in attributes::read_at(self.directory, self.name)? {
            if name.as_c_str() != LABEL {
                look.extend(name.as_bytes_with_nul());
                look.extend((value.len() as u64).to_le_bytes());
                look.extend(value);
            }
        }
        Ok(())
    }

    /// Returns the sum of its content; none if its mode keeps this user out, which is what the mode is summed for.
    fn read(&self, content: &mut Content, buffer: &mut Vec<u8>, stop: &dyn Fn() -> bool) -> Result<Option<u64>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(self.directory, self.name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => return Ok(None),
            other => other.map_err(Error::io("cannot open a file of a layer"))?,
        };
        let size = u64::try_from(self.stat.st_size).unwrap_or_default();
        content::read(file.as_fd(), size, content, buffer, stop).map(Some)
    }
}

/// Shows everything in the tree of `directory` to `visit`, the root first, a directory before what is in it.
fn walk(directory: &Directory, mut visit: impl FnMut(&Met<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let failed = Error::io("cannot list a layer");
    let stat = statat(directory.as_fd(), TREE_NAME, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)?;
    visit(&Met { path: b"", directory: directory.as_fd(), name: TREE_NAME, stat })?;
    let root = match below(directory.as_fd(), TREE.as_bytes()) {
        // Its mode keeps this user out, and is summed.
        Err(Errno::ACCESS) => return Ok(()),
        other => other.map_err(&failed)?,
    };
    let mut open = vec![Vec::new()];
    while let Some(mut path) = open.pop() {
        // The same of these.
        let listed = match below(root.as_fd(), &path).and_then(|listed| Ok((Dir::read_from(&listed)?, listed))) {
            Err(Errno::ACCESS) => continue,
            other => other.map_err(&failed)?,
        };
        let (entries, listed) = listed;
        let length = path.len();
        for entry in entries {
            let entry = entry.map_err(&failed)?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            path.truncate(length);
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            let stat = match statat(&listed, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::ACCESS) => continue,
                other => other.map_err(&failed)?,
            };
            let met = Met { path: &path, directory: listed.as_fd(), name, stat };
            visit(&met)?;
            if met.kind() == FileType::Directory {
                open.push(path.clone());
            }
        }
    }
    Ok(())
}
