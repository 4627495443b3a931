//! What one view has that another has not, path by path, in order.
//!
//! A file has changed if its type, mode, owner, size, content, link or device is another one. Its time alone says
//! nothing: contents of the same size are compared, unless both are the same file on disk.

use super::entry::join;
use super::{Entry, Found, Kind, Merged, View};
use crate::layers::Error;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::rc::Rc;

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Both have it, and not the same.
    Changed,
    /// Only the first has it.
    Deleted,
}

/// The differences between two views. What is below a directory that only one of them has is told too.
#[derive(Debug)]
pub struct Difference<'a> {
    views: (&'a View, &'a View),
    begun: bool,
    open: Vec<Open>,
}

/// Two directories that are being compared.
#[derive(Debug)]
struct Open {
    path: Vec<u8>,
    /// What is left of them, the next last.
    left: Vec<(CString, Pair)>,
}

type Pair = (Option<Found>, Option<Found>);

impl View {
    /// Compares this view with `other`, which is taken to be newer.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Difference<'a> {
        Difference { views: (self, other), begun: false, open: Vec::new() }
    }
}

impl Difference<'_> {
    /// Begins with two directories, or one of them.
    fn enter(&mut self, path: Vec<u8>, first: Option<Merged>, second: Option<Merged>) -> Result<(), Error> {
        if let (Some(first), Some(second)) = (&first, &second)
            && same(first, second)?
        {
            return Ok(());
        }
        let mut children: BTreeMap<CString, Pair> = BTreeMap::new();
        if let Some(first) = first {
            for (name, found) in self.views.0.children(&Rc::new(first))? {
                children.entry(name).or_default().0 = Some(found);
            }
        }
        if let Some(second) = second {
            for (name, found) in self.views.1.children(&Rc::new(second))? {
                children.entry(name).or_default().1 = Some(found);
            }
        }
        self.open.push(Open { path, left: children.into_iter().rev().collect() });
        Ok(())
    }

    fn step(&mut self, path: Vec<u8>, pair: Pair) -> Result<Option<(Change, Vec<u8>)>, Error> {
        let open = |view: &View, found: &Option<Found>| match found {
            Some(found) if found.is_directory() => view.merged(found).map(Some),
            _ => Ok(None),
        };
        let (first, second) = (open(self.views.0, &pair.0)?, open(self.views.1, &pair.1)?);
        let change = match &pair {
            (None, Some(_)) => Some(Change::Added),
            (Some(_), None) => Some(Change::Deleted),
            (Some(first), Some(second)) => self.differ(&path, first, second)?.then_some(Change::Changed),
            (None, None) => None,
        };
        if first.is_some() || second.is_some() {
            self.enter(path.clone(), first, second)?;
        }
        Ok(change.map(|change| (change, path)))
    }

    /// Whether two files are not the same.
    fn differ(&self, path: &[u8], first: &Found, second: &Found) -> Result<bool, Error> {
        let (a, b) = (self.views.0.describe_found(first, path)?, self.views.1.describe_found(second, path)?);
        let told = |entry: &Entry| (entry.kind, entry.mode, entry.owner, entry.size, entry.device);
        if told(&a) != told(&b) || a.link != b.link {
            return Ok(true);
        }
        if a.kind != Kind::File || a.id == b.id {
            return Ok(false);
        }
        let (a, b) = (self.views.0.open(first, path)?, self.views.1.open(second, path)?);
        unlike(BufReader::with_capacity(64 << 10, a), BufReader::with_capacity(64 << 10, b))
            .map_err(Error::io("cannot read a file of a layer"))
    }

    fn first(&mut self) -> Result<Option<(Change, Vec<u8>)>, Error> {
        let (first, second) = (self.views.0.root()?, self.views.1.root()?);
        let told = |entry: Entry| (entry.mode, entry.owner);
        let changed = told(self.views.0.entry(b"")?) != told(self.views.1.entry(b"")?);
        self.enter(Vec::new(), Some(first), Some(second))?;
        Ok(changed.then_some((Change::Changed, Vec::new())))
    }
}

impl Iterator for Difference<'_> {
    type Item = Result<(Change, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.begun {
            self.begun = true;
            if let Some(item) = self.first().transpose() {
                return Some(item);
            }
        }
        while let Some(Open { path: directory, left }) = self.open.last_mut() {
            let Some((name, pair)) = left.pop() else {
                self.open.pop();
                continue;
            };
            let path = join(directory, name.to_bytes());
            if let Some(item) = self.step(path, pair).transpose() {
                return Some(item);
            }
        }
        None
    }
}

/// Whether two directories are merged of the same ones, so that nothing in them can differ.
fn same(first: &Merged, second: &Merged) -> Result<bool, Error> {
    let ids = |merged: &Merged| {
        let stats = merged.parts.iter().map(|(_, directory)| rustix::fs::fstat(directory));
        stats.map(|stat| stat.map(|stat| (stat.st_dev, stat.st_ino))).collect::<rustix::io::Result<Vec<_>>>()
    };
    let failed = Error::io("cannot describe a directory of a layer");
    Ok(ids(first).map_err(&failed)? == ids(second).map_err(&failed)?)
}

/// Whether two contents of one length differ.
fn unlike(mut first: impl BufRead, mut second: impl BufRead) -> std::io::Result<bool> {
    loop {
        let (a, b) = (first.fill_buf()?, second.fill_buf()?);
        let length = a.len().min(b.len());
        if length == 0 {
            return Ok(a.len() != b.len());
        }
        if a[..length] != b[..length] {
            return Ok(true);
        }
        first.consume(length);
        second.consume(length);
    }
}
