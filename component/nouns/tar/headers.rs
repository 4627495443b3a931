//! The headers of an archive that somebody else has written, block by block: what
//! is called how, and how many bytes follow. It reads no files and holds none.
//!
//! ```text
//! block ─► header ─► an entry, whose bytes follow ──────────────► block
//!   ▲        └─────► an extension, whose bytes are about the next entry
//!   └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! POSIX.1-2017, pax, “ustar Interchange Format” and “pax Header Block”; GNU tar's
//! long names and sizes. Stricter than most readers: what could be read in two ways
//! is refused, because two readers would find other files in the archive.

use super::BLOCK_BYTES;
use crate::nouns::json;
use tar::{EntryType, Header, PaxExtensions};

/// How many bytes an extension may have.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
/// How much of a name an error shows.
const SHOWN_CHARS_MAX: usize = 100;
/// Where the checksum stands in a header. It is summed up as if it were spaces.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Why an archive is not one that wharf reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A block is no header.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// It is whole, and has something that archives of images have not.
    #[error("`{path}` is {what}, which an archive of images does not have")]
    Strange {
        /// As the archive says it.
        path: String,
        /// As in `a device`.
        what: &'static str,
    },
    /// A name that leads out of the archive, or nowhere.
    #[error("`{0}` is no path inside an archive")]
    Path(String),
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its bytes follow.
    File,
    /// Nothing follows.
    Directory,
    /// It stands for this path, from the root of the archive.
    Link(String),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Without `.`, `..` and empty parts; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// How many bytes follow, without padding.
    pub size: u64,
}

/// What comes after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The bytes of this entry, and their padding; then a header.
    Entry(Entry),
    /// So many bytes for [`Headers::extend`], and their padding; then a header.
    Extension(u64),
    /// Another block of zeros.
    Zeros,
    /// Nothing.
    End,
}

/// Reads one archive.
#[derive(Debug, Default)]
pub struct Headers {
    /// What the next bytes are.
    extension: Option<EntryType>,
    /// What was said about the next entry.
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    has_pax: bool,
    zeros: u32,
}

impl Headers {
    /// Reads a block, which is a header.
    pub fn read(&mut self, block: &[u8; BLOCK_BYTES as usize]) -> Result<Step, Error> {
        if block.iter().all(|byte| *byte == 0) {
            if self.has_extensions() {
                return Err(damaged("it ends where an entry was announced"));
            }
            self.zeros += 1;
            return Ok(if self.zeros == 2 { Step::End } else { Step::Zeros });
        }
        if self.zeros > 0 {
            return Err(damaged("something follows its end"));
        }
        check(block)?;
        let header = Header::from_byte_slice(block);
        let size = header.entry_size().map_err(|error| damaged(&error.to_string()))?;
        let kind = header.entry_type();
        if is_extension(kind) {
            if header.as_gnu().is_none() && header.as_ustar().is_none() {
                return Err(damaged("an extension is in a header of a format that has none"));
            }
            if size > EXTENSION_BYTES_MAX {
                return Err(damaged("a name or an extension is longer than 1 MiB"));
            }
            self.extension = Some(kind);
            return Ok(Step::Extension(size));
        }
        self.entry(header, size).map(Step::Entry)
    }

