//! What a top, or a snapshot, changes over what it stands on, as the archive of a layer.

use super::Top;
use crate::hash::Digest;
use crate::layers::snapshot::Level;
use crate::layers::view::{ArchiveError, Archived, View};
use crate::layers::{Error, Layers, Snapshot, overlay};
use std::io::Write;

/// An archive of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// How much it is, and what is not in it.
    pub archived: Archived,
    /// What it hashes to.
    pub diff_id: Digest,
}

impl Top {
    /// Writes what it changes over its parent, uncompressed: whiteouts, opaque directories, hard links, attributes, devices,
    /// with times as they are. The same tree makes the same bytes, and applied to the parent they make the same tree again.
    ///
    /// What is written while this reads may be in it or not. A view changes nothing: its archive has the root alone. With
    /// [`Rights::User`](crate::layers::Rights::User) what was written in a mount belongs to root, who stands for the user.
    pub fn diff(&self, out: impl Write) -> Result<Changes, ArchiveError> {
        super::measure::check(&self.directory)?;
        let (archived, diff_id) = View::levels(&self.layers, &self.own_levels()?)?.changes(out)?;
        Ok(Changes { archived, diff_id })
    }

    /// Returns what it shows, and before that what it stands on. Whoever reads them holds the top.
    pub fn views(&self) -> Result<(View, View), Error> {
        let nothing = Level { tree: overlay::EMPTY.to_string_lossy().into_owned(), asides: Vec::new(), user: false };
        let mut below = self.levels_below()?;
        if below.is_empty() {
            below.push(nothing);
        }
        let mut all = self.own_levels()?;
        all.extend(below.iter().cloned());
        Ok((View::levels(&self.layers, &below)?, View::levels(&self.layers, &all)?))
    }
}

impl Layers {
    /// Writes what a snapshot changes over its parent, in the same way. Of what was pulled this is not the layer's own
    /// archive: it says the same in other bytes.
    pub fn diff(&self, snapshot: &Snapshot, out: impl Write) -> Result<Changes, ArchiveError> {
        let mut levels = self.levels(snapshot)?;
        levels.truncate(1);
        let (archived, diff_id) = View::levels(self, &levels)?.changes(out)?;
        Ok(Changes { archived, diff_id })
    }
}
