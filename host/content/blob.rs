//! Blobs: open and read. Holding one pins it; see [`super`] for how. `claim` is about removing them.
//!
//! Bytes were verified when they were committed; they are hashed again for those who ask.

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Content, Error, pin};
use crate::hash::{Digest, Hasher};
use crate::planted::{self, Bug};

/// How many bytes [`Blob::read`] gives at most: as much as the largest document that wharf reads.
pub const READ_BYTES_MAX: u64 = 4 << 20;

/// How many bytes [`Blob::read_ready`] gives at most: more than most manifests and configurations have, and copied in a
/// few microseconds.
const READY_BYTES_MAX: u64 = 64 << 10;

/// How many bytes a step of a [`Verifier`] hashes at most: a few hundredths of a second.
const VERIFY_STEP_BYTES: usize = 64 << 20;
const VERIFY_BUFFER_BYTES: usize = 256 << 10;

/// Verified bytes on disk, which stay there while the handle is held. Clones share one pin.
#[derive(Clone, Debug)]
pub struct Blob {
    digest: Digest,
    size: u64,
    /// Open for reading, and locked. The lock ends with the last descriptor of this open file.
    file: Arc<File>,
}

impl Blob {
    /// Takes over `file`, which is locked and has, or is about to have, the name of `digest`.
    pub(super) fn pinned(digest: Digest, size: u64, file: File) -> Self {
        Self { digest, size, file: Arc::new(file) }
    }

    /// Returns the digest by which the blob is known.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns `length` bytes at `offset`, or fewer at the end of the blob.
    ///
    /// Fails with [`Error::TooLarge`] if `length` is over [`READ_BYTES_MAX`].
    pub fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        if length > READ_BYTES_MAX {
            return Err(Error::TooLarge { limit: READ_BYTES_MAX });
        }
        let length = length.min(self.size.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(length).expect("the limit fits into memory")];
        self.file.read_exact_at(&mut bytes, offset).map_err(Error::io("cannot read a blob"))?;
        Ok(bytes)
    }

    /// The same, if it is little and the kernel has it in memory.
    pub(crate) fn read_ready(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let length = length.min(self.size.saturating_sub(offset));
        if length > READY_BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let count = rustix::io::preadv2(&self.file, into, offset, ReadWriteFlags::NOWAIT).ok()?;
        (count == bytes.len()).then_some(bytes)
    }

    /// Returns the bytes from `offset` on. The reader pins the blob too.
    pub fn reader(&self, offset: u64) -> Reader {
        Reader { blob: self.clone(), offset }
    }

    /// Begins to hash the bytes on disk again.
    pub fn verifier(&self) -> Verifier {
        Verifier { reader: self.reader(0), hasher: Some(Hasher::new(self.digest.algorithm())) }
    }

    /// Returns the open file, for calls that move bytes without reading them. Its position is shared: give offsets.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Hashes a blob again, step by step, so that it can be left in between.
#[derive(Debug)]
pub struct Verifier {
    reader: Reader,
    /// None at the end.
    hasher: Option<Hasher>,
}

impl Verifier {
    /// Hashes up to 64 MiB more, and returns whether that was the end.
    ///
    /// Fails with [`Error::DigestMismatch`] at the end if the bytes are not what the digest says.
    pub fn step(&mut self) -> Result<bool, Error> {
        let Some(hasher) = &mut self.hasher else { return Ok(true) };
        let mut buffer = vec![0; VERIFY_BUFFER_BYTES];
        for _ in 0..VERIFY_STEP_BYTES / VERIFY_BUFFER_BYTES {
            let count = self.reader.read(&mut buffer).map_err(Error::io("cannot read a blob"))?;
            if count == 0 {
                let expected = self.reader.blob.digest;
                return match self.hasher.take().map(Hasher::finish) {
                    Some(actual) if actual != expected => {
                        Err(Error::DigestMismatch { expected: Box::new(expected), actual: Box::new(actual) })
                    }
                    _ => Ok(true),
                };
            }
            hasher.update(&buffer[..count]);
        }
        Ok(false)
    }
}

/// The bytes of a blob from an offset on. It ends with an error if the file is shorter than the blob was.
#[derive(Debug)]
pub struct Reader {
    blob: Blob,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.blob.size.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.blob.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the blob's file was cut short"));
        }
        self.offset += count as u64;
        Ok(count)
    }
}

impl Content {
    /// Opens the blob that has this digest.
    ///
    /// Fails with [`Error::NotFound`], also if something that is no file has its name.
    pub fn blob(&self, digest: &Digest) -> Result<Blob, Error> {
        let name = digest.encoded();
        loop {
            let file = match self.blobs(digest).open(&name, OFlags::RDONLY) {
                Ok(file) => file,
                Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Err(Error::NotFound),
                Err(error) => return Err(Error::io("cannot open a blob")(error)),
            };
            let size = size_of(&file)?;
            if !planted::has(Bug::PinDropped) {
                pin::share(&file).map_err(Error::io("cannot pin a blob"))?;
            }
            if pin::is_linked(&file).map_err(Error::io("cannot describe a blob"))? {
                return Ok(Blob::pinned(*digest, size, file));
            }
            // It was removed between opening and locking. By now there may be a new one.
        }
    }

    /// The same, if it takes neither the disk nor anybody else. Whatever there is to be said against it, `blob` says.
    pub(crate) fn blob_ready(&self, digest: &Digest) -> Option<Blob> {
        let file = self.blobs(digest).open_cached(&digest.encoded()).ok()?;
        let size = size_of(&file).ok()?;
        let is_pinned = planted::has(Bug::PinDropped) || pin::try_share(&file).ok()?;
        (is_pinned && pin::is_linked(&file).ok()?).then(|| Blob::pinned(*digest, size, file))
    }
}

/// The size of a blob.
///
/// Fails with [`Error::NotFound`] if it is no file.
fn size_of(blob: &File) -> Result<u64, Error> {
    let stat = rustix::fs::fstat(blob).map_err(Error::io("cannot describe a blob"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::NotFound);
    }
    Ok(u64::try_from(stat.st_size).expect("the size of a file is not negative"))
}
