//! Snapshots that are mounted: where, and how they come and go.
//!
//! The kernel's table of mounts is the only record: a mount says in its source which store and which snapshot it is,
//! as in `wharf:fd00:1a2b:4bcf…` (the device and the number of the store's directory, and the snapshot's key). Tops have a
//! word before the key, as in `wharf:fd00:1a2b:top:4bcf…`. What is bound to another place, as views of one layer are, has
//! no source of its own: there the table says which directory of the file system it is.

use super::overlay::{self, Failure, Stack, Step};
use super::{Error, Layers, Snapshot, snapshot};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A table of mounts is not read further than this, in bytes: 500 layers are a line of 50 KB.
const TABLE_BYTES_MAX: u64 = 256 << 20;

/// A snapshot or top that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted {
    /// Where, as the process sees it.
    pub at: PathBuf,
    /// The name of the snapshot or top; none if it is gone.
    pub snapshot: Option<String>,
}

/// What the tables of mounts say of a store.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Keys of snapshots, and of tops with `top:` before them.
    pub(super) keys: BTreeSet<String>,
    /// Directories, below the store's, that are bound to other places, or that somebody's overlay writes to.
    pub(super) places: BTreeSet<String>,
}

impl Layers {
    /// Mounts a snapshot read-only on the directory `at`.
    ///
    /// Fails with [`Error::Unsupported`] if the kernel has not what it takes, or the caller has not the right.
    pub fn mount(&self, snapshot: &Snapshot, at: BorrowedFd<'_>) -> Result<(), Error> {
        let stack = self.stacked(snapshot)?;
        overlay::attach(self.store.root.as_fd(), &stack, None)
            .and_then(|mount| overlay::place(mount.as_fd(), at))
            .map_err(told)
    }

    /// Describes what is to be mounted.
    pub(super) fn stacked(&self, snapshot: &Snapshot) -> Result<Stack, Error> {
        let levels = self.levels(snapshot)?;
        let user = levels.iter().any(|level| level.user);
        if levels.iter().any(|level| level.user != user) {
            return Err(Error::Unsupported(
                "some layers of the image were extracted by root and some were not: remove it and pull it again"
                    .to_owned(),
            ));
        }
        let text = |text: String| CString::new(text).expect("digits and fixed words have no zero byte");
        let lower = levels.into_iter().map(|level| text(level.tree)).collect();
        Ok(Stack { source: text(self.source(&snapshot::key(snapshot.name()))?), lower, user, writable: None })
    }

    /// Ends the mount on `at`, which is a path as [`Layers::mounts`] tells it.
    ///
    /// Fails with [`Error::NotFound`] if no snapshot of this store is mounted there, with [`Error::InUse`] while
    /// somebody works in it.
    pub fn unmount(&self, at: &Path) -> Result<(), Error> {
        let table = self.table("self")?;
        // The last one on a directory is the one that is seen.
        let last = rows(&table).filter(|row| row.is_overlay && row.at == at).last().ok_or(Error::NotFound)?;
        if !last.source.starts_with(self.source("")?.as_bytes()) {
            return Err(Error::NotFound);
        }
        rustix::mount::unmount(at, rustix::mount::UnmountFlags::NOFOLLOW).map_err(|errno| match errno {
            Errno::BUSY => Error::InUse,
            Errno::PERM => Error::Unsupported("ending a mount takes the rights of root".to_owned()),
            errno => Error::io("cannot end the mount")(errno),
        })
    }

    /// Returns what is mounted of this store, as this process sees it, in order of path.
    pub fn mounts(&self) -> Result<Vec<Mounted>, Error> {
        let (table, prefix) = (self.table("self")?, self.source("")?);
        let mut names = std::collections::HashMap::new();
        self.each(|record| drop(names.insert(snapshot::key(&record.name), record.name)))?;
        self.each_top(|top, _| drop(names.insert(format!("top:{}", snapshot::key(&top.name)), top.name)))?;
        let ours = rows(&table).filter_map(|row| {
            let snapshot = names.get(&row.key(&prefix)?).cloned();
            Some(Mounted { at: row.at, snapshot })
        });
        let mut ours: Vec<_> = ours.collect();
        ours.sort();
        Ok(ours)
    }

    /// Returns the names of the snapshots that are mounted, in any mount namespace of a process that can be looked at,
    /// each once and in order.
    pub fn mounted(&self) -> Result<Vec<String>, Error> {
        let (keys, mut names) = (self.keys_mounted()?, Vec::new());
        if !keys.is_empty() {
            self.each(|record| names.extend(Some(record.name).filter(|name| keys.contains(&snapshot::key(name)))))?;
        }
        names.sort();
        Ok(names)
    }

