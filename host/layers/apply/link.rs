//! Hard links: to what this layer has, or to what only the layers below can have. The last component of a target is not
//! followed: a link to a symbolic link is another name of that.

use super::entry::{At, Layer, failed, refused};
use super::tree::Place;
use super::{Link, attributes, name};
use crate::layers::Error;
use crate::layers::archive::Entry;
use rustix::fs::{self, AtFlags, FileType};
use std::borrow::Cow;

impl Layer {
    /// Gives the target another name. As in containerd, the file looks like this entry from now on.
    pub(super) fn link(&mut self, at: &At<'_>, entry: &Entry, target: &[u8]) -> Result<(), Error> {
        let cleaned = name::clean(target);
        let (directory, target_base) = name::split(&cleaned);
        if target_base.is_empty() || target.ends_with(b"/..") {
            return Err(refused(entry, "is a hard link to a directory"));
        }
        let place = match &cleaned {
            Cow::Borrowed(_) => self.tree.find(directory, &mut self.spending)?,
            // Before a `..`, unlike in the name of an entry, links are followed, as in containerd.
            Cow::Owned(_) => {
                let path = self.tree.resolve(name::split(target).0, &mut self.spending)?;
                self.tree.find(&path, &mut self.spending)?
            }
        };
        let path = at.path();
        let (holder, target_path) = match place {
            Place::Here(parent) => {
                let path = name::join(&parent.path, target_base);
                (Some(parent), path)
            }
            Place::Absent(path) => (None, name::join(&path, target_base)),
        };
        if target_path == path {
            return Err(refused(entry, "is a hard link to itself"));
        }
        let Some(holder) = holder else { return self.link_below(at, entry, path, target_path) };
        match self.tree.look(&holder, target_base).map_err(failed(entry))? {
            None => self.link_below(at, entry, path, target_path),
            Some(found) if found.kind == FileType::Directory => Err(refused(entry, "is a hard link to a directory")),
            Some(found) if found.is_whiteout() => Err(refused(entry, "is a hard link to what the same layer removes")),
            Some(found) => {
                let create = || fs::linkat(holder.fd(), target_base, at.fd(), at.base, AtFlags::empty());
                self.make(at, entry, create)?;
                self.dress_link(at, entry, &found, &target_path)
            }
        }
    }

    /// Remembers a link to what only the layers below can have.
    fn link_below(&mut self, at: &At<'_>, entry: &Entry, path: Vec<u8>, target: Vec<u8>) -> Result<(), Error> {
        let values: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.spending.memory(2 * path.len() + target.len() + values)?;
        if let Some(found) = self.tree.look(&at.parent, at.base).map_err(failed(entry))? {
            self.remove(&at.parent, at.base, &found).map_err(failed(entry))?;
        }
        let xattrs = entry.xattrs.iter().filter(|(name, _)| attributes::refusal(name).is_none()).cloned().collect();
        let owner = (entry.uid, entry.gid);
        self.remembered.link(Link { path, target, mode: entry.mode, owner, mtime: entry.mtime, xattrs });
        Ok(())
    }
}
