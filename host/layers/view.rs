//! Reads a stack of trees as one, by the rules of overlay, without mounting it: any user may.
//!
//! It finds; `view/entry` describes and reads, `view/walk` goes through everything, `view/difference` compares two,
//! `view/archive` makes one tar of it, `view/changes` one of what its trees change over others,
//! `view/foreign` looks for what is not root's.
//! Symbolic links are resolved inside the image, `..` stops at its root, and nothing leads outside: every step is one
//! name in one open directory, no link followed by the kernel.

mod archive;
mod changes;
mod difference;
mod entry;
pub(super) mod foreign;
mod walk;

pub use self::archive::{ArchiveError, Archived};
pub use self::difference::{Change, Difference};
pub use self::entry::{Entry, Kind};
pub use self::walk::Walk;

use super::record::Aside;
use super::snapshot::Level;
use super::{Error, Layers, Snapshot, attributes, copy, settle};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// How many symbolic links one path may lead through, as in the kernel.
const LINKS_MAX: u32 = 40;

/// A stack of trees, read as one.
#[derive(Debug)]
pub struct View {
    /// The top first.
    trees: Vec<Tree>,
    /// Pins them.
    _snapshot: Option<Snapshot>,
}

#[derive(Debug)]
struct Tree {
    root: OwnedFd,
    user: bool,
    /// What could not be set, by path.
    aside: HashMap<Vec<u8>, Aside>,
}

/// A directory of the view: the directories that are merged into it, the top one first.
#[derive(Debug)]
struct Merged {
    /// Which tree each is of.
    parts: Vec<(usize, OwnedFd)>,
}

/// Something in a directory of the view.
#[derive(Debug)]
struct Found {
    tree: usize,
    /// The directory of that tree that has it.
    parent: Rc<Merged>,
    /// Which part of `parent` that is.
    part: usize,
    name: CString,
    stat: Stat,
}

/// Where a path leads to.
#[derive(Debug)]
enum Place {
    Root(Rc<Merged>),
    Entry(Found),
}

impl View {
    /// Reads `snapshot`.
    pub fn new(layers: &Layers, snapshot: &Snapshot) -> Result<Self, Error> {
        let view = Self::levels(layers, &layers.levels(snapshot)?)?;
        Ok(Self { _snapshot: Some(snapshot.clone()), ..view })
    }

    /// Reads `levels`, the top first. Whoever calls keeps them.
    pub(super) fn levels(layers: &Layers, levels: &[Level]) -> Result<Self, Error> {
        let root = layers.store.root.as_fd();
        let mut trees = Vec::new();
        for level in levels {
            let tree = copy::below(root, level.tree.as_bytes()).map_err(Error::io("cannot open a layer"))?;
            let mut aside = HashMap::new();
            // The first one decides.
            for directory in level.asides.iter().rev().filter(|_| level.user) {
                aside.extend(settle::asides(root, directory)?.into_iter().map(|aside| (aside.path.clone(), aside)));
            }
            trees.push(Tree { root: tree, user: level.user, aside });
        }
        Ok(Self { trees, _snapshot: None })
    }

    /// Returns the names that are in the root.
    pub(super) fn root_names(&self) -> Result<Vec<CString>, Error> {
        Ok(self.children(&Rc::new(self.root()?))?.into_keys().collect())
    }

