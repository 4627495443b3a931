//! What is at a path of a view: its description, its content, its names if it is a directory.

use super::{Found, Merged, Place, Tree, View};
use crate::layers::archive::Time;
use crate::layers::{Error, attributes};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::rc::Rc;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The twelve bits of `chmod`.
    pub mode: u32,
    /// The owner and the group, as the image says, whether or not they could be set.
    pub owner: (u32, u32),
    /// The size in bytes; 0 for what is no file and no link.
    pub size: u64,
    /// When it was changed.
    pub mtime: Time,
    /// Where a symbolic link leads.
    pub link: Option<Vec<u8>>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Names of extended attributes, in order.
    pub attributes: Vec<Vec<u8>>,
    /// The file system and the number of the file there: two paths with the same are hard links.
    pub id: (u64, u64),
}

impl View {
    /// Describes what `path` leads to; of a symbolic link at its end, the link itself.
    ///
    /// Fails with [`Error::NotFound`].
    pub fn entry(&self, path: &[u8]) -> Result<Entry, Error> {
        let (place, path) = self.place(path, false)?;
        self.describe(&place, &path)
    }

    /// Lists a directory: name and description, in order of name. Links are followed.
    ///
    /// Fails with [`Error::NotFound`] if there is none.
    pub fn list(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Entry)>, Error> {
        let (place, path) = self.place(path, true)?;
        let directory = match place {
            Place::Root(root) => root,
            Place::Entry(found) if found.is_directory() => Rc::new(self.merged(&found)?),
            Place::Entry(_) => return Err(Error::NotFound),
        };
        let children = self.children(&directory)?.into_iter().map(|(name, found)| {
            let entry = self.describe_found(&found, &join(&path, name.to_bytes()))?;
            Ok((name.into_bytes(), entry))
        });
        children.collect()
    }

    /// Opens a file. Links are followed.
    ///
    /// Fails with [`Error::NotFound`], and with [`Error::Entry`] if it is something that has no content.
    pub fn read(&self, path: &[u8]) -> Result<File, Error> {
        match self.place(path, true)?.0 {
            Place::Entry(found) => self.open(&found, path),
            Place::Root(_) => Err(no_content(path)),
        }
    }

    pub(super) fn open(&self, found: &Found, path: &[u8]) -> Result<File, Error> {
        if FileType::from_raw_mode(found.stat.st_mode) != FileType::RegularFile {
            return Err(no_content(path));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(found.directory(), found.name.as_c_str(), flags, Mode::empty());
        opened.map(File::from).map_err(Error::io("cannot open a file of a layer"))
    }

    pub(super) fn describe(&self, place: &Place, path: &[u8]) -> Result<Entry, Error> {
        match place {
            Place::Root(root) => self.describe_root(root),
            Place::Entry(found) => self.describe_found(found, path),
        }
    }

    pub(super) fn describe_root(&self, root: &Merged) -> Result<Entry, Error> {
        let (tree, directory) = root.parts.first().ok_or(Error::NotFound)?;
        let failed = Error::io("cannot describe a file of a layer");
        let stat = fstat(directory).map_err(&failed)?;
        let attributes = attributes::read(directory).map_err(&failed)?;
        Ok(entry(&self.trees[*tree], &stat, attributes, None, b""))
    }

    pub(super) fn describe_found(&self, found: &Found, path: &[u8]) -> Result<Entry, Error> {
        let is_link = FileType::from_raw_mode(found.stat.st_mode) == FileType::Symlink;
        let link = if is_link { Some(found.link()?) } else { None };
        let attributes = match attributes::read_at(found.directory().as_fd(), &found.name) {
            // Names of attributes are for those who may read the file.
            Err(Errno::ACCESS) => Vec::new(),
            other => other.map_err(Error::io("cannot describe a file of a layer"))?,
        };
        Ok(entry(&self.trees[found.tree], &found.stat, attributes, link, path))
    }
}

/// Puts together what the file system and what the layer's record says.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between architectures")]
fn entry(tree: &Tree, stat: &Stat, found: Vec<attributes::Attribute>, link: Option<Vec<u8>>, path: &[u8]) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::Character,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::RegularFile | FileType::Unknown => Kind::File,
    };
    let has_size = matches!(kind, Kind::File | Kind::Symlink);
    let mut entry = Entry {
        kind,
        mode: stat.st_mode & 0o7777,
        // An ordinary user's tree belongs to that user, who stands for root.
        owner: if tree.user { (0, 0) } else { (stat.st_uid, stat.st_gid) },
        size: if has_size { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        mtime: Time { seconds: stat.st_mtime as i64, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) },
        link,
        device: matches!(kind, Kind::Character | Kind::Block)
            .then(|| (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))),
        attributes: Vec::new(),
        id: (stat.st_dev as u64, stat.st_ino as u64),
    };
    let own = |name: &CString| !attributes::is_overlays(name);
    entry.attributes = found.into_iter().map(|(name, _)| name).filter(own).map(CString::into_bytes).collect();
    if let Some(aside) = tree.aside.get(path) {
        (entry.owner, entry.mode) = (aside.owner, aside.mode);
        if let Some((letter, major, minor)) = aside.device {
            entry.kind = if letter == 'b' { Kind::Block } else { Kind::Character };
            (entry.device, entry.size) = (Some((major, minor)), 0);
        }
        entry.attributes.extend(aside.xattrs.iter().map(|(name, _)| name.clone()));
        entry.attributes.sort();
        entry.attributes.dedup();
    }
    entry
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

fn no_content(path: &[u8]) -> Error {
    Error::Entry { path: path.escape_ascii().to_string(), why: "is no file".to_owned() }
}
