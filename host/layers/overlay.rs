//! Mounts a stack by the new mount API, by open directory and without a path or an option string.
//!
//! It takes no locks and knows no snapshots. Nothing in it allocates, so that [`attach`] can run between `fork` and
//! `exec`: system calls and text on the stack alone.
//!
//! Devices in the tree do not work, and set-user-id bits are not heeded: an image must not give rights to the users of
//! the machine on which it is mounted.

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An empty directory of the store: overlay wants two lower directories where nothing can be written.
pub(super) const EMPTY: &CStr = c"snapshots/empty";

/// What is mounted.
#[derive(Debug)]
pub(super) struct Stack {
    /// What the table of mounts says of it.
    pub(super) source: CString,
    /// Directories below the store's, the top first.
    pub(super) lower: Vec<CString>,
    /// Whether overlay's attributes are `user.overlay.*`.
    pub(super) user: bool,
    /// What is written to; none if nothing is.
    pub(super) writable: Option<Writable>,
}

/// What overlay writes to: directories of one file system, below the store's.
#[derive(Debug)]
pub(super) struct Writable {
    pub(super) upper: CString,
    /// Overlay's own.
    pub(super) work: CString,
}

/// What failed, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: Errno,
}

/// What a mount takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `fsopen`, which old kernels do not have, and for which others have no right.
    Open,
    /// An option that every kernel with the mount API knows.
    Option,
    /// `lowerdir+`, which is younger.
    Lower,
    /// What is written to.
    Upper,
    /// The mount itself.
    Create,
    /// Putting it where it belongs.
    Move,
}

impl Step {
    fn of(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step: self, errno }
    }
}

/// Mounts `stack` of the store `root` nowhere yet, with the directory `above` on top, if any. Dropping it ends the mount.
pub(super) fn attach(root: BorrowedFd<'_>, stack: &Stack, above: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Failure> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(Step::Open.of())?;
    fsconfig_set_string(&context, c"source", stack.source.as_c_str()).map_err(Step::Option.of())?;
    if stack.writable.is_none() {
        fsconfig_set_flag(&context, c"ro").map_err(Step::Option.of())?;
    }
    if stack.user {
        fsconfig_set_flag(&context, c"userxattr").map_err(Step::Option.of())?;
    } else {
        // What images say of these is left out when they are unpacked. This is the second wall.
        fsconfig_set_string(&context, c"redirect_dir", c"nofollow").map_err(Step::Option.of())?;
        fsconfig_set_string(&context, c"metacopy", c"off").map_err(Step::Option.of())?;
    }
    if let Some(above) = above {
        add(context.as_fd(), c"lowerdir+", above).map_err(Step::Lower.of())?;
    }
    let open = |path: &CStr| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(root, path, flags, Mode::empty())
    };
    let is_alone = stack.lower.len() == 1 && above.is_none() && stack.writable.is_none();
    for path in stack.lower.iter().map(CString::as_c_str).chain(is_alone.then_some(EMPTY)) {
        let directory = open(path).map_err(Step::Lower.of())?;
        add(context.as_fd(), c"lowerdir+", directory.as_fd()).map_err(Step::Lower.of())?;
    }
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if let Some(Writable { upper, work }) = &stack.writable {
        // The store's files have other names too, which an index of them would take for a mistake.
        fsconfig_set_string(&context, c"index", c"off").map_err(Step::Option.of())?;
        for (key, path) in [(c"upperdir", upper), (c"workdir", work)] {
            let directory = open(path).map_err(Step::Upper.of())?;
            add(context.as_fd(), key, directory.as_fd()).map_err(Step::Upper.of())?;
        }
    } else {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    fsconfig_create(&context).map_err(Step::Create.of())?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(Step::Create.of())
}

/// Puts a mount on the directory `at`.
pub(super) fn place(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", at, c"", flags).map_err(Step::Move.of())
}

/// Adds a directory as `key`. Kernels before 6.13 take it by name only; this name is as good as the open file.
fn add(context: BorrowedFd<'_>, key: &CStr, directory: BorrowedFd<'_>) -> rustix::io::Result<()> {
    match fsconfig_set_fd(context, key, directory) {
        Err(Errno::INVAL) => {}
        other => return other,
    }
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let mut name = [0; 32];
    name[..PREFIX.len()].copy_from_slice(PREFIX);
    let (mut number, mut at, mut digits) = (directory.as_raw_fd().unsigned_abs(), 0, [0; 10]);
    loop {
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        (number, at) = (number / 10, at + 1);
        if number == 0 {
            break;
        }
    }
    for (place, digit) in name[PREFIX.len()..].iter_mut().zip(digits[..at].iter().rev()) {
        *place = *digit;
    }
    match CStr::from_bytes_until_nul(&name) {
        Ok(name) => fsconfig_set_string(context, key, name),
        Err(_) => Err(Errno::INVAL),
    }
}
