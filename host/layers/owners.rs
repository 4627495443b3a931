//! Shows the owners of an image in a user namespace, although its files on disk are all one user's: a tree in memory
//! (tmpfs) on top of the layers, with those files that belong to somebody else than root, and the directories that lead
//! there. The kernel offers nothing cheaper to who is not root: owners of another file system's inodes cannot be changed
//! (`chown` takes a right over ids that the files do not have), overlay's copying without data (`metacopy`) is refused in
//! a user namespace, and a mount cannot be given another map of ids there.
//!
//! What is to be made is planned beforehand; making it is system calls alone, so that it can be done between `fork` and
//! `exec`. There are bounds: memory is the user's.

use super::snapshot::Level;
use super::view::foreign::Foreign;
use super::view::{Kind, View};
use super::{Error, attributes::Attribute};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr,
    futimens, linkat, mkdirat, openat, sendfile, symlinkat, utimensat,
};
use rustix::io::{Errno, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many bytes of files are copied.
const BYTES_MAX: u64 = 256 << 20;
/// How many entries are made.
const ENTRIES_MAX: usize = 50_000;
/// Longer paths are more than one system call takes, with the layer's directory before them.
const PATH_BYTES_MAX: usize = 3_900;

/// The tree that is to be made.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// Each directory before what is in it, the root first. Nothing at all if nothing is to be made.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    path: CString,
    make: Make,
    owner: (Uid, Gid),
    mode: Mode,
    times: Timestamps,
    attributes: Vec<Attribute>,
}

#[derive(Debug)]
enum Make {
    Directory,
    /// Copied from this path below the store's directory.
    File(CString),
    /// A second name of what an earlier step has made.
    Link(CString),
    Symlink(CString),
}

impl Owners {
    /// Plans what shows the owners of `view`, whose trees are `levels`, where ids up to `ids` exist. Returns what cannot
    /// be shown too, a sentence each.
    pub(super) fn plan(
        view: &View,
        levels: &[Level],
        ids: (u32, u32),
    ) -> std::result::Result<(Self, Vec<String>), Error> {
        let mut foreign = view.foreign()?;
        let mut warnings = Vec::new();
        let all = foreign.len();
        foreign.retain(|foreign| {
            let (user, group) = foreign.entry.owner;
            let is_directory = foreign.entry.kind == Kind::Directory;
            (user <= ids.0 && group <= ids.1 || is_directory) && foreign.path.len() <= PATH_BYTES_MAX
        });
        let unreachable = all - foreign.len();
        if unreachable > 0 {
            warnings.push(format!(
                "{unreachable} files are shown as root's: their owners are above the ids that `/etc/subuid` and \
                 `/etc/subgid` give to this user, or their paths are too long"
            ));
        }
        // Several names of one file are one copy.
        let sizes: HashMap<_, _> = foreign.iter().map(|foreign| (foreign.entry.id, foreign.entry.size)).collect();
        let bytes = sizes.into_values().fold(0, u64::saturating_add);
        if bytes > BYTES_MAX || foreign.len() > ENTRIES_MAX {
            foreign.retain(|foreign| foreign.entry.kind == Kind::Directory);
            foreign.truncate(ENTRIES_MAX);
            warnings.push(format!(
                "files of other users than root are shown as root's: to show their owners they are copied into memory, \
                 and these are {bytes} bytes; the limit is {BYTES_MAX} bytes and {ENTRIES_MAX} files"
            ));
        }
        let mut firsts: HashMap<(u64, u64), CString> = HashMap::new();
        let mut steps = Vec::new();
        for foreign in foreign {
            steps.extend(step(foreign, levels, ids, &mut firsts));
        }
        Ok((Self { steps }, warnings))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Makes the tree, from files of the store `root`, and puts it on the directory `at`, where others are put on top of
    /// it: overlay wants its lower directories in the same namespace.
    pub(super) fn show(&self, root: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<OwnedFd> {
        let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, c"mode", c"0755")?;
        // What is planned is bounded; the rest is for the blocks of small files.
        fsconfig_set_string(&context, c"size", c"512M")?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        super::overlay::place(tree.as_fd(), at).map_err(|failure| failure.errno)?;
        for step in &self.steps {
            step.make(root, tree.as_fd())?;
        }
        // What is made in a directory changes its time.
        for step in self.steps.iter().rev().filter(|step| matches!(step.make, Make::Directory)) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            step.dress(openat(&tree, step.path.as_c_str(), flags, Mode::empty())?.as_fd())?;
        }
        Ok(tree)
    }
}

