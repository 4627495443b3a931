//! Files below the one directory, and what goes wrong with them as an
//! [`ErrorCode`]. It does not know what is in them.
//!
//! Names are relative to the directory, as in `blobs/sha256`, and are made of
//! digests and of constants only: no text of a document is ever part of one.

use crate::nouns::problem::ErrorCode;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Where files are written before they get their name.
pub(super) const TEMPORARY: &str = ".wharf/tmp";
/// A temporary file that nobody has written for so long was left by a process that was killed.
const TEMPORARY_AGE_S: u64 = 3_600;

/// How often a directory is listed again because something in it vanished.
const LIST_ROUNDS_MAX: usize = 1_000;

/// The directory of a layout.
pub(super) struct Disk {
    root: PathBuf,
}

/// A file without a name of its own yet. It is removed when this is dropped.
pub(super) struct Draft {
    path: PathBuf,
    is_placed: bool,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the path of what lies below the directory.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Returns the path of a directory, and makes it if it is absent.
    pub(super) fn directory(&self, below: &str) -> Result<PathBuf, ErrorCode> {
        let path = self.path(below);
        fs::create_dir_all(&path).map_err(failed("make", below))?;
        Ok(path)
    }

    /// Reads a whole file; none if it is absent. Fails with
    /// [`ErrorCode::TooLarge`] if it has more than `limit` bytes.
    pub(super) fn read(&self, below: &str, limit: usize) -> Result<Option<Vec<u8>>, ErrorCode> {
        let file = match File::open(self.path(below)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed("open", below))?,
        };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", below))?;
        if bytes.len() > limit { Err(ErrorCode::TooLarge(limit as u64)) } else { Ok(Some(bytes)) }
    }

    /// Returns size and time of change of a file; none if it is absent or no file.
    pub(super) fn look(&self, below: &str) -> Result<Option<(u64, SystemTime)>, ErrorCode> {
        match fs::metadata(self.path(below)) {
            Ok(found) if found.is_file() => {
                Ok(Some((found.len(), found.modified().map_err(failed("look at", below))?)))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", below)(error)),
        }
    }

    /// Returns the names in a directory, in order; none if it is absent. A name
    /// that is no text is nothing of wharf's.
    pub(super) fn names(&self, below: &str) -> Result<Vec<String>, ErrorCode> {
        match self.list(below) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(failed("read", below)),
        }
    }

    /// The same; fails if the directory is absent.
    ///
    /// On WASI the C library looks at each entry that it lists, and fails if somebody has removed it meanwhile. So
    /// the list is begun again as long as entries vanish.
    pub(super) fn list(&self, below: &str) -> io::Result<Vec<String>> {
        let mut rounds = LIST_ROUNDS_MAX;
        loop {
            let entries = fs::read_dir(self.path(below))?;
            let listed: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name().into_string())).collect();
            match listed {
                Err(error) if error.kind() == ErrorKind::NotFound && rounds > 0 => rounds -= 1,
                other => {
                    let mut names: Vec<_> = other?.into_iter().flatten().collect();
                    names.sort_unstable();
                    return Ok(names);
                }
            }
        }
    }

    /// Makes a file that was not there, to be read and written.
    pub(super) fn create(&self, below: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(below))
    }

    /// Opens a file to be read.
    pub(super) fn open(&self, below: &str) -> io::Result<File> {
        File::open(self.path(below))
    }

    /// Removes a file. Does nothing if it is absent.
    pub(super) fn remove(&self, below: &str) -> Result<(), ErrorCode> {
        match fs::remove_file(self.path(below)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(failed("remove", below)),
        }
    }

    /// Gives a file another name, and replaces what has that name.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    /// Gives a file a second name, unless something has it.
    pub(super) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.path(from), self.path(to))
    }

    /// Writes a file that has no name yet, and makes its bytes durable. `id` is
    /// what nobody else writes to.
    pub(super) fn draft(&self, id: &str, bytes: &[u8]) -> Result<Draft, ErrorCode> {
        self.directory(TEMPORARY)?;
        let below = format!("{TEMPORARY}/{id}");
        let mut file = self.create(&below).map_err(failed("make", &below))?;
        let draft = Draft { path: self.path(&below), is_placed: false };
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &below))?;
        Ok(draft)
    }

    /// Gives a draft its name, and replaces what has that name.
    pub(super) fn place(&self, mut draft: Draft, below: &str) -> Result<(), ErrorCode> {
        fs::rename(&draft.path, self.path(below)).map_err(failed("replace", below))?;
        draft.is_placed = true;
        Ok(())
    }

    /// Makes the names in a directory durable, where the platform can: WASI says
    /// nothing about syncing a directory, wasmtime does it on Unix, and Windows
    /// refuses to open one. A refusal is no failure, a broken disk is one.
    pub(super) fn sync(&self, below: &str) -> Result<(), ErrorCode> {
        let Ok(directory) = File::open(self.path(below)) else { return Ok(()) };
        match directory.sync_all() {
            Err(error) if is_refusal(&error) => Ok(()),
            other => other.map_err(failed("sync", below)),
        }
    }

    /// Returns what time it is by the clock of the file system, which need not be
    /// that of this machine.
    pub(super) fn now(&self, id: &str) -> Result<SystemTime, ErrorCode> {
        self.directory(TEMPORARY)?;
        let below = format!("{TEMPORARY}/{id}");
        let mut file = self.create(&below).map_err(failed("make", &below))?;
        let _draft = Draft { path: self.path(&below), is_placed: false };
        file.write_all(b"now").map_err(failed("write", &below))?;
        file.metadata().and_then(|found| found.modified()).map_err(failed("look at", &below))
    }

    /// Removes what killed processes left unnamed.
    pub(super) fn tidy(&self, now: SystemTime) -> Result<(), ErrorCode> {
        for name in self.names(TEMPORARY)? {
            let below = format!("{TEMPORARY}/{name}");
            let age = self.look(&below)?.and_then(|(_, changed)| now.duration_since(changed).ok());
            if age.is_some_and(|age| age.as_secs() > TEMPORARY_AGE_S) {
                self.remove(&below)?;
            }
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            // What stays is removed by `tidy`.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a platform says that it cannot sync directories.
fn is_refusal(error: &io::Error) -> bool {
    let kinds = [ErrorKind::Unsupported, ErrorKind::InvalidInput, ErrorKind::PermissionDenied, ErrorKind::IsADirectory];
    kinds.contains(&error.kind())
}

/// Writes all bytes at an offset, in bytes.
///
/// For wasmtime that is one call, done on the spot, where `Write` makes three for
/// every 64 KiB and each of them waits for another thread.
pub(super) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Says what could not be done with a file.
pub(super) fn failed(act: &str, below: &str) -> impl Fn(io::Error) -> ErrorCode {
    move |error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => ErrorCode::NoSpace,
        _ => ErrorCode::Other(format!("cannot {act} `{below}`: {error}")),
    }
}