    /// Whether the snapshot that has this key is mounted, as in [`Layers::mounted`].
    pub(super) fn is_mounted(&self, key: &str) -> Result<bool, Error> {
        Ok(self.keys_mounted()?.contains(key))
    }

    /// Returns the keys of the snapshots that are mounted, as in [`Layers::mounted`].
    pub(super) fn keys_mounted(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.traces()?.keys)
    }

    /// Returns what is mounted of this store, in any mount namespace of a process that can be looked at.
    pub(super) fn traces(&self) -> Result<Traces, Error> {
        let prefix = self.source("")?;
        let processes = self.store.proc.entries().map_err(Error::io("cannot list processes"))?;
        let mut processes: Vec<_> =
            processes.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        processes.retain(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // This process's own table has to be there. Those of others may be gone, or be none of our business.
        let table = self.table("self")?;
        let (home, mut traces, mut seen) = (Home::find(&table, &self.home()?), Traces::default(), BTreeSet::new());
        traces.read(&table, &prefix, home.as_ref());
        for process in processes {
            let namespace = rustix::fs::statat(
                &self.store.proc,
                format!("{process}/ns/mnt").as_str(),
                rustix::fs::AtFlags::empty(),
            );
            if namespace.is_ok_and(|namespace| seen.insert(namespace.st_ino))
                && let Ok(table) = self.table(&process)
            {
                traces.read(&table, &prefix, home.as_ref());
            }
        }
        Ok(traces)
    }

    /// Returns the path of the store's directory, as this process sees it.
    pub(super) fn home(&self) -> Result<PathBuf, Error> {
        let link = format!("self/fd/{}", self.store.root.as_fd().as_raw_fd());
        let path = rustix::fs::readlinkat(&self.store.proc, link.as_str(), Vec::new());
        let path = path.map_err(Error::io("cannot tell the path of the layer store"))?;
        Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
    }

    /// What a table of mounts says about a mount of what has this key.
    pub(super) fn source(&self, key: &str) -> Result<String, Error> {
        let stat = rustix::fs::fstat(&self.store.root).map_err(Error::io("cannot describe the layer store"))?;
        Ok(format!("wharf:{:x}:{:x}:{key}", stat.st_dev, stat.st_ino))
    }

    /// The table of mounts that a process sees.
    fn table(&self, process: &str) -> Result<Vec<u8>, Error> {
        let failed = Error::io("cannot read the table of mounts");
        let file = self.store.proc.open(format!("{process}/mountinfo")).map_err(&failed)?;
        let mut table = Vec::new();
        file.take(TABLE_BYTES_MAX).read_to_end(&mut table).map_err(failed)?;
        Ok(table)
    }
}

impl Traces {
    fn read(&mut self, table: &[u8], prefix: &str, home: Option<&Home>) {
        for row in rows(table) {
            self.keys.extend(row.key(prefix));
            self.places.extend(home.and_then(|home| home.place(&row)));
        }
    }
}

/// Where a store's directory is.
#[derive(Debug, PartialEq, Eq)]
struct Home {
    /// As this process sees it.
    path: PathBuf,
    /// Its file system, and where it is there.
    device: Vec<u8>,
    inside: PathBuf,
}

impl Home {
    /// Finds out by the mount that `path` is on.
    fn find(table: &[u8], path: &Path) -> Option<Self> {
        // Of mounts on one directory the last is the one that is seen.
        let mount =
            rows(table).filter(|row| path.starts_with(&row.at)).max_by_key(|row| row.at.components().count())?;
        let below = path.strip_prefix(&mount.at).ok()?;
        let inside = Path::new(&OsString::from_vec(mount.root)).join(below);
        Some(Self { path: path.to_owned(), device: mount.device, inside })
    }

    /// Which directory of the store is bound by this line, or is written to by an overlay.
    fn place(&self, row: &Row) -> Option<String> {
        let path = |bytes| Path::new(OsStr::from_bytes(bytes));
        let place = match &row.upper {
            Some(upper) => path(upper).strip_prefix(&self.path).ok()?,
            None => path(&row.root).strip_prefix(&self.inside).ok().filter(|_| row.device == self.device)?,
        };
        Some(place.to_str()?.to_owned()).filter(|place| !place.is_empty())
    }
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    at: PathBuf,
    /// The file system, and the directory of it that is mounted.
    device: Vec<u8>,
    root: Vec<u8>,
    is_overlay: bool,
    source: Vec<u8>,
    /// The directory that an overlay writes to.
    upper: Option<Vec<u8>>,
}

