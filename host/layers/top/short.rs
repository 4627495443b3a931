//! Short names of directories of the store, for the options of a mount: the kernel takes one page of them, and a digest
//! has 64 digits.
//!
//! ```text
//! l/Zk3_q ─► ../layers/4bcf…/tree
//! ```
//!
//! A name is made of the hash of where it leads, so that it can be made again and nobody has to remember it. If another
//! one has that name, the next is tried. One call makes it. It goes with the directory: whoever removes that looks once
//! more, under a lock that whoever makes names holds too, because a directory may come back.

use crate::content::pin;
use crate::hash::{Algorithm, Digest};
use crate::layers::{Error, Layers};
use rustix::fs::{AtFlags, FileType, readlinkat, statat, symlinkat};
use rustix::io::Errno;

/// The directory of short names.
pub(in crate::layers) const SHORT: &str = "l";

/// How many characters a name has: 128 of them, below a store's directory of 20 bytes, fit into a page.
const LENGTH: usize = 5;
/// How many names one directory may have. A billion names are there: many more tries are never needed.
const NAMES_MAX: usize = 8;
/// What names are made of.
const DIGITS: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

impl Layers {
    /// Returns a short name, below the store's directory, of `path` there, which the caller holds.
    pub(in crate::layers) fn short(&self, path: &str) -> Result<String, Error> {
        let failed = Error::io("cannot make a short name in the layer store");
        let target = target(path);
        let lock = self.store.root.enter(SHORT).map_err(&failed)?;
        pin::share(&lock).map_err(&failed)?;
        for name in names(path) {
            // What has the name now may be gone in the next moment, and the name is free then.
            loop {
                match symlinkat(target.as_str(), &lock, name.as_str()) {
                    Ok(()) => return Ok(format!("{SHORT}/{name}")),
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(failed(error)),
                }
                match readlinkat(&lock, name.as_str(), Vec::new()) {
                    Ok(found) if found.as_bytes() == target.as_bytes() => return Ok(format!("{SHORT}/{name}")),
                    Ok(_) | Err(Errno::INVAL) => break,
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        Err(Error::Damaged("every short name of a directory is taken".to_owned()))
    }

    /// Removes the short names of `path`, unless something is there.
    pub(in crate::layers) fn forget(&self, path: &str) -> Result<(), Error> {
        let target = target(path);
        let is_its = |name: &String| {
            let found = readlinkat(&self.store.short, name.as_str(), Vec::new());
            found.is_ok_and(|found| found.as_bytes() == target.as_bytes())
        };
        self.drop_dangling(names(path).filter(is_its))
    }

    /// Removes short names that lead nowhere, of the first `count` that are there.
    pub(in crate::layers) fn sweep_short(&self, count: usize) -> Result<(), Error> {
        let failed = Error::io("cannot list the layer store");
        let names = self.store.short.names().map_err(&failed)?.take(count);
        let names: Vec<_> = names.collect::<Result<_, _>>().map_err(failed)?;
        self.drop_dangling(names.into_iter())
    }

    fn drop_dangling(&self, names: impl Iterator<Item = String>) -> Result<(), Error> {
        let failed = Error::io("cannot remove a short name");
        let is_dangling = |name: &str| matches!(statat(&self.store.short, name, AtFlags::empty()), Err(Errno::NOENT));
        let mut names = names.filter(|name| is_dangling(name)).peekable();
        if names.peek().is_none() {
            return Ok(());
        }
        let lock = self.store.root.enter(SHORT).map_err(&failed)?;
        pin::claim(&lock).map_err(&failed)?;
        for name in names {
            let is_link = self
                .store
                .short
                .stat(&name)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            if is_link && is_dangling(&name) {
                match lock.unlink(&name) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        Ok(())
    }
}

/// What a short name of `path` says.
fn target(path: &str) -> String {
    format!("../{path}")
}

/// Returns the names that `path` may have, the first one first.
fn names(path: &str) -> impl Iterator<Item = String> {
    let hash = Digest::of(Algorithm::Sha256, path.as_bytes()).encoded();
    // 60 digits are 30 bytes; each name takes what is left of some.
    (0..NAMES_MAX).map(move |which| {
        let bits = u64::from_str_radix(&hash[which * 8..which * 8 + 8], 16).expect("hexadecimal digits");
        (0..LENGTH).map(|at| char::from(DIGITS[usize::try_from(bits >> (6 * at) & 63).expect("six bits")])).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_directory_has_the_same_names_every_time_and_no_two_have_the_same() {
        let of = |path: &str| names(path).collect::<Vec<_>>();
        assert_eq!(of("layers/a/tree"), of("layers/a/tree"));
        let all: BTreeSet<_> = (0..1_000).map(|number| of(&format!("layers/{number}/tree"))[0].clone()).collect();
        assert_eq!(all.len(), 1_000);
        for name in of("layers/a/tree") {
            assert_eq!(name.len(), LENGTH);
            assert!(name.bytes().all(|byte| DIGITS.contains(&byte)), "{name}");
        }
    }
}
