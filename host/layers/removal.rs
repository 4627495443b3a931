//! Removes a directory of the store with everything in it: trees of strangers, with modes, names and depths of any kind.
//!
//! It follows no link, needs no memory for depth and no path: a directory that is not empty is moved up to the top
//! first, and is emptied there.
//!
//! ```text
//! extract/7-1/tree/a/b/c      tree is emptied: a becomes ~0
//! extract/7-1/~0/b/c          ~0 is emptied:   b becomes ~1
//! extract/7-1/~1/c            and so on
//! ```

use super::Error;
use crate::content::directory::Directory;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

/// How many threads remove many trees, however many processors there are: a file system that tells the disk what is free
/// (`discard`) may wait for the disk with each file.
const THREADS: usize = 8;
/// Why a lock can be taken.
const UNPOISONED: &str = "nothing panics while it holds the queue";

/// Removes the directory `name`. What is gone already, because somebody else removes it too, is no error.
pub(super) fn remove(parent: &Directory, name: &str) -> std::result::Result<(), Error> {
    let top = match open(parent.as_fd(), name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(Error::io("cannot remove a directory of the layer store")(error)),
    };
    everything(parent, &[(name, top.as_fd())], 1).map_err(Error::io("cannot remove a directory of the layer store"))
}

/// Does so to many directories, which the caller has open, on several threads. Most of the time that it takes is the
/// kernel's or the disk's.
pub(super) fn remove_all(parent: &Directory, doomed: &[(String, Directory)]) -> std::result::Result<(), Error> {
    let tops: Vec<_> = doomed.iter().map(|(name, directory)| (name.as_str(), directory.as_fd())).collect();
    everything(parent, &tops, THREADS).map_err(Error::io("cannot remove directories of the layer store"))
}

/// Empties and removes `tops`, which have these names in `parent`.
fn everything(parent: &Directory, tops: &[(&str, BorrowedFd<'_>)], threads: usize) -> Result<()> {
    let work = Work {
        tops,
        queue: Mutex::new(Queue {
            pending: (0..tops.len()).map(|top| (top, None)).collect(),
            busy: 0,
            outcome: Ok(()),
        }),
        changed: Condvar::new(),
        serial: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without another thread it takes longer.
            let _ = std::thread::Builder::new().spawn_scoped(scope, || work.run());
        }
        work.run();
    });
    work.queue.into_inner().expect(UNPOISONED).outcome?;
    tops.iter().try_for_each(|(name, _)| gone(unlinkat(parent, *name, AtFlags::REMOVEDIR)))
}

/// Directories that are to be emptied, by several threads.
struct Work<'a> {
    tops: &'a [(&'a str, BorrowedFd<'a>)],
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Of the next name in a top.
    serial: AtomicU64,
}

struct Queue {
    /// The number of a top, and the name of a directory in it; none is the top itself, which comes before those.
    pending: Vec<(usize, Option<CString>)>,
    /// How many threads may still add to it.
    busy: usize,
    outcome: Result<()>,
}

impl Work<'_> {
    /// Works until there is nothing left to do, or something has failed.
    fn run(&self) {
        let mut queue = self.queue.lock().expect(UNPOISONED);
        loop {
            let Some((top, name)) = queue.pending.pop().filter(|_| queue.outcome.is_ok()) else {
                if queue.busy == 0 || queue.outcome.is_err() {
                    return;
                }
                queue = self.changed.wait(queue).expect(UNPOISONED);
                continue;
            };
            queue.busy += 1;
            drop(queue);
            let moved = self.empty(top, name.as_deref());
            queue = self.queue.lock().expect(UNPOISONED);
            queue.busy -= 1;
            match moved {
                Ok(moved) => queue.pending.extend(moved.into_iter().map(|name| (top, Some(name)))),
                Err(error) => queue.outcome = Err(error),
            }
            self.changed.notify_all();
        }
    }

    /// Empties the directory `name` of a top, and removes it; or the top itself. Returns what it has moved to the top.
    fn empty(&self, top: usize, name: Option<&CStr>) -> Result<Vec<CString>> {
        let (_, top) = self.tops[top];
        let Some(name) = name else {
            permit(top)?;
            return clear(top, None, &self.serial);
        };
        let directory = match open(top, name) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            other => other?,
        };
        let moved = clear(directory.as_fd(), Some(top), &self.serial)?;
        gone(unlinkat(top, name, AtFlags::REMOVEDIR))?;
        Ok(moved)
    }
}

/// Empties `directory`, except for directories that are not empty: they are moved to `top`, unless this is the top.
/// Returns their names there.
fn clear(directory: BorrowedFd<'_>, top: Option<BorrowedFd<'_>>, serial: &AtomicU64) -> Result<Vec<CString>> {
    let mut moved = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match unlinkat(directory, name, AtFlags::empty()) {
                // The file system does not say in a listing what it lists.
                Err(Errno::ISDIR) => {}
                other => {
                    gone(other)?;
                    continue;
                }
            }
        }
        match unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        match top {
            None => moved.push(name.to_owned()),
            Some(top) => moved.extend(lift(directory, name, top, serial)?),
        }
    }
    Ok(moved)
}

/// Moves the directory `name` to a new name in `top`.
fn lift(directory: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, serial: &AtomicU64) -> Result<Option<CString>> {
    loop {
        let place = format!("~{}", serial.fetch_add(1, Ordering::Relaxed));
        let place = CString::new(place).expect("digits have no zero byte");
        match renameat(directory, name, top, place.as_c_str()) {
            Ok(()) => return Ok(Some(place)),
            Err(Errno::NOENT) => return Ok(None),
            // A removal that was interrupted has left something under this name.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            // A directory gets another parent, for which its owner needs the permission to write to it.
            Err(Errno::ACCESS) => drop(open(directory, name)?),
            Err(error) => return Err(error),
        }
    }
}

/// Opens a directory so that everything in it can be removed, whatever its mode.
fn open<P: rustix::path::Arg + Copy>(parent: BorrowedFd<'_>, name: P) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    permit(directory.as_fd())?;
    Ok(directory)
}

fn permit(directory: BorrowedFd<'_>) -> Result<()> {
    let mode = Mode::from_raw_mode(fstat(directory)?.st_mode);
    if mode.contains(Mode::RWXU) { Ok(()) } else { fchmod(directory, Mode::RWXU) }
}

fn gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
