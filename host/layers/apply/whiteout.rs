//! What overlay takes for something that is gone: a character device 0:0 in the place of a file, and an attribute of a
//! directory that hides all that the layers below have in it. Nothing is removed here: a whiteout is about the layers
//! below, and what the same layer has stays, in whatever order they come.
//!
//! OCI image-spec, layer.md, “Whiteouts”; Linux, `Documentation/filesystems/overlayfs.rst`, “whiteouts and opaque
//! directories”.

use super::tree::look;
use crate::layers::Rights;
use rustix::fs::{self, FileType, Mode, XattrFlags};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Marks a directory as opaque.
pub(super) fn hide_below(directory: BorrowedFd<'_>, rights: Rights) -> Result<(), Errno> {
    let attribute = match rights {
        Rights::Root => c"trusted.overlay.opaque",
        Rights::User => c"user.overlay.opaque",
    };
    fs::fsetxattr(directory, attribute, b"y", XattrFlags::empty())
}

/// What a whiteout met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Nothing. There is a device now.
    Nothing,
    /// A directory of the same layer: it has to be opaque.
    Directory,
    /// Something else of the same layer, which hides what is below anyway.
    Other,
}

/// Makes a whiteout. Every user may.
pub(super) fn make(parent: BorrowedFd<'_>, base: &[u8]) -> Result<Met, Errno> {
    match fs::mknodat(parent, base, FileType::CharacterDevice, Mode::empty(), 0) {
        Ok(()) => Ok(Met::Nothing),
        Err(Errno::EXIST) => Ok(match look(parent, base)? {
            Some(found) if found.kind == FileType::Directory => Met::Directory,
            _ => Met::Other,
        }),
        Err(errno) => Err(errno),
    }
}