impl Row {
    /// What stands behind `prefix` in the source of an overlay.
    fn key(&self, prefix: &str) -> Option<String> {
        let key = self.source.strip_prefix(prefix.as_bytes()).filter(|_| self.is_overlay)?;
        String::from_utf8(key.to_vec()).ok()
    }
}

/// Reads a table of mounts: proc(5), “/proc/pid/mountinfo”.
fn rows(table: &[u8]) -> impl Iterator<Item = Row> {
    table.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let (device, root, at) = (fields.nth(2)?.to_vec(), plain(fields.next()?), plain(fields.next()?));
        // Optional fields end with a dash.
        fields.find(|field| *field == b"-")?;
        let (is_overlay, source) = (fields.next()? == b"overlay", plain(fields.next()?));
        let mut options = fields.next().unwrap_or_default().split(|&byte| byte == b',');
        let upper = options.find_map(|option| option.strip_prefix(b"upperdir=")).filter(|_| is_overlay).map(plain);
        Some(Row { at: PathBuf::from(OsString::from_vec(at)), device, root, is_overlay, source, upper })
    })
}

/// Takes back the escapes of a field, as in `\040`.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = if byte == b'\\' { after.get(..3) } else { None };
        let octal = escaped.and_then(|digits| {
            let digits =
                std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|d| d.is_ascii_digit()))?;
            u8::from_str_radix(digits, 8).ok()
        });
        match octal {
            Some(octal) => {
                bytes.push(octal);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

/// Says what is missing.
pub(super) fn told(failure: Failure) -> Error {
    let Failure { step, errno } = failure;
    match (step, errno) {
        (_, Errno::PERM | Errno::ACCESS) => Error::Unsupported(
            "mounting takes the rights of root: run a command that sees the image with `wharf mount REF -- COMMAND`"
                .to_owned(),
        ),
        (Step::Open, Errno::NOSYS | Errno::NODEV) => Error::Unsupported(
            "this kernel has no overlay file system, or is older than Linux 6.5, which mounting takes".to_owned(),
        ),
        (Step::Lower, Errno::INVAL) => Error::Unsupported(
            "overlay in this kernel does not know `lowerdir+`: mounting takes Linux 6.5 or newer".to_owned(),
        ),
        (Step::Move, Errno::NOTDIR) => Error::Unsupported("an image can be mounted on a directory only".to_owned()),
        (step, errno) => {
            let what = match step {
                Step::Open => "cannot begin a mount",
                Step::Option => "overlay does not take an option",
                Step::Lower => "overlay does not take a layer",
                Step::Upper => "overlay does not take the directory that is to be written to",
                Step::Create => "overlay refuses the image",
                Step::Move => "cannot put the mount where it belongs",
            };
            Error::io(what)(errno)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_with_its_escapes() {
        let table = "22 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n\
            90 22 0:50 / /mnt/a\\040b\\134 ro,nosuid - overlay wharf:1:2:ab ro,lowerdir+=/x\n\
            91 22 0:51 / /mnt/c rw master:3 propagate_from:2 - overlay none rw,lowerdir=/l/x,upperdir=/store/tops/x\\040y/tree\n\
            92 22 8:1 /store/layers/x/tree /mnt/d ro - ext4 /dev/sda rw\n\
            93 22 8:2 / /var rw - xfs /dev/sdb rw\n\
            cut short"
            .as_bytes();
        let found: Vec<_> = rows(table).collect();
        let told = |row: &Row| (row.at.clone(), row.is_overlay, row.key("wharf:1:2:"));
        let expected = [("/", false, None), ("/mnt/a b\\", true, Some("ab")), ("/mnt/c", true, None)];
        let expected = expected.map(|(at, is_overlay, key)| (PathBuf::from(at), is_overlay, key.map(str::to_owned)));
        assert_eq!(found[..3].iter().map(told).collect::<Vec<_>>(), expected);
        for (path, places) in [
            ("/store", vec!["tops/x y/tree", "layers/x/tree"]),
            ("/other", vec![]),
            ("/var/store", vec![]),
            ("/store/layers", vec!["x/tree"]),
        ] {
            let home = Home::find(table, Path::new(path)).expect("a mount");
            assert_eq!(found.iter().filter_map(|row| home.place(row)).collect::<Vec<_>>(), places, "{path}");
        }
        let home = Home::find(table, Path::new("/var/lib/store")).expect("a mount");
        let path = PathBuf::from;
        let expected = Home { path: path("/var/lib/store"), device: b"8:2".to_vec(), inside: path("/lib/store") };
        assert_eq!(home, expected);
    }
}
