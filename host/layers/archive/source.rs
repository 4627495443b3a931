//! The bytes under an archive: whole blocks, and the content between them, passed on in the pieces in which they come.
//! It knows what a block is, and not what stands in one.

use super::header::{BLOCK_BYTES, Block};
use super::{Error, error};
use std::io::{self, BufRead, ErrorKind, Read};

/// A reader, and how far its next header is.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    /// Bytes of the current content that have not been read.
    content: u64,
    /// Bytes of padding after it.
    padding: u64,
    offset: u64,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, content: 0, padding: 0, offset: 0 }
    }

    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the current content that have not been read.
    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// Says that `content` bytes follow, and their padding. No file is larger than `i64::MAX`.
    pub(super) fn expect(&mut self, content: u64) -> Result<(), Error> {
        if content > i64::MAX as u64 {
            return Err(Error::Number("size"));
        }
        (self.content, self.padding) = (content, content.next_multiple_of(BLOCK_BYTES as u64) - content);
        Ok(())
    }

    /// Reads what is left of the current content, and its padding.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        let mut left = self.content + self.padding;
        (self.content, self.padding) = (0, 0);
        while left > 0 {
            let piece = piece(&mut self.reader)?.len() as u64;
            if piece == 0 {
                return Err(Error::Truncated);
            }
            let taken = piece.min(left);
            self.take(usize::try_from(taken).expect("not more than a buffer has"));
            left -= taken;
        }
        Ok(())
    }

    /// Reads a whole block. Returns whether there was one: the bytes may also end before it.
    pub(super) fn block(&mut self, block: &mut Block) -> Result<bool, Error> {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            let piece = piece(&mut self.reader)?;
            let length = piece.len().min(BLOCK_BYTES - filled);
            block[filled..filled + length].copy_from_slice(&piece[..length]);
            self.take(length);
            match (length, filled) {
                (0, 0) => return Ok(false),
                (0, _) => return Err(Error::Truncated),
                _ => filled += length,
            }
        }
        Ok(true)
    }

    /// Reads to the end of the bytes, which are at most `bytes_max` zeros.
    pub(super) fn zeros(&mut self, bytes_max: u64) -> Result<(), Error> {
        let mut left = bytes_max;
        loop {
            let piece = piece(&mut self.reader)?;
            let length = piece.len();
            if length == 0 {
                return Ok(());
            }
            if piece.iter().any(|&byte| byte != 0) {
                return Err(Error::Trailing);
            }
            left = left.checked_sub(length as u64).ok_or(Error::Padding(bytes_max))?;
            self.take(length);
        }
    }

    fn take(&mut self, length: usize) {
        self.reader.consume(length);
        self.offset += length as u64;
    }
}

/// Returns the next bytes, none at the end.
fn piece<R: BufRead>(reader: &mut R) -> io::Result<&[u8]> {
    // A borrow that is returned from a loop would last for all of it, so the buffer is asked for twice.
    loop {
        match reader.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    reader.fill_buf()
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// The content: it ends where the header said, or fails.
impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let piece = piece(&mut self.reader)?;
        if piece.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, error::Error::Truncated));
        }
        let length = usize::try_from(self.content).map_or(piece.len(), |content| content.min(piece.len()));
        Ok(&piece[..length])
    }

    fn consume(&mut self, length: usize) {
        self.content = self.content.checked_sub(length as u64).expect("not more is consumed than was there");
        self.take(length);
    }
}
