//! The entries of a layer's tar, strictly: what two readers could understand differently is refused, and every length
//! has a limit before anything is allocated for it. It does not decompress, and judges no names: where an entry goes is
//! decided in [`apply`](super::apply).
//!
//! ```text
//! [extended header ─ PAX records, GNU long name] ─ header block ─ content, padded to 512 ─ …
//! two blocks of zeros, then zeros
//! ```
//!
//! An archive that is accepted is read as containerd reads it, whose reader is Go's `archive/tar`. Refused although that
//! reader accepts it:
//!
//! | what | because |
//! | --- | --- |
//! | a key twice in an extended header, two headers of one kind before one entry, a PAX and a GNU name for one entry | the first wins, or the last |
//! | a header `g` after such a header, or no entry at all | it counts for the next one, or for none |
//! | a link, directory, device or pipe with a size | content follows, or not |
//! | a file whose name ends with `/`, except in tars from before POSIX | it is a directory, or not |
//! | a number with something other than spaces and zero bytes around it, a negative id, an id that does not fit or means “leave it” to `chown` | wrapped, cut, or ignored |
//! | a sparse file whose map and content differ in length, or whose form is none that GNU documents | found late, or never |
//! | bytes other than zero after the end | a second archive, or nothing |
//! | an end in the middle of padding | complete, or cut off |
//!
//! Accepted, although containerd knows no such type: GNU's old sparse files (`S`), and contiguous files (`7`), which
//! POSIX wants to be read as files.
//!
//! POSIX.1-2017, pax; GNU tar manual, “Tar Internals”.

mod error;
mod header;
mod pax;
mod source;
mod sparse;

pub use self::error::Error;

use header::{BLOCK_BYTES, Header};
use pax::Records;
use source::Source;
use std::io::{self, BufRead, Read};

/// The longest extended header, in bytes: a path, a link and the attributes. Go's reader has the same limit.
pub(super) const EXTENDED_BYTES_MAX: u64 = 1 << 20;

/// How many global headers may stand before one entry. They are skipped, and without a limit, a bomb of them would be
/// skipped for hours before anybody could count an entry.
const GLOBALS_MAX: usize = 8;

/// A path or the target of a link is not longer, in bytes. Linux, `PATH_MAX`.
pub(super) const PATH_BYTES_MAX: usize = 4_096;

/// A moment: seconds since 1970, and nanoseconds after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Before 1970 it is negative.
    pub seconds: i64,
    /// Less than a second.
    pub nanoseconds: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with this many bytes, holes included.
    File {
        /// The size of the file, at most `i64::MAX`.
        size: u64,
        /// Where there is data: offset and length, in order, without overlap, within `size`, and together as long as the
        /// content. None if everywhere.
        map: Option<Vec<(u64, u64)>>,
    },
    /// A directory.
    Directory,
    /// A symbolic link to this, of 1 to 4 096 bytes without a zero byte.
    Symlink(Vec<u8>),
    /// Another name of the entry with this path.
    Link(Vec<u8>),
    /// A character device: major and minor number.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written; 1 to 4 096 bytes without a zero byte.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The bits of `chmod`, and nothing else.
    pub mode: u32,
    /// The owner. Never `u32::MAX`.
    pub uid: u32,
    /// The group. Never `u32::MAX`.
    pub gid: u32,
    /// When it was changed.
    pub mtime: Time,
    /// Extended attributes, no name twice.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An archive that is being read. Between two calls of [`next`](Self::next), [`Read`] and [`BufRead`] return the
/// content of the current entry: the data of a file without its holes.
#[derive(Debug)]
pub struct Archive<R> {
    source: Source<R>,
    is_over: bool,
}

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extended {
    records: Option<Records>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// Global headers before it.
    globals: usize,
}

impl Extended {
    fn is_empty(&self) -> bool {
        self.records.is_none() && self.path.is_none() && self.link.is_none()
    }
}

impl<R: BufRead> Archive<R> {
    /// Reads `reader`. Its buffer is passed on as it is: one that is large makes content cheap.
    pub fn new(reader: R) -> Self {
        Self { source: Source::new(reader), is_over: false }
    }

