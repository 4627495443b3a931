//! What a client has mounted by itself, by what it says of that: how tops are mounted is told by [`Top::mounts`] alone.

use super::Mount;
use crate::layers::{Error, Layers};

impl Layers {
    /// Returns the names of the tops that are mounted like this, in no order. They are those of which [`Top::mounts`] says
    /// exactly this: one that is written to or has many layers, or any number of views of the same tree.
    ///
    /// [`Top::mounts`]: super::Top::mounts
    pub fn tops_mounted_by(&self, kind: &str, source: &str, options: &[String]) -> Result<Vec<String>, Error> {
        let mut candidates = Vec::new();
        self.each_top(|top, _| candidates.push(top))?;
        let mut found = Vec::new();
        for top in candidates {
            // The source of an overlay is that of one top. A bind can be of views alone.
            if !(kind == "bind" && !top.writable || self.top_source(&top.name)? == source) {
                continue;
            }
            let mounts = match self.find_top(&top.name) {
                Ok(top) => top.mounts()?,
                // It is not whole, or goes at this moment.
                Err(Error::NotFound) => continue,
                Err(other) => return Err(other),
            };
            let is_this = |mount: &Mount| mount.kind == kind && mount.source == source && mount.options == options;
            if mounts.iter().all(is_this) {
                found.push(top.name);
            }
        }
        Ok(found)
    }
}
