//! Settles what a layer implies about the layers below it: directories that it has and no entry of its names, and hard
//! links to files that it does not have.
//!
//! A directory without an entry looks like the directory below it, by the rule of containerd: the nearest snapshot
//! below that has something at the path, links followed inside that snapshot alone and opaque directories not minded,
//! decides. If it is a directory, owner, mode, times and attributes are taken from it, those of `trusted.*` excepted. If
//! it is something else, or nothing has the path, the directory stays as it was made. It does so too where containerd
//! refuses an image, because a path leads through something that is no directory.
//!
//! Hard links are in `links`.
//!
//! If the layer's own tree is right as it is, it is used. Else the snapshot gets a tree of its own. Times alone are no
//! reason for one: containerd leaves the time of extraction there.

use super::attributes;
use super::copy::{self, Look};
use super::links;
use super::nascent::{Nascent, TREE};
use super::record::{self, ASIDE, Aside};
use super::{Error, Layer, Layers, Snapshot, snapshot::Level};
use crate::content::directory::Directory;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Whether the tree of the nascent snapshot is to be used.
    pub(super) differs: bool,
    /// What could not be set in it.
    pub(super) aside: Vec<Aside>,
}

/// Settles `top` on `parent`, into the tree of `nascent` if need be.
pub(super) fn settle(nascent: &Nascent, parent: Option<&Snapshot>, top: &Layer) -> Result<Settled, Error> {
    let mut settled = Settled::default();
    let layers = &nascent.layers;
    let mut implied: Vec<&[u8]> = top.record.implied.iter().map(Vec::as_slice).collect();
    if !top.record.names_root {
        implied.push(b"");
    }
    if implied.is_empty() && top.record.links.is_empty() {
        return Ok(settled);
    }
    let levels = match parent {
        Some(parent) if !top.record.is_opaque => layers.levels(parent)?,
        _ => Vec::new(),
    };
    let root = layers.store.root.as_fd();
    let below = levels.iter().map(|level| Lower::open(root, level)).collect::<Result<Vec<_>, _>>()?;
    let source = copy::below(top.directory.as_fd(), TREE.as_bytes()).map_err(Error::io("cannot open a layer"))?;
    let mut looks = HashMap::new();
    for path in implied {
        let Some((lower, directory)) = decider(&below, path)? else { continue };
        let look = look(source.as_fd(), path, directory.as_fd()).map_err(Error::io("cannot settle a layer"))?;
        if let Some(look) = look {
            looks.insert(path.to_vec(), look);
        }
        if top.record.user {
            settled.aside.extend(lower.aside(root, path, path)?);
        }
    }
    settled.differs = !looks.is_empty() || !top.record.links.is_empty();
    if settled.differs {
        copy::copy(source.as_fd(), nascent.tree(), &looks)?;
    }
    settled.aside.extend(join(root, nascent.tree(), top.record.user, &below, below.len(), &top.record.links)?);
    Ok(settled)
}

/// Settles a tree that is nobody's on `levels`, where it is. Files of the first of these, which the tree is to be a part of,
/// may get second names in it; those of the others are copied, because it will be written to. Returns what could not be set.
pub(super) fn settle_here(
    layers: &Layers,
    tree: BorrowedFd<'_>,
    user: bool,
    implied: &BTreeSet<Vec<u8>>,
    links: &[record::Link],
    levels: &[Level],
) -> Result<Vec<Aside>, Error> {
    let root = layers.store.root.as_fd();
    let below = levels.iter().map(|level| Lower::open(root, level)).collect::<Result<Vec<_>, _>>()?;
    let mut aside = Vec::new();
    for path in implied {
        let Some((lower, directory)) = decider(&below, path)? else { continue };
        let failed = Error::io("cannot settle a layer");
        if let Some(look) = look(tree, path, directory.as_fd()).map_err(&failed)? {
            let own = copy::below(tree, path).map_err(&failed)?;
            look.apply(own.as_fd()).map_err(&failed)?;
        }
        if user {
            aside.extend(lower.aside(root, path, path)?);
        }
    }
    aside.extend(join(root, tree, user, &below, 1, links)?);
    Ok(aside)
}

