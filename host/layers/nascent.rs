//! Layers and snapshots before anybody sees them: private directories below `extract/`, and the debris that dead
//! processes leave there.
//!
//! It does not write what is in the trees.

use super::top::record::{self as top_record, TOP};
use super::{Error, Layers, held, record, removal};
use crate::content::directory::Directory;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

/// The name of a tree in its directory.
pub(super) const TREE: &str = "tree";

/// How many directories of dead processes one process removes before its first layer.
const DEBRIS_MAX: usize = 16;

/// The mode of a root that no entry names, as containerd makes it.
pub(super) const ROOT_MODE: Mode = Mode::from_raw_mode(0o755);

/// A layer or snapshot that is being made. Dropping it removes it.
#[derive(Debug)]
pub struct Nascent {
    pub(super) layers: Layers,
    name: String,
    /// Pinned: the sweep of another process leaves it alone, and so it is when it becomes visible.
    pub(super) directory: Option<Directory>,
    tree: OwnedFd,
}

impl Layers {
    /// Makes a private directory for a layer. The first call of a process also removes what processes left that died.
    pub fn begin(&self) -> Result<Nascent, Error> {
        if !self.store.swept.swap(true, Ordering::Relaxed) {
            self.sweep(DEBRIS_MAX)?;
        }
        let (name, directory) = held::fresh(&self.store.extract)?;
        let made = rustix::fs::mkdirat(&directory, TREE, Mode::RWXU)
            .and_then(|()| open_tree(directory.as_fd()))
            // The process's umask has no say in what an image looks like.
            .and_then(|tree| rustix::fs::fchmod(&tree, ROOT_MODE).map(|()| tree));
        match made {
            Ok(tree) => Ok(Nascent { layers: self.clone(), name, directory: Some(directory), tree }),
            Err(error) => {
                let _ = removal::remove(&self.store.extract, &name);
                Err(Error::io("cannot make a directory of the layer store")(error))
            }
        }
    }

    /// Removes what nobody holds, of the first `count` that are there.
    pub(super) fn sweep(&self, count: usize) -> Result<(), Error> {
        let extract = &self.store.extract;
        let names = extract.names().map_err(Error::io("cannot list the layer store"))?;
        for name in names.take(count) {
            let name = name.map_err(Error::io("cannot list the layer store"))?;
            match held::claimed(extract, &name) {
                // Overlay goes on using what was taken away under it.
                Ok(Some(claimed)) if self.is_grave_mounted(&claimed)? => {}
                Ok(Some(_claimed)) => removal::remove(extract, &name)?,
                Ok(None) | Err(Error::InUse) => {}
                Err(error) => return Err(error),
            }
        }
        self.sweep_short(count)
    }

    /// Whether somebody has mounted the top whose directory this was.
    fn is_grave_mounted(&self, claimed: &Directory) -> Result<bool, Error> {
        match record::read::<top_record::Top>(claimed, TOP)? {
            Some(top) => self.is_top_mounted(&top),
            None => Ok(false),
        }
    }
}

impl Nascent {
    /// Returns the directory that becomes the tree, empty at first.
    pub fn tree(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }

    pub(super) fn directory(&self) -> &Directory {
        self.directory.as_ref().expect("it is here until it is published")
    }

    /// Takes the tree away again: what comes of this has none of its own.
    pub(super) fn without_tree(&self) -> Result<(), Error> {
        removal::remove(self.directory(), TREE)
    }

    /// Moves it to `name` in `target` and returns it pinned, or returns none if something has that name.
    pub(super) fn place(&mut self, target: &Directory, name: &str) -> Result<Option<Directory>, Error> {
        // A rename of a directory replaces nothing but an empty one, which is nobody's.
        match rustix::fs::renameat(&self.layers.store.extract, self.name.as_str(), target, name) {
            Ok(()) => Ok(self.directory.take()),
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(None),
            // Something else than a directory has the name, which nobody can hold.
            Err(Errno::NOTDIR) => match target.unlink(name) {
                Ok(()) | Err(Errno::NOENT) => self.place(target, name),
                Err(error) => Err(Error::io("cannot give a layer its name")(error)),
            },
            Err(error) => Err(Error::io("cannot give a layer its name")(error)),
        }
    }
}

impl Drop for Nascent {
    fn drop(&mut self) {
        if self.directory.is_some()
            && let Err(error) = removal::remove(&self.layers.store.extract, &self.name)
        {
            tracing::warn!(%error, "what was begun of a layer could not be removed");
        }
    }
}

/// Opens the tree in a directory of the store.
fn open_tree(directory: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, TREE, flags, Mode::empty())
}
