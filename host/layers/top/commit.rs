//! A top becomes a snapshot. At every moment one of the two is there, whole and durable; at some, both.
//!
//! ```text
//! adopted, nothing written   stack ─► sync ─► the top goes                as if wharf had made it
//! written                    sums, record ─► syncfs ─► `durable` ─► tops/<key> becomes snapshots/<key>
//! written, and mounted       the same with a copy of the tree ─► the top goes
//! ```
//!
//! What is mounted cannot be had to itself, and a snapshot never changes: so it is copied, and what is written afterwards is
//! nobody's. The directory of a top that went while it was mounted is removed by a sweep after the last mount has ended.
//! What the directory of a top has and a snapshot needs not is removed after the rename; whoever dies there leaves it to go
//! with the snapshot.

use super::record::{Adopted, TOP};
use super::{Top, WORK, check_name, measure, mount, read};
use crate::content::directory::Directory;
use crate::content::pin;
use crate::hash::{Algorithm, Digest};
use crate::layers::layer::PUBLISH_ATTEMPTS_MAX;
use crate::layers::nascent::Nascent;
use crate::layers::record::{self, ASIDE, Aside, DURABLE, SNAPSHOT};
use crate::layers::snapshot::{HEIGHT_MAX, key};
use crate::layers::sums::{self, Contents, Tree};
use crate::layers::{Error, Layer, Layers, Snapshot, copy, held, removal};
use rustix::fs::{OFlags, RenameFlags, renameat_with, syncfs};
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

/// How long somebody who holds a top is waited for, in milliseconds, each time a little longer.
const PAUSES_MS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

impl Top {
    /// Makes a snapshot of it, called `name`, which is durable when this returns. The top is gone then.
    ///
    /// If it has adopted a layer, and nothing was written, the snapshot is the one that
    /// [`Layers::stack`](crate::layers::Layers::stack) makes of that layer. Else it has a tree of its own; a layer that was
    /// adopted is a snapshot below it then, whose name is made of the parent's and the layer's as a ChainID is.
    ///
    /// Fails with [`Error::Conflict`] if the name is taken, with [`Error::InUse`] while somebody else holds the top, with
    /// [`Error::Invalid`] for a view or if `name` is none, with [`Error::TooLarge`] if the stack would be higher than 500
    /// layers. The top is still there then.
    pub fn commit(self, name: &str) -> Result<Snapshot, Error> {
        check_name(name)?;
        if !self.record.writable {
            return Err(Error::Invalid("nothing can be written into a view, so that it cannot be committed"));
        }
        let Self { layers, record, parent, directory } = self;
        drop(directory);
        let claimed = claim(&layers, &record.name)?.ok_or(Error::NotFound)?;
        if read(&claimed, &record.name)?.as_ref() != Some(&*record) {
            return Err(Error::NotFound);
        }
        match layers.snapshot(name) {
            Err(Error::NotFound) => {}
            Ok(_) => return Err(Error::Conflict),
            Err(error) => return Err(error),
        }
        let top = Self { layers, record, parent, directory: Arc::new(claimed) };
        top.mend()?;
        measure::check(&top.directory)?;
        match top.adopted()? {
            Some(adopted) if top.is_untouched()? => top.stack(name, &adopted),
            Some(adopted) => {
                let layer = top.layer(&adopted)?;
                let beneath = top.layers.stack_beneath(top.parent.as_ref(), &layer)?;
                top.freeze(name, Some(&beneath))
            }
            None => {
                let parent = top.parent.clone();
                top.freeze(name, parent.as_ref())
            }
        }
    }

    fn layer(&self, adopted: &Adopted) -> Result<Layer, Error> {
        self.layers.layer(&adopted.layer.parse().map_err(|_| Error::NotFound)?)
    }

    /// Makes the snapshot that its layer makes.
    fn stack(self, name: &str, adopted: &Adopted) -> Result<Snapshot, Error> {
        let snapshot = self.layers.stack_anew(name, self.parent.as_ref(), &self.layer(adopted)?)?;
        self.layers.sync()?;
        self.discard()?;
        Ok(snapshot)
    }