/// Makes hard links in a tree to what is below it, `shared` as in [`links::link`]. Returns what could not be set of them.
fn join(
    root: BorrowedFd<'_>,
    tree: BorrowedFd<'_>,
    user: bool,
    below: &[Lower<'_>],
    shared: usize,
    links: &[record::Link],
) -> Result<Vec<Aside>, Error> {
    let trees: Vec<_> = below.iter().map(|lower| (lower.tree.as_fd(), lower.level.user)).collect();
    let mut aside = Vec::new();
    for link in links {
        let ways = |path: &[u8]| match decider(below, path)? {
            Some((_, directory)) => Look::of(&directory).map(Some).map_err(Error::io("cannot settle a layer")),
            None => Ok(None),
        };
        let found = links::link(tree, user, &trees, shared, link, ways)?;
        if let Some((lower, found)) = found
            && user
        {
            aside.extend(below[lower].aside(root, &found, &link.path)?);
        }
    }
    Ok(aside)
}

/// A tree below.
#[derive(Debug)]
struct Lower<'a> {
    tree: OwnedFd,
    level: &'a Level,
}

impl<'a> Lower<'a> {
    fn open(root: BorrowedFd<'_>, level: &'a Level) -> Result<Self, Error> {
        let tree = copy::below(root, level.tree.as_bytes()).map_err(Error::io("cannot open a layer"))?;
        Ok(Self { tree, level })
    }

    /// What could not be set of the file `path`, as if it were about `as_path`.
    fn aside(&self, root: BorrowedFd<'_>, path: &[u8], as_path: &[u8]) -> Result<Option<Aside>, Error> {
        for directory in &self.level.asides {
            let found = asides(root, directory)?.into_iter().find(|aside| aside.path == path);
            if let Some(aside) = found {
                return Ok(Some(Aside { path: as_path.to_vec(), ..aside }));
            }
        }
        Ok(None)
    }
}

/// Reads what could not be set of a layer or snapshot.
pub(super) fn asides(root: BorrowedFd<'_>, directory: &str) -> Result<Vec<Aside>, Error> {
    let Ok(directory) = copy::below(root, directory.as_bytes()) else { return Ok(Vec::new()) };
    let directory = Directory::from(directory);
    Ok(record::read(&directory, ASIDE)?.unwrap_or_default())
}

/// Returns the directory below that decides what the implied directory `path` looks like, if any does.
fn decider<'a, 'b>(below: &'b [Lower<'a>], path: &[u8]) -> Result<Option<(&'b Lower<'a>, OwnedFd)>, Error> {
    let name = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for lower in below {
        let found = loop {
            match openat2(&lower.tree, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                other => break other,
            }
        };
        let found = match found {
            Ok(found) => found,
            Err(Errno::NOENT) => continue,
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => return Ok(None),
            Err(error) => return Err(Error::io("cannot settle a layer")(error)),
        };
        let stat = fstat(&found).map_err(Error::io("cannot settle a layer"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&found, c".", flags, Mode::empty());
        return directory.map(|directory| Some((lower, directory))).map_err(Error::io("cannot settle a layer"));
    }
    Ok(None)
}

/// What the implied directory `path` of `tree` is to look like, if not as it does.
fn look(tree: BorrowedFd<'_>, path: &[u8], below: BorrowedFd<'_>) -> rustix::io::Result<Option<Look>> {
    let own = Look::of(copy::below(tree, path)?)?;
    let mut look = Look::of(below)?;
    look.attributes.retain(|(name, _)| !name.to_bytes().starts_with(b"trusted.") && !attributes::is_overlays(name));
    // Overlay's mark is the layer's own word.
    look.attributes.extend(own.attributes.iter().filter(|(name, _)| attributes::is_overlays(name)).cloned());
    look.attributes.sort();
    let same = (look.owner, look.mode, &look.attributes) == (own.owner, own.mode, &own.attributes);
    Ok((!same).then_some(look))
}
