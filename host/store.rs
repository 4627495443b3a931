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
use crate::metadata::Metadata;
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
        let found = read_version(root).map_err(|source| Error::Io { what: "read `version`", source })?;
        match found {
            Some(found) if found == VERSION => {}
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

/// Writes a file in one step: two processes that set a store up write the same.
fn write_new(root: &Dir, name: &str, text: &str) -> std::io::Result<()> {
    let temporary = format!(".{name}.{}", std::process::id());
    let mut file =
        root.open_with(&temporary, OpenOptions::new().write(true).create(true).truncate(true).mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    root.rename(&temporary, root, name)
}
