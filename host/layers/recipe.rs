//! Recipes: how the uncompressed archive of a layer comes of its tree, byte by byte, so that the compressed one is not
//! needed to have it again. A recipe has what stands in no file of the tree (headers, padding, contents that a later entry
//! replaced), and names the files that have the rest.
//!
//! It knows nothing of what an archive means: what a file of the tree has at the place where the archive has the same is
//! taken from there, and everything else is in the recipe as it is. So it is right for every archive that can be read, and
//! only its size depends on how much of it the tree has.
//!
//! ```text
//! blob ─► inflate ─► archive ─┬─► as in the tree: a reference      ┐
//!                             └─► not in the tree: the bytes       ┴─► zstd ─► a private file
//! that file + tree ─► sha256 = DiffID ─► fsync ─► layers/<DiffID>/recipe ─► fsync of the directory
//! ```
//!
//! A layer that has a recipe is durable, and so is the recipe; the archive was rebuilt by it once. It goes with its layer,
//! and never before: whoever has removed a blob because there is a recipe may rely on it. It does not make compressed
//! bytes again: another compressor would make others, which have another digest.

mod describe;
mod rebuild;
mod written;

pub use self::rebuild::Rebuilt;

use super::{Error, Layer, Layers, held, removal, unpack};
use crate::content::directory::Directory;
use crate::planted::{self, Bug};
use rustix::fs::{OFlags, fsync, renameat};
use rustix::io::Errno;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of the file.
const RECIPE: &str = "recipe";

impl Layer {
    /// Returns the size of its recipe in bytes, if it has one. Whether that is right is for [`rebuild`](Self::rebuild) to
    /// say.
    pub fn recipe(&self) -> Result<Option<u64>, Error> {
        match self.directory.stat(RECIPE) {
            Ok(stat) => Ok(Some(u64::try_from(stat.st_size).unwrap_or_default())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("cannot look at the recipe of a layer")(error)),
        }
    }

    /// Returns the uncompressed archive, as its recipe says.
    ///
    /// Fails with [`Error::NotFound`] if it has none, and with [`Error::Changed`] if that is not what was written. So do
    /// reads, and the one that meets the end fails with [`Error::DigestMismatch`] if that was not the layer's archive.
    pub fn archive(&self) -> Result<Rebuilt, Error> {
        Rebuilt::open(self, &self.directory)
    }

    /// Reads what [`archive`](Self::archive) returns to its end, and fails as that does. Ends soon after `stop` is set.
    pub fn rebuild(&self, stop: &AtomicBool) -> Result<(), Error> {
        self.archive()?.check(stop)
    }
}

impl Layers {
    /// Writes the recipe of `layer`, whose archive `source` is, in any of the forms that [`unpack`](super::unpack) takes.
    /// Returns its size in bytes. One that is there and right stays. Ends soon after `stop` is set.
    ///
    /// Once this has returned the recipe is durable, and so is the layer. Fails with [`Error::TooLarge`] if it would have more
    /// than `bytes_max`, with [`Error::DigestMismatch`] if the archive cannot be rebuilt by it: then there is none.
    pub fn describe(
        &self,
        layer: &Layer,
        source: impl Read + Send,
        bytes_max: u64,
        stop: &AtomicBool,
    ) -> Result<u64, Error> {
        match layer.rebuild(stop) {
            Ok(()) => {
                // Another process may have written it just now, and died before the last step.
                layer.directory.sync().map_err(Error::io("cannot make a recipe durable"))?;
                return layer.recipe()?.ok_or(Error::NotFound);
            }
            Err(Error::NotFound | Error::Changed(_) | Error::DigestMismatch { .. }) => {}
            Err(error) => return Err(error),
        }
        // What a recipe is about has to be there after a power cut, as the recipe has.
        self.sync()?;
        let (name, place) = held::fresh(&self.store.extract)?;
        let written = write(layer, &place, source, bytes_max, stop);
        let cleared = removal::remove(&self.store.extract, &name);
        let size = written?;
        cleared?;
        Ok(size)
    }
}

/// Writes the recipe where nobody sees it, rebuilds the archive by it, and gives it its name.
fn write(
    layer: &Layer,
    place: &Directory,
    source: impl Read + Send,
    bytes_max: u64,
    stop: &AtomicBool,
) -> Result<u64, Error> {
    const WHAT: &str = "cannot write the recipe of a layer";
    let file = place.open(RECIPE, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).map_err(Error::io(WHAT))?;
    let stopped = || stop.load(Ordering::Relaxed);
    let (file, _) = unpack::reading(source, stop, |bytes| {
        describe::describe(bytes, rebuild::tree(&layer.directory)?, file, bytes_max, &stopped)
    })?;
    Rebuilt::open(layer, place)?.check(stop)?;
    let size = file.metadata().map_err(Error::io(WHAT))?.len();
    if !planted::has(Bug::RecipeUnsynced) {
        fsync(&file).map_err(Error::io(WHAT))?;
    }
    renameat(place, RECIPE, &*layer.directory, RECIPE).map_err(Error::io(WHAT))?;
    layer.directory.sync().map_err(Error::io(WHAT))?;
    Ok(size)
}
