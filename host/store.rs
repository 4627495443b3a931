//! The directory of a store: its marker files, and the services that live in it.
//!
//! ```text
//! <root>/               0700
//! ├── version           the layout of this directory: `1`
//! ├── oci-layout        blobs/ is where the OCI image layout has it
//! ├── blobs/, ingest/   see `content`
//! ├── layers/, …        see `layers`
//! └── metadata.sqlite   see `metadata`
//! ```
//!
//! There is no `index.json`: which image has which name is in the metadata, and
//! two truths would drift apart.

use crate::content::Content;
use crate::layers::{self, Layers};
use crate::metadata::{self, Metadata};
use crate::planted::{self, Bug};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// The layout that this code reads and writes.
const VERSION: &str = "1\n";
/// OCI image-spec, image-layout.md, “oci-layout file”.
const OCI_LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// More than any version has.
const VERSION_BYTES_MAX: u64 = 64;

/// What is kept in the directory.
#[derive(Clone, Debug)]
pub struct Store {
    /// Blobs and ingests.
    pub content: Content,
    /// Layers and snapshots.
    pub layers: Layers,
    /// Records.
    pub metadata: Metadata,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layout is another one.
    #[error("the store has layout version `{found}`, and this wharf knows version `{}`", VERSION.trim_end())]
    Version {
        /// What the file `version` says.
        found: String,
    },
    /// The file `version` is not what wharf wrote, and the rest is there. See [`mend`].
    #[error("`version` is damaged, and everything else looks like a store")]
    Damaged,
    /// The directory is somebody else's.
    #[error("the directory is not empty and not a store of wharf: it has `{found}`")]
    Foreign {
        /// A name that no store has at this point.
        found: String,
    },
    /// The blobs do not open.
    #[error("the content does not open: {0}")]
    Content(#[from] crate::content::Error),
    /// The layers do not open.
    #[error("the layers do not open: {0}")]
    Layers(#[from] layers::Error),
    /// The records do not open.
    #[error("the metadata do not open: {0}")]
    Metadata(#[from] crate::metadata::Error),
    /// The operating system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What failed.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Store {
    /// Opens the store below `root`, and makes one if the directory is empty; the
    /// files of others are left alone.
    /// `path` is where `root` is: the database is opened by path.
    pub fn open(root: &Dir, path: &Path, layers: layers::Settings) -> Result<Self, Error> {
        if is_damaged(root) {
            return Err(Error::Damaged);
        }
        let found = read_version(root).map_err(|source| Error::Io { what: "read `version`", source })?;
        match found {
            Some(found) if found.trim_end() == VERSION.trim_end() => {}
            Some(found) => return Err(Error::Version { found: found.trim().escape_debug().to_string() }),
            None => {
                let io = |source| Error::Io { what: "set the store up", source };
                match foreign(root).map_err(io)? {
                    // Another process may have set the store up since.
                    Some(_) if root.exists("version") => return Self::open(root, path, layers),
                    Some(found) => return Err(Error::Foreign { found }),
                    None => write_new(root, "version", VERSION).map_err(io)?,
                }
            }
        }
        // Whoever wrote `version` may have died before this.
        if !root.exists("oci-layout") {
            write_new(root, "oci-layout", OCI_LAYOUT)
                .and_then(|()| root.open(".")?.sync_all())
                .map_err(|source| Error::Io { what: "set the store up", source })?;
        }
        let (content, layers) = (Content::open(root)?, Layers::open(root, layers)?);
        Ok(Self { content, layers, metadata: Metadata::open(root, path)? })
    }
}

/// Writes `version` again if it is damaged. Returns whether it was.
pub fn mend(root: &Dir) -> std::io::Result<bool> {
    if !is_damaged(root) {
        return Ok(false);
    }
    if root.symlink_metadata("version").is_ok_and(|found| found.is_dir()) {
        root.remove_dir("version")?;
    }
    write_new(root, "version", VERSION)?;
    root.open(".")?.sync_all()?;
    Ok(true)
}

/// Whether everything but `version` looks like a store. A number that is not ours is that of another wharf, and what this
/// user may not read is not damaged.
fn is_damaged(root: &Dir) -> bool {
    let has_rest = || root.is_dir("blobs") && root.is_dir("layers") && root.exists(metadata::FILE);
    // Again, once the rest was seen: another process may set the store up, and that writes `version` first.
    !has_version(root) && has_rest() && !has_version(root)
}

fn has_version(root: &Dir) -> bool {
    match root.symlink_metadata("version") {
        Ok(found) if found.is_file() => {
            read_version(root).map_or(true, |text| text.is_some_and(|text| text.trim().parse::<u32>().is_ok()))
        }
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Returns a name in the directory that is not a trace of a store being set up
/// by another process right now.
fn foreign(root: &Dir) -> std::io::Result<Option<String>> {
    for entry in root.entries()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "version" && !name.starts_with(".version.") {
            return Ok(Some(name.escape_debug().to_string()));
        }
    }
    Ok(None)
}

fn read_version(root: &Dir) -> std::io::Result<Option<String>> {
    let file = match root.open("version") {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(VERSION_BYTES_MAX).read_to_end(&mut text)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Writes a file in one step. Two processes that set a store up write the same bytes to the same file, which one of them
/// renames; a process that died leaves it to the next one.
fn write_new(root: &Dir, name: &str, text: &str) -> std::io::Result<()> {
    let temporary = format!(".{name}.new");
    let mut file = root.open_with(&temporary, OpenOptions::new().write(true).create(true).mode(0o600))?;
    file.write_all(text.as_bytes())?;
    // Not before: the other process may have renamed it.
    file.set_len(text.len() as u64)?;
    if !planted::has(Bug::VersionUnsynced) {
        file.sync_all()?;
    }
    match root.rename(&temporary, root, name) {
        Err(error) if error.kind() == ErrorKind::NotFound && root.exists(name) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    /// `tests/crash` found it: every process that was killed while it set a store up left a file, for ever.
    #[test]
    fn a_version_that_is_damaged_is_written_again_and_that_of_another_wharf_is_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = || Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("a directory");
        let root = open();
        let proc = || Dir::open_ambient_dir("/proc", ambient_authority()).expect("/proc");
        let store = || {
            let settings = layers::Settings { rights: layers::Rights::User, boot: String::new(), proc: proc() };
            Store::open(&open(), directory.path(), settings)
        };
        drop(store().expect("a store"));
        for damage in [Some(&b"1\xc2"[..]), Some(b""), None] {
            match damage {
                Some(bytes) => root.write("version", bytes).expect("a file"),
                None => root.remove_file("version").and_then(|()| root.create_dir("version")).expect("a directory"),
            }
            assert!(matches!(store(), Err(Error::Damaged)), "{damage:?}");
            assert!(mend(&root).expect("it can be written"));
            drop(store().expect("it is a store again"));
        }
        root.write("version", "7\n").expect("a file");
        assert!(!mend(&root).expect("it is left alone"));
        assert!(matches!(store(), Err(Error::Version { found }) if found == "7"));
    }

    #[test]
    fn what_a_process_left_that_died_while_it_set_a_store_up_is_used_up() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).expect("a directory");
        let root = open(directory.path());
        root.write(".version.new", "half of something longer").expect("a file");
        let settings =
            layers::Settings { rights: layers::Rights::User, boot: String::new(), proc: open(Path::new("/proc")) };
        drop(Store::open(&root, directory.path(), settings).expect("a store"));
        assert_eq!(root.read_to_string("version").expect("a file"), VERSION);
        assert_eq!(root.read_to_string("oci-layout").expect("a file"), OCI_LAYOUT);
        assert!(!root.exists(".version.new") && !root.exists(".oci-layout.new"));
    }
}
