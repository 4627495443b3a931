//! The directory that a layer is applied to: finding the directory that an entry goes to, making it if it is absent, and
//! removing what stands in the way.
//!
//! Invariant: the kernel never sees a path that could lead out. A directory is opened below the root by `openat2` with
//! `RESOLVE_IN_ROOT` and no links at all, and everything else is done to one component of such a directory, which is
//! never followed. Links that the layer itself has are followed here, by reading them, as containerd's `fs.RootPath`
//! does: a component that does not exist is no link, and `..` after a link takes back what the link says.

use super::budget::Spending;
use super::name;
use crate::layers::Error;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// How many directories are kept open. Entries come in the order of directories, mostly.
const RECENT_MAX: usize = 12;
/// How often `openat2` is asked again when something was moved while it looked.
const AGAIN_MAX: usize = 64;
/// How many links one name may lead over, as in containerd.
const LINKS_MAX: usize = 255;
/// The longest path that the kernel takes, in bytes.
const PATH_BYTES_MAX: usize = 4_095;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory of the tree, and where it is: relative to the root and without links in it.
#[derive(Debug)]
pub(super) struct Parent {
    fd: OwnedFd,
    pub(super) path: Vec<u8>,
}

impl Parent {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where a name leads.
#[derive(Debug)]
pub(super) enum Place {
    /// To this directory.
    Here(Rc<Parent>),
    /// To this path without links, where no directory is.
    Absent(Vec<u8>),
}

/// What stands at a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) size: u64,
    names: u64,
    device: u64,
}

impl Found {
    /// Whether overlay takes it for something that is gone.
    pub(super) fn is_whiteout(&self) -> bool {
        self.kind == FileType::CharacterDevice && self.device == 0
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removed {
    pub(super) inodes: u64,
    pub(super) bytes: u64,
}

impl Removed {
    fn count(&mut self, found: &Found) {
        if found.kind == FileType::Directory || found.names == 1 {
            self.inodes += 1;
            self.bytes += if found.kind == FileType::RegularFile { found.size } else { 0 };
        }
    }
}

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// By the name that was asked for, the last one at the end. Emptied when a directory or a link was removed.
    recent: Vec<(Vec<u8>, Rc<Parent>)>,
}

impl Tree {
    pub(super) fn new(root: BorrowedFd<'_>) -> Result<Self, Error> {
        let root = fs::openat(root, c".", DIRECTORY, Mode::empty()).map_err(Error::io("cannot open the directory"))?;
        Ok(Self { root, recent: Vec::with_capacity(RECENT_MAX + 1) })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the directory that has the cleaned name `path`, following the layer's own links.
    pub(super) fn find(&mut self, path: &[u8], spending: &mut Spending) -> Result<Place, Error> {
        if let Some(at) = self.recent.iter().rposition(|(name, _)| name == path) {
            let found = self.recent[at].1.clone();
            if at + 1 < self.recent.len() {
                let last = self.recent.remove(at);
                self.recent.push(last);
            }
            return Ok(Place::Here(found));
        }
        spending.depth(path)?;
        let refused = |errno| Error::Entry {
            path: name::shown(path),
            why: format!("leads to a directory that cannot be opened: {errno}"),
        };
        let parent = match self.open(path).map_err(refused)? {
            Some(fd) => Parent { fd, path: path.to_vec() },
            None => {
                let path = self.resolve(path, spending)?;
                spending.depth(&path)?;
                match self.open(&path).map_err(refused)? {
                    Some(fd) => Parent { fd, path },
                    None => return Ok(Place::Absent(path)),
                }
            }
        };
        Ok(Place::Here(self.keep(path, parent)))
    }

    /// Remembers where `name` leads.
    pub(super) fn keep(&mut self, name: &[u8], parent: Parent) -> Rc<Parent> {
        let parent = Rc::new(parent);
        if self.recent.len() == RECENT_MAX {
            self.recent.remove(0);
        }
        self.recent.push((name.to_vec(), parent.clone()));
        parent
    }

    /// Opens the directory at a path without links. None if something on the way is absent, or no directory.
    pub(super) fn open(&self, path: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        match self.openat2(path, DIRECTORY) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn openat2(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        for _ in 0..AGAIN_MAX {
            match fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Follows the links in `path`. What is absent is no link, so the result may be what has yet to be made.
    pub(super) fn resolve(&self, path: &[u8], spending: &mut Spending) -> Result<Vec<u8>, Error> {
        let entry = |why: &str| Error::Entry { path: name::shown(path), why: why.to_owned() };
        // Components that are still to be looked at, the next one at the end.
        let mut left: Vec<Vec<u8>> = Vec::new();
        let queue = |left: &mut Vec<Vec<u8>>, path: &[u8]| {
            left.extend(name::components(path).map(<[u8]>::to_vec).rev());
        };
        queue(&mut left, path);
        let (mut resolved, mut links, mut is_absent) = (Vec::new(), 0, false);
        while let Some(component) = left.pop() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    resolved.truncate(name::split(&resolved).0.len());
                    is_absent = false;
                    continue;
                }
                _ => {}
            }
            let parent = resolved.len();
            name::push(&mut resolved, &component);
            if resolved.len() > PATH_BYTES_MAX {
                return Err(entry("leads to a path that is too long"));
            }
            if is_absent {
                continue;
            }
            spending.lookup()?;
            match self.link(&resolved).map_err(|errno| entry(&format!("cannot be looked up: {errno}")))? {
                Looked::Absent => is_absent = true,
                Looked::Other => {}
                Looked::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(entry("leads over too many symbolic links"));
                    }
                    // Cleaned together, as containerd does, before the kernel could see a `..` behind another link.
                    let target = match target.strip_prefix(b"/") {
                        Some(absolute) => name::clean(absolute).into_owned(),
                        None => name::clean(&name::join(&resolved[..parent], &target)).into_owned(),
                    };
                    resolved.clear();
                    queue(&mut left, &target);
                }
            }
        }
        Ok(resolved)
    }