    /// Takes the bytes of an extension.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let twice = || damaged("the same is said twice about one entry");
        match self.extension.take() {
            Some(kind) if kind.is_gnu_longname() => set(&mut self.path, text(bytes)).ok_or_else(twice),
            Some(kind) if kind.is_gnu_longlink() => set(&mut self.link, text(bytes)).ok_or_else(twice),
            Some(kind) if kind.is_pax_local_extensions() => {
                if std::mem::replace(&mut self.has_pax, true) {
                    return Err(twice());
                }
                self.pax(bytes)
            }
            // What concerns every entry that follows is a comment, as git writes it.
            Some(_) => match records(bytes)?.iter().find(|(key, _)| key != "comment") {
                Some((key, _)) => Err(damaged(&format!("`{}` is said about all its entries", shown(key.as_bytes())))),
                None => Ok(()),
            },
            None => Err(damaged("an extension was not announced")),
        }
    }

    fn pax(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let twice = || damaged("the same is said twice about one entry");
        for (key, value) in records(bytes)? {
            match &*key {
                "path" => set(&mut self.path, value).ok_or_else(twice)?,
                "linkpath" => set(&mut self.link, value).ok_or_else(twice)?,
                "size" => {
                    let digits =
                        std::str::from_utf8(&value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                    let size =
                        digits.and_then(|text| text.parse().ok()).ok_or_else(|| damaged("a size is no number"))?;
                    set(&mut self.size, size).ok_or_else(twice)?;
                }
                key if key.starts_with("GNU.sparse.") => return Err(damaged("a file of it has holes")),
                // Times, owners and attributes say nothing about an image.
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, size: u64) -> Result<Entry, Error> {
        let said = std::mem::take(self);
        let name = said.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = normal(&name)?;
        let size = said.size.unwrap_or(size);
        let strange = |what| Err(Error::Strange { path: shown(&name), what });
        let link = || said.link.clone().or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
        let kind = match header.entry_type() {
            // Old archives mark directories by a slash. POSIX.1-2017, pax, “typeflag”.
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Link(joined(&path, &link())?),
            EntryType::Link => Kind::Link(normal(&link())?),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return strange("a device or a pipe"),
            EntryType::GNUSparse => return strange("a file with holes"),
            _ => return strange("of a kind that wharf does not know"),
        };
        if kind != Kind::File && size > 0 {
            return strange("no file, and has bytes");
        }
        if kind == Kind::File && path.is_empty() {
            return Err(Error::Path(shown(&name)));
        }
        Ok(Entry { path, kind, size })
    }

    fn has_extensions(&self) -> bool {
        self.path.is_some() || self.link.is_some() || self.size.is_some() || self.has_pax
    }

    /// Whether an archive may end here.
    pub fn is_over(&self) -> bool {
        self.zeros > 0
    }
}

/// Compares the checksum of a header. Some writers have added the bytes up as
/// signed numbers.
fn check(block: &[u8; BLOCK_BYTES as usize]) -> Result<(), Error> {
    let stated = Header::from_byte_slice(block).cksum().map_err(|_| damaged("a header has no checksum"))?;
    let bytes = block.iter().enumerate().map(|(at, byte)| if CHECKSUM.contains(&at) { b' ' } else { *byte });
    let sum: u32 = bytes.clone().map(u32::from).sum();
    let signed: i32 = bytes.map(|byte| i32::from(i8::from_ne_bytes([byte]))).sum();
    if sum == stated || i64::from(signed) == i64::from(stated) {
        Ok(())
    } else {
        Err(damaged("the checksum of a header is wrong"))
    }
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

/// Reads the records of a pax header.
fn records(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let wrong = |_| damaged("an extension is not made of records");
    let mut records = Vec::new();
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(wrong)?;
        let key = record.key().map_err(|_| damaged("the key of a record is no text"))?;
        records.push((key.to_owned(), record.value_bytes().to_vec()));
    }
    Ok(records)
}

/// A name without the zeros that end it. One in the middle is refused with the path:
/// some readers stop there, and some do not.
fn text(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..end].to_vec()
}

/// Sets what was not set.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

/// Reads a path that begins at the root of the archive.
fn normal(bytes: &[u8]) -> Result<String, Error> {
    parts(Vec::new(), bytes)
}

/// Reads what a symbolic link at `from` leads to.
fn joined(from: &str, bytes: &[u8]) -> Result<String, Error> {
    let mut directory: Vec<&str> = from.split('/').collect();
    directory.pop();
    parts(directory, bytes)
}

/// Follows a path from a directory. It never leaves the archive, and `..` only
/// leads out of a directory that the link itself is in.
fn parts<'p>(mut from: Vec<&'p str>, bytes: &'p [u8]) -> Result<String, Error> {
    let wrong = || Error::Path(shown(bytes));
    let path = std::str::from_utf8(bytes).map_err(|_| wrong())?;
    if path.is_empty() || path.starts_with('/') || path.contains(['\0', '\\']) {
        return Err(wrong());
    }
    let mut is_above = true;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if is_above => {
                from.pop().ok_or_else(wrong)?;
            }
            ".." => return Err(wrong()),
            part => {
                is_above = false;
                from.push(part);
            }
        }
    }
    Ok(from.join("/"))
}

fn damaged(why: &str) -> Error {
    Error::Damaged(why.to_owned())
}

