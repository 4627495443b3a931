//! A top that shows a layer that was extracted already, instead of having its files written again: what containerd's clients
//! do with `prepare`, `apply` and `commit` costs one rename then, and comes to the snapshot that wharf itself would make.
//!
//! ```text
//! tops/<key>/adopted/     adopted, aside; tree if the layer's own is not right on the parent
//! tops/<key>/shown ─►     ../../layers/<digits>/tree, or adopted/tree
//! ```
//!
//! The directory appears by one rename, and says everything. Whoever dies before `shown` leads there leaves that to whoever
//! opens the top next.

use super::record::{self, ADOPTED};
use super::{Top, Written, hide, look};
use crate::hash::Digest;
use crate::layers::apply::Budget;
use crate::layers::copy::{self, Look};
use crate::layers::nascent::{ROOT_MODE, TREE};
use crate::layers::record::{self as records, ASIDE, DURABLE};
use crate::layers::snapshot::HEIGHT_MAX;
use crate::layers::{Error, Layer, settle, unpack};
use rustix::fs::{Dir, fsync, syncfs};
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

impl Top {
    /// Shows `layer` between what is written and the parent, from now on and wherever the top is mounted next, also by the
    /// options that [`Top::mounts`] has returned before. Nothing is copied. It is durable when this returns, and
    /// so is the layer.
    ///
    /// Does nothing if it shows this layer already, and nothing was written. Fails with [`Error::InUse`] while the top is
    /// mounted, with [`Error::Conflict`] if anything was written or adopted, with [`Error::Unsupported`] if the layer was
    /// made with other rights, with [`Error::Invalid`] for a view, and as [`Layers::stack`](crate::layers::Layers::stack)
    /// does. Where the first two are in the way, [`Top::apply`] can do it.
    pub fn adopt(&self, layer: &Layer) -> Result<(), Error> {
        if !self.record.writable {
            return Err(Error::Invalid("a view shows what it is of, and nothing else"));
        }
        let _turn = self.turn()?;
        if self.is_mounted()? {
            return Err(Error::InUse);
        }
        match self.adopted()? {
            _ if !self.is_untouched()? => return Err(Error::Conflict),
            Some(adopted) if adopted.layer == layer.diff_id().to_string() => return self.mend(),
            Some(_) => return Err(Error::Conflict),
            None => {}
        }
        if layer.record.user != self.record.user {
            return Err(Error::Unsupported("the layer was extracted with other rights than this user's".to_owned()));
        }
        if self.height_below() >= HEIGHT_MAX {
            return Err(Error::TooLarge { what: "layers below it", limit: u64::from(HEIGHT_MAX) - 1 });
        }
        if layer.directory.stat(DURABLE).is_err() {
            // A top is durable, and is not found without what it shows.
            self.layers.sync()?;
        }
        let failed = Error::io("cannot adopt a layer");
        let mut nascent = self.layers.begin()?;
        let mut settled = settle::settle(&nascent, self.parent.as_ref(), layer)?;
        let hides = self.parent.as_ref().filter(|_| layer.record.is_opaque);
        if let Some(parent) = hides {
            if !settled.differs {
                let source = copy::below(layer.directory.as_fd(), TREE.as_bytes()).map_err(&failed)?;
                copy::copy(source.as_fd(), nascent.tree(), &HashMap::new())?;
            }
            settled.differs = true;
            hide::below(nascent.tree(), layer.record.user, &self.layers, &self.layers.levels(parent)?)?;
        }
        if !settled.differs {
            nascent.without_tree()?;
        }
        if !settled.aside.is_empty() {
            records::write(nascent.directory(), ASIDE, &settled.aside)?;
        }
        let adopted = record::Adopted { layer: layer.diff_id().to_string(), settled: settled.differs };
        let file = records::write(nascent.directory(), ADOPTED, &adopted)?;
        if settled.differs {
            syncfs(&file).map_err(&failed)?;
        } else {
            fsync(&file).map_err(&failed)?;
        }
        nascent.directory().sync().map_err(&failed)?;
        if nascent.place(&self.directory, ADOPTED)?.is_none() {
            return Err(Error::Conflict);
        }
        self.directory.sync().map_err(failed)?;
        self.mend()
    }

    /// Extracts what `source` has as a layer, and shows that. Fails as [`Top::adopt`] does, before it reads anything, and as
    /// [`unpack`] does. Ends soon after `stop` is set.
    pub fn adopt_archive(
        &self,
        source: impl Read + Send,
        budget: &Budget,
        stop: &AtomicBool,
    ) -> Result<Written, Error> {
        if !self.record.writable {
            return Err(Error::Invalid("nothing can be written into a view"));
        }
        if self.is_mounted()? {
            return Err(Error::InUse);
        }
        if self.adopted()?.is_some() || !self.is_untouched()? {
            return Err(Error::Conflict);
        }
        let unpacked = unpack(&self.layers, source, budget, stop)?;
        let whole = unpacked.whole;
        let layer = unpacked.publish(&whole.diff_id)?;
        self.adopt(&layer)?;
        let (size, warnings) = (layer.size(), layer.warnings().to_vec());
        Ok(Written { diff_id: whole.diff_id, bytes: whole.bytes, size, warnings })
    }

    /// Returns the DiffID of the layer that it shows, if nothing else is over the parent.
    pub fn shows(&self) -> Result<Option<Digest>, Error> {
        match self.adopted()? {
            Some(adopted) if self.is_untouched()? => adopted.layer.parse().map(Some).map_err(|_| Error::NotFound),
            _ => Ok(None),
        }
    }

    /// Whether nothing was written: it is empty, and its root looks as it was made. Times do not count, because a look at a
    /// mount may change them.
    pub(super) fn is_untouched(&self) -> Result<bool, Error> {
        let failed = Error::io("cannot look at a top");
        let tree = self.tree()?;
        for entry in Dir::read_from(&tree).map_err(&failed)? {
            if ![c".", c".."].contains(&entry.map_err(&failed)?.file_name()) {
                return Ok(false);
            }
        }
        let mut below = self.own_levels()?.into_iter().skip(1).chain(self.levels_below()?);
        let Look { owner, mode, attributes, .. } = look(tree.as_fd()).map_err(&failed)?;
        let Some(below) = below.next() else {
            return Ok(mode == ROOT_MODE.bits() && attributes.is_empty());
        };
        let below = copy::below(self.layers.store.root.as_fd(), below.tree.as_bytes()).map_err(&failed)?;
        let expected = look(below.as_fd()).map_err(failed)?;
        Ok((owner, mode, attributes) == (expected.owner, expected.mode, expected.attributes))
    }
}
