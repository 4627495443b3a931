//! Lets a command see a snapshot where the caller may not mount: in a mount namespace of its own, and in a user
//! namespace of its own unless the caller is root.
//!
//! It starts no program: whoever does calls [`Entrance::enter`] in the child, between `fork` and `exec`. The child has
//! one thread then, which a user namespace takes, and may only make calls that are safe in a signal handler. `enter` makes
//! system calls (`fchdir`, `unshare`, `openat`, `write`, `mount`, `fsopen` and its kin, `chdir`) and nothing else: what
//! they need is made beforehand, and nothing is allocated.
//!
//! In the user namespace the caller is root and nobody else exists: one user and one group can be mapped without the
//! help of a program that is set-user-id. The files of the store are the caller's, so they are root's in there.
//!
//! ```text
//! wharf ─ fork ─► unshare(user, mount) ─► maps ─► mounts private ─► overlay on the directory ─► chdir ─► exec COMMAND
//! ```

use super::overlay::{self, Stack};
use super::{Error, Layers, Snapshot};
use crate::content::directory::Directory;
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{chdir, fchdir, getegid, geteuid};
use rustix::thread::UnshareFlags;
use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a child needs to enter the namespaces. Keep it until the child has ended: it pins the snapshot.
#[derive(Debug)]
pub struct Entrance {
    _snapshot: Snapshot,
    root: Directory,
    stack: Stack,
    at: CString,
    /// The maps of user and group; none for root, who needs no user namespace.
    maps: Option<(CString, CString)>,
}

impl Layers {
    /// Prepares to show `snapshot` on the directory `at`, an absolute path, to a child alone.
    pub fn entrance(&self, snapshot: &Snapshot, at: &Path) -> Result<Entrance, Error> {
        let text =
            |bytes: &[u8]| CString::new(bytes).map_err(|_| Error::Unsupported("a path has no zero byte".to_owned()));
        let (user, group) = (geteuid(), getegid());
        let map = |id: u32| text(format!("0 {id} 1\n").as_bytes());
        let maps = if user.is_root() { None } else { Some((map(user.as_raw())?, map(group.as_raw())?)) };
        Ok(Entrance {
            _snapshot: snapshot.clone(),
            root: self.store.root.enter(".").map_err(Error::io("cannot open the layer store"))?,
            stack: self.stacked(snapshot)?,
            at: text(at.as_os_str().as_bytes())?,
            maps,
        })
    }
}

impl Entrance {
    /// Enters the namespaces, mounts the snapshot and makes it the working directory. To be called in a child that
    /// has one thread; it makes only calls that may be made between `fork` and `exec`.
    ///
    /// After a failure the child has to end.
    pub fn enter(&self) -> io::Result<()> {
        // The working directory comes along to the new namespace, which an open file does not.
        fchdir(&self.root)?;
        let flags = match self.maps {
            Some(_) => UnshareFlags::NEWUSER | UnshareFlags::NEWNS,
            None => UnshareFlags::NEWNS,
        };
        // SAFETY: no files are unshared, so that no descriptor is left over in another thread's table.
        unsafe { rustix::thread::unshare_unsafe(flags) }?;
        if let Some((user, group)) = &self.maps {
            // Only who gives up `setgroups` may map a group. user_namespaces(7)
            write(c"/proc/self/setgroups", b"deny")?;
            write(c"/proc/self/gid_map", group.as_bytes())?;
            write(c"/proc/self/uid_map", user.as_bytes())?;
        }
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(rustix::fs::CWD, c".", directory, Mode::empty())?;
        let mount = overlay::attach(root.as_fd(), &self.stack).map_err(|failure| failure.errno)?;
        let at = openat(rustix::fs::CWD, self.at.as_c_str(), directory, Mode::empty())?;
        overlay::place(mount.as_fd(), at.as_fd()).map_err(|failure| failure.errno)?;
        Ok(chdir(self.at.as_c_str())?)
    }
}

fn write(path: &std::ffi::CStr, text: &[u8]) -> rustix::io::Result<()> {
    let file = openat(rustix::fs::CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}
