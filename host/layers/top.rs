//! Tops: trees that are written to, on a snapshot or on nothing, and views of snapshots under names of their own. Docker
//! calls them read-write layers, containerd active snapshots and views.
//!
//! It does not know who writes into one or why. Clients mount by themselves (`mount`), or have it done.
//!
//! ```text
//! prepare ─► tops/<key> ─┬─ written to, by mounts ─┐
//!                        ├─ `adopt`: shows a layer ┼─► `commit` ─► snapshots/<key>
//!                        ├─ `apply`: an archive ───┘     one rename, or exactly what `Layers::stack` makes
//!                        └─ `diff`: what changed, as an archive
//!
//! tops/<key>/             0700  the key is the SHA-256 of the name; held like a layer
//! ├── tree/                     what was written, as overlay's upper directory; empty in a view, and what a view of nothing shows
//! ├── work/               0700  overlay's own; in those that are written to
//! ├── shown                     leads to what is shown between `tree` and the parent: nothing, or the adopted layer
//! ├── adopted/            0700  what was adopted, and a tree if the layer's own is not right on the parent
//! └── top, aside          0600  see `record`
//! l/<five characters>           short names for the options of mounts: see `short`
//! ```
//!
//! A top is durable before it is visible. It keeps its parent by existing, and by nothing else. Its tree has the name that
//! the tree of a snapshot has, so that a commit is one rename of the directory.
//!
//! With [`Rights::User`] a mount takes a user namespace, overlay's own attributes are
//! `user.overlay.*`, and every file belongs to who mounts: owners and devices that [`Top::apply`] cannot set are kept
//! aside, as in layers.

mod adopt;
mod apply;
mod commit;
mod diff;
mod hide;
mod measure;
mod merge;
mod mount;
pub(super) mod record;
pub(super) mod short;
mod told;

pub use self::apply::Written;
pub use self::diff::Changes;
pub use self::mount::Mount;

use self::record::{ADOPTED, Adopted, TOP};
use super::copy::{self, Look};
use super::layer::{PUBLISH_ATTEMPTS_MAX, evict};
use super::nascent::TREE;
use super::record::{ASIDE, Aside, DURABLE};
use super::snapshot::{ENTRIES_MAX, Level, key};
use super::{Error, Layers, Rights, Snapshot, attributes, held, record as records, removal, settle};
use crate::content::directory::Directory;
use crate::content::pin;
use rustix::fs::{OFlags, fsync, symlinkat};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// How many bytes the name of a top may have, and the one that it is committed under.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Overlay's own directory.
const WORK: &str = "work";

/// A tree that can be written to, or a view. It stays on disk while the handle is held, and until it is removed. Clones
/// share one pin.
#[derive(Clone, Debug)]
pub struct Top {
    layers: Layers,
    record: Arc<record::Top>,
    parent: Option<Snapshot>,
    /// Locked. The lock ends with the last descriptor of this open directory.
    directory: Arc<Directory>,
}

impl Top {
    /// Returns the name it was given.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Returns the name of the snapshot that it stands on.
    pub fn parent(&self) -> Option<&str> {
        self.record.parent.as_deref()
    }

    /// Returns whether it can be written to.
    pub fn writable(&self) -> bool {
        self.record.writable
    }

    /// Returns the disk space of what was written, in bytes and inodes: no layer, and nothing twice. A view has none.
    pub fn usage(&self) -> Result<(u64, u64), Error> {
        if self.record.writable { measure::usage(&self.directory) } else { Ok((0, 0)) }
    }

    /// Where it is, below the store's directory.
    fn place(&self) -> String {
        format!("tops/{}", key(&self.record.name))
    }

    /// Waits for its turn to change what is not in the tree. The lock ends with the file.
    fn turn(&self) -> Result<File, Error> {
        let failed = Error::io("cannot lock a top");
        let file = self.directory.open(TOP, OFlags::RDONLY).map_err(&failed)?;
        pin::claim(&file).map_err(failed)?;
        Ok(file)
    }

    /// Returns which layer it has adopted.
    fn adopted(&self) -> Result<Option<Adopted>, Error> {
        adopted(&self.directory)
    }

    fn tree(&self) -> Result<std::os::fd::OwnedFd, Error> {
        copy::below(self.directory.as_fd(), TREE.as_bytes()).map_err(Error::io("cannot open a top"))
    }

    /// Returns the trees that are its own: what was written, and what it has adopted.
    fn own_levels(&self) -> Result<Vec<Level>, Error> {
        let (place, user) = (self.place(), self.record.user);
        let mut levels = vec![Level { tree: format!("{place}/{TREE}"), asides: vec![place.clone()], user }];
        if let Some(adopted) = self.adopted()? {
            let layer = layer_place(&adopted)?;
            let place = format!("{place}/{ADOPTED}");
            let tree = format!("{}/{TREE}", if adopted.settled { &place } else { &layer });
            levels.push(Level { tree, asides: vec![place, layer], user });
        }
        Ok(levels)
    }

