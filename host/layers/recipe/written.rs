//! What a recipe is on disk: steps, in the order of the archive, compressed. It decides nothing about what becomes a
//! step.
//!
//! ```text
//! recipe   version: 1 byte │ one zstd frame with its checksum
//! frame    step… 0
//! step     1 │ length: u32 │ bytes                                    these bytes
//!          2 │ length: u16 │ path │ offset: u64 │ length: u64         those of a file in the tree
//! ```
//!
//! Numbers are little-endian.

use crate::layers::Error;
use crate::layers::archive::PATH_BYTES_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

const VERSION: u8 = 1;
const END: u8 = 0;
const LITERAL: u8 = 1;
const REFERENCE: u8 = 2;
/// How many bytes are collected before they are a step.
const LITERAL_BYTES_MAX: usize = 64 << 10;
const LEVEL: i32 = 3;

/// Where bytes of the archive stand in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Relative to the root and cleaned.
    pub(super) path: Vec<u8>,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next bytes are those that [`Steps::literal`] gives, this many.
    Literal(usize),
    /// The next bytes stand there.
    Reference(Reference),
}

/// A recipe that is being written. What fails is kept until [`check`](Self::check) or [`finish`](Self::finish) asks.
pub(super) struct Writer {
    encoder: Encoder<'static, Counted>,
    bytes_max: u64,
    literal: Vec<u8>,
    reference: Option<Reference>,
    failure: Option<io::Error>,
}

impl Writer {
    pub(super) fn new(mut file: File, bytes_max: u64) -> io::Result<Self> {
        file.write_all(&[VERSION])?;
        let mut encoder = Encoder::new(Counted { file, bytes: 1 }, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { encoder, bytes_max, literal: Vec::new(), reference: None, failure: None })
    }

    /// Goes on with these bytes.
    pub(super) fn literal(&mut self, mut bytes: &[u8]) {
        if let Some(reference) = self.reference.take() {
            self.step(|encoder| refer(encoder, &reference));
        }
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(LITERAL_BYTES_MAX - self.literal.len()));
            self.literal.extend_from_slice(piece);
            if self.literal.len() == LITERAL_BYTES_MAX {
                self.flush();
            }
            bytes = rest;
        }
    }

    /// Goes on with what stands in a file.
    pub(super) fn reference(&mut self, path: &[u8], offset: u64, length: u64) {
        self.flush();
        match &mut self.reference {
            Some(last) if last.path == path && last.offset + last.length == offset => last.length += length,
            last => {
                let ended = last.replace(Reference { path: path.to_vec(), offset, length });
                if let Some(reference) = ended {
                    self.step(|encoder| refer(encoder, &reference));
                }
            }
        }
    }

    /// Fails if anything did, or with [`Error::TooLarge`] if there is more than there may be.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if let Some(failure) = self.failure.take() {
            return Err(failed(failure));
        }
        match self.encoder.get_ref().bytes <= self.bytes_max {
            true => Ok(()),
            false => Err(Error::TooLarge { what: "bytes that its files do not have", limit: self.bytes_max }),
        }
    }

    pub(super) fn finish(mut self) -> Result<File, Error> {
        self.literal(&[]);
        self.flush();
        self.step(|encoder| encoder.write_all(&[END]).and_then(|()| encoder.do_finish()));
        self.check()?;
        Ok(self.encoder.finish().map_err(failed)?.file)
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let literal = std::mem::take(&mut self.literal);
            self.step(|encoder| {
                let length = u32::try_from(literal.len()).expect("a literal is short");
                encoder.write_all(&[LITERAL])?;
                encoder.write_all(&length.to_le_bytes())?;
                encoder.write_all(&literal)
            });
            self.literal = literal;
            self.literal.clear();
        }
    }

    fn step(&mut self, write: impl FnOnce(&mut Encoder<'static, Counted>) -> io::Result<()>) {
        // What is too much is not written: one entry may have as much as a disk.
        if self.failure.is_none() && self.encoder.get_ref().bytes <= self.bytes_max {
            self.failure = write(&mut self.encoder).err();
        }
    }
}

fn refer(encoder: &mut impl Write, reference: &Reference) -> io::Result<()> {
    let Reference { path, offset, length } = reference;
    encoder.write_all(&[REFERENCE])?;
    encoder.write_all(&u16::try_from(path.len()).expect("a path of an archive is short").to_le_bytes())?;
    encoder.write_all(path)?;
    encoder.write_all(&offset.to_le_bytes())?;
    encoder.write_all(&length.to_le_bytes())
}

/// A file, and how much was written into it.
struct Counted {
    file: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn failed(failure: io::Error) -> Error {
    Error::io("cannot write the recipe of a layer")(failure)
}

/// A recipe that is being read.
pub(super) struct Steps {
    frame: BufReader<Decoder<'static, BufReader<File>>>,
}

impl Steps {
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        let mut version = [0];
        file.read_exact(&mut version)?;
        if version != [VERSION] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { frame: BufReader::with_capacity(LITERAL_BYTES_MAX, Decoder::new(file)?.single_frame()) })
    }

    /// Returns the next step; none at the end. The bytes of the one before have been taken.
    pub(super) fn next(&mut self) -> io::Result<Option<Step>> {
        let [kind] = self.bytes()?;
        match kind {
            LITERAL => {
                let length = u32::from_le_bytes(self.bytes()?) as usize;
                if length <= LITERAL_BYTES_MAX { Ok(Some(Step::Literal(length))) } else { Err(strange()) }
            }
            REFERENCE => {
                let length = usize::from(u16::from_le_bytes(self.bytes()?));
                if length > PATH_BYTES_MAX {
                    return Err(strange());
                }
                let mut path = vec![0; length];
                self.frame.read_exact(&mut path)?;
                let (offset, length) = (u64::from_le_bytes(self.bytes()?), u64::from_le_bytes(self.bytes()?));
                Ok(Some(Step::Reference(Reference { path, offset, length })))
            }
            // The checksum follows, and is compared when the end is asked for.
            END if self.frame.fill_buf()?.is_empty() => Ok(None),
            _ => Err(strange()),
        }
    }

    /// Reads bytes of a literal, at least one if any are wanted.
    pub(super) fn literal(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.frame.read(bytes)? {
            0 if !bytes.is_empty() => Err(strange()),
            count => Ok(count),
        }
    }

    fn bytes<const LENGTH: usize>(&mut self) -> io::Result<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.frame.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn strange() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
