//! Directories of the store that somebody holds: pinned by those who use them, claimed by whoever removes them.
//!
//! The rule is that of the content store (`host/content.rs`), with a directory in the place of a file: a shared lock
//! while it is used, the exclusive one to remove it, and after either a look whether the name still leads there.

use super::{Error, removal};
use crate::content::directory::Directory;
use crate::content::pin;
use rustix::io::Errno;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many names are tried for a new directory. Each was taken by a process that died.
const NAMES_MAX: usize = 10_000;

/// Opens the directory `name` and pins it. Returns none if it is absent. Waits while somebody takes it away, which is a
/// matter of one rename.
pub(super) fn pinned(parent: &Directory, name: &str) -> Result<Option<Directory>, Error> {
    loop {
        let Some(directory) = entered(parent, name)? else { return Ok(None) };
        pin::share(&directory).map_err(Error::io("cannot pin a directory of the layer store"))?;
        if leads(parent, name, &directory)? {
            return Ok(Some(directory));
        }
    }
}

/// Opens the directory `name` for its removal. Returns none if it is absent.
///
/// Fails with [`Error::InUse`] while somebody has pinned it.
pub(super) fn claimed(parent: &Directory, name: &str) -> Result<Option<Directory>, Error> {
    loop {
        let Some(directory) = entered(parent, name)? else { return Ok(None) };
        if !pin::try_claim(&directory).map_err(Error::io("cannot lock a directory of the layer store"))? {
            return Err(Error::InUse);
        }
        if leads(parent, name, &directory)? {
            return Ok(Some(directory));
        }
    }
}

/// Takes a directory that the caller has pinned for its removal. Returns none if its name leads elsewhere by now.
///
/// Fails with [`Error::InUse`] while somebody else has pinned it.
pub(super) fn reclaimed(parent: &Directory, name: &str, pinned: Directory) -> Result<Option<Directory>, Error> {
    if !pin::try_claim(&pinned).map_err(Error::io("cannot lock a directory of the layer store"))? {
        return Err(Error::InUse);
    }
    // The pin was given up for a moment, and others may have come between.
    Ok(leads(parent, name, &pinned)?.then_some(pinned))
}

/// Makes a directory in `parent` that nobody else has, and pins it. Returns its name too.
pub(super) fn fresh(parent: &Directory) -> Result<(String, Directory), Error> {
    for name in names("").take(NAMES_MAX) {
        match rustix::fs::mkdirat(parent, name.as_str(), rustix::fs::Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => continue,
            Err(error) => return Err(Error::io("cannot make a directory of the layer store")(error)),
        }
        // Whoever sweeps may come between, and takes it for debris.
        if let Some(directory) = pinned(parent, &name)? {
            return Ok((name, directory));
        }
    }
    Err(Error::Damaged("every name of a new directory is taken".to_owned()))
}

/// Takes the claimed directory `name` out of sight, and then removes it from `extract`, where a process that dies
/// leaves it for the next one.
pub(super) fn discard(extract: &Directory, parent: &Directory, name: &str, claimed: Directory) -> Result<(), Error> {
    let grave = bury(extract, parent, name, &claimed)?;
    let removed = removal::remove(extract, &grave);
    drop(claimed);
    removed
}

/// Takes the claimed directory `name` out of sight, to `extract`, and returns its name there. Whoever sweeps leaves it
/// alone as long as `claimed` is open. It makes nothing, because a full disk has no room for that.
pub(super) fn bury(extract: &Directory, parent: &Directory, name: &str, claimed: &Directory) -> Result<String, Error> {
    let mut graves = names("gone-").take(NAMES_MAX);
    let grave = loop {
        let Some(grave) = graves.next() else {
            return Err(Error::Damaged("every name of a removed directory is taken".to_owned()));
        };
        // It replaces nothing but an empty directory, which is here to be removed too: what is made has other names.
        match rustix::fs::renameat(parent, name, extract, grave.as_str()) {
            Ok(()) => break grave,
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            Err(error) => return Err(Error::io("cannot take something out of the layer store")(error)),
        }
    };
    // Whoever waits for the lock sees at once that the name leads nowhere, and the sweep still sees a holder.
    pin::share(claimed).map_err(Error::io("cannot unlock a directory of the layer store"))?;
    Ok(grave)
}

/// Returns names for a new directory. Each may be taken: another process namespace, or a process that died, has had the
/// same number.
fn names(prefix: &str) -> impl Iterator<Item = String> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    std::iter::repeat_with(move || format!("{prefix}{process}-{}", SERIAL.fetch_add(1, Ordering::Relaxed)))
}

/// Opens the directory `name`, which may be gone at any time. Returns none if it is absent.
pub(super) fn entered(parent: &Directory, name: &str) -> Result<Option<Directory>, Error> {
    match parent.enter(name) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(Error::io("cannot open a directory of the layer store")(error)),
    }
}

fn leads(parent: &Directory, name: &str, directory: &Directory) -> Result<bool, Error> {
    parent.leads_to(name, directory).map_err(Error::io("cannot describe a directory of the layer store"))
}