    /// Makes a snapshot of its own tree.
    fn freeze(self, name: &str, parent: Option<&Snapshot>) -> Result<Snapshot, Error> {
        let height = parent.map_or(0, Snapshot::height) + 1;
        if height > HEIGHT_MAX {
            return Err(Error::TooLarge { what: "layers below it", limit: u64::from(HEIGHT_MAX) - 1 });
        }
        let copied = if self.is_mounted()? { Some(self.copied()?) } else { None };
        let directory = copied.as_ref().map_or(&*self.directory, Nascent::directory);
        let failed = Error::io("cannot commit a top");
        // Somebody has died here.
        for left in [DURABLE, SNAPSHOT] {
            match directory.unlink(left) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        sums::forget(directory)?;
        let (size, inodes) = measure::usage(directory)?;
        let record = record::Snapshot {
            origin: self.layers.origin()?,
            name: name.to_owned(),
            parent: parent.map(|parent| parent.name().to_owned()),
            layer: String::new(),
            settled: true,
            height,
            size,
            inodes,
            total: Some(sums::write(directory, Tree::Layer(&Contents::new()))?),
        };
        record::write(directory, SNAPSHOT, &record)?;
        // What it stands on, and then itself.
        self.layers.sync()?;
        syncfs(directory).map_err(&failed)?;
        directory.open(DURABLE, OFlags::WRONLY | OFlags::CREATE).map_err(&failed)?;
        directory.sync().map_err(&failed)?;
        let record = Arc::new(record);
        match copied {
            None => {
                self.become_snapshot(name)?;
                Ok(Snapshot { record, directory: self.directory })
            }
            Some(mut copied) => {
                let directory = Arc::new(self.layers.place_anew(name, |snapshots, key| copied.place(snapshots, key))?);
                self.discard()?;
                Ok(Snapshot { record, directory })
            }
        }
    }

    /// Gives its directory the name of a snapshot.
    fn become_snapshot(&self, name: &str) -> Result<(), Error> {
        let failed = Error::io("cannot commit a top");
        let (store, own) = (&self.layers.store, key(&self.record.name));
        self.layers.place_anew(name, |snapshots, key| {
            match renameat_with(&store.tops, own.as_str(), snapshots, key, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(Some(())),
                Err(Errno::EXIST) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })?;
        store.tops.sync().map_err(&failed)?;
        pin::share(&self.directory).map_err(&failed)?;
        let cleared = (|| {
            removal::remove(&self.directory, WORK)?;
            removal::remove(&self.directory, super::ADOPTED)?;
            match self.directory.unlink(mount::SHOWN) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
            self.layers.forget(&format!("tops/{own}/{}", mount::SHOWN))
        })();
        if let Err(error) = cleared {
            tracing::warn!(%error, name, "what a top had and a snapshot needs not could not be removed");
        }
        Ok(())
    }

    /// Copies its tree, which others may change.
    fn copied(&self) -> Result<Nascent, Error> {
        let nascent = self.layers.begin()?;
        copy::duplicate(std::os::fd::AsFd::as_fd(&self.tree()?), nascent.tree())?;
        record::write(nascent.directory(), TOP, &*self.record)?;
        if let Some(aside) = record::read::<Vec<Aside>>(&self.directory, ASIDE)? {
            record::write(nascent.directory(), ASIDE, &aside)?;
        }
        Ok(nascent)
    }

    /// Takes it away, although it may be mounted.
    fn discard(&self) -> Result<(), Error> {
        let (store, own) = (&self.layers.store, key(&self.record.name));
        let is_mounted = self.is_mounted()?;
        let grave = held::bury(&store.extract, &store.tops, &own, &self.directory)?;
        store.tops.sync().map_err(Error::io("cannot sync a directory of the layer store"))?;
        if !is_mounted {
            removal::remove(&store.extract, &grave)?;
        }
        self.layers.forget(&format!("tops/{own}/{}", mount::SHOWN))
    }
}

/// Claims the top `name`. A child of this process that has not become a program yet has its locks, for a moment: who holds
/// it is asked again.
fn claim(layers: &Layers, name: &str) -> Result<Option<Directory>, Error> {
    for pause in PAUSES_MS {
        match held::claimed(&layers.store.tops, &key(name)) {
            Err(Error::InUse) => std::thread::sleep(Duration::from_millis(pause)),
            other => return other,
        }
    }
    held::claimed(&layers.store.tops, &key(name))
}

impl Layers {
    /// Puts a layer on `parent`, under a name that says which layer and which parent.
    fn stack_beneath(&self, parent: Option<&Snapshot>, layer: &Layer) -> Result<Snapshot, Error> {
        let diff_id = layer.diff_id().to_string();
        let name = match parent {
            None => diff_id.clone(),
            Some(parent) => {
                Digest::of(Algorithm::Sha256, format!("{} {diff_id}", parent.name()).as_bytes()).to_string()
            }
        };
        let made = self.stack(&name, parent, layer)?;
        // Names are free for all.
        let is_it = made.parent() == parent.map(Snapshot::name) && made.layer() == Some(&*diff_id);
        if is_it { Ok(made) } else { Err(Error::Conflict) }
    }

    /// Has `place` give something the name of the snapshot `name`, durably; it returns none if the name is taken.
    ///
    /// Fails with [`Error::Conflict`] if there is such a snapshot.
    fn place_anew<T>(
        &self,
        name: &str,
        mut place: impl FnMut(&Directory, &str) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        for _ in 0..PUBLISH_ATTEMPTS_MAX {
            if let Some(placed) = place(&self.store.snapshots, &key(name))? {
                self.store.snapshots.sync().map_err(Error::io("cannot sync a directory of the layer store"))?;
                return Ok(placed);
            }
            self.vacate(name)?;
        }
        Err(Error::InUse)
    }
}
