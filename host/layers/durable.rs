//! Makes what is visible durable: one `syncfs` for all trees rather than an `fsync` for every file, and then a journal
//! of what it covered.
//!
//! A layer or snapshot is visible before it is durable. Until then it is believed only in the boot of the machine in
//! which it was made: as long as the machine runs, what was written is what is read. After a power cut anything may be
//! in its place, and it is as if it were absent.
//!
//! ```text
//! 1. list what has no `durable`    what appears later is left to the next call
//! 2. make `durable` in each that the journal names
//! 3. syncfs                        trees, records and names are on disk, and so are the markers of 2
//! 4. replace the journal           by what 1 has listed and what others have added since 2; fsync it and its directory
//! 5. make `durable` in each of 1   on disk whenever it comes
//! ```
//!
//! What was made in an earlier boot is believed by its marker or by the journal. The journal speaks for the markers that
//! the kernel may not have written yet, and for nothing else; so it is as long as the last pulls were large. A marker says
//! of the directory that it is in, and the journal of the one whose record has the same random id, so that neither
//! vouches for what gets the same name later. Processes that call this at once wait for each other in 4 alone. A journal
//! that cannot be read names nothing; a rename puts a new one in its place, so that a power cut leaves the old one or
//! the new one.

use super::record::{self, DURABLE, Durable, LAYER, Origin, SNAPSHOT};
use super::{Error, Layers, held, removal};
use crate::content::directory::Directory;
use crate::content::pin;
use crate::planted::{self, Bug};
use rustix::fs::{OFlags, fsync, renameat, syncfs};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};

/// The journal before it has its name.
const NEW: &str = "durable.new";

impl Layers {
    /// Makes every layer and snapshot that is visible now durable.
    pub fn sync(&self) -> Result<(), Error> {
        let unmarked = self.unmarked()?;
        if unmarked.is_empty() {
            return Ok(());
        }
        let before = self.journal()?;
        self.mark(&before)?;
        let early = planted::has(Bug::JournalEarly);
        if early {
            self.note(&before, &unmarked)?;
        }
        if !planted::has(Bug::TreesUnsynced) {
            syncfs(&self.store.layers).map_err(Error::io("cannot make the layers durable"))?;
        }
        if !early {
            self.note(&before, &unmarked)?;
        }
        self.mark(&unmarked)
    }

    /// Says where what is made now comes from.
    pub(super) fn origin(&self) -> Result<Origin, Error> {
        let id = self.store.proc.read_to_string("sys/kernel/random/uuid");
        let id = id.map_err(Error::io("cannot read a random name"))?.trim_end().to_owned();
        Ok(Origin { boot: self.store.boot.clone(), id })
    }

    /// Whether what is in `directory`, and comes from `origin`, is whole.
    pub(super) fn is_whole(&self, directory: &Directory, origin: &Origin) -> Result<bool, Error> {
        if origin.boot == self.store.boot || planted::has(Bug::EarlierBootBelieved) {
            return Ok(true);
        }
        if directory.stat(DURABLE).is_ok() {
            return Ok(true);
        }
        let journaled = &self.store.journaled;
        if journaled.get().is_none() {
            let ids = self.journal()?.into_iter().map(|durable| durable.id).collect::<HashSet<_>>();
            // Another thread has read the same: what is added in this boot is about this boot.
            let _ = journaled.set(ids);
        }
        Ok(journaled.get().is_some_and(|ids| ids.contains(&origin.id)))
    }

    /// Returns what is visible, was made in this boot, and has no marker. What an earlier boot left without one is debris,
    /// and stays it, or is in the journal.
    fn unmarked(&self) -> Result<BTreeSet<Durable>, Error> {
        let mut unmarked = BTreeSet::new();
        for is_layer in [true, false] {
            let parent = self.parent(is_layer);
            for name in parent.names().map_err(Error::io("cannot list the layer store"))? {
                let name = name.map_err(Error::io("cannot list the layer store"))?;
                if matches!(parent.stat(&format!("{name}/{DURABLE}")), Err(Errno::NOENT))
                    && let Some(directory) = held::entered(parent, &name)?
                    && let Some(Origin { boot, id }) = origin_of(&directory)?
                    && boot == self.store.boot
                {
                    unmarked.insert(Durable { is_layer, name, id });
                }
            }
        }
        Ok(unmarked)
    }

