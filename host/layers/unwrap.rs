//! An archive as a whole, without its compression: gzip and zstd as layers have them ([`inflate`](super::inflate)), and
//! bzip2 and xz, which only archives have. What is not compressed stays as it is. A layer never comes by here.
//!
//! bzip2 takes at most 4 MiB of memory; xz is refused if it needs more than `xz -9` does.

use super::inflate::{self, Inflate};
use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;
use std::io::{self, BufRead, Chain, Cursor, ErrorKind, Read};

/// The most memory that an xz archive may need, in KiB: `xz -9` needs a little more than 64 MiB.
const XZ_MEMORY_KIB_MAX: u32 = 72 << 10;
/// As many bytes as tell every format that is known here.
const HEAD_BYTES: u64 = 10;

/// Why an archive does not decompress, in an [`io::Error`] as there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It breaks its format, ends too early, or something follows it.
    #[error("the {0} stream is damaged or ends too early: {1}")]
    Damaged(&'static str, String),
    /// It needs more memory than it may.
    #[error("the xz stream needs more than {} MiB of memory", XZ_MEMORY_KIB_MAX >> 10)]
    Memory,
}

impl Error {
    /// Returns the error in a failure of a read, if the compressed bytes are its reason.
    pub fn of(failure: &io::Error) -> Option<&Self> {
        failure.get_ref()?.downcast_ref()
    }
}

/// The bytes of a reader whose beginning was looked at.
type Input<R> = Chain<Cursor<Vec<u8>>, R>;

/// The uncompressed bytes of a reader.
#[allow(missing_debug_implementations, reason = "the decoders have none")]
pub enum Unwrap<R: BufRead> {
    /// What layers may be, too.
    Layer(Inflate<Input<R>>),
    /// By bzip2, of one or more streams.
    Bzip2(MultiBzDecoder<Input<R>>),
    /// By xz, of one or more streams.
    Xz(Box<XzReader<Input<R>>>),
}

impl<R: BufRead> Unwrap<R> {
    /// Reads the first bytes of `reader`, to tell how they are compressed.
    pub fn new(mut reader: R) -> io::Result<Self> {
        let mut head = Vec::new();
        reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
        let input = Cursor::new(head.clone()).chain(reader);
        match inflate::foreign(&head) {
            Some("xz") => Ok(Self::Xz(Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB_MAX)))),
            Some(_) => Ok(Self::Bzip2(MultiBzDecoder::new(input))),
            None => Inflate::new(input).map(Self::Layer),
        }
    }
}

impl<R: BufRead> Read for Unwrap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (name, read) = match self {
            Self::Layer(inflate) => return inflate.read(buffer),
            Self::Bzip2(decoder) => ("bzip2", decoder.read(buffer)),
            Self::Xz(decoder) => ("xz", decoder.read(buffer)),
        };
        read.map_err(|error| match error.kind() {
            ErrorKind::OutOfMemory => io::Error::new(ErrorKind::InvalidData, Error::Memory),
            ErrorKind::Interrupted => error,
            _ => io::Error::new(ErrorKind::InvalidData, Error::Damaged(name, error.to_string())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'content of an archive' | xz`.
    const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a3010014636f6e74656e74206f6620616e2061726368697665000000004357912c6d60320500012d152f0b716d1fb6f37d010000000004595a";
    /// The same, by `bzip2`.
    const BZIP2: &str = "425a683931415926535913feec47000003118040002b61950020002221b5318840d03405a9856c32950cf830f45dc914e142404ffbb11c";
    const CONTENT: &[u8] = b"content of an archive";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |digit: u8| (digit as char).to_digit(16).expect("a digit") as u8;
        hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn unwrapped(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Unwrap::new(bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn every_format_is_undone_also_of_several_streams() {
        for hex in [XZ, BZIP2] {
            let one = bytes(hex);
            assert_eq!(unwrapped(&one).expect("it is whole"), CONTENT);
            assert_eq!(unwrapped(&[&one[..], &one[..]].concat()).expect("they are whole"), [CONTENT, CONTENT].concat());
        }
        assert_eq!(unwrapped(CONTENT).expect("it is plain"), CONTENT);
        assert_eq!(unwrapped(b"").expect("it is empty"), b"");
    }

    #[test]
    fn what_is_damaged_or_cut_off_is_told() {
        for hex in [XZ, BZIP2] {
            let whole = bytes(hex);
            for end in HEAD_BYTES as usize..whole.len() {
                assert!(Error::of(&unwrapped(&whole[..end]).expect_err("it is cut off")).is_some(), "{end}");
            }
            for at in HEAD_BYTES as usize..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                assert!(unwrapped(&damaged).map_or(true, |bytes| bytes == CONTENT), "{at}");
            }
            let followed = [&whole[..], b"something"].concat();
            assert!(Error::of(&unwrapped(&followed).expect_err("something follows")).is_some(), "{hex}");
        }
    }

    /// A dictionary of 4 GiB is two digits in a header.
    #[test]
    fn xz_may_not_need_much_memory() {
        let failure = unwrapped(&bytes("fd377a585a000004e6d6b4460200210128000000e6a011b3010014636f6e74656e74206f6620616e2061726368697665000000004357912c6d60320500012d152f0b716d1fb6f37d010000000004595a")).expect_err("it needs too much");
        assert!(matches!(Error::of(&failure), Some(Error::Memory)), "{failure}");
    }
}