    /// Looks at a path that has no links before its last component.
    fn link(&self, path: &[u8]) -> Result<Looked, Errno> {
        let fd = match self.openat2(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Looked::Absent),
            Err(errno) => return Err(errno),
        };
        match fs::readlinkat(&fd, c"", Vec::new()) {
            Ok(target) => Ok(Looked::Link(target.into_bytes())),
            // No link: the kernel says so in two ways.
            Err(Errno::INVAL | Errno::NOENT) => Ok(Looked::Other),
            Err(errno) => Err(errno),
        }
    }

    /// Says what stands at a name.
    pub(super) fn look(&self, parent: &Parent, base: &[u8]) -> Result<Option<Found>, Errno> {
        look(parent.fd(), base)
    }

    /// Removes what stands at a name: a directory with all that is in it.
    pub(super) fn remove(&mut self, parent: &Parent, base: &[u8], found: &Found) -> Result<Removed, Errno> {
        let mut removed = Removed::default();
        if found.kind != FileType::Directory {
            if found.kind == FileType::Symlink {
                self.recent.clear();
            }
            fs::unlinkat(parent.fd(), base, AtFlags::empty())?;
            removed.count(found);
            return Ok(removed);
        }
        self.recent.clear();
        let directory = fs::openat(parent.fd(), base, DIRECTORY, Mode::empty())?;
        empty(directory.as_fd(), &mut removed)?;
        fs::unlinkat(parent.fd(), base, AtFlags::REMOVEDIR)?;
        removed.count(found);
        Ok(removed)
    }
}

/// What stands at a path.
enum Looked {
    Absent,
    Link(Vec<u8>),
    Other,
}

/// Opens a directory that stands in another one.
pub(super) fn enter(parent: BorrowedFd<'_>, base: &[u8], path: Vec<u8>) -> Result<Parent, Errno> {
    Ok(Parent { fd: fs::openat(parent, base, DIRECTORY, Mode::empty())?, path })
}

/// Says what stands at a name in a directory.
pub(super) fn look(parent: BorrowedFd<'_>, base: &[u8]) -> Result<Option<Found>, Errno> {
    match fs::statat(parent, base, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Found {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            #[allow(clippy::useless_conversion, reason = "the type differs between architectures")]
            names: u64::from(stat.st_nlink),
            device: stat.st_rdev,
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes everything in `top`, with two directories open and no recursion: what is in a directory is moved up into `top`
/// before that directory is removed.
fn empty(top: BorrowedFd<'_>, removed: &mut Removed) -> Result<(), Errno> {
    let mut number = 0u64;
    loop {
        let mut is_empty = true;
        for base in bases(top)? {
            is_empty = false;
            let Some(found) = look(top, &base)? else { continue };
            if found.kind != FileType::Directory {
                fs::unlinkat(top, base.as_slice(), AtFlags::empty())?;
            } else {
                let directory = fs::openat(top, base.as_slice(), DIRECTORY, Mode::empty())?;
                level(directory.as_fd(), top, &mut number, removed)?;
                fs::unlinkat(top, base.as_slice(), AtFlags::REMOVEDIR)?;
            }
            removed.count(&found);
        }
        if is_empty {
            return Ok(());
        }
    }
}

/// Empties `directory`: files are removed, directories are moved into `top`.
fn level(directory: BorrowedFd<'_>, top: BorrowedFd<'_>, number: &mut u64, removed: &mut Removed) -> Result<(), Errno> {
    loop {
        let bases = bases(directory)?;
        if bases.is_empty() {
            return Ok(());
        }
        for base in bases {
            let Some(found) = look(directory, &base)? else { continue };
            if found.kind == FileType::Directory {
                raise(directory, &base, top, number)?;
            } else {
                fs::unlinkat(directory, base.as_slice(), AtFlags::empty())?;
                removed.count(&found);
            }
        }
    }
}

/// Moves a directory into `top`, under a name that nothing has there.
fn raise(from: BorrowedFd<'_>, base: &[u8], top: BorrowedFd<'_>, number: &mut u64) -> Result<(), Errno> {
    loop {
        *number += 1;
        let name = format!(".{number}");
        match fs::renameat_with(from, base, top, name.as_str(), fs::RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Lists some of a directory, and all of it if it is small: what a call for entries returns.
fn bases(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    fs::seek(directory, fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = fs::RawDir::new(directory, buffer.spare_capacity_mut());
    let mut bases = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") {
            bases.push(name);
        }
        if entries.is_buffer_empty() {
            break;
        }
    }
    Ok(bases)
}
