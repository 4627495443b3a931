//! Makes what is visible durable, with one `syncfs` for all trees rather than an `fsync` for every file, and another one
//! for the markers that say so.
//!
//! A layer or snapshot is visible before it is durable. Until then it is believed only in the boot of the machine in
//! which it was made: as long as the machine runs, what was written is what is read. After a power cut anything may be
//! in its place, and it is as if it were absent.
//!
//! ```text
//! 1. list what has no `durable`    what appears later is left to the next call
//! 2. syncfs                        trees, records and names are on disk
//! 3. make `durable` in each        by the open directory: the name may lead elsewhere by now
//! 4. syncfs                        writes the markers, and hardly anything else
//! ```

use super::record::{self, DURABLE, LAYER, SNAPSHOT};
use super::{Error, Layers, held};
use crate::content::directory::Directory;
use rustix::fs::{OFlags, syncfs};
use rustix::io::Errno;

/// How many directories are open at once.
const BATCH: usize = 128;

impl Layers {
    /// Makes every layer and snapshot that is visible now durable.
    pub fn sync(&self) -> Result<(), Error> {
        let store = &self.store;
        let mut unmarked = Vec::new();
        for parent in [&store.layers, &store.snapshots] {
            for name in parent.names().map_err(Error::io("cannot list the layer store"))? {
                let name = name.map_err(Error::io("cannot list the layer store"))?;
                if matches!(parent.stat(&format!("{name}/{DURABLE}")), Err(Errno::NOENT)) {
                    unmarked.push((parent, name));
                }
            }
        }
        for batch in unmarked.chunks(BATCH) {
            let mut open = Vec::new();
            for (parent, name) in batch {
                open.extend(self.of_this_boot(parent, name)?);
            }
            if open.is_empty() {
                continue;
            }
            self.flush()?;
            for directory in &open {
                match directory.open(DURABLE, OFlags::WRONLY | OFlags::CREATE) {
                    // It was removed meanwhile.
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(Error::io("cannot mark a layer as durable")(error)),
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    /// Opens the layer or snapshot `name` if it may become durable. What an earlier boot left is debris, and stays it.
    fn of_this_boot(&self, parent: &Directory, name: &str) -> Result<Option<Directory>, Error> {
        let Some(directory) = held::entered(parent, name)? else { return Ok(None) };
        let boot = match record::read::<record::Layer>(&directory, LAYER)? {
            Some(layer) => Some(layer.boot),
            None => record::read::<record::Snapshot>(&directory, SNAPSHOT)?.map(|snapshot| snapshot.boot),
        };
        Ok(boot.filter(|boot| *boot == self.store.boot).map(|_| directory))
    }

    fn flush(&self) -> Result<(), Error> {
        syncfs(&self.store.layers).map_err(Error::io("cannot make the layers durable"))
    }
}
