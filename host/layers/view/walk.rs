//! Goes through everything in a view, in order: a directory, then what is in it by name.

use super::entry::join;
use super::{Entry, Found, View};
use crate::layers::Error;
use std::ffi::CString;
use std::rc::Rc;

/// What is in a view, one path after the other. The root comes first, with an empty path.
#[derive(Debug)]
pub struct Walk<'a> {
    view: &'a View,
    begun: bool,
    /// Directories that are being listed: their paths, and what is left of each.
    open: Vec<(Vec<u8>, std::collections::btree_map::IntoIter<CString, Found>)>,
}

impl View {
    /// Goes through everything.
    pub fn walk(&self) -> Walk<'_> {
        Walk { view: self, begun: false, open: Vec::new() }
    }
}

impl Walk<'_> {
    fn first(&mut self) -> Result<(Vec<u8>, Entry), Error> {
        let root = Rc::new(self.view.root()?);
        let entry = self.view.entry(b"")?;
        self.open.push((Vec::new(), self.view.children(&root)?.into_iter()));
        Ok((Vec::new(), entry))
    }

    fn step(&mut self, directory: &[u8], name: &CString, found: &Found) -> Result<(Vec<u8>, Entry), Error> {
        let path = join(directory, name.to_bytes());
        let entry = self.view.describe_found(found, &path)?;
        if found.is_directory() {
            let merged = Rc::new(self.view.merged(found)?);
            self.open.push((path.clone(), self.view.children(&merged)?.into_iter()));
        }
        Ok((path, entry))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Vec<u8>, Entry), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.begun {
            self.begun = true;
            return Some(self.first());
        }
        while let Some((directory, left)) = self.open.last_mut() {
            if let Some((name, found)) = left.next() {
                let directory = directory.clone();
                return Some(self.step(&directory, &name, &found));
            }
            self.open.pop();
        }
        None
    }
}
