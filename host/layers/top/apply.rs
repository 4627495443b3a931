//! An archive that is written into a top, as it would be in a mount of it, by the rules by which layers are made
//! (`layers/apply`): first into a tree that nobody sees, with all checks and budgets, and then by renames.
//!
//! What the archive implies about directories and files that it does not have is taken from what the top shows. If it is
//! mounted, whoever looks at that moment may see a part of it, as with any program that unpacks there; overlay does not
//! promise that a mount notices at all.
//!
//! A process that dies in the middle leaves a part: who applies again completes it, because every entry says all of what is
//! to be there.

use super::merge::{Merge, names};
use super::{Top, hide, set_aside};
use crate::hash::Digest;
use crate::layers::apply::{Applied, Budget};
use crate::layers::record::{ASIDE, Aside, Link};
use crate::layers::{Error, Unpacked, record as records, settle, unpack};
use rustix::fs::{RenameFlags, fstat, futimens, renameat_with};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicBool;

/// What was written into a top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What the uncompressed archive hashes to.
    pub diff_id: Digest,
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
    /// Bytes of all files in it, holes included, each file once.
    pub size: u64,
    /// What was left out, a sentence each, at most 20.
    pub warnings: Vec<String>,
}

impl Top {
    /// Writes what `source` has, which may be compressed by gzip or zstd, on top of what is there. Ends soon after `stop` is
    /// set.
    ///
    /// Fails with [`Error::Invalid`] for a view, and as [`unpack`] and
    /// [`Layers::stack`](crate::layers::Layers::stack) do; nothing has changed then.
    pub fn apply(&self, source: impl Read + Send, budget: &Budget, stop: &AtomicBool) -> Result<Written, Error> {
        if !self.record.writable {
            return Err(Error::Invalid("nothing can be written into a view"));
        }
        let Unpacked { nascent, mut applied, whole } = unpack(&self.layers, source, budget, stop)?;
        let _turn = self.turn()?;
        self.mend()?;
        let (tree, user) = (self.tree()?, self.record.user);
        let mut levels = self.own_levels()?;
        levels.extend(self.levels_below()?);
        // What the archive says of nothing below is not to be found there.
        let seen = if applied.is_opaque { &levels[..0] } else { &levels[..] };
        let mut aside: Vec<Aside> = std::mem::take(&mut applied.aside).into_iter().map(Aside::from).collect();
        let links: Vec<_> = std::mem::take(&mut applied.links).into_iter().map(Link::from).collect();
        let Applied { size, warnings, names_root, is_opaque, .. } = applied;
        let mut implied: std::collections::BTreeSet<_> = applied.implied.into_iter().collect();
        if !names_root {
            implied.insert(Vec::new());
        }
        aside.extend(settle::settle_here(&self.layers, nascent.tree(), user, &implied, &links, seen)?);
        let mut gone = Vec::new();
        if is_opaque {
            empty(tree.as_fd(), nascent.directory().as_fd()).map_err(Error::io("cannot write into a top"))?;
            gone.push(Vec::new());
        }
        let (from, grave) = (nascent.tree(), nascent.directory().as_fd());
        gone.extend(Merge { from, to: tree.as_fd(), grave, user, implied: &implied }.run()?);
        if is_opaque {
            hide::below(tree.as_fd(), user, &self.layers, &levels[1..])?;
        }
        self.note(&gone, aside)?;
        Ok(Written { diff_id: whole.diff_id, bytes: whole.bytes, size, warnings })
    }

    /// Writes down what could not be set, in the place of what was said about what has `gone`.
    fn note(&self, gone: &[Vec<u8>], aside: Vec<Aside>) -> Result<(), Error> {
        if !self.record.user {
            return Ok(());
        }
        let is_gone = |path: &[u8]| {
            let is_in = |gone: &Vec<u8>| {
                path.strip_prefix(gone.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            gone.iter().any(is_in)
        };
        let old: Vec<Aside> = records::read(&self.directory, ASIDE)?.unwrap_or_default();
        let mut kept: std::collections::BTreeMap<_, _> =
            old.into_iter().filter(|aside| !is_gone(&aside.path)).map(|aside| (aside.path.clone(), aside)).collect();
        kept.extend(aside.into_iter().map(|aside| (aside.path.clone(), aside)));
        set_aside(&self.directory, &kept.into_values().collect::<Vec<_>>())
    }
}

/// Puts everything that is in `tree` into `grave`.
fn empty(tree: BorrowedFd<'_>, grave: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let times = crate::layers::copy::times(&fstat(tree)?);
    for (number, name) in names(tree)?.into_iter().enumerate() {
        let place = format!("emptied-{number}");
        renameat_with(tree, name.as_c_str(), grave, place.as_str(), RenameFlags::NOREPLACE)?;
    }
    futimens(tree, &times)
}
