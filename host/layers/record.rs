//! What the store writes beside the trees: small files, written once and read strictly.
//!
//! ```text
//! layers/<id>/layer         Layer      what the tree is, and what it implies about the layers below
//! layers/<id>/aside         [Aside]    what an ordinary user could not set; absent if there is nothing
//! layers/<id>/sums          see `sums`
//! snapshots/<key>/snapshot  Snapshot   what stands on what
//! snapshots/<key>/aside     [Aside]    of what was settled
//! snapshots/<key>/sums      see `sums`; absent if it has no tree
//! tops/<key>/top            see `top::record`, like `adopted/adopted` in it
//! */durable                 empty      see `durable`
//! durable                   [Durable]  see `durable`
//! ```
//!
//! A file is one byte of version, the XXH3 of the rest in eight bytes, little-endian, and a postcard message that fills
//! the rest: a record in which a bit has turned is none.

use super::apply::{self, Applied};
use super::sums::Total;
use super::{Error, Rights};
use crate::content::directory::Directory;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use twox_hash::XxHash3_64;

/// The name of a layer's record.
pub(super) const LAYER: &str = "layer";
/// The name of a snapshot's record.
pub(super) const SNAPSHOT: &str = "snapshot";
/// The name of what could not be set.
pub(super) const ASIDE: &str = "aside";
/// The name of what tells that a directory is durable, and of the journal of those that became durable last.
pub(super) const DURABLE: &str = "durable";

/// The version of all records.
const VERSION: u8 = 2;
/// What comes before the message.
const HEAD_BYTES: usize = 9;
/// The size of a record, in bytes. It grows with names that a registry chose.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// A path below the root of an image, relative and cleaned.
pub(super) type Path = Vec<u8>;

/// What tells a directory of the store from any other that had its name, or will have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The boot of the machine in which it was made.
    pub(super) boot: String,
    /// Random.
    pub(super) id: String,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Whether it was made with the rights of an ordinary user.
    pub(super) user: bool,
    /// As in [`Applied`], like all that follow.
    pub(super) size: u64,
    pub(super) inodes: u64,
    pub(super) implied: Vec<Path>,
    pub(super) names_root: bool,
    pub(super) is_opaque: bool,
    pub(super) links: Vec<Link>,
    pub(super) warnings: Vec<String>,
    /// What the tree was when it was made.
    pub(super) total: Total,
}

impl Layer {
    pub(super) fn of(applied: Applied, origin: Origin, rights: Rights, total: Total) -> Self {
        let Applied { size, inodes, implied, names_root, is_opaque, links, warnings, .. } = applied;
        let user = rights == Rights::User;
        let links = links.into_iter().map(Link::from).collect();
        Self { origin, user, size, inodes, implied, names_root, is_opaque, links, warnings, total }
    }
}

/// A hard link to what is not in the layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) path: Path,
    pub(super) target: Path,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Seconds since 1970, and nanoseconds after that.
    pub(super) mtime: (i64, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl From<apply::Link> for Link {
    fn from(link: apply::Link) -> Self {
        let apply::Link { path, target, mode, owner, mtime, xattrs } = link;
        Self { path, target, mode, owner, mtime: (mtime.seconds, mtime.nanoseconds), xattrs }
    }
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// Where it comes from.
    pub(super) origin: Origin,
    pub(super) name: String,
    pub(super) parent: Option<String>,
    /// The DiffID of its layer; empty if it has none, because it was a top: then its tree is its own.
    pub(super) layer: String,
    /// Whether it has a tree of its own.
    pub(super) settled: bool,
    /// How many layers there are, this one included.
    pub(super) height: u32,
    /// Bytes of this one alone.
    pub(super) size: u64,
    pub(super) inodes: u64,
    /// What its own tree was when it was made, if it has one.
    pub(super) total: Option<Total>,
}

/// A layer or snapshot that was made durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Durable {
    /// Whether it is a layer, and not a snapshot.
    pub(super) is_layer: bool,
    /// The name of its directory.
    pub(super) name: String,
    /// As in [`Origin`].
    pub(super) id: String,
}

/// What could not be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aside {
    pub(super) path: Path,
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
    pub(super) device: Option<(char, u32, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl From<apply::Aside> for Aside {
    fn from(aside: apply::Aside) -> Self {
        let apply::Aside { path, owner, mode, device, xattrs } = aside;
        Self { path, owner, mode, device, xattrs }
    }
}

/// Writes the record `name`, which must be new, and returns its file.
pub(super) fn write<T: Serialize + ?Sized>(directory: &Directory, name: &str, record: &T) -> Result<File, Error> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes = postcard::to_extend(record, bytes).map_err(|error| Error::Damaged(error.to_string()))?;
    bytes[0] = VERSION;
    let sum = XxHash3_64::oneshot(&bytes[HEAD_BYTES..]);
    bytes[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(Error::TooLarge { what: "bytes of names in its record", limit: RECORD_BYTES_MAX as u64 });
    }
    let mut file = directory
        .open(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
        .map_err(Error::io("cannot write a record"))?;
    file.write_all(&bytes).map_err(Error::io("cannot write a record"))?;
    Ok(file)
}

/// Reads the record `name`. Returns none if it is absent, or is nothing that [`write`] has written: after a power cut
/// anything may be there.
pub(super) fn read<T: DeserializeOwned>(directory: &Directory, name: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = bytes(directory, name)? else { return Ok(None) };
    let Some((head, message)) = bytes.split_at_checked(HEAD_BYTES) else { return Ok(None) };
    if head[0] != VERSION || head[1..] != XxHash3_64::oneshot(message).to_le_bytes() {
        return Ok(None);
    }
    match postcard::take_from_bytes(message) {
        Ok((record, [])) => Ok(Some(record)),
        _ => Ok(None),
    }
}

/// Reads the file of a record. Returns none if there is no such file, or one that cannot be a record.
pub(super) fn bytes(directory: &Directory, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let file = match directory.open(name, OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(Error::io("cannot open a record")(error)),
    };
    let mut bytes = Vec::new();
    match file.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) => Ok(Some(bytes).filter(|bytes| bytes.len() <= RECORD_BYTES_MAX)),
        // A directory has taken its place.
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => Ok(None),
        Err(error) => Err(Error::io("cannot read a record")(error)),
    }
}
