//! Snapshots: layers stacked by name.
//!
//! A snapshot keeps what it stands on by existing: nothing is counted. Whoever removes something takes its exclusive
//! lock, and then looks whether a snapshot, or a top, names it. Whoever stacks holds both things that the new snapshot
//! names.

use super::layer::{Layer, PUBLISH_ATTEMPTS_MAX, believed as believed_layer, evict};
use super::nascent::TREE;
use super::record::{self, ASIDE, SNAPSHOT};
use super::sums::{self, Tree};
use super::top::check_name;
use super::top::record::{self as top_record, TOP};
use super::{Error, Layers, held, settle};
use crate::content::directory::Directory;
use crate::hash::{Algorithm, Digest};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many layers may stand on each other: the kernel's limit of overlay's lower directories.
pub const HEIGHT_MAX: u32 = 500;
/// How many names [`Layers::entries`] returns at most.
pub const ENTRIES_MAX: usize = 1_000;

/// A layer and everything below it, which stay on disk while the handle is held. Clones share one pin.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) record: Arc<record::Snapshot>,
    /// Locked. The lock ends with the last descriptor of this open directory.
    pub(super) directory: Arc<Directory>,
}

/// One directory of a stack, as it is mounted and read.
#[derive(Clone, Debug)]
pub(super) struct Level {
    /// The tree, below the store's directory.
    pub(super) tree: String,
    /// Directories below the store's directory whose `aside` is about the tree, the one that decides first.
    pub(super) asides: Vec<String>,
    /// Whether it was made with the rights of an ordinary user.
    pub(super) user: bool,
}

impl Snapshot {
    /// Returns the name it was given.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Returns the name of the snapshot below it.
    pub fn parent(&self) -> Option<&str> {
        self.record.parent.as_deref()
    }

    /// Returns the DiffID of the layer on top; none if what was written into a top is in its place.
    pub fn layer(&self) -> Option<&str> {
        Some(self.record.layer.as_str()).filter(|layer| !layer.is_empty())
    }

    /// Returns how many layers there are.
    pub fn height(&self) -> u32 {
        self.record.height
    }

    /// Returns the space of the tree that this one has for itself, in bytes and inodes; none if it shows its layer's.
    pub fn usage(&self) -> (u64, u64) {
        if self.record.settled { (self.record.size, self.record.inodes) } else { (0, 0) }
    }

    /// Reads the tree that this one has for itself, if it has one, and compares it with what was recorded when it was
    /// made. Ends soon after `stop` says so.
    ///
    /// Fails with [`Error::Changed`] if it is not the same.
    pub fn verify(&self, stop: &dyn Fn() -> bool) -> Result<(), Error> {
        match &self.record.total {
            Some(total) => sums::verify(&self.directory, total, Tree::Snapshot, stop),
            None => Ok(()),
        }
    }
}