    /// Returns the trees of what it stands on.
    fn levels_below(&self) -> Result<Vec<Level>, Error> {
        self.parent.as_ref().map_or(Ok(Vec::new()), |parent| self.layers.levels(parent))
    }

    /// How many layers it stands on.
    fn height_below(&self) -> u32 {
        self.parent.as_ref().map_or(0, Snapshot::height)
    }
}

impl Layers {
    /// Makes a top on `parent`, or a view of it if it is not `writable`. It is durable when this returns, and so is what it
    /// stands on.
    ///
    /// Fails with [`Error::Conflict`] if a top has that name, with [`Error::Invalid`] if it is none, and with
    /// [`Error::Unsupported`] if the parent was made with other rights.
    pub fn prepare(&self, name: &str, writable: bool, parent: Option<&Snapshot>) -> Result<Top, Error> {
        check_name(name)?;
        if self.top_record(name)?.is_some() {
            return Err(Error::Conflict);
        }
        let user = self.store.rights == Rights::User;
        let levels = parent.map_or(Ok(Vec::new()), |parent| self.levels(parent))?;
        if writable && levels.iter().any(|level| level.user != user) {
            return Err(Error::Unsupported(
                "the snapshot below was made with other rights than this user's: remove it and make it again"
                    .to_owned(),
            ));
        }
        if let Some(parent) = parent.filter(|parent| parent.directory.stat(DURABLE).is_err()) {
            tracing::debug!(name = parent.name(), "making durable what a top is to stand on");
            self.sync()?;
        }
        let failed = Error::io("cannot make a top");
        let mut nascent = self.begin()?;
        if let Some(below) = levels.first().filter(|_| writable) {
            self.dress(nascent.directory(), nascent.tree(), below)?;
        }
        let origin = self.origin()?;
        let parent_name = parent.map(|parent| parent.name().to_owned());
        let record = record::Top { id: origin.id, name: name.to_owned(), parent: parent_name, writable, user };
        if writable {
            nascent.directory().make(WORK).map_err(&failed)?;
            symlinkat(mount::NOTHING, nascent.directory(), mount::SHOWN).map_err(&failed)?;
        }
        let file = records::write(nascent.directory(), TOP, &record)?;
        fsync(&file).and_then(|()| fsync(nascent.tree())).map_err(&failed)?;
        nascent.directory().sync().map_err(&failed)?;
        // The first one makes durable that there is a directory of tops.
        if self.store.tops.names().map_err(Error::io("cannot list the layer store"))?.next().is_none() {
            self.store.root.sync().map_err(&failed)?;
        }
        let (record, parent) = (Arc::new(record), parent.cloned());
        for _ in 0..PUBLISH_ATTEMPTS_MAX {
            if let Some(directory) = nascent.place(&self.store.tops, &key(name))? {
                self.store.tops.sync().map_err(failed)?;
                return Ok(Top { layers: self.clone(), record, parent, directory: Arc::new(directory) });
            }
            if self.top_record(name)?.is_some() {
                return Err(Error::Conflict);
            }
            evict(self, &self.store.tops, &key(name), |directory| read(directory, name))?;
        }
        Err(Error::InUse)
    }

    /// Opens the top that has this name.
    ///
    /// Fails with [`Error::NotFound`], also if something of what it stands on is not whole.
    pub fn find_top(&self, name: &str) -> Result<Top, Error> {
        let directory = held::pinned(&self.store.tops, &key(name))?.ok_or(Error::NotFound)?;
        let record = read(&directory, name)?.ok_or(Error::NotFound)?;
        let parent = record.parent.as_deref().map(|parent| self.snapshot(parent)).transpose()?;
        let top = Top { layers: self.clone(), record: Arc::new(record), parent, directory: Arc::new(directory) };
        if let Some(adopted) = top.adopted()? {
            self.layer(&adopted.layer.parse().map_err(|_| Error::NotFound)?)?;
        }
        top.mend()?;
        Ok(top)
    }

    /// Returns up to `limit` names of tops after `after`, in order, and at most [`ENTRIES_MAX`]. None, and a limit above 0,
    /// means that there are no more.
    pub fn tops(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        let mut page = BTreeSet::new();
        self.each_top(|top, _| {
            if after.is_none_or(|after| *top.name > *after) {
                page.insert(top.name);
                if page.len() > limit.min(ENTRIES_MAX) {
                    page.pop_last();
                }
            }
        })?;
        Ok(page.into_iter().collect())
    }

