//! Decompression of a layer, by what its bytes are and not by what anybody says they are: gzip of one or more members,
//! zstd of one or more frames, or not compressed. It limits no sizes, which is for whoever takes the bytes, but for the
//! memory that it takes itself.
//!
//! Strict: a stream that ends too early, a checksum or a length that is wrong, and anything after the last member or
//! frame, zeros included, are failures. Nothing at all is an empty tar that is not compressed, as in containerd. A read
//! fills the caller's buffer without one in between, so it should be a large one: 64 KiB or more.
//!
//! ```text
//! 1f 8b                              gzip        RFC 1952
//! 28 b5 2f fd │ 50…5f 2a 4d 18       zstd        RFC 8878, 3.1
//! fd 37 7a 58 5a 00                  xz          refused
//! 42 5a 68 31…39, and a block        bzip2       refused
//! ```

use std::fmt;
use std::io::{self, BufRead, Chain, Cursor, ErrorKind, Read};
use zstd::zstd_safe;

/// The largest window that a zstd frame may ask for, as a power of two in bytes: 32 MiB. That is as much memory as a
/// stream costs. The encoders of images ask for 8 MiB, or did for up to 32; only `zstd --ultra` with a level above 20,
/// or `--long`, asks for more.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// As many bytes as tell every format that is known here.
const HEAD_BYTES: usize = 10;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    None,
    /// By RFC 1952.
    Gzip,
    /// By RFC 8878.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Why bytes do not decompress. A read fails with this in an [`io::Error`] of the kind `InvalidData`; the failures of
/// the reader below come as they are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A format that layers do not have.
    #[error("the layer is compressed with {0}; gzip and zstd are supported")]
    Unsupported(&'static str),
    /// The compressed bytes end in the middle of a member or frame.
    #[error("the {0} stream ends too early")]
    Truncated(Compression),
    /// They break their format, a checksum is wrong, or something follows them.
    #[error("the {0} stream is damaged: {1}")]
    Damaged(Compression, String),
    /// A frame asks for too much memory.
    #[error("the zstd stream needs a window of more than {limit} MiB", limit = 1 << (ZSTD_WINDOW_LOG_MAX - 20))]
    Window,
}

impl Error {
    /// Returns the error in a failure of a read, if the compressed bytes are its reason.
    pub fn of(failure: &io::Error) -> Option<&Self> {
        failure.get_ref()?.downcast_ref()
    }
}

/// The uncompressed bytes of a reader.
pub struct Inflate<R: BufRead>(Stream<R>);

enum Stream<R: BufRead> {
    Plain(Input<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Input<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
}

impl<R: BufRead> Inflate<R> {
    /// Reads the first bytes of `reader`, to tell how they are compressed.
    ///
    /// Fails as reads do, and with [`Error::Unsupported`].
    pub fn new(mut reader: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let compression = compression(&head).map_err(refusal)?;
        let input = Input { bytes: Cursor::new(head).chain(reader), failure: None };
        Ok(Self(match compression {
            Compression::None => Stream::Plain(input),
            Compression::Gzip => Stream::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Stream::Zstd(decoder)
            }
        }))
    }

    /// Returns how the bytes are compressed.
    pub fn compression(&self) -> Compression {
        match self.0 {
            Stream::Plain(_) => Compression::None,
            Stream::Gzip(_) => Compression::Gzip,
            Stream::Zstd(_) => Compression::Zstd,
        }
    }

    /// Returns why a read failed: the reader below, or else the bytes.
    fn failure(&mut self, error: &io::Error) -> io::Error {
        let compression = self.compression();
        let input = match &mut self.0 {
            Stream::Plain(input) => input,
            Stream::Gzip(decoder) => decoder.get_mut(),
            Stream::Zstd(decoder) => decoder.get_mut(),
        };
        if let Some(failure) = input.failure.take() {
            return failure;
        }
        let reason = error.to_string();
        refusal(if error.kind() == ErrorKind::UnexpectedEof {
            Error::Truncated(compression)
        } else if reason == zstd_safe::get_error_name(WINDOW_TOO_LARGE) {
            Error::Window
        } else {
            Error::Damaged(compression, reason)
        })
    }
}

/// `ZSTD_error_frameParameter_windowTooLarge`, as zstd returns it: negative, in a size.
const WINDOW_TOO_LARGE: usize = 0usize.wrapping_sub(16);

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.0 {
            Stream::Plain(input) => return input.bytes.read(buffer),
            Stream::Gzip(decoder) => decoder.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
        };
        read.map_err(|error| self.failure(&error))
    }
}

impl<R: BufRead> fmt::Debug for Inflate<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Inflate").field(&self.compression()).finish()
    }
}

/// The compressed bytes. A failure is kept aside, so that no decoder's words take its place.
struct Input<R> {
    bytes: Chain<Cursor<Vec<u8>>, R>,
    failure: Option<io::Error>,
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.bytes.fill_buf() {
            Ok(piece) => Ok(piece),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }

    fn consume(&mut self, length: usize) {
        self.bytes.consume(length);
    }
}

fn refusal(error: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

fn compression(head: &[u8]) -> Result<Compression, Error> {
    match head {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        head => foreign(head).map_or(Ok(Compression::None), |name| Err(Error::Unsupported(name))),
    }
}

/// Returns the name of a compression that layers do not have: `xz` or `bzip2`.
pub fn foreign(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        // The name of a tar's first entry may begin as bzip2 does, but not with the marks of a block, or of the end.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some("bzip2"),
        _ => None,
    }
}
