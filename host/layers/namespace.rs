//! Lets a command see a snapshot where the caller may not mount: in a mount namespace of its own, and in a user
//! namespace of its own unless the caller is root.
//!
//! It starts no program: whoever does calls [`Entrance::enter`] in the child, between `fork` and `exec`. The child has
//! one thread then, which a user namespace takes, and may only make calls that are safe in a signal handler. `enter` makes
//! system calls (`fchdir`, `unshare`, `openat`, `write`, `mount`, `fsopen` and its kin, `chdir`) and nothing else: what
//! they need is made beforehand, and nothing is allocated.
//!
//! In the user namespace the caller is root. Nobody else exists without the help of programs that are set-user-id: one user
//! and one group can be mapped without them. The files of the store are the caller's, so they are root's in there. With
//! that help ([`Subordinate`], `ids`) a command can become others, and sees the owners of the image: see `owners`.
//!
//! ```text
//! wharf ─ fork ─► unshare(user, mount) ─► maps ─► mounts private ─► owners, overlay on the directory ─► chdir ─► exec
//! ```

use super::ids::{self, Asking, Subordinate, Waiting};
use super::overlay::{self, Stack};
use super::owners::{self, Owners};
use super::top::Top;
use super::view::View;
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

/// How many lower directories overlay takes.
const LEVELS_MAX: usize = 500;

/// What a child needs to enter the namespaces. Keep it until the child has ended: it pins the snapshot or the top.
#[derive(Debug)]
pub struct Entrance {
    _snapshot: Option<Snapshot>,
    _top: Option<Top>,
    root: Directory,
    stack: Stack,
    at: CString,
    /// The maps of user and group; none for root, who needs no user namespace.
    maps: Option<(CString, CString)>,
    /// How to get better ones.
    asking: Option<Asking>,
    /// What is on top then.
    owners: Owners,
}

impl Layers {
    /// Prepares to show `snapshot` on the directory `at`, an absolute path, to a child alone.
    pub fn entrance(&self, snapshot: &Snapshot, at: &Path) -> Result<Entrance, Error> {
        let stack = self.stacked(snapshot)?;
        Ok(Entrance { _snapshot: Some(snapshot.clone()), ..self.entrance_to(stack, at)? })
    }

    /// The same for a top. Who is not root sees one owner there.
    pub fn entrance_top(&self, top: &Top, at: &Path) -> Result<Entrance, Error> {
        Ok(Entrance { _top: Some(top.clone()), ..self.entrance_to(top.stacked()?, at)? })
    }

    fn entrance_to(&self, stack: Stack, at: &Path) -> Result<Entrance, Error> {
        let text =
            |bytes: &[u8]| CString::new(bytes).map_err(|_| Error::Unsupported("a path has no zero byte".to_owned()));
        let (user, group) = (geteuid(), getegid());
        let map = |id: u32| text(format!("0 {id} 1\n").as_bytes());
        let maps = if user.is_root() { None } else { Some((map(user.as_raw())?, map(group.as_raw())?)) };
        Ok(Entrance {
            _snapshot: None,
            _top: None,
            root: self.store.root.enter(".").map_err(Error::io("cannot open the layer store"))?,
            stack,
            at: text(at.as_os_str().as_bytes())?,
            maps,
            asking: None,
            owners: Owners::default(),
        })
    }

    /// Prepares the same for who is not root, with the ids of `subordinate`. Somebody else has to answer the child, in
    /// a thread of its own, while it enters; if the answer is no, the child has one id. Returns what cannot be shown too,
    /// a sentence each.
    pub fn entrance_with(
        &self,
        snapshot: &Snapshot,
        at: &Path,
        subordinate: Subordinate,
    ) -> Result<(Entrance, Waiting, Vec<String>), Error> {
        let mut entrance = self.entrance(snapshot, at)?;
        let levels = self.levels(snapshot)?;
        let mut warnings = Vec::new();
        if levels.len() < LEVELS_MAX {
            let view = View::new(self, snapshot)?;
            (entrance.owners, warnings) = Owners::plan(&view, &levels, subordinate.highest())?;
        } else {
            warnings.push(format!("all files are shown as root's: the image has {LEVELS_MAX} layers"));
        }
        let (asking, waiting) = ids::ask(subordinate)?;
        entrance.asking = Some(asking);
        Ok((entrance, waiting, warnings))
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
        let mapped = match &self.asking {
            Some(asking) => asking.ask()?,
            None => false,
        };
        if let Some((user, group)) = &self.maps
            && !mapped
        {
            // Only who gives up `setgroups` may map a group. user_namespaces(7)
            let groups =
                write(c"/proc/self/setgroups", b"deny").and_then(|()| write(c"/proc/self/gid_map", group.as_bytes()));
            match groups {
                // The program that maps groups did so, before the one that maps users refused.
                Err(error) if self.asking.is_some() && error == rustix::io::Errno::PERM => {}
                other => other?,
            }
            write(c"/proc/self/uid_map", user.as_bytes())?;
        }
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let root = owners::directory(c".")?;
        let at = owners::directory(&self.at)?;
        let above = match mapped && !self.owners.is_empty() {
            true => Some(self.owners.show(root.as_fd(), at.as_fd())?),
            false => None,
        };
        let above = above.as_ref().map(AsFd::as_fd);
        let mount = overlay::attach(root.as_fd(), &self.stack, above).map_err(|failure| failure.errno)?;
        // What was put there is what the name leads to now.
        let at = owners::directory(&self.at)?;
        overlay::place(mount.as_fd(), at.as_fd()).map_err(|failure| failure.errno)?;
        Ok(chdir(self.at.as_c_str())?)
    }
}

fn write(path: &std::ffi::CStr, text: &[u8]) -> rustix::io::Result<()> {
    let file = openat(rustix::fs::CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}
