//! Snapshots that are mounted: where, and how they come and go.
//!
//! The kernel's table of mounts is the only record: a mount says in its source which store and which snapshot it is,
//! as in `wharf:fd00:1a2b:4bcf…` (the device and the number of the store's directory, and the snapshot's key).

use super::overlay::{self, Failure, Stack, Step};
use super::{Error, Layers, Snapshot, snapshot};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A table of mounts is not read further than this, in bytes: 500 layers are a line of 50 KB.
const TABLE_BYTES_MAX: u64 = 256 << 20;

/// A snapshot that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted {
    /// Where, as the process sees it.
    pub at: PathBuf,
    /// The name of the snapshot; none if the snapshot is gone.
    pub snapshot: Option<String>,
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
        Ok(Stack { source: text(self.source(&snapshot::key(snapshot.name()))?), lower, user })
    }

    /// Ends the mount on `at`, which is a path as [`Layers::mounts`] tells it.
    ///
    /// Fails with [`Error::NotFound`] if no snapshot of this store is mounted there, with [`Error::InUse`] while
    /// somebody works in it.
    pub fn unmount(&self, at: &Path) -> Result<(), Error> {
        let table = self.table("self")?;
        // The last one on a directory is the one that is seen.
        let last = rows(&table).filter(|row| row.at == at).last().ok_or(Error::NotFound)?;
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
        let ours = rows(&table).filter_map(|row| {
            let key = String::from_utf8(row.source.strip_prefix(prefix.as_bytes())?.to_vec()).ok()?;
            Some(Mounted { at: row.at, snapshot: names.get(&key).cloned() })
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
        let prefix = self.source("")?;
        let key = |row: Row| String::from_utf8(row.source.strip_prefix(prefix.as_bytes())?.to_vec()).ok();
        let processes = self.store.proc.entries().map_err(Error::io("cannot list processes"))?;
        let mut processes: Vec<_> =
            processes.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        processes.retain(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // This process's own table has to be there. Those of others may be gone, or be none of our business.
        let mut keys: BTreeSet<String> = rows(&self.table("self")?).filter_map(key).collect();
        let mut seen = BTreeSet::new();
        for process in processes {
            let namespace = rustix::fs::statat(
                &self.store.proc,
                format!("{process}/ns/mnt").as_str(),
                rustix::fs::AtFlags::empty(),
            );
            if namespace.is_ok_and(|namespace| seen.insert(namespace.st_ino))
                && let Ok(table) = self.table(&process)
            {
                keys.extend(rows(&table).filter_map(key));
            }
        }
        Ok(keys)
    }

    fn source(&self, key: &str) -> Result<String, Error> {
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

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    at: PathBuf,
    source: Vec<u8>,
}

/// Reads a table of mounts: proc(5), “/proc/pid/mountinfo”. Only overlay mounts are returned.
fn rows(table: &[u8]) -> impl Iterator<Item = Row> {
    table.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let at = plain(fields.nth(4)?);
        // Optional fields end with a dash.
        fields.find(|field| *field == b"-")?;
        let (kind, source) = (fields.next()?, fields.next()?);
        (kind == b"overlay").then(|| Row { at: PathBuf::from(OsString::from_vec(at)), source: plain(source) })
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
        let table = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n\
            90 22 0:50 / /mnt/a\\040b\\134 ro,nosuid - overlay wharf:1:2:ab ro,lowerdir+=/x\n\
            91 22 0:51 / /mnt/c ro master:3 propagate_from:2 - overlay none ro\n\
            cut short";
        let expected = [("/mnt/a b\\", "wharf:1:2:ab"), ("/mnt/c", "none")];
        let expected = expected.map(|(at, source)| Row { at: PathBuf::from(at), source: source.as_bytes().to_vec() });
        assert_eq!(rows(table).collect::<Vec<_>>(), expected);
    }
}
