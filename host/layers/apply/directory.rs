//! Directories: the ones that entries name, those that only their names imply, and what comes last to all of them.

use super::Applied;
use super::attributes::{self, Handle};
use super::entry::{At, Layer, TAKEN_MAX, failed, refused};
use super::name;
use super::remembered::Directory;
use super::tree::{self, Parent, Place};
use super::whiteout;
use crate::layers::archive::{Entry, Kind};
use crate::layers::{Error, Rights};
use rustix::fs::{self, FileType, Mode};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::rc::Rc;

/// The mode of directories that no entry names, as in containerd.
const IMPLIED_MODE: u32 = 0o755;

impl Layer {
    /// Opens the directory that an entry goes to, and makes it if it is absent.
    pub(super) fn directory(&mut self, path: &[u8], entry: &Entry) -> Result<Rc<Parent>, Error> {
        let resolved = match self.tree.find(path, &mut self.spending)? {
            Place::Here(parent) => return Ok(parent),
            Place::Absent(resolved) => resolved,
        };
        let mut parent = tree::enter(self.tree.root(), b".", Vec::new()).map_err(failed(entry))?;
        for component in name::components(&resolved) {
            let below = name::join(&parent.path, component);
            parent = match tree::enter(parent.fd(), component, below.clone()) {
                Ok(parent) => parent,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    self.imply(&parent, component, &below, entry)?;
                    tree::enter(parent.fd(), component, below).map_err(failed(entry))?
                }
                Err(errno) => return Err(failed(entry)(errno)),
            };
        }
        Ok(self.tree.keep(path, parent))
    }

    /// Makes a directory that no entry has named so far.
    fn imply(&mut self, parent: &Parent, base: &[u8], path: &[u8], entry: &Entry) -> Result<(), Error> {
        let found = self.tree.look(parent, base).map_err(failed(entry))?;
        let was_hidden = found.is_some_and(|found| found.is_whiteout());
        if (found.is_some() && !was_hidden) || self.remembered.has_link(path) {
            let why = format!("is in `{}`, which is no directory", name::shown(path));
            return Err(refused(entry, &why));
        }
        self.spending.entry()?;
        self.spending.memory(path.len())?;
        if let Some(found) = found {
            self.remove(parent, base, &found).map_err(failed(entry))?;
        }
        fs::mkdirat(parent.fd(), base, Mode::from_raw_mode(IMPLIED_MODE)).map_err(failed(entry))?;
        self.inodes += 1;
        if was_hidden || self.fresh.differs(IMPLIED_MODE) {
            let made = tree::enter(parent.fd(), base, Vec::new()).map_err(failed(entry))?;
            fs::fchmod(made.fd(), Mode::from_raw_mode(IMPLIED_MODE)).map_err(failed(entry))?;
            if was_hidden {
                whiteout::hide_below(made.fd(), self.rights).map_err(failed(entry))?;
            }
        }
        // What is below is gone, so it has no say in what this one looks like.
        if !was_hidden {
            self.remembered.implied.insert(path.to_vec(), ());
        }
        Ok(())
    }

    /// The root exists, and its entry sets its attributes. Nothing else can be said about it.
    pub(super) fn root(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.kind != Kind::Directory {
            return Ok(());
        }
        self.names_root = true;
        let parent = self.directory(b"", entry)?;
        let at = At { parent: parent.clone(), base: b"" };
        self.dress_directory(&at, Handle::Open(parent.fd()), entry, true)
    }

    pub(super) fn make_directory(&mut self, at: &At<'_>, entry: &Entry) -> Result<(), Error> {
        let mode = attributes::mode(entry, FileType::Directory, self.rights);
        let (mut is_new, mut is_opaque) = (true, false);
        for _ in 0..TAKEN_MAX {
            match fs::mkdirat(at.fd(), at.base, Mode::from_raw_mode(mode & 0o777)) {
                Ok(()) => {
                    self.inodes += 1;
                    break;
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(entry)(errno)),
            }
            match self.tree.look(&at.parent, at.base).map_err(failed(entry))? {
                Some(found) if found.kind == FileType::Directory => {
                    is_new = false;
                    break;
                }
                Some(found) => {
                    is_opaque = found.is_whiteout();
                    self.remove(&at.parent, at.base, &found).map_err(failed(entry))?;
                }
                None => {}
            }
        }
        let path = at.path();
        self.unless_linked(at, entry)?;
        if !self.remembered.implied.is_empty() {
            self.remembered.implied.remove(&path);
        }
        if is_opaque || !entry.xattrs.is_empty() {
            let made = tree::enter(at.fd(), at.base, Vec::new()).map_err(failed(entry))?;
            if is_opaque {
                whiteout::hide_below(made.fd(), self.rights).map_err(failed(entry))?;
            }
            return self.dress_directory(at, Handle::Open(made.fd()), entry, !is_new);
        }
        self.dress_directory(at, Handle::Name(at.fd(), at.base), entry, !is_new)
    }

    pub(super) fn opaque(&mut self, parent: &Parent, entry: &Entry) -> Result<(), Error> {
        self.is_opaque |= parent.path.is_empty();
        whiteout::hide_below(parent.fd(), self.rights).map_err(failed(entry))
    }

    /// Sets what can be set at once, and remembers the rest: times would not last while files are made, and a mode could
    /// be handed down to them.
    fn dress_directory(&mut self, at: &At<'_>, handle: Handle<'_>, entry: &Entry, is_old: bool) -> Result<(), Error> {
        let mode = attributes::mode(entry, FileType::Directory, self.rights);
        if self.rights == Rights::Root && (is_old || (entry.uid, entry.gid) != self.fresh.owner) {
            handle.chown((entry.uid, entry.gid)).map_err(failed(entry))?;
        }
        let xattrs = self.set_attributes(at, entry, handle)?;
        self.set_aside(at, entry, mode, None, xattrs)?;
        let path = at.path();
        let length = path.len();
        let mode = (is_old || self.fresh.differs(mode)).then_some(mode);
        match self.remembered.directories.insert(path, Directory { mode, mtime: entry.mtime }) {
            Some(_) => Ok(()),
            None => self.spending.memory(length),
        }
    }

    /// Gives the directories what comes last.
    pub(super) fn finish(mut self, stop: &dyn Fn() -> bool) -> Result<Applied, Error> {
        let failed = Error::io("cannot set the attributes of a directory");
        // From the longest path to the shortest one, so that nothing is behind a mode that shuts it in.
        for (path, directory) in self.remembered.directories.iter().rev() {
            if stop() {
                return Err(Error::Stopped);
            }
            let fd = self.tree.open(path).and_then(|fd| fd.ok_or(Errno::NOENT)).map_err(&failed)?;
            let handle = Handle::Open(fd.as_fd());
            if let Some(mode) = directory.mode {
                handle.chmod(mode).map_err(&failed)?;
            }
            handle.touch(directory.mtime).map_err(&failed)?;
        }
        Ok(Applied {
            size: self.size,
            inodes: self.inodes,
            names_root: self.names_root,
            is_opaque: self.is_opaque,
            links: self.remembered.take_links(),
            implied: self.remembered.implied.into_keys().collect(),
            aside: self.remembered.aside.into_values().collect(),
            warnings: self.remembered.warnings,
            contents: self.contents,
        })
    }
}
