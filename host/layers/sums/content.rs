//! The sum of a file's content, from pieces as they come: while a layer is extracted, and when it is read again.
//!
//! A block of zeros counts like a hole, so that a sparse file has one sum, however its file system keeps it. Blocks are
//! summed in order:
//!
//! ```text
//! sum₀ = 0      sumₙ = XXH3(sumₙ₋₁, where the block begins, XXH3(the block))      blocks of zeros left out
//! ```

use crate::layers::Error;
use rustix::fs::{SeekFrom, seek};
use rustix::io::{Errno, pread};
use std::os::fd::BorrowedFd;
use twox_hash::XxHash3_64;

/// The size of a block, in bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// A sum that grows. It can be used for one file after the other.
#[derive(Debug, Default)]
pub(in crate::layers) struct Content {
    size: u64,
    at: u64,
    /// What has come of the block that is not whole.
    pending: Vec<u8>,
    sum: u64,
}

impl Content {
    /// Begins with a file of that size, its holes included.
    pub(in crate::layers) fn begin(&mut self, size: u64) {
        (self.size, self.at, self.sum) = (size, 0, 0);
        self.pending.clear();
    }

    /// Takes what comes next. What is behind the size is nobody's.
    pub(in crate::layers) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.at < self.size {
            let missing = self.block_bytes() - self.pending.len();
            let (piece, rest) = bytes.split_at(missing.min(bytes.len()));
            if self.pending.is_empty() && piece.len() == missing {
                self.block(piece);
            } else {
                self.pending.extend_from_slice(piece);
                if piece.len() == missing {
                    let block = std::mem::take(&mut self.pending);
                    self.block(&block);
                    self.pending = block;
                    self.pending.clear();
                }
            }
            bytes = rest;
        }
    }

    /// Goes on at `offset`: everything before it that has not come is zeros.
    pub(in crate::layers) fn skip_to(&mut self, offset: u64) {
        let offset = offset.min(self.size);
        while self.place() < offset {
            let left = offset - self.place();
            let block = self.block_bytes() as u64;
            if self.pending.is_empty() && left >= block {
                let whole = left / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
                self.at += if whole == 0 { left } else { whole };
            } else {
                const ZEROS: [u8; 4 << 10] = [0; 4 << 10];
                self.update(&ZEROS[..usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()))]);
            }
        }
    }

    /// Returns the sum. What has not come is zeros.
    pub(in crate::layers) fn finish(&mut self) -> u64 {
        self.skip_to(self.size);
        self.sum
    }

    fn place(&self) -> u64 {
        self.at + self.pending.len() as u64
    }

    /// The size of the block at hand: the last one may be short.
    fn block_bytes(&self) -> usize {
        usize::try_from(self.size - self.at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES))
    }

    fn block(&mut self, bytes: &[u8]) {
        if bytes.iter().any(|&byte| byte != 0) {
            let mut link = [0; 24];
            link[..8].copy_from_slice(&self.sum.to_le_bytes());
            link[8..16].copy_from_slice(&self.at.to_le_bytes());
            link[16..].copy_from_slice(&XxHash3_64::oneshot(bytes).to_le_bytes());
            self.sum = XxHash3_64::oneshot(&link);
        }
        self.at += bytes.len() as u64;
    }
}

/// Reads an open file and returns the sum of its content. Holes are not read.
pub(super) fn read(
    file: BorrowedFd<'_>,
    size: u64,
    content: &mut Content,
    buffer: &mut Vec<u8>,
    stop: &dyn Fn() -> bool,
) -> Result<u64, Error> {
    let failed = Error::io("cannot read a file of a layer");
    buffer.resize(4 * BLOCK_BYTES, 0);
    content.begin(size);
    let mut at = 0;
    while at < size {
        if stop() {
            return Err(Error::Stopped);
        }
        match pread(file, &mut buffer[..], at) {
            Ok(0) => break,
            Ok(count) => {
                content.update(&buffer[..count]);
                at += count as u64;
                // A short file has no holes that are worth a call.
                if at < size && buffer[..count].iter().all(|&byte| byte == 0) {
                    match seek(file, SeekFrom::Data(at)) {
                        Ok(data) => at = data,
                        Err(Errno::NXIO) => break,
                        // This file system does not know its holes.
                        Err(Errno::INVAL | Errno::OPNOTSUPP) => {}
                        Err(error) => return Err(failed(error)),
                    }
                    content.skip_to(at);
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(content.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(pieces: &[&[u8]]) -> u64 {
        let mut content = Content::default();
        content.begin(pieces.iter().map(|piece| piece.len() as u64).sum());
        pieces.iter().for_each(|piece| content.update(piece));
        content.finish()
    }

    #[test]
    fn a_sum_does_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..200_001u32).map(|number| (number % 251) as u8).collect();
        let whole = sum(&[&bytes]);
        for cut in [1, 100, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 200_000] {
            assert_eq!(sum(&[&bytes[..cut], &bytes[cut..]]), whole, "{cut}");
        }
        let pieces: Vec<&[u8]> = bytes.chunks(777).collect();
        assert_eq!(sum(&pieces), whole);
        for at in [0, 1, 70_000, 200_000] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(sum(&[&other]), whole, "{at}");
        }
        assert_ne!(sum(&[&bytes[..200_000]]), whole);
    }

    #[test]
    fn a_hole_and_zeros_have_one_sum() {
        for (before, hole, after) in [(0, 200_000, 5), (5, 200_000, 0), (70_000, 300_000, 70_000), (1, 2, 3), (0, 7, 0)]
        {
            let (one, other) = (vec![1u8; before], vec![2u8; after]);
            let mut content = Content::default();
            let size = (before + hole + after) as u64;
            content.begin(size);
            content.update(&one);
            content.skip_to((before + hole) as u64);
            content.update(&other);
            assert_eq!(content.finish(), sum(&[&one, &vec![0; hole], &other]), "{before} {hole} {after}");
        }
    }

    #[test]
    fn a_sparse_file_is_read_as_it_was_written() {
        use std::os::fd::AsFd;
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().expect("a file");
        let size = 40 << 20;
        file.set_len(size).expect("a hole");
        let mut kept = Content::default();
        kept.begin(size);
        for offset in [3 << 20, 9 << 20, (9 << 20) + 5_000] {
            file.write_all_at(b"data", offset).expect("data");
            kept.skip_to(offset);
            kept.update(b"data");
        }
        let mut content = Content::default();
        let found = read(file.as_fd(), size, &mut content, &mut Vec::new(), &|| false).expect("it is read");
        assert_eq!(found, kept.finish());
    }
}
