//! Telling the kernel early that bytes should go to the disk, so that the sync of a commit finds little left to do.
//!
//! It makes nothing durable, and so cannot fail: whether the bytes are on the disk is what the sync says.

use std::fs::File;

/// How many bytes may be appended before the kernel is told. Larger pieces leave more for the sync; smaller ones
/// cost more calls and make smaller requests to the disk.
const PIECE_BYTES: u64 = 8 << 20;

/// How far a file has been handed to the kernel.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    /// Every byte before this one has been.
    begun: u64,
}

impl WriteBack {
    /// Notes that `file` now has `length` bytes, and begins to write back what has come if it is enough.
    pub(super) fn grown(&mut self, file: &File, length: u64) {
        // What an earlier holder left may be a gigabyte; the kernel has begun with that by itself long ago.
        if length.saturating_sub(self.begun) >= PIECE_BYTES {
            begin(file, self.begun, length - self.begun);
            self.begun = length;
        }
    }
}

#[cfg(target_os = "linux")]
fn begin(file: &File, offset: u64, length: u64) {
    use std::os::fd::AsRawFd;

    let (Ok(offset), Ok(length)) = (libc::off64_t::try_from(offset), libc::off64_t::try_from(length)) else { return };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn begin(_file: &File, _offset: u64, _length: u64) {}