    /// Removes a top with all that was written into it, durably. Does nothing if it is absent.
    ///
    /// Fails with [`Error::InUse`] while it is mounted or has a handle.
    pub fn remove_top(&self, name: &str) -> Result<(), Error> {
        let Some(claimed) = held::claimed(&self.store.tops, &key(name))? else { return Ok(()) };
        if let Some(record) = read(&claimed, name)?
            && self.is_top_mounted(&record)?
        {
            return Err(Error::InUse);
        }
        self.discard_top(name, claimed)
    }

    /// Takes a claimed top out of sight, durably, and removes it.
    fn discard_top(&self, name: &str, claimed: Directory) -> Result<(), Error> {
        let grave = held::bury(&self.store.extract, &self.store.tops, &key(name), &claimed)?;
        self.store.tops.sync().map_err(Error::io("cannot sync a directory of the layer store"))?;
        let removed = removal::remove(&self.store.extract, &grave);
        drop(claimed);
        self.forget(&format!("tops/{}/{}", key(name), mount::SHOWN))?;
        removed
    }

    /// Calls `visit` for each top, whole or not, with what it has adopted, in no order.
    pub(super) fn each_top(&self, mut visit: impl FnMut(record::Top, Option<Adopted>)) -> Result<(), Error> {
        for entry in self.store.tops.names().map_err(Error::io("cannot list the layer store"))? {
            let entry = entry.map_err(Error::io("cannot list the layer store"))?;
            let Some(directory) = held::entered(&self.store.tops, &entry)? else { continue };
            if let Some(top) = records::read::<record::Top>(&directory, TOP)?
                && key(&top.name) == entry
            {
                visit(top, adopted(&directory)?);
            }
        }
        Ok(())
    }

    fn top_record(&self, name: &str) -> Result<Option<record::Top>, Error> {
        match held::entered(&self.store.tops, &key(name))? {
            Some(directory) => read(&directory, name),
            None => Ok(None),
        }
    }

    /// Makes the root of a top look like that of what is shown below it: overlay shows the uppermost one.
    fn dress(&self, directory: &Directory, tree: BorrowedFd<'_>, below: &Level) -> Result<(), Error> {
        let failed = Error::io("cannot make a top");
        let root = self.store.root.as_fd();
        let below_tree = copy::below(root, below.tree.as_bytes()).map_err(&failed)?;
        let wanted = look(below_tree.as_fd()).map_err(&failed)?;
        for (name, _) in look(tree).map_err(&failed)?.attributes {
            if !wanted.attributes.iter().any(|(kept, _)| *kept == name) {
                rustix::fs::fremovexattr(tree, name.as_c_str()).map_err(&failed)?;
            }
        }
        wanted.apply(tree).map_err(&failed)?;
        let mut found = None;
        for place in below.asides.iter().filter(|_| below.user) {
            if found.is_none() {
                found = settle::asides(root, place)?.into_iter().find(|aside| aside.path.is_empty());
            }
        }
        set_aside(directory, &found.into_iter().collect::<Vec<_>>())
    }
}

/// What a root looks like, without what overlay keeps there for itself.
fn look(tree: BorrowedFd<'_>) -> rustix::io::Result<Look> {
    let mut look = Look::of(tree)?;
    look.attributes.retain(|(name, _)| !attributes::is_overlays(name));
    Ok(look)
}

/// Writes down what could not be set in the tree of a top, in one step.
fn set_aside(directory: &Directory, aside: &[Aside]) -> Result<(), Error> {
    const NEW: &str = "aside.new";
    let failed = Error::io("cannot write what is kept beside a top");
    let gone = |removed| match removed {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        other => other,
    };
    if aside.is_empty() {
        return gone(directory.unlink(ASIDE)).map_err(failed);
    }
    gone(directory.unlink(NEW)).map_err(&failed)?;
    let file = records::write(directory, NEW, aside)?;
    fsync(&file).map_err(&failed)?;
    rustix::fs::renameat(directory, NEW, directory, ASIDE).map_err(failed)
}

/// Reads the record of the top `name`.
fn read(directory: &Directory, name: &str) -> Result<Option<record::Top>, Error> {
    Ok(records::read::<record::Top>(directory, TOP)?.filter(|top| top.name == name))
}

fn adopted(directory: &Directory) -> Result<Option<Adopted>, Error> {
    match held::entered(directory, ADOPTED)? {
        Some(directory) => records::read(&directory, ADOPTED),
        None => Ok(None),
    }
}

/// Where an adopted layer is, below the store's directory.
fn layer_place(adopted: &Adopted) -> Result<String, Error> {
    let diff_id: crate::hash::Digest =
        adopted.layer.parse().map_err(|_| Error::Damaged("a top has adopted what is no layer".to_owned()))?;
    Ok(format!("layers/{}", diff_id.encoded()))
}

/// Checks the name of a snapshot or a top: whoever lists them has all of their names in memory.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        _ => Err(Error::Invalid("the name of a snapshot has 1 to 1 024 bytes")),
    }
}
