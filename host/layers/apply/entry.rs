//! One entry after the other becomes a file. What has a name already is tried first and looked at only if that fails:
//! most names are new.

use super::attributes::{self, Fresh, Handle};
use super::budget::{Budget, Spending};
use super::content;
use super::name::{self, Meaning};
use super::remembered::Remembered;
use super::tree::{self, Found, Parent, Tree};
use super::whiteout::{self, Met};
use crate::layers::archive::{Archive, Entry, Kind};
use crate::layers::sums::Content;
use crate::layers::{Contents, Error, Rights};
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

const FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How often a name is freed that something else takes at once. Nobody else writes here, so it is taken once at most.
pub(super) const TAKEN_MAX: usize = 4;

/// A layer that is being made.
pub(super) struct Layer {
    pub(super) tree: Tree,
    pub(super) rights: Rights,
    pub(super) fresh: Fresh,
    pub(super) spending: Spending,
    pub(super) remembered: Remembered,
    pub(super) size: u64,
    pub(super) inodes: u64,
    pub(super) names_root: bool,
    pub(super) is_opaque: bool,
    content: Content,
    /// The last one of each inode counts: what was removed gives its number to another file.
    pub(super) contents: Contents,
}

/// Where an entry goes.
pub(super) struct At<'n> {
    pub(super) parent: Rc<Parent>,
    pub(super) base: &'n [u8],
}

impl At<'_> {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.parent.fd()
    }

    pub(super) fn path(&self) -> Vec<u8> {
        name::join(&self.parent.path, self.base)
    }
}

impl Layer {
    pub(super) fn new(directory: BorrowedFd<'_>, rights: Rights, budget: &Budget) -> Result<Self, Error> {
        let tree = Tree::new(directory)?;
        let fresh = Fresh::probe(tree.root())?;
        tree.open(b"").map_err(unsupported)?;
        Ok(Self {
            tree,
            rights,
            fresh,
            spending: Spending::new(*budget),
            remembered: Remembered::default(),
            size: 0,
            inodes: 1,
            names_root: false,
            is_opaque: false,
            content: Content::default(),
            contents: Contents::default(),
        })
    }

    /// Makes what one entry says. The archive is at its content.
    pub(super) fn entry<R: BufRead>(
        &mut self,
        archive: &mut Archive<R>,
        entry: &Entry,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        self.spending.entry()?;
        // What is left out counts as well: its content is inflated to be skipped.
        if let Kind::File { size, .. } = &entry.kind {
            self.spending.bytes(*size)?;
        }
        let name = name::clean(&entry.path);
        if name.is_empty() {
            return self.root(entry);
        }
        let (directory, base) = name::split(&name);
        let meaning = name::meaning(base);
        if meaning == Meaning::Invalid {
            return Err(refused(entry, "is a whiteout of nothing that could be removed"));
        }
        let parent = self.directory(directory, entry)?;
        let mut at = At { parent, base };
        match meaning {
            Meaning::Plain => {}
            Meaning::Ignored | Meaning::Invalid => return Ok(()),
            Meaning::Opaque => return self.opaque(&at.parent, entry),
            Meaning::Whiteout(base) => {
                at.base = base;
                return self.whiteout(&at, entry);
            }
        }
        match &entry.kind {
            Kind::File { size, map } => {
                let mode = attributes::mode(entry, FileType::RegularFile, self.rights);
                let create = || fs::openat(at.fd(), base, FILE, Mode::from_raw_mode(mode & 0o777));
                let file = self.make(&at, entry, create)?;
                (self.size, self.inodes) = (self.size + size, self.inodes + 1);
                self.content.begin(*size);
                content::write(archive, file.as_fd(), *size, map.as_deref(), &mut self.content, stop)?;
                if *size > 0 {
                    let inode = fs::fstat(&file).map_err(failed(entry))?.st_ino;
                    self.contents.insert(inode, self.content.finish());
                }
                self.dress(&at, entry, Handle::Open(file.as_fd()), Some(mode), None)
            }
            Kind::Directory => self.make_directory(&at, entry),
            Kind::Symlink(target) => {
                self.make(&at, entry, || fs::symlinkat(target.as_slice(), at.fd(), base))?;
                self.inodes += 1;
                let handle = Handle::Name(at.fd(), base);
                self.dress(&at, entry, handle, None, None)
            }
            Kind::Link(target) => self.link(&at, entry, target),
            Kind::Fifo => self.node(&at, entry, FileType::Fifo, (0, 0)),
            Kind::Character(0, 0) => Err(refused(entry, "is a device 0:0, which overlay takes for a removed file")),
            Kind::Character(major, minor) => self.node(&at, entry, FileType::CharacterDevice, (*major, *minor)),
            Kind::Block(major, minor) => self.node(&at, entry, FileType::BlockDevice, (*major, *minor)),
        }
    }

