//! The files of a view that belong to somebody else than root, by what an ordinary user's store remembers of them, with
//! the directories that lead there.

use super::entry::join;
use super::{Entry, Found, Kind, Merged, View};
use crate::layers::Error;
use crate::layers::attributes::{self, Attribute};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::rc::Rc;

/// A file of somebody else, or a directory on the way to one.
#[derive(Debug)]
pub(in crate::layers) struct Foreign {
    /// Below the root, which itself is empty.
    pub(in crate::layers) path: Vec<u8>,
    /// As the image has it.
    pub(in crate::layers) entry: Entry,
    /// Which of the view's trees has it, the top being 0.
    pub(in crate::layers) tree: usize,
    /// Overlay's own left out.
    pub(in crate::layers) attributes: Vec<Attribute>,
}

impl View {
    /// Returns them, each directory before what is in it; nothing at all if everything is root's. Of directories that
    /// nothing is remembered of, nothing is read.
    pub(in crate::layers) fn foreign(&self) -> Result<Vec<Foreign>, Error> {
        let mut wanted = BTreeSet::new();
        let asides = self.trees.iter().flat_map(|tree| tree.aside.values());
        for aside in asides.filter(|aside| aside.owner != (0, 0)) {
            let ends = aside.path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
            wanted.extend(ends.map(|end| &aside.path[..end]));
            wanted.insert(aside.path.as_slice());
        }
        let mut foreign = Vec::new();
        if wanted.is_empty() {
            return Ok(foreign);
        }
        let root = Rc::new(self.root()?);
        let entry = self.describe_root(&root)?;
        let is_root_foreign = entry.owner != (0, 0);
        let (tree, directory) = root.parts.first().ok_or(Error::NotFound)?;
        let attributes = attributes::read(directory).map_err(Error::io("cannot describe a file of a layer"))?;
        foreign.push(Foreign { path: Vec::new(), entry, tree: *tree, attributes: plain(attributes) });
        self.descend(&root, b"", &wanted, &mut foreign)?;
        if foreign.len() == 1 && !is_root_foreign {
            foreign.clear();
        }
        Ok(foreign)
    }

    fn descend(
        &self,
        directory: &Rc<Merged>,
        path: &[u8],
        wanted: &BTreeSet<&[u8]>,
        foreign: &mut Vec<Foreign>,
    ) -> Result<(), Error> {
        for (name, found) in self.children(directory)? {
            let path = join(path, name.to_bytes());
            if !wanted.contains(path.as_slice()) {
                continue;
            }
            let entry = self.describe_found(&found, &path)?;
            let (before, is_foreign) = (foreign.len(), entry.owner != (0, 0));
            let is_directory = entry.kind == Kind::Directory;
            foreign.push(Foreign { path: path.clone(), entry, tree: found.tree, attributes: attributes_of(&found)? });
            if is_directory {
                self.descend(&Rc::new(self.merged(&found)?), &path, wanted, foreign)?;
            }
            if !is_foreign && foreign.len() == before + 1 {
                foreign.pop();
            }
        }
        Ok(())
    }
}

fn attributes_of(found: &Found) -> Result<Vec<Attribute>, Error> {
    match attributes::read_at(found.directory(), &found.name) {
        // They are for those who may read the file.
        Err(Errno::ACCESS) => Ok(Vec::new()),
        other => other.map(plain).map_err(Error::io("cannot describe a file of a layer")),
    }
}

fn plain(attributes: Vec<(CString, Vec<u8>)>) -> Vec<Attribute> {
    attributes.into_iter().filter(|(name, _)| !attributes::is_overlays(name)).collect()
}
