//! Makes a recipe of an archive and the tree that came of it: reads both side by side and looks for what they have in
//! common.
//!
//! It follows no rule about what an entry does to a tree. The content of a file in the archive is compared with the file
//! that has its name now; as far as the two agree it is a reference, and from there on a literal. The archive may name a
//! file twice, through a link, or as a whiteout: what it says then stands nowhere, or somewhere else, and is a literal.

use super::rebuild;
use super::written::Writer;
use crate::layers::apply::{Budget, clean};
use crate::layers::archive::{Archive, Kind};
use crate::layers::{Error, archive};
use rustix::io::{Errno, pread};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, OwnedFd};

/// How much of a file is compared at once, in bytes.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Writes the recipe of the archive that `bytes` has, and that `tree` came of, into `file`, and returns that.
///
/// Fails with [`Error::TooLarge`] as soon as it has more than `bytes_max`.
pub(super) fn describe(
    bytes: impl BufRead,
    tree: OwnedFd,
    file: File,
    bytes_max: u64,
    stop: &dyn Fn() -> bool,
) -> Result<File, Error> {
    let writer = Writer::new(file, bytes_max).map_err(Error::io("cannot write the recipe of a layer"))?;
    let (writer, known) = (RefCell::new(writer), Cell::new(0));
    let mut archive = Archive::new(Kept { bytes, writer: &writer, known: &known });
    let mut common = Common { writer: &writer, known: &known, buffer: vec![0; PIECE_BYTES_MAX], stop };
    while let Some(entry) = archive.next()? {
        if stop() {
            return Err(Error::Stopped);
        }
        if let Kind::File { size, map } = &entry.kind {
            let (path, whole) = (clean(&entry.path), [(0, *size)]);
            let pieces = map.as_deref().unwrap_or(&whole);
            if let Some(file) = rebuild::open(tree.as_fd(), &path) {
                for &(offset, length) in pieces {
                    if !common.take(&mut archive, &file, &path, offset, length)? {
                        break;
                    }
                }
            }
        }
        writer.borrow_mut().check()?;
    }
    archive.finish(Budget::default().bytes)?;
    writer.into_inner().finish()
}

/// What an archive and a tree have in common.
struct Common<'w> {
    writer: &'w RefCell<Writer>,
    known: &'w Cell<usize>,
    buffer: Vec<u8>,
    stop: &'w dyn Fn() -> bool,
}

impl Common<'_> {
    /// Takes the next content of `archive` as far as `file` has the same at `offset`, and at most `length` bytes. Returns
    /// whether that was all; what was not taken is skipped by the archive, and so becomes a literal.
    fn take<R: BufRead>(
        &mut self,
        archive: &mut Archive<Kept<'_, R>>,
        file: &OwnedFd,
        path: &[u8],
        offset: u64,
        length: u64,
    ) -> Result<bool, Error> {
        let mut at = 0;
        while at < length {
            if (self.stop)() {
                return Err(Error::Stopped);
            }
            let bytes = match archive.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(archive::Error::from(error).into()),
            };
            let left = usize::try_from(length - at).unwrap_or(usize::MAX);
            let wanted = bytes.len().min(left).min(self.buffer.len());
            let count = match pread(file, &mut self.buffer[..wanted], offset + at) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                // That the disk cannot read it is for `fsck` to say.
                Err(_) => 0,
            };
            let equal = common(&bytes[..count], &self.buffer[..count]);
            if equal > 0 {
                self.writer.borrow_mut().reference(path, offset + at, equal as u64);
                self.known.set(equal);
                archive.consume(equal);
                at += equal as u64;
            }
            if equal < wanted || equal == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns how many bytes two pieces of one length have in common at their beginning.
fn common(one: &[u8], other: &[u8]) -> usize {
    // Most are equal as a whole, and that is one call of `memcmp`.
    if one == other { one.len() } else { one.iter().zip(other).take_while(|(one, other)| one == other).count() }
}

/// The bytes of the archive. What is taken of them becomes a literal, but for the next bytes that are `known`.
struct Kept<'w, R> {
    bytes: R,
    writer: &'w RefCell<Writer>,
    known: &'w Cell<usize>,
}

impl<R: BufRead> Read for Kept<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Kept<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bytes.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let known = self.known.replace(0);
        assert!(known == 0 || known == amount, "what is known is taken at once");
        if amount > known {
            // Bytes that are there are given again without asking anybody.
            let bytes = self.bytes.fill_buf().expect("what was given once is given again");
            self.writer.borrow_mut().literal(&bytes[..amount]);
        }
        self.bytes.consume(amount);
    }
}
