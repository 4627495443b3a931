//! The headers of an archive that says nothing but names and bytes: no owner, no
//! times, and the same mode for all, so that the same files make the same archive.
//! POSIX.1-2017, pax, “ustar Interchange Format”. What is in the files is put
//! between the headers by whoever has it. How archives of others are read is in
//! `headers`.

mod headers;

pub use headers::{Entry, Error, Headers, Kind, Step};
use std::io;
use tar::{Builder, Header};

/// Headers and padded files are multiples of this, in bytes.
pub const BLOCK_BYTES: u64 = 512;
/// What an archive ends with: two blocks of zeros.
pub const END_BYTES: usize = 1_024;

/// Returns what stands before the bytes of a file: its header, and one for its path
/// if that is longer than a header holds.
///
/// # Panics
///
/// Panics if `path` is absolute or has `..`: paths here are made of digests.
pub fn file(path: &str, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    let mut builder = Builder::new(Vec::new());
    builder.append_data(&mut header, path, io::empty()).expect("memory can be written, and the path is an archive's");
    builder.get_ref().clone()
}

/// How many zeros follow the bytes of a file.
pub fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK_BYTES) - size).expect("less than a block")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn an_archive_is_read_back() {
        let long = format!("blobs/sha512/{}", "0123456789abcdef".repeat(8));
        let mut bytes = Vec::new();
        for (path, text) in [("index.json", "{}"), (&*long, "")] {
            bytes.extend(file(path, text.len() as u64));
            bytes.extend(text.as_bytes());
            bytes.resize(bytes.len() + padding(text.len() as u64), 0);
        }
        bytes.resize(bytes.len() + END_BYTES, 0);
        let mut archive = tar::Archive::new(&*bytes);
        let entries = archive.entries().expect("an archive").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            (path, entry.header().mode().expect("a mode"), text)
        });
        let expected = [("index.json".to_owned(), 0o644, "{}".to_owned()), (long.clone(), 0o644, String::new())];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_file_of_any_size_ends_at_a_block() {
        for (size, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (1 << 40, 0)] {
            assert_eq!(padding(size), expected, "{size}");
        }
        let large = file("blobs/a", 1 << 40);
        assert_eq!(
            Header::from_byte_slice(&large).entry_size().expect("a size"),
            1 << 40,
            "eleven octal digits end at 8 GiB"
        );
    }
}
