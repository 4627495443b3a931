//! Applies one layer's archive to an empty directory, in the form that overlay takes as a lower directory.
//!
//! It does not need the layers below, so that layers are applied at the same time, and in any order. What an archive
//! implies about them without carrying it is returned in [`Applied`] and settled later. It makes nothing durable, and
//! leaves what it has made when it fails: whoever made the directory removes it.
//!
//! The rules are those of containerd's `archive.Apply` with `OverlayConvertWhiteout`, except:
//!
//! - A whiteout never removes what the same layer has, whichever comes first. It makes a directory of that name opaque.
//!   containerd refuses a whiteout after its file, and forgets one before its directory.
//! - Entries for the root set its attributes, as docker does; containerd ignores them.
//! - Times are as the archive says. containerd writes 1970 for what is before it, and for what is after 2262.
//! - Hard links into the layers below are for settling; containerd refuses them.
//! - `user.overlay.*` attributes are dropped, and character devices 0:0 refused.
//! - A directory that something else replaces is forgotten. containerd sets the time that it had, and fails if it
//!   cannot; it also makes the directories that the name of a global header leads through.
//! - Names deeper than the budget are refused.

mod attributes;
mod budget;
mod content;
mod directory;
mod dress;
mod entry;
mod link;
mod name;
mod remembered;
mod tree;
mod whiteout;

pub use self::budget::Budget;
pub(super) use self::name::clean;

use self::entry::Layer;
use super::archive::{Archive, Time};
use super::{Contents, Error, Rights};
use std::io::BufRead;
use std::os::fd::BorrowedFd;

/// Applies `archive` to `directory`, which is empty and nobody else's. Ends soon after `stop` says so.
///
/// Returns after the last entry; what follows it has not been read. Fails with [`Error::Archive`] and [`Error::Entry`]
/// if the archive says what cannot be, with [`Error::TooLarge`] before it is over a budget, with [`Error::NoSpace`],
/// [`Error::Stopped`], [`Error::Unsupported`] on kernels before 5.6, and [`Error::Io`].
pub fn apply<R: BufRead>(
    archive: &mut Archive<R>,
    directory: BorrowedFd<'_>,
    rights: Rights,
    budget: &Budget,
    stop: &dyn Fn() -> bool,
) -> Result<Applied, Error> {
    let mut layer = Layer::new(directory, rights, budget)?;
    while let Some(entry) = archive.next()? {
        if stop() {
            return Err(Error::Stopped);
        }
        layer.entry(archive, &entry, stop)?;
    }
    layer.finish(stop)
}

/// What an archive was applied to, besides its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Bytes of all files, holes included, each file once.
    pub size: u64,
    /// Files of every kind.
    pub inodes: u64,
    /// Directories that were made although no entry names them. What they look like is for the layers below to say.
    pub implied: Vec<Vec<u8>>,
    /// Whether an entry names the root itself. If not, it looks as the layers below say.
    pub names_root: bool,
    /// Whether the root has an opaque marker: nothing of the layers below is left. Overlay does not heed it there.
    pub is_opaque: bool,
    /// Hard links to what is not in this layer, in the order of the archive. There is nothing at their paths yet.
    pub links: Vec<Link>,
    /// What could not be set with [`Rights::User`].
    pub aside: Vec<Aside>,
    /// What was left out, a sentence each, at most 20.
    pub warnings: Vec<String>,
    /// Sums of what was written into files.
    pub contents: Contents,
}

/// A hard link to what is not in this layer. It says what the file looks like from now on, under all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Relative to the root, cleaned.
    pub path: Vec<u8>,
    /// Relative to the root, cleaned, with the symbolic links of this layer followed in all but the last component.
    pub target: Vec<u8>,
    /// The twelve bits of `chmod`; of no use to a symbolic link.
    pub mode: u32,
    /// The owner and the group.
    pub owner: (u32, u32),
    /// When it was changed.
    pub mtime: Time,
    /// Extended attributes that are set as well.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the archive says about a file, and the file system does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Relative to the root, cleaned.
    pub path: Vec<u8>,
    /// The owner and the group.
    pub owner: (u32, u32),
    /// The twelve bits of `chmod`.
    pub mode: u32,
    /// Type (`c` or `b`), major and minor number of what an empty file stands for.
    pub device: Option<(char, u32, u32)>,
    /// Attributes that could not be set.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}