impl Step {
    fn make(&self, root: BorrowedFd<'_>, tree: BorrowedFd<'_>) -> Result<()> {
        let path = self.path.as_c_str();
        match &self.make {
            Make::Directory if path == c"." => Ok(()),
            Make::Directory => mkdirat(tree, path, Mode::RWXU),
            Make::Link(first) => linkat(tree, first.as_c_str(), tree, path, AtFlags::empty()),
            Make::Symlink(target) => {
                symlinkat(target.as_c_str(), tree, path)?;
                chownat(tree, path, Some(self.owner.0), Some(self.owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
                utimensat(tree, path, &self.times, AtFlags::SYMLINK_NOFOLLOW)
            }
            Make::File(source) => {
                let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let from = openat(root, source.as_c_str(), flags | OFlags::RDONLY, Mode::empty())?;
                let new = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let to = openat(tree, path, new, Mode::RUSR | Mode::WUSR)?;
                while sendfile(&to, &from, None, 1 << 30)? > 0 {}
                self.dress(to.as_fd())
            }
        }
    }

    /// Gives it to an open file.
    fn dress(&self, file: BorrowedFd<'_>) -> Result<()> {
        fchown(file, Some(self.owner.0), Some(self.owner.1))?;
        for (name, value) in &self.attributes {
            match fsetxattr(file, name.as_c_str(), value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
        // A change of owner takes special bits away; so the mode comes after it.
        fchmod(file, self.mode)?;
        futimens(file, &self.times)
    }
}

/// Plans one entry; none for what can only be shown as it is.
fn step(
    foreign: Foreign,
    levels: &[Level],
    ids: (u32, u32),
    firsts: &mut HashMap<(u64, u64), CString>,
) -> Option<Step> {
    let Foreign { path, entry, tree, attributes } = foreign;
    let name = CString::new(if path.is_empty() { b".".to_vec() } else { path.clone() }).ok()?;
    let make = match (entry.kind, entry.link, firsts.get(&entry.id)) {
        (Kind::Directory, ..) => Make::Directory,
        (Kind::Symlink, Some(target), _) => Make::Symlink(CString::new(target).ok()?),
        (Kind::File | Kind::Character | Kind::Block, _, Some(first)) => Make::Link(first.clone()),
        (Kind::File | Kind::Character | Kind::Block, _, None) => {
            firsts.insert(entry.id, name.clone());
            Make::File(CString::new([levels.get(tree)?.tree.as_bytes(), b"/", &path].concat()).ok()?)
        }
        // Nobody can do anything with it: the tree is read-only.
        _ => return None,
    };
    let (user, group) = entry.owner;
    let owner = if user <= ids.0 && group <= ids.1 { (user, group) } else { (0, 0) };
    let time = Timespec { tv_sec: entry.mtime.seconds, tv_nsec: entry.mtime.nanoseconds.into() };
    Some(Step {
        path: name,
        make,
        owner: (Uid::from_raw(owner.0), Gid::from_raw(owner.1)),
        mode: Mode::from_raw_mode(entry.mode),
        times: Timestamps { last_access: time, last_modification: time },
        attributes,
    })
}

/// Opens the directory `path` of the calling process.
pub(super) fn directory(path: &CStr) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
