//! A view as one tar: what a mount of it shows, the root included, in order of path. It reads no more than one directory
//! and one piece of a file at once.
//!
//! The same view makes the same bytes: nothing in the archive is of this machine or of this moment. What a header block
//! has no room for stands in records before it, and nothing else does.
//!
//! ```text
//! "./"  "bin/"  "bin/sh"  ["lib.pax": 37 SCHILY.xattr.user.a=1\n …]  "lib"  …  1 024 zeros
//! ```
//!
//! POSIX.1-2017, pax, “pax Interchange Format”; extended attributes by star's key, as GNU tar, docker and containerd write
//! them. Sockets have no place in an archive, and are left out.

use super::entry::join;
use super::{Entry, Found, Kind, Merged, View};
use crate::layers::archive::Time;
use crate::layers::{Error, attributes};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use tar::{EntryType, Header};

/// Headers and padded files are multiples of this, in bytes.
const BLOCK_BYTES: u64 = 512;
/// What an archive ends with: two blocks of zeros.
const END: [u8; 1_024] = [0; 1_024];
/// The longest name that a header holds, in bytes.
const NAME_BYTES_MAX: usize = 100;
/// The largest owner or group that seven octal digits hold.
const OWNER_MAX: u32 = 0o777_7777;
/// The largest size and time that eleven octal digits hold.
const NUMBER_MAX: u64 = 0o777_7777_7777;
/// Where extended attributes stand.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// What a header block of records is called.
const RECORDS: &[u8] = b"records.pax";

/// Why a view has not become an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The view cannot be read.
    #[error(transparent)]
    View(#[from] Error),
    /// The archive cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// What has become an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// How many files, directories and everything else there are.
    pub entries: u64,
    /// The length of the archive, in bytes.
    pub bytes: u64,
    /// The paths of sockets, which are not in it.
    pub left_out: Vec<PathBuf>,
}

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Archive<'v, W> {
    pub(super) view: &'v View,
    out: W,
    done: Archived,
    /// Which attributes are not for others.
    leaves: fn(&[u8]) -> bool,
    /// Of files with several names, the first one, by file system and number.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl View {
    /// Writes everything into an archive.
    pub fn archive(&self, out: impl Write) -> Result<Archived, ArchiveError> {
        let mut archive = Archive::new(self, out, |_| false);
        let root = Rc::new(self.root()?);
        archive.root(&root)?;
        archive.directory(b"", self.children(&root)?)?;
        Ok(archive.end()?.0)
    }

    /// The attributes of a file as the image has them, in order: those that could be set, and those that could not.
    fn values(&self, tree: usize, path: &[u8], found: Vec<attributes::Attribute>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let own = found.into_iter().filter(|(name, _)| !attributes::is_overlays(name));
        let mut values: BTreeMap<_, _> = own.map(|(name, value)| (name.into_bytes(), value)).collect();
        values.extend(self.trees[tree].aside.get(path).into_iter().flat_map(|aside| aside.xattrs.iter().cloned()));
        values
    }
}

impl<'v, W: Write> Archive<'v, W> {
    pub(super) fn new(view: &'v View, out: W, leaves: fn(&[u8]) -> bool) -> Self {
        Self { view, out, done: Archived::default(), leaves, links: HashMap::new() }
    }

    pub(super) fn root(&mut self, root: &Rc<Merged>) -> Result<(), ArchiveError> {
        let (tree, directory) = root.parts.first().ok_or(Error::NotFound)?;
        let found = attributes::read(directory).map_err(Error::io("cannot describe a file of a layer"))?;
        let values = self.values(*tree, b"", found);
        self.head(b".", &self.view.describe_root(root)?, &values)
    }

    /// Ends the archive, and returns what it was written to.
    pub(super) fn end(mut self) -> Result<(Archived, W), ArchiveError> {
        self.write(&END)?;
        self.out.flush()?;
        Ok((self.done, self.out))
    }

    fn values(&self, tree: usize, path: &[u8], found: Vec<attributes::Attribute>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut values = self.view.values(tree, path, found);
        values.retain(|name, _| !(self.leaves)(name));
        values
    }

