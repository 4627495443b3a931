//! The archive that a recipe and a tree make: a reader that hashes what it gives, and fails at the end if that is not
//! what the layer is named by.
//!
//! It believes neither of the two. What the recipe names is opened below the root of the tree, regular files alone.

use super::RECIPE;
use super::written::{Reference, Step, Steps};
use crate::content::directory::Directory;
use crate::hash::{Digest, Hasher};
use crate::layers::nascent::TREE;
use crate::layers::{Error, Layer};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::{Errno, pread};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is read at once to be compared, in bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// How often `openat2` is asked again when something was moved while it looked.
const AGAIN_MAX: usize = 64;

/// The uncompressed archive of a layer. Its end is an empty read; a read fails with an [`Error`] within, which
/// [`Error::of`] returns. It pins the layer.
pub struct Rebuilt {
    steps: Steps,
    step: Option<Step>,
    /// Whether there are no more steps.
    is_over: bool,
    tree: OwnedFd,
    open: Option<(Vec<u8>, OwnedFd)>,
    /// None at the end.
    hasher: Option<Hasher>,
    diff_id: Digest,
    _pin: Arc<Directory>,
}

impl Rebuilt {
    /// Reads the recipe of `layer` that is in `place`.
    pub(super) fn open(layer: &Layer, place: &Directory) -> Result<Self, Error> {
        let file = match place.open(RECIPE, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(Error::NotFound),
            Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Err(damaged()),
            Err(error) => return Err(Error::io("cannot open the recipe of a layer")(error)),
        };
        let diff_id = *layer.diff_id();
        Ok(Self {
            steps: Steps::new(file).map_err(failed)?,
            step: None,
            is_over: false,
            tree: tree(&layer.directory)?,
            open: None,
            hasher: Some(Hasher::new(diff_id.algorithm())),
            diff_id,
            _pin: layer.directory.clone(),
        })
    }

    /// Reads to the end.
    pub(super) fn check(mut self, stop: &AtomicBool) -> Result<(), Error> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if self.piece(&mut buffer)? == 0 {
                return Ok(());
            }
        }
    }

    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let Some(hasher) = &mut self.hasher else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() && !self.is_over {
            let rest = &mut buffer[filled..];
            let (count, is_over) = match &mut self.step {
                None => {
                    self.step = self.steps.next().map_err(failed)?;
                    self.is_over = self.step.is_none();
                    continue;
                }
                Some(Step::Literal(left)) => {
                    let wanted = rest.len().min(*left);
                    let count = self.steps.literal(&mut rest[..wanted]).map_err(failed)?;
                    *left -= count;
                    (count, *left == 0)
                }
                Some(Step::Reference(reference)) => {
                    let count = refer(&self.tree, &mut self.open, reference, rest)?;
                    (count, reference.length == 0)
                }
            };
            filled += count;
            if is_over {
                self.step = None;
            }
        }
        hasher.update(&buffer[..filled]);
        if filled == 0 && !buffer.is_empty() {
            let actual = self.hasher.take().expect("it is here until the end").finish();
            if actual != self.diff_id {
                return Err(Error::DigestMismatch { expected: Box::new(self.diff_id), actual: Box::new(actual) });
            }
        }
        Ok(filled)
    }
}

/// Reads some of what `reference` names, and takes it off that.
fn refer(
    tree: &OwnedFd,
    open_file: &mut Option<(Vec<u8>, OwnedFd)>,
    reference: &mut Reference,
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let Reference { path, offset, length } = reference;
    let changed = |what: &str| Error::Changed(format!("`{}` {what}", path.escape_ascii()));
    if open_file.as_ref().is_none_or(|(name, _)| name != path) {
        let file = open(tree.as_fd(), path).ok_or_else(|| changed("is no file that can be read any more"))?;
        *open_file = Some((path.clone(), file));
    }
    let (_, file) = open_file.as_ref().expect("it was opened");
    let wanted = usize::try_from(*length).map_or(buffer.len(), |length| length.min(buffer.len()));
    loop {
        match pread(file, &mut buffer[..wanted], *offset) {
            Err(Errno::INTR) => {}
            Ok(0) if wanted > 0 => return Err(changed("is shorter than it was")),
            read => {
                let count = read.map_err(Error::io("cannot read a file of a layer"))?;
                (*offset, *length) = (offset.saturating_add(count as u64), *length - count as u64);
                return Ok(count);
            }
        }
    }
}

impl Read for Rebuilt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.piece(buffer).map_err(io::Error::other)
    }
}

impl fmt::Debug for Rebuilt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Rebuilt").field(&self.diff_id).finish()
    }
}

/// Opens the tree in the directory of a layer.
pub(super) fn tree(directory: &Directory) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(directory, TREE, flags, Mode::empty()) {
        Ok(tree) => Ok(tree),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Error::Changed("a part of it is missing".to_owned())),
        Err(error) => Err(Error::io("cannot open the tree of a layer")(error)),
    }
}

/// Opens the regular file that has the cleaned name `path` in a process whose root is `tree`. None if there is none, or
/// none that this user may read. A device is not opened: that may do something.
pub(super) fn open(tree: BorrowedFd<'_>, path: &[u8]) -> Option<OwnedFd> {
    let (directory, base) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    };
    let directory = below(tree, directory)?;
    let stat = statat(&directory, base, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => openat(&directory, base, flags, Mode::empty()).ok(),
        _ => None,
    }
}

fn below(tree: BorrowedFd<'_>, path: &[u8]) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..AGAIN_MAX {
        match openat2(tree, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
            opened => return opened.ok(),
        }
    }
    None
}

/// What a recipe says that cannot be read.
fn failed(error: io::Error) -> Error {
    match error.raw_os_error() {
        // The disk. Everything else is what the bytes are.
        Some(number) if number != Errno::ISDIR.raw_os_error() => Error::io("cannot read the recipe of a layer")(error),
        _ => damaged(),
    }
}

fn damaged() -> Error {
    Error::Changed("its recipe is not what was written".to_owned())
}