impl Layers {
    /// Puts `top` on `parent`, settles what it implies about the layers below, and calls the result `name`. Returns the
    /// snapshot that exists, if any.
    ///
    /// Fails with [`Error::TooLarge`] if the stack is higher than [`HEIGHT_MAX`], with [`Error::Entry`] if the layer
    /// has a hard link to something that no layer below has, with [`Error::Invalid`] if the name is none.
    pub fn stack(&self, name: &str, parent: Option<&Snapshot>, top: &Layer) -> Result<Snapshot, Error> {
        check_name(name)?;
        loop {
            match self.snapshot(name) {
                Err(Error::NotFound) => {}
                other => return other,
            }
            match self.stack_anew(name, parent, top) {
                // Somebody was faster.
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
    }

    /// Does the same.
    ///
    /// Fails with [`Error::Conflict`] if the snapshot exists.
    pub(super) fn stack_anew(&self, name: &str, parent: Option<&Snapshot>, top: &Layer) -> Result<Snapshot, Error> {
        let height = parent.map_or(0, Snapshot::height) + 1;
        if height > HEIGHT_MAX {
            return Err(Error::TooLarge { what: "layers below it", limit: u64::from(HEIGHT_MAX) - 1 });
        }
        let mut nascent = self.begin()?;
        let settled = settle::settle(&nascent, parent, top)?;
        if !settled.differs {
            nascent.without_tree()?;
        }
        if !settled.aside.is_empty() {
            record::write(nascent.directory(), ASIDE, &settled.aside)?;
        }
        let total = settled.differs.then(|| sums::write(nascent.directory(), Tree::Snapshot)).transpose()?;
        let record = record::Snapshot {
            origin: self.origin()?,
            name: name.to_owned(),
            parent: parent.map(|parent| parent.name().to_owned()),
            layer: top.diff_id().to_string(),
            settled: settled.differs,
            height,
            size: top.size(),
            inodes: top.inodes(),
            total,
        };
        record::write(nascent.directory(), SNAPSHOT, &record)?;
        let record = Arc::new(record);
        for _ in 0..PUBLISH_ATTEMPTS_MAX {
            if let Some(directory) = nascent.place(&self.store.snapshots, &key(name))? {
                return Ok(Snapshot { record, directory: Arc::new(directory) });
            }
            self.vacate(name)?;
        }
        Err(Error::InUse)
    }

    /// Removes what has the name of the snapshot `name` and is none.
    ///
    /// Fails with [`Error::Conflict`] if it is one.
    pub(super) fn vacate(&self, name: &str) -> Result<(), Error> {
        match self.snapshot(name) {
            Err(Error::NotFound) => {
                evict(self, &self.store.snapshots, &key(name), |directory| self.whole(directory, name))
            }
            Ok(_) => Err(Error::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Opens the snapshot that has this name.
    ///
    /// Fails with [`Error::NotFound`], also if something of it or below it is not whole.
    pub fn snapshot(&self, name: &str) -> Result<Snapshot, Error> {
        let directory = held::pinned(&self.store.snapshots, &key(name))?.ok_or(Error::NotFound)?;
        let record = self.whole(&directory, name)?.ok_or(Error::NotFound)?;
        Ok(Snapshot { record: Arc::new(record), directory: Arc::new(directory) })
    }

    /// Reads the record of the snapshot `name` if it and everything below it is whole.
    pub(super) fn whole(&self, directory: &Directory, name: &str) -> Result<Option<record::Snapshot>, Error> {
        let Some(top) = self.believed(directory, name)? else { return Ok(None) };
        let (mut below, mut height) = (top.parent.clone(), top.height);
        if !self.has_layer(&top)? {
            return Ok(None);
        }
        while let Some(name) = below {
            let Some(record) = self.peek(&name)? else { return Ok(None) };
            // Each is one lower than the one above. So a circle cannot be.
            if record.height + 1 != height || !self.has_layer(&record)? {
                return Ok(None);
            }
            (below, height) = (record.parent, record.height);
        }
        Ok((height == 1).then_some(top))
    }

    /// Reads the record of the snapshot `name`, if it is believed, without looking at what is below.
    fn peek(&self, name: &str) -> Result<Option<record::Snapshot>, Error> {
        match held::entered(&self.store.snapshots, &key(name))? {
            Some(directory) => self.believed(&directory, name),
            None => Ok(None),
        }
    }

    fn believed(&self, directory: &Directory, name: &str) -> Result<Option<record::Snapshot>, Error> {
        match record::read::<record::Snapshot>(directory, SNAPSHOT)? {
            Some(record) if record.name == name && self.is_whole(directory, &record.origin)? => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    fn has_layer(&self, record: &record::Snapshot) -> Result<bool, Error> {
        if record.layer.is_empty() {
            return Ok(self.level(record)?.is_some());
        }
        let Ok(diff_id) = record.layer.parse::<Digest>() else { return Ok(false) };
        match held::entered(&self.store.layers, &diff_id.encoded())? {
            Some(directory) => Ok(believed_layer(self, &directory)?.is_some()),
            None => Ok(false),
        }
    }

    /// Returns the directories of a stack, the top first.
    pub(super) fn levels(&self, snapshot: &Snapshot) -> Result<Vec<Level>, Error> {
        let damaged = |name: &str| Error::Damaged(format!("`{name}` or something below it is not whole"));
        let mut levels = Vec::new();
        let mut record = record::Snapshot::clone(&snapshot.record);
        loop {
            let (level, is_opaque) = self.level(&record)?.ok_or_else(|| damaged(&record.name))?;
            levels.push(level);
            let parent = match record.parent {
                Some(parent) if !is_opaque => parent,
                _ => return Ok(levels),
            };
            record = self.peek(&parent)?.ok_or_else(|| damaged(&parent))?;
        }
    }

    /// Returns the directory that one snapshot adds, and whether nothing below it is left. None if it is not whole.
    fn level(&self, record: &record::Snapshot) -> Result<Option<(Level, bool)>, Error> {
        let own = format!("snapshots/{}", key(&record.name));
        if record.layer.is_empty() {
            let directory = held::entered(&self.store.snapshots, &key(&record.name))?;
            let top =
                directory.map(|directory| record::read::<top_record::Top>(&directory, TOP)).transpose()?.flatten();
            let level = |user| Level { tree: format!("{own}/{TREE}"), asides: vec![own], user };
            return Ok(top.map(|top| (level(top.user), false)));
        }
        let Ok(diff_id) = record.layer.parse::<Digest>() else { return Ok(None) };
        let Some(layer) = held::entered(&self.store.layers, &diff_id.encoded())? else { return Ok(None) };
        let Some(record::Layer { user, is_opaque, .. }) = believed_layer(self, &layer)? else { return Ok(None) };
        let layer = format!("layers/{}", diff_id.encoded());
        let tree = format!("{}/{TREE}", if record.settled { &own } else { &layer });
        Ok(Some((Level { tree, asides: vec![own, layer], user }, is_opaque)))
    }

    /// Returns up to `limit` names after `after`, in order of name, and at most [`ENTRIES_MAX`]. None, and a limit above
    /// 0, means that there are no more.
    pub fn entries(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        let mut page = BTreeSet::new();
        self.each(|record| {
            if after.is_none_or(|after| *record.name > *after) {
                page.insert(record.name);
                if page.len() > limit.min(ENTRIES_MAX) {
                    page.pop_last();
                }
            }
        })?;
        Ok(page.into_iter().collect())
    }

    /// Calls `visit` for each snapshot that is believed, in no order.
    pub(super) fn each(&self, mut visit: impl FnMut(record::Snapshot)) -> Result<(), Error> {
        for entry in self.store.snapshots.names().map_err(Error::io("cannot list the layer store"))? {
            let entry = entry.map_err(Error::io("cannot list the layer store"))?;
            let Some(directory) = held::entered(&self.store.snapshots, &entry)? else { continue };
            let record: Option<record::Snapshot> = record::read(&directory, SNAPSHOT)?;
            if let Some(record) = record
                && key(&record.name) == entry
                && self.is_whole(&directory, &record.origin)?
            {
                visit(record);
            }
        }
        Ok(())
    }

    /// Removes a snapshot, and its layer if no other snapshot uses it and nobody holds it. Does nothing if it is absent.
    ///
    /// Fails with [`Error::InUse`] while it has a child or a handle, or is mounted.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let key = key(name);
        let Some(claimed) = held::claimed(&self.store.snapshots, &key)? else { return Ok(()) };
        let record: Option<record::Snapshot> = record::read(&claimed, SNAPSHOT)?;
        let mut has_child = false;
        self.each(|record| has_child |= record.parent.as_deref() == Some(name))?;
        self.each_top(|top, _| has_child |= top.parent.as_deref() == Some(name))?;
        if has_child || self.is_mounted(&key)? {
            return Err(Error::InUse);
        }
        held::discard(&self.store.extract, &self.store.snapshots, &key, claimed)?;
        self.forget(&format!("snapshots/{key}/{TREE}"))?;
        match record.and_then(|record| record.layer.parse().ok()) {
            Some(diff_id) => match self.remove_layer(&diff_id) {
                Err(Error::InUse) => Ok(()),
                other => other,
            },
            None => Ok(()),
        }
    }
}

/// The name of a snapshot's directory: names may be anything.
pub(super) fn key(name: &str) -> String {
    Digest::of(Algorithm::Sha256, name.as_bytes()).encoded()
}