    /// Reads `trees`, the top first, each with whether an ordinary user made it.
    pub(super) fn of(trees: &[(BorrowedFd<'_>, bool)]) -> Result<Self, Error> {
        let trees = trees.iter().map(|&(root, user)| {
            let root = root.try_clone_to_owned().map_err(Error::io("cannot open a layer"))?;
            Ok(Tree { root, user, aside: HashMap::new() })
        });
        Ok(Self { trees: trees.collect::<Result<_, Error>>()?, _snapshot: None })
    }

    /// Finds the file `path`, which is no directory; a link in its last component is the file itself. Returns which tree
    /// has it, and the path that it has there.
    pub(super) fn file(&self, path: &[u8]) -> Result<Option<(usize, Vec<u8>)>, Error> {
        match self.place(path, false) {
            Ok((Place::Entry(found), path)) if !found.is_directory() => Ok(Some((found.tree, path))),
            Ok(_) | Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn root(&self) -> Result<Merged, Error> {
        let parts = self.trees.iter().enumerate().map(|(index, tree)| {
            let root = openat(&tree.root, c".", directory_flags(), Mode::empty());
            Ok((index, root.map_err(Error::io("cannot open a layer"))?))
        });
        Ok(Merged { parts: parts.collect::<Result<_, Error>>()? })
    }

    /// Finds `path`. Links in it are resolved, and one at its end if `follow`. Returns the resolved path too.
    fn place(&self, path: &[u8], follow: bool) -> Result<(Place, Vec<u8>), Error> {
        let mut directories = vec![Rc::new(self.root()?)];
        let mut names: Vec<CString> = Vec::new();
        // What is still to be gone, the next component last.
        let mut pending: Vec<Vec<u8>> = components(path).collect();
        let mut links = 0;
        while let Some(component) = pending.pop() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if directories.len() > 1 {
                        directories.pop();
                        names.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let name = CString::new(component).map_err(|_| Error::NotFound)?;
            let parent = directories.last().expect("the root is never taken away");
            let found = self.child(parent, &name)?.ok_or(Error::NotFound)?;
            let is_last = pending.iter().all(|component| matches!(component.as_slice(), b"" | b"."));
            match FileType::from_raw_mode(found.stat.st_mode) {
                FileType::Symlink if !is_last || follow => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Error::Entry {
                            path: path.escape_ascii().to_string(),
                            why: format!("leads through more than {LINKS_MAX} symbolic links"),
                        });
                    }
                    let target = found.link()?;
                    if target.starts_with(b"/") {
                        directories.truncate(1);
                        names.clear();
                    }
                    pending.extend(components(&target));
                }
                FileType::Directory => {
                    if is_last {
                        names.push(name);
                        return Ok((Place::Entry(found), joined(&names)));
                    }
                    let merged = self.merged(&found)?;
                    directories.push(Rc::new(merged));
                    names.push(name);
                }
                _ if is_last => {
                    names.push(name);
                    return Ok((Place::Entry(found), joined(&names)));
                }
                _ => return Err(Error::NotFound),
            }
        }
        // It ends in the root, or in `..`.
        let last = directories.pop().expect("the root is never taken away");
        match (names.pop(), directories.pop()) {
            (Some(name), Some(parent)) => {
                let found = self.child(&parent, &name)?.ok_or(Error::NotFound)?;
                names.push(name);
                Ok((Place::Entry(found), joined(&names)))
            }
            _ => Ok((Place::Root(last), Vec::new())),
        }
    }

    /// Finds `name` in a directory.
    fn child(&self, parent: &Rc<Merged>, name: &CStr) -> Result<Option<Found>, Error> {
        for (part, (tree, directory)) in parent.parts.iter().enumerate() {
            let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT | Errno::NAMETOOLONG) => continue,
                Err(error) => return Err(Error::io("cannot describe a file of a layer")(error)),
            };
            if is_whiteout(&stat) {
                return Ok(None);
            }
            return Ok(Some(Found { tree: *tree, parent: Rc::clone(parent), part, name: name.to_owned(), stat }));
        }
        Ok(None)
    }

    /// Opens a directory that was found, with what lower trees have of it.
    fn merged(&self, found: &Found) -> Result<Merged, Error> {
        Ok(self.merge(found)?.0)
    }

    /// Does the same, and returns also whether trees below this view would have no part in it.
    fn merge(&self, found: &Found) -> Result<(Merged, bool), Error> {
        let failed = Error::io("cannot open a directory of a layer");
        let (mut parts, mut is_closed) = (Vec::new(), false);
        for (tree, parent) in &found.parent.parts[found.part..] {
            let directory = match openat(parent, found.name.as_c_str(), directory_flags(), Mode::empty()) {
                Ok(directory) => directory,
                Err(Errno::NOENT) => continue,
                // A file, a link or a whiteout ends what is merged.
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    is_closed = true;
                    break;
                }
                Err(error) => return Err(failed(error)),
            };
            is_closed = attributes::is_opaque(&directory, self.trees[*tree].user).map_err(&failed)?;
            parts.push((*tree, directory));
            if is_closed {
                break;
            }
        }
        Ok((Merged { parts }, is_closed))
    }

    /// Returns what is in a directory, by name.
    fn children(&self, directory: &Rc<Merged>) -> Result<BTreeMap<CString, Found>, Error> {
        let mut children = self.everything(directory)?;
        children.retain(|_, found| !is_whiteout(&found.stat));
        Ok(children)
    }

    /// Returns what is in a directory, by name, with overlay's signs that something is gone.
    fn everything(&self, directory: &Rc<Merged>) -> Result<BTreeMap<CString, Found>, Error> {
        let failed = Error::io("cannot list a directory of a layer");
        let mut children = BTreeMap::new();
        for (part, (tree, open)) in directory.parts.iter().enumerate() {
            for entry in rustix::fs::Dir::read_from(open).map_err(&failed)? {
                let entry = entry.map_err(&failed)?;
                let name = entry.file_name();
                if [c".", c".."].contains(&name) || children.contains_key(name) {
                    continue;
                }
                let stat = statat(open, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)?;
                let found = Found { tree: *tree, parent: Rc::clone(directory), part, name: name.to_owned(), stat };
                children.insert(name.to_owned(), found);
            }
        }
        Ok(children)
    }
}

impl Found {
    fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }

    /// The directory that has it.
    fn directory(&self) -> BorrowedFd<'_> {
        self.parent.parts[self.part].1.as_fd()
    }

    fn link(&self) -> Result<Vec<u8>, Error> {
        let target = rustix::fs::readlinkat(self.directory(), self.name.as_c_str(), Vec::new());
        target.map(CString::into_bytes).map_err(Error::io("cannot read a link of a layer"))
    }
}

/// Overlay's sign that a name of the trees below is gone. Devices 0:0 of archives are refused.
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// The components of a path, the last one first.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec)
}

fn joined(names: &[CString]) -> Vec<u8> {
    names.iter().map(|name| name.to_bytes()).collect::<Vec<_>>().join(&b'/')
}