    /// Makes a marker in each, if it is still there.
    fn mark(&self, durable: &BTreeSet<Durable>) -> Result<(), Error> {
        for Durable { is_layer, name, id } in durable {
            let Some(directory) = held::entered(self.parent(*is_layer), name)? else { continue };
            if origin_of(&directory)?.is_none_or(|origin| origin.id != *id) {
                continue;
            }
            match directory.open(DURABLE, OFlags::WRONLY | OFlags::CREATE) {
                // It was removed meanwhile, or is marked by what a damaged file system shows in place of a file.
                Ok(_) | Err(Errno::NOENT | Errno::ISDIR | Errno::LOOP) => {}
                Err(error) => return Err(Error::io("cannot mark a layer as durable")(error)),
            }
        }
        Ok(())
    }

    fn journal(&self) -> Result<BTreeSet<Durable>, Error> {
        Ok(record::read(&self.store.root, DURABLE)?.unwrap_or_default())
    }

    /// Puts `new` into the journal, durably, and takes out what it had `before` a `syncfs` that wrote the markers of
    /// that.
    fn note(&self, before: &BTreeSet<Durable>, new: &BTreeSet<Durable>) -> Result<(), Error> {
        let root = &self.store.root;
        let failed = Error::io("cannot write the journal of the layer store");
        // A directory of its own, because a lock belongs to who opened it, and clones of this share `layers`.
        let lock = root.enter("layers").map_err(&failed)?;
        pin::claim(&lock).map_err(&failed)?;
        let since = self.journal()?;
        let journal: BTreeSet<_> = since.difference(before).chain(new).cloned().collect();
        // A process died here.
        clear(root, NEW)?;
        let file = record::write(root, NEW, &journal)?;
        let synced = if planted::has(Bug::JournalUnsynced) { Ok(()) } else { fsync(&file) };
        let named = synced.and_then(|()| match renameat(root, NEW, root, DURABLE) {
            Err(Errno::ISDIR) => Ok(false),
            other => other.map(|()| true),
        });
        if !named.map_err(&failed)? {
            clear(root, DURABLE)?;
            renameat(root, NEW, root, DURABLE).map_err(&failed)?;
        }
        root.sync().map_err(failed)
    }

    fn parent(&self, is_layer: bool) -> &Directory {
        if is_layer { &self.store.layers } else { &self.store.snapshots }
    }
}

/// Removes what has a name of the journal, which a damaged file system may show as a directory.
fn clear(root: &Directory, name: &str) -> Result<(), Error> {
    match root.unlink(name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => removal::remove(root, name),
        Err(error) => Err(Error::io("cannot write the journal of the layer store")(error)),
    }
}

/// Says where a layer or snapshot comes from, if it is one.
fn origin_of(directory: &Directory) -> Result<Option<Origin>, Error> {
    if let Some(layer) = record::read::<record::Layer>(directory, LAYER)? {
        return Ok(Some(layer.origin));
    }
    Ok(record::read::<record::Snapshot>(directory, SNAPSHOT)?.map(|snapshot| snapshot.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{Algorithm, Digest};
    use crate::layers::apply::Applied;
    use crate::layers::{Rights, Settings};
    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    fn open(root: &std::path::Path, boot: &str) -> Layers {
        let directory = |path| Dir::open_ambient_dir(path, ambient_authority()).expect("a directory");
        let proc = directory(std::path::Path::new("/proc"));
        let settings = Settings { rights: Rights::User, boot: boot.to_owned(), proc };
        Layers::open(&directory(root), settings).expect("a layer store")
    }

    fn publish(layers: &Layers, name: &str) -> Digest {
        let id = Digest::of(Algorithm::Sha256, name.as_bytes());
        layers.begin().expect("a private directory").publish(&id, Applied::default()).expect("a layer");
        id
    }

    /// A pull that reads the journal, and writes it after another pull has come and gone, must not take out what the
    /// other has put in: its markers came after this one's `syncfs`.
    #[test]
    fn what_another_process_noted_during_a_sync_stays_noted() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let (slow, quick) = (open(root.path(), "this boot"), open(root.path(), "this boot"));
        let first = publish(&slow, "first");
        slow.sync().expect("durable");
        let second = publish(&slow, "second");
        let unmarked = slow.unmarked().expect("a list");
        let before = slow.journal().expect("the journal");
        slow.mark(&before).expect("markers");
        let third = publish(&quick, "third");
        quick.sync().expect("durable");
        slow.note(&before, &unmarked).expect("the journal");
        // The power goes: the markers that no `syncfs` covered are lost.
        for id in [&second, &third] {
            let _ = slow.store.layers.unlink(&format!("{}/{DURABLE}", id.encoded()));
        }
        let after = open(root.path(), "the next boot");
        for id in [first, second, third] {
            after.layer(&id).expect("it was made durable");
        }
    }
}
