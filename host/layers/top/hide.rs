//! What an opaque root means: that nothing of the layers below is left. Overlay heeds that mark on every directory but the
//! root, so that each name below gets a whiteout there, or a mark if it is a directory here too.

use crate::layers::snapshot::Level;
use crate::layers::view::View;
use crate::layers::{Error, Layers, attributes};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags, fsetxattr, mknodat, openat, statat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// Hides what `levels`, which are below `tree`, have in their root.
pub(super) fn below(tree: BorrowedFd<'_>, user: bool, layers: &Layers, levels: &[Level]) -> Result<(), Error> {
    let failed = Error::io("cannot hide what is below a top");
    for name in View::levels(layers, levels)?.root_names()? {
        match statat(tree, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                mark(tree, &name, user).map_err(&failed)?;
            }
            Ok(_) => {}
            Err(Errno::NOENT) => {
                let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                mknodat(tree, name.as_c_str(), kind, mode, 0).map_err(&failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Marks a directory as one of which nothing below is seen.
pub(super) fn mark(parent: BorrowedFd<'_>, name: &CStr, user: bool) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    fsetxattr(&directory, attributes::opaque(user), b"y", XattrFlags::empty())
}