    /// Returns how many bytes of the archive have been read: in an error, about where the cause is.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Returns the next entry, skipping what is left of the one before.
    ///
    /// After a failure the archive is over.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend out the content of an entry")]
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let entry = self.advance();
        self.is_over = !matches!(entry, Ok(Some(_)));
        entry
    }

    /// Reads what follows the last entry, to the end of the bytes, and returns the reader. Call it after
    /// [`next`](Self::next) has returned none.
    ///
    /// Writers pad an archive with zeros, as many as they like: they are part of what a DiffID is the digest of.
    /// Fails with [`Error::Trailing`] at any other byte, and with [`Error::Padding`] after `bytes_max` zeros.
    pub fn finish(mut self, bytes_max: u64) -> Result<R, Error> {
        assert!(self.is_over, "an archive is finished after its last entry");
        self.source.zeros(bytes_max)?;
        Ok(self.source.into_reader())
    }

    fn advance(&mut self) -> Result<Option<Entry>, Error> {
        self.source.skip()?;
        let mut extended = Extended::default();
        let mut block = [0; BLOCK_BYTES];
        loop {
            // An archive may just end between entries. One block of zeros is enough, but only zeros may follow.
            let header = if self.source.block(&mut block)? { Header::read(&block)? } else { None };
            let Some(header) = header else {
                return if extended.is_empty() { Ok(None) } else { Err(Error::Order) };
            };
            match header.kind() {
                // It is about all entries that follow. Nothing in it is believed: containerd does as much.
                b'g' if extended.is_empty() && extended.globals < GLOBALS_MAX => {
                    Records::read(&self.extended(&header)?)?;
                    extended.globals += 1;
                }
                b'x' if extended.records.is_none() => {
                    extended.records = Some(Records::read(&self.extended(&header)?)?);
                }
                b'L' if extended.path.is_none() => extended.path = Some(self.long(&header)?),
                b'K' if extended.link.is_none() => extended.link = Some(self.long(&header)?),
                b'g' | b'x' | b'L' | b'K' => return Err(Error::Order),
                _ => return self.entry(&header, extended).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header<'_>, extended: Extended) -> Result<Entry, Error> {
        let records = extended.records.unwrap_or_default();
        let mut path = one(records.path, extended.path)?.unwrap_or_else(|| header.name());
        let link = one(records.link, extended.link)?.unwrap_or_else(|| header.link().to_vec());
        let stored = records.size.map_or_else(|| header.size(), Ok)?;
        if let Some(name) = &records.sparse.name {
            path.clone_from(name);
        }
        let sparse = records.sparse.form()?;
        let no_content = |what| if stored == 0 { Ok(()) } else { Err(Error::Content(what)) };
        let kind = match header.kind() {
            // Before POSIX a directory was a file whose name ends with a slash.
            0 if path.ends_with(b"/") && sparse.is_none() => no_content("directory").map(|()| Kind::Directory)?,
            0 | b'0' | b'7' | b'S' if path.ends_with(b"/") => return Err(Error::Slash),
            0 | b'0' | b'7' => self.file(sparse, stored)?,
            _ if sparse.is_some() => return Err(Error::Sparse),
            b'S' => self.old_sparse(header, stored)?,
            b'1' => no_content("hard link").and_then(|()| named(link)).map(Kind::Link)?,
            b'2' => no_content("symbolic link").and_then(|()| named(link)).map(Kind::Symlink)?,
            b'3' => {
                let (major, minor) = header.device()?;
                no_content("device").map(|()| Kind::Character(major, minor))?
            }
            b'4' => {
                let (major, minor) = header.device()?;
                no_content("device").map(|()| Kind::Block(major, minor))?
            }
            b'5' => no_content("directory").map(|()| Kind::Directory)?,
            b'6' => no_content("pipe").map(|()| Kind::Fifo)?,
            other => return Err(Error::Kind(char::from(other))),
        };
        Ok(Entry {
            path: named(path)?,
            kind,
            // The type bits of some writers stand above those of `chmod`.
            mode: u32::try_from(header.mode()? & 0o7777).expect("twelve bits"),
            uid: id(records.uid.map_or_else(|| header.uid(), Ok)?, "uid")?,
            gid: id(records.gid.map_or_else(|| header.gid(), Ok)?, "gid")?,
            mtime: match records.mtime {
                Some(mtime) => mtime,
                None => Time { seconds: header.mtime()?, nanoseconds: 0 },
            },
            xattrs: records.xattrs,
        })
    }

    /// Prepares the content of a file: `stored` bytes, of which a map may take the first.
    fn file(&mut self, sparse: Option<sparse::Form>, stored: u64) -> Result<Kind, Error> {
        self.source.expect(stored)?;
        let (map, size) = match sparse {
            None => return Ok(Kind::File { size: stored, map: None }),
            Some(sparse::Form::Known(map, size)) => (map, size),
            Some(sparse::Form::Content(size)) => (sparse::content(&mut self.source)?, size),
        };
        sparse::check(&map, size, self.source.content())?;
        Ok(Kind::File { size, map: Some(map) })
    }

    fn old_sparse(&mut self, header: &Header<'_>, stored: u64) -> Result<Kind, Error> {
        let mut map = Vec::new();
        let (entries, mut more, size) = header.sparse()?;
        sparse::old(entries, more, &mut map)?;
        while more {
            let mut block = [0; BLOCK_BYTES];
            if !self.source.block(&mut block)? {
                return Err(Error::Truncated);
            }
            let entries;
            (entries, more) = sparse::continued(&block);
            sparse::old(entries, more, &mut map)?;
        }
        self.source.expect(stored)?;
        sparse::check(&map, size, stored)?;
        Ok(Kind::File { size, map: Some(map) })
    }

    /// Reads the content of a GNU header that has a name.
    fn long(&mut self, header: &Header<'_>) -> Result<Vec<u8>, Error> {
        let mut name = self.extended(header)?;
        name.truncate(header::text(&name).len());
        Ok(name)
    }

    /// Reads the content of an extended header.
    fn extended(&mut self, header: &Header<'_>) -> Result<Vec<u8>, Error> {
        let size = header.size()?;
        if size > EXTENDED_BYTES_MAX {
            return Err(Error::Extended(size));
        }
        self.source.expect(size)?;
        let mut content = Vec::new();
        self.source.read_to_end(&mut content)?;
        self.source.skip()?;
        Ok(content)
    }
}

/// The data of the current entry. Its end is an empty read; an archive that ends before that fails with
/// `UnexpectedEof`.
impl<R: BufRead> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

impl<R: BufRead> BufRead for Archive<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.source.consume(length);
    }
}

/// Accepts what PAX or GNU says about a name, and not both.
fn one(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Error> {
    if pax.is_some() && gnu.is_some() { Err(Error::Order) } else { Ok(pax.or(gnu)) }
}

/// Accepts a path or a link's target.
fn named(name: Vec<u8>) -> Result<Vec<u8>, Error> {
    match name.len() {
        1..=PATH_BYTES_MAX => Ok(name),
        length => Err(Error::Name(length)),
    }
}

/// Accepts an owner or a group. `u32::MAX` is no id: `chown` takes it for “leave it as it is”.
fn id(number: u64, what: &'static str) -> Result<u32, Error> {
    u32::try_from(number).ok().filter(|&id| id != u32::MAX).ok_or(Error::Number(what))
}