    fn whiteout(&mut self, at: &At<'_>, entry: &Entry) -> Result<(), Error> {
        let path = at.path();
        if self.remembered.has_link(&path) {
            return Ok(());
        }
        match whiteout::make(at.fd(), at.base).map_err(failed(entry))? {
            Met::Nothing => self.inodes += 1,
            Met::Directory => {
                let directory = tree::enter(at.fd(), at.base, Vec::new()).map_err(failed(entry))?;
                whiteout::hide_below(directory.fd(), self.rights).map_err(failed(entry))?;
                self.remembered.implied.remove(&path);
            }
            Met::Other => {}
        }
        Ok(())
    }

    /// Makes a device or a pipe.
    fn node(&mut self, at: &At<'_>, entry: &Entry, kind: FileType, device: (u32, u32)) -> Result<(), Error> {
        if self.rights == Rights::User && kind != FileType::Fifo {
            let mode = attributes::mode(entry, FileType::RegularFile, self.rights);
            let create = || fs::openat(at.fd(), at.base, FILE, Mode::from_raw_mode(mode & 0o777));
            let file = self.make(at, entry, create)?;
            self.inodes += 1;
            let letter = if kind == FileType::BlockDevice { 'b' } else { 'c' };
            let device = Some((letter, device.0, device.1));
            return self.dress(at, entry, Handle::Open(file.as_fd()), Some(mode), device);
        }
        let mode = attributes::mode(entry, kind, self.rights);
        let number = fs::makedev(device.0, device.1);
        let create = || fs::mknodat(at.fd(), at.base, kind, Mode::from_raw_mode(mode & 0o777), number);
        self.make(at, entry, create)?;
        self.inodes += 1;
        self.dress(at, entry, Handle::Name(at.fd(), at.base), Some(mode), None)
    }

    /// Makes a file, and removes what stands in its way.
    pub(super) fn make<T>(
        &mut self,
        at: &At<'_>,
        entry: &Entry,
        create: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Error> {
        for _ in 0..TAKEN_MAX {
            match create() {
                Ok(made) => return self.unless_linked(at, entry).map(|()| made),
                Err(Errno::EXIST) => {
                    if let Some(found) = self.tree.look(&at.parent, at.base).map_err(failed(entry))? {
                        self.remove(&at.parent, at.base, &found).map_err(failed(entry))?;
                    }
                }
                Err(errno) => return Err(failed(entry)(errno)),
            }
        }
        Err(failed(entry)(Errno::EXIST))
    }

    /// Refuses an entry in the place of a hard link whose target may be nowhere: containerd refuses the link itself.
    pub(super) fn unless_linked(&self, at: &At<'_>, entry: &Entry) -> Result<(), Error> {
        if self.remembered.links_nothing() || !self.remembered.has_link(&at.path()) {
            return Ok(());
        }
        Err(refused(entry, "replaces a hard link to what no entry before it has"))
    }

    pub(super) fn remove(&mut self, parent: &Parent, base: &[u8], found: &Found) -> Result<(), Errno> {
        let removed = self.tree.remove(parent, base, found)?;
        self.size = self.size.saturating_sub(removed.bytes);
        self.inodes = self.inodes.saturating_sub(removed.inodes);
        self.remembered.forget(&name::join(&parent.path, base));
        Ok(())
    }
}

/// An entry that cannot be.
pub(super) fn refused(entry: &Entry, why: &str) -> Error {
    Error::Entry { path: name::shown(&entry.path), why: why.to_owned() }
}

/// An entry that the operating system refuses.
pub(super) fn failed(entry: &Entry) -> impl Fn(Errno) -> Error {
    |errno| match errno {
        Errno::NOSPC | Errno::DQUOT => Error::NoSpace,
        errno => refused(entry, &format!("cannot be made: {errno}")),
    }
}

fn unsupported(errno: Errno) -> Error {
    match errno {
        Errno::NOSYS | Errno::PERM => Error::Unsupported(
            "this kernel cannot open files below a directory safely: extracting layers needs `openat2` of Linux 5.6"
                .to_owned(),
        ),
        errno => Error::io("cannot open the directory")(errno),
    }
}
