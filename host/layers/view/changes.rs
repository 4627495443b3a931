//! The uppermost trees of a stack as the archive of a layer: what they change over whatever is below them, in order of path.
//! Overlay's signs become those of archives.
//!
//! ```text
//! a device 0:0 called `x`          ".wh.x"
//! a directory marked as opaque     "d/"  "d/.wh..wh..opq"  …
//! ```
//!
//! OCI image-spec, layer.md, “Whiteouts”. The same trees make the same bytes: what stands for something removed has no
//! owner, no mode and no time.

use super::archive::Archive;
use super::entry::join;
use super::{ArchiveError, Archived, Entry, Kind, Merged, View, is_whiteout};
use crate::hash::{Algorithm, Digest, Hasher};
use crate::layers::Error;
use crate::layers::archive::Time;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use tar::EntryType;

/// How the names of what stands for something removed begin.
const WHITEOUT: &[u8] = b".wh.";
/// Hides everything that the layers below have in the same directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

impl View {
    /// Writes what the trees of this view change over what is below them, and returns what that hashes to. Attributes for
    /// administrators and the labels of SELinux are left out: they are the machine's.
    ///
    /// Fails with [`Error::Entry`] for a file whose name means something else in an archive.
    pub(in crate::layers) fn changes(&self, out: impl Write) -> Result<(Archived, Digest), ArchiveError> {
        let out = Hashing { out, hasher: Hasher::new(Algorithm::Sha256) };
        let mut archive = Archive::new(self, out, |name| name.starts_with(b"trusted.") || name == b"security.selinux");
        let root = Rc::new(self.root()?);
        archive.root(&root)?;
        archive.changed(b"", &root)?;
        let (archived, out) = archive.end()?;
        Ok((archived, out.hasher.finish()))
    }
}

impl<W: Write> Archive<'_, W> {
    fn changed(&mut self, path: &[u8], directory: &Rc<Merged>) -> Result<(), ArchiveError> {
        for (name, found) in self.view.everything(directory)? {
            let (name, path) = (name.to_bytes(), join(path, name.to_bytes()));
            if is_whiteout(&found.stat) {
                self.removed(&join(split(&path), &[WHITEOUT, name].concat()))?;
                continue;
            }
            if name.starts_with(WHITEOUT) {
                let why = "has a name that says in an archive that something is removed".to_owned();
                return Err(Error::Entry { path: path.escape_ascii().to_string(), why }.into());
            }
            self.entry(&path, &found)?;
            if found.is_directory() {
                let (merged, is_closed) = self.view.merge(&found)?;
                drop(found);
                if is_closed {
                    self.removed(&join(&path, OPAQUE))?;
                }
                self.changed(&path, &Rc::new(merged))?;
            }
        }
        Ok(())
    }

    /// Writes an empty file that stands for something removed.
    fn removed(&mut self, path: &[u8]) -> Result<(), ArchiveError> {
        let entry = Entry {
            kind: Kind::File,
            mode: 0,
            owner: (0, 0),
            size: 0,
            mtime: Time { seconds: 0, nanoseconds: 0 },
            link: None,
            device: None,
            attributes: Vec::new(),
            id: (0, 0),
        };
        self.record(path, &entry, &BTreeMap::new(), EntryType::Regular)
    }
}

/// The directory of a path.
fn split(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b"", |slash| &path[..slash])
}

/// Hashes what passes.
struct Hashing<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
