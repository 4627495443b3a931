//! What has to be known until the end of an archive: directories, whose times come last, and what the tree cannot say.
//! It is all by path without links, so that what is replaced can be forgotten. It touches no files.

use super::{Aside, Link};
use crate::layers::archive::Time;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The most warnings that are kept.
const WARNINGS_MAX: usize = 20;

/// What a directory still has to get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    /// The mode, if it is not what it was made with.
    pub(super) mode: Option<u32>,
    pub(super) mtime: Time,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) directories: BTreeMap<Vec<u8>, Directory>,
    pub(super) implied: BTreeMap<Vec<u8>, ()>,
    pub(super) aside: BTreeMap<Vec<u8>, Aside>,
    /// With a number that grows.
    links: BTreeMap<Vec<u8>, (u64, Link)>,
    linked: u64,
    pub(super) warnings: Vec<String>,
}

impl Remembered {
    /// Forgets what has this path or one below it.
    pub(super) fn forget(&mut self, path: &[u8]) {
        forget(&mut self.directories, path);
        forget(&mut self.aside, path);
        forget(&mut self.links, path);
        forget(&mut self.implied, path);
    }

    pub(super) fn link(&mut self, link: Link) {
        self.linked += 1;
        self.links.insert(link.path.clone(), (self.linked, link));
    }

    pub(super) fn links_nothing(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn has_link(&self, path: &[u8]) -> bool {
        !self.links.is_empty() && self.links.contains_key(path)
    }

    /// Returns the links in the order in which they came.
    pub(super) fn take_links(&mut self) -> Vec<Link> {
        let mut links: Vec<_> = std::mem::take(&mut self.links).into_values().collect();
        links.sort_by_key(|(number, _)| *number);
        links.into_iter().map(|(_, link)| link).collect()
    }

    pub(super) fn warn(&mut self, warning: impl FnOnce() -> String) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(warning());
        }
    }
}

fn forget<V>(map: &mut BTreeMap<Vec<u8>, V>, path: &[u8]) {
    map.remove(path);
    let below = [path, b"/"].concat();
    let next = |map: &BTreeMap<Vec<u8>, V>| {
        let (path, _) = map.range::<[u8], _>((Bound::Included(&below[..]), Bound::Unbounded)).next()?;
        path.starts_with(&below).then(|| path.clone())
    };
    while let Some(path) = next(map) {
        map.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_forgotten_with_all_below_it() {
        let mut remembered = Remembered::default();
        for path in ["a", "a.b", "a/b", "a/b/c", "a/c", "a0", "ab", "b"] {
            remembered.implied.insert(path.into(), ());
        }
        remembered.forget(b"a");
        let left: Vec<_> = remembered.implied.keys().map(|path| String::from_utf8_lossy(path)).collect();
        assert_eq!(left, ["a.b", "a0", "ab", "b"]);
    }

    #[test]
    fn only_some_warnings_are_kept() {
        let mut remembered = Remembered::default();
        (0..100).for_each(|number| remembered.warn(|| number.to_string()));
        assert_eq!(remembered.warnings.len(), WARNINGS_MAX);
        assert_eq!(remembered.warnings[19], "19");
    }
}
