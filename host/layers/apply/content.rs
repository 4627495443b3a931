//! The content of a file, from the archive's buffer to the disk without a copy in between. Holes are not written.

use crate::layers::Error;
use crate::layers::archive::{self, Archive};
use crate::layers::sums::Content;
use rustix::fs;
use rustix::io::{self, Errno};
use std::io::BufRead;
use std::os::fd::BorrowedFd;

/// Writes what the current entry has. `size` is that of the file with its holes, and `map` says where the data goes. `sum`
/// has begun with the file.
pub(super) fn write<R: BufRead>(
    archive: &mut Archive<R>,
    file: BorrowedFd<'_>,
    size: u64,
    map: Option<&[(u64, u64)]>,
    sum: &mut Content,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let Some(map) = map else {
        return piece(archive, size, sum, stop, |bytes, _| io::write(file, bytes));
    };
    fs::ftruncate(file, size).map_err(Error::io("cannot write a file"))?;
    for &(offset, length) in map {
        sum.skip_to(offset);
        piece(archive, length, sum, stop, |bytes, written| io::pwrite(file, bytes, offset + written))?;
    }
    Ok(())
}

/// Writes the next `length` bytes of the archive. `write` gets bytes, and how many there were before.
fn piece<R: BufRead>(
    archive: &mut Archive<R>,
    length: u64,
    sum: &mut Content,
    stop: &dyn Fn() -> bool,
    mut write: impl FnMut(&[u8], u64) -> Result<usize, Errno>,
) -> Result<(), Error> {
    let mut written = 0;
    while written < length {
        let bytes = match archive.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(archive::Error::from(error).into()),
        };
        if bytes.is_empty() {
            return Err(archive::Error::Truncated.into());
        }
        let wanted = usize::try_from(length - written).map_or(bytes.len(), |left| left.min(bytes.len()));
        let count = match write(&bytes[..wanted], written) {
            Ok(0) => return Err(Error::io("cannot write a file")(Errno::IO)),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Error::io("cannot write a file")(errno)),
        };
        sum.update(&bytes[..count]);
        archive.consume(count);
        written += count as u64;
        if stop() {
            return Err(Error::Stopped);
        }
    }
    Ok(())
}