    fn directory(&mut self, path: &[u8], children: BTreeMap<CString, Found>) -> Result<(), ArchiveError> {
        for (name, found) in children {
            let path = join(path, name.to_bytes());
            self.entry(&path, &found)?;
            if found.is_directory() {
                let merged = Rc::new(self.view.merged(&found)?);
                // The directory that led here is not needed open any more.
                drop(found);
                let children = self.view.children(&merged)?;
                self.directory(&path, children)?;
            }
        }
        Ok(())
    }

    pub(super) fn entry(&mut self, path: &[u8], found: &Found) -> Result<(), ArchiveError> {
        let mut entry = self.view.describe_found(found, path)?;
        if entry.kind == Kind::Socket {
            self.done.left_out.push(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
            return Ok(());
        }
        if found.stat.st_nlink > 1 && !found.is_directory() {
            if let Some(first) = self.links.get(&entry.id) {
                entry.link = Some(first.clone());
                return self.record(path, &entry, &BTreeMap::new(), EntryType::Link);
            }
            self.links.insert(entry.id, path.to_vec());
        }
        let attributes = match attributes::read_at(found.directory(), &found.name) {
            // They are for those who may read the file.
            Err(Errno::ACCESS) => Vec::new(),
            other => other.map_err(Error::io("cannot describe a file of a layer"))?,
        };
        let content = if entry.kind == Kind::File { Some(self.view.open(found, path)?) } else { None };
        self.head(path, &entry, &self.values(found.tree, path, attributes))?;
        match content {
            Some(file) => self.content(path, file, entry.size),
            None => Ok(()),
        }
    }

    fn head(
        &mut self,
        path: &[u8],
        entry: &Entry,
        attributes: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), ArchiveError> {
        let kind = match entry.kind {
            Kind::File | Kind::Socket => EntryType::Regular,
            Kind::Directory => EntryType::Directory,
            Kind::Symlink => EntryType::Symlink,
            Kind::Character => EntryType::Char,
            Kind::Block => EntryType::Block,
            Kind::Fifo => EntryType::Fifo,
        };
        self.record(path, entry, attributes, kind)
    }

    /// Writes the header of an entry, and before it what it has no room for.
    pub(super) fn record(
        &mut self,
        path: &[u8],
        entry: &Entry,
        attributes: &BTreeMap<Vec<u8>, Vec<u8>>,
        kind: EntryType,
    ) -> Result<(), ArchiveError> {
        self.done.entries += 1;
        let name = if kind == EntryType::Directory { [path, b"/"].concat() } else { path.to_vec() };
        let link = entry.link.as_deref().unwrap_or_default();
        let size = if kind == EntryType::Regular { entry.size } else { 0 };
        let (uid, gid) = entry.owner;
        let Time { seconds, nanoseconds } = entry.mtime;
        let whole = u64::try_from(seconds).ok().filter(|&seconds| nanoseconds == 0 && seconds <= NUMBER_MAX);

        let mut records = Records::default();
        records.put_if(name.len() > NAME_BYTES_MAX, b"path", &name);
        records.put_if(link.len() > NAME_BYTES_MAX, b"linkpath", link);
        records.put_if(size > NUMBER_MAX, b"size", size.to_string().as_bytes());
        records.put_if(uid > OWNER_MAX, b"uid", uid.to_string().as_bytes());
        records.put_if(gid > OWNER_MAX, b"gid", gid.to_string().as_bytes());
        records.put_if(whole.is_none(), b"mtime", moment(seconds, nanoseconds).as_bytes());
        for (name, value) in attributes {
            records.put_if(true, &[XATTR, name].concat(), value);
        }
        let records = records.0;
        if !records.is_empty() {
            let mut header = blank(RECORDS, EntryType::XHeader);
            header.set_mode(0o644);
            header.set_size(records.len() as u64);
            header.set_cksum();
            self.write(header.as_bytes())?;
            self.write(&records)?;
            self.pad(records.len() as u64)?;
        }

        let mut header = blank(&name, kind);
        header.set_mode(entry.mode);
        header.set_uid(u64::from(if uid > OWNER_MAX { 0 } else { uid }));
        header.set_gid(u64::from(if gid > OWNER_MAX { 0 } else { gid }));
        header.set_size(if size > NUMBER_MAX { 0 } else { size });
        // Whoever reads no records gets the second in which it was.
        header.set_mtime(whole.unwrap_or_else(|| u64::try_from(seconds).unwrap_or(0).min(NUMBER_MAX)));
        let ustar = header.as_ustar_mut().expect("it was made as one");
        put(&mut ustar.linkname, link);
        if let Some((major, minor)) = entry.device.filter(|_| kind != EntryType::Link) {
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
        }
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn content(&mut self, path: &[u8], file: File, size: u64) -> Result<(), ArchiveError> {
        let copied = io::copy(&mut file.take(size), &mut self.out)?;
        self.done.bytes += copied;
        if copied != size {
            let why = format!("has {copied} bytes, and had {size} when it was found");
            return Err(Error::Entry { path: path.escape_ascii().to_string(), why }.into());
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let zeros = usize::try_from(size.next_multiple_of(BLOCK_BYTES) - size).expect("less than a block");
        self.write(&END[..zeros])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.done.bytes += bytes.len() as u64;
        Ok(self.out.write_all(bytes)?)
    }
}

/// The body of an extended header.
#[derive(Debug, Default)]
struct Records(Vec<u8>);

impl Records {
    fn put_if(&mut self, is_needed: bool, key: &[u8], value: &[u8]) {
        if !is_needed {
            return;
        }
        // Length, space, key, `=`, value, newline. The length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let digits = |length: usize| length.to_string().len();
        let mut length = rest + digits(rest);
        if rest + digits(length) > length {
            length = rest + digits(length);
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        self.0.push(b' ');
        for part in [key, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }
}

fn blank(name: &[u8], kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    put(&mut header.as_ustar_mut().expect("it was made as one").name, name);
    header
}

/// Fills a field with as much of a text as it holds.
fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Writes a time with as many digits as it needs, as in `1350244992.02396`.
fn moment(seconds: i64, nanoseconds: u32) -> String {
    // What is before 1970 counts backwards: -0.5 is half a second before.
    let (sign, seconds, nanoseconds) = match (seconds, nanoseconds) {
        (0.., _) => ("", seconds.unsigned_abs(), nanoseconds),
        (_, 0) => ("-", seconds.unsigned_abs(), 0),
        _ => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
    };
    match nanoseconds {
        0 => format!("{sign}{seconds}"),
        _ => format!("{sign}{seconds}.{}", format!("{nanoseconds:09}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        for (key, value, expected) in [
            (&b"a"[..], &b"1"[..], "6 a=1\n"),
            (b"mtime", b"1350244992.02396", "26 mtime=1350244992.02396\n"),
            // 9 and 99 become longer by their own length.
            (b"abc", b"12", "9 abc=12\n"),
            (b"abc", b"123", "11 abc=123\n"),
        ] {
            let mut records = Records::default();
            records.put_if(true, key, value);
            records.put_if(false, key, value);
            assert_eq!(String::from_utf8_lossy(&records.0), expected);
        }
        for length in 80..120 {
            let mut records = Records::default();
            records.put_if(true, b"path", &vec![b'x'; length]);
            let told: usize =
                String::from_utf8_lossy(&records.0).split(' ').next().expect("a length").parse().expect("digits");
            assert_eq!(told, records.0.len());
        }
    }

    #[test]
    fn a_time_has_the_digits_that_it_needs() {
        for (seconds, nanoseconds, expected) in [
            (0, 0, "0"),
            (1, 500_000_000, "1.5"),
            (7, 1, "7.000000001"),
            (-1, 0, "-1"),
            (-1, 500_000_000, "-0.5"),
            (-2, 999_999_999, "-1.000000001"),
        ] {
            assert_eq!(moment(seconds, nanoseconds), expected);
        }
    }
}