fn shown(bytes: &[u8]) -> String {
    json::shown(&String::from_utf8_lossy(bytes), SHOWN_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, kind: EntryType, size: u64, link: &str) -> [u8; 512] {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        *header.as_bytes()
    }

    fn one(name: &str, kind: EntryType, size: u64, link: &str) -> Result<Step, Error> {
        Headers::default().read(&header(name, kind, size, link))
    }

    fn entry(path: &str, kind: Kind, size: u64) -> Result<Step, Error> {
        Ok(Step::Entry(Entry { path: path.to_owned(), kind, size }))
    }

    #[test]
    fn a_name_is_a_path_inside_the_archive_or_none() {
        for (name, expected) in [
            ("index.json", Some("index.json")),
            ("./blobs//sha256/ab", Some("blobs/sha256/ab")),
            ("sha256:ab", Some("sha256:ab")),
            ("../x", None),
            ("a/../x", None),
            ("/etc/passwd", None),
            ("a\\b", None),
            (".", None),
        ] {
            let found = one(name, EntryType::Regular, 3, "");
            match expected {
                Some(path) => assert_eq!(found, entry(path, Kind::File, 3), "{name}"),
                None => {
                    assert_eq!(found, Err(Error::Path(name.escape_debug().to_string().replace("\\\\", "\\"))), "{name}")
                }
            }
        }
    }

    #[test]
    fn a_link_leads_to_a_path_inside_the_archive_or_nowhere() {
        let link = |to: &str| Kind::Link(to.to_owned());
        assert_eq!(
            one("a/layer.tar", EntryType::Symlink, 0, "../b/layer.tar"),
            entry("a/layer.tar", link("b/layer.tar"), 0)
        );
        assert_eq!(one("a/layer.tar", EntryType::Link, 0, "b.tar"), entry("a/layer.tar", link("b.tar"), 0));
        for (kind, to) in [
            (EntryType::Symlink, "../../b"),
            (EntryType::Symlink, "/b"),
            (EntryType::Symlink, "b/../../../x"),
            (EntryType::Link, "../b"),
            (EntryType::Link, ""),
        ] {
            assert!(matches!(one("a/layer.tar", kind, 0, to), Err(Error::Path(_))), "{to}");
        }
    }

    #[test]
    fn what_no_archive_of_images_has_is_refused() {
        for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse, EntryType::new(b'V')] {
            assert!(matches!(one("a", kind, 0, ""), Err(Error::Strange { .. })), "{kind:?}");
        }
        assert!(matches!(one("a", EntryType::Directory, 9, ""), Err(Error::Strange { .. })));
        assert_eq!(one("a/", EntryType::Regular, 0, ""), entry("a", Kind::Directory, 0));
    }

    #[test]
    fn a_wrong_checksum_is_damage() {
        let mut block = header("a", EntryType::Regular, 3, "");
        block[0] = b'b';
        assert_eq!(Headers::default().read(&block), Err(damaged("the checksum of a header is wrong")));
    }

    /// A reader that takes the size of the header and not that of the extension
    /// finds other entries in the same archive. RUSTSEC-2025-0111.
    #[test]
    fn an_extension_says_more_than_a_header_and_only_about_one_entry() {
        let mut headers = Headers::default();

        let pax = b"18 path=long/name\n13 size=1024\n";
        let extension = header("x", EntryType::XHeader, pax.len() as u64, "");
        assert_eq!(headers.read(&extension), Ok(Step::Extension(pax.len() as u64)));
        headers.extend(pax).expect("records");
        assert_eq!(headers.read(&header("short", EntryType::Regular, 0, "")), entry("long/name", Kind::File, 1024));
        assert_eq!(headers.read(&header("short", EntryType::Regular, 7, "")), entry("short", Kind::File, 7));
    }

    #[test]
    fn the_same_twice_a_hole_and_what_concerns_all_entries_are_damage() {
        let long = (EntryType::GNULongName, &b"a\0"[..]);
        let path = (EntryType::XHeader, &b"10 path=a\n"[..]);
        for extensions in [
            vec![long, long],
            vec![long, path],
            vec![path, path],
            vec![(EntryType::XHeader, &b"22 GNU.sparse.major=1\n"[..])],
            vec![(EntryType::XGlobalHeader, &b"10 path=a\n"[..])],
            vec![(EntryType::XHeader, &b"12 size=-1\n\n"[..])],
            vec![(EntryType::XHeader, &b"999 path=a\n"[..])],
        ] {
            let mut headers = Headers::default();
            let read = extensions.iter().try_for_each(|(kind, bytes)| {
                headers.read(&header("x", *kind, bytes.len() as u64, ""))?;
                headers.extend(bytes)
            });
            assert!(matches!(read, Err(Error::Damaged(_))), "{extensions:?}: {read:?}");
        }
        let mut headers = Headers::default();
        headers.read(&header("x", EntryType::GNULongName, 4, "")).expect("an extension");
        headers.extend(b"a\0b\0").expect("a name");
        let read = headers.read(&header("short", EntryType::Regular, 0, ""));
        assert!(matches!(read, Err(Error::Path(_))), "{read:?}");
        let read = Headers::default().read(&header("x", EntryType::XHeader, EXTENSION_BYTES_MAX + 1, ""));
        assert!(matches!(read, Err(Error::Damaged(_))), "{read:?}");
    }

    #[test]
    fn an_archive_ends_with_two_blocks_of_zeros_and_not_after_an_extension() {
        let mut headers = Headers::default();
        assert!(!headers.is_over());
        assert_eq!(headers.read(&[0; 512]), Ok(Step::Zeros));
        assert!(headers.is_over());
        assert_eq!(headers.read(&header("a", EntryType::Regular, 0, "")), Err(damaged("something follows its end")));
        assert_eq!(headers.read(&[0; 512]), Ok(Step::End));
        let mut headers = Headers::default();
        headers.read(&header("x", EntryType::GNULongName, 2, "")).expect("an extension");
        headers.extend(b"a\0").expect("a name");
        assert_eq!(headers.read(&[0; 512]), Err(damaged("it ends where an entry was announced")));
    }
}
