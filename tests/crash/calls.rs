//! Which system calls change a directory of a disk, and what they change: read from the registers and the memory of a
//! thread that stands before one. It stops nobody.
//!
//! Numbers and registers are those of x86-64.

use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// No path is longer.
const PATH_BYTES_MAX: usize = 4096;
/// `ioctl` that shares the blocks of another file.
const FICLONE: u64 = 0x4004_9409;

/// Where a call says what it changes: the numbers of arguments.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A descriptor.
    File(usize),
    /// A path from the current directory on.
    Path(usize),
    /// A directory, and a path from there on. Without a path it is the directory itself.
    At(usize, usize),
}

/// What a call does, as far as it matters which error or interruption it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Makes or empties a file, which takes a descriptor.
    Open,
    /// Writes bytes, of which there can be fewer than asked for.
    Write,
    /// Makes something durable.
    Sync,
    /// Gives something another name.
    Rename,
    /// Anything else.
    Other,
}

/// A call that is about to change something below the store's directory.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// As in `renameat2`.
    pub(crate) name: &'static str,
    pub(crate) deed: Deed,
    /// What it changes, below the store's directory.
    pub(crate) path: PathBuf,
    /// The new name, of a rename or a link.
    pub(crate) target: Option<PathBuf>,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.path.display())?;
        self.target.iter().try_for_each(|target| write!(f, " -> {}", target.display()))
    }
}

macro_rules! calls {
    ($($name:ident $deed:ident $place:expr $(, $target:expr)?;)*) => {
        /// Every call that can change a file system, with the place of its new name if it gives one.
        const CALLS: &[(i64, &str, Deed, Place, Option<Place>)] = {
            use Place::{At, File, Path};
            &[$((libc::$name, stringify!($name), Deed::$deed, $place, calls!(@target $($target)?)),)*]
        };
    };
    (@target) => { None };
    (@target $target:expr) => { Some($target) };
}

calls! {
    SYS_open Open Path(0);
    SYS_creat Open Path(0);
    SYS_openat Open At(0, 1);
    SYS_openat2 Open At(0, 1);
    SYS_write Write File(0);
    SYS_pwrite64 Write File(0);
    SYS_writev Write File(0);
    SYS_pwritev Write File(0);
    SYS_pwritev2 Write File(0);
    SYS_sendfile Write File(0);
    SYS_copy_file_range Write File(2);
    SYS_splice Write File(2);
    SYS_fsync Sync File(0);
    SYS_fdatasync Sync File(0);
    SYS_syncfs Sync File(0);
    SYS_sync_file_range Other File(0);
    SYS_ftruncate Other File(0);
    SYS_truncate Other Path(0);
    SYS_fallocate Other File(0);
    SYS_ioctl Other File(0);
    SYS_fchmod Other File(0);
    SYS_chmod Other Path(0);
    SYS_fchmodat Other At(0, 1);
    SYS_fchmodat2 Other At(0, 1);
    SYS_fchown Other File(0);
    SYS_chown Other Path(0);
    SYS_lchown Other Path(0);
    SYS_fchownat Other At(0, 1);
    SYS_utimensat Other At(0, 1);
    SYS_fsetxattr Other File(0);
    SYS_setxattr Other Path(0);
    SYS_lsetxattr Other Path(0);
    SYS_fremovexattr Other File(0);
    SYS_removexattr Other Path(0);
    SYS_lremovexattr Other Path(0);
    SYS_mkdir Other Path(0);
    SYS_mkdirat Other At(0, 1);
    SYS_mknod Other Path(0);
    SYS_mknodat Other At(0, 1);
    SYS_symlink Other Path(1);
    SYS_symlinkat Other At(1, 2);
    SYS_link Other Path(0), Path(1);
    SYS_linkat Other At(0, 1), At(2, 3);
    SYS_unlink Other Path(0);
    SYS_unlinkat Other At(0, 1);
    SYS_rmdir Other Path(0);
    SYS_rename Rename Path(0), Path(1);
    SYS_renameat Rename At(0, 1), At(2, 3);
    SYS_renameat2 Rename At(0, 1), At(2, 3);
}

/// The numbers of all these calls.
pub(crate) fn numbers() -> impl Iterator<Item = u32> {
    CALLS.iter().map(|(number, ..)| u32::try_from(*number).expect("numbers of calls are small"))
}

/// Reads the call that `thread` is about to make. None if it changes nothing below `store`.
pub(crate) fn read(thread: Pid, registers: &libc::user_regs_struct, store: &Path) -> Option<Call> {
    let (number, name, deed, place, target) =
        CALLS.iter().find(|(number, ..)| u64::try_from(*number) == Ok(registers.orig_rax))?;
    let thread = Thread { thread, arguments: arguments(registers) };
    let changes = match *number {
        libc::SYS_open => thread.makes(thread.arguments[1]),
        libc::SYS_openat => thread.makes(thread.arguments[2]),
        libc::SYS_openat2 => thread.makes(thread.word(thread.arguments[2])?),
        libc::SYS_ioctl => thread.arguments[1] == FICLONE,
        _ => true,
    };
    if !changes {
        return None;
    }
    let below = |path: PathBuf| path.strip_prefix(store).map(Path::to_owned).ok();
    let path = thread.path(*place).and_then(below);
    let target = target.and_then(|target| thread.path(target)).and_then(below);
    let name = name.strip_prefix("SYS_").unwrap_or(name);
    Some(Call { name, deed: *deed, path: path.or_else(|| target.clone())?, target })
}

fn arguments(registers: &libc::user_regs_struct) -> [u64; 6] {
    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
}

struct Thread {
    thread: Pid,
    arguments: [u64; 6],
}

impl Thread {
    /// Whether flags of `open` make or empty a file.
    fn makes(&self, flags: u64) -> bool {
        flags & u64::try_from(libc::O_CREAT | libc::O_TRUNC).expect("flags are positive") != 0
    }

    fn path(&self, place: Place) -> Option<PathBuf> {
        match place {
            Place::File(file) => self.descriptor(self.arguments[file]),
            Place::Path(path) => self.from(None, self.text(self.arguments[path])?),
            Place::At(directory, path) if self.arguments[path] == 0 => self.descriptor(self.arguments[directory]),
            Place::At(directory, path) => self.from(Some(self.arguments[directory]), self.text(self.arguments[path])?),
        }
    }

    fn from(&self, directory: Option<u64>, path: OsString) -> Option<PathBuf> {
        let path = PathBuf::from(path);
        // How a descriptor that was opened as a path is given attributes.
        if let Ok(number) = path.strip_prefix("/proc/self/fd") {
            let mut parts = number.components();
            let file = self.descriptor(parts.next()?.as_os_str().to_str()?.parse().ok()?)?;
            return Some(file.join(parts.as_path()));
        }
        if path.is_absolute() {
            return Some(path);
        }
        let base = match directory {
            // The kernel looks at 32 bits.
            Some(number) if number as i32 != libc::AT_FDCWD => self.descriptor(number)?,
            _ => fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?,
        };
        Some(base.join(path))
    }

    fn descriptor(&self, number: u64) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{}", self.thread, number as u32)).ok()
    }

    fn text(&self, address: u64) -> Option<OsString> {
        let mut bytes = vec![0; PATH_BYTES_MAX];
        let memory = fs::File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        // The end of what is mapped may come before that of the longest path.
        let count = memory.read_at(&mut bytes, address).ok()?;
        let end = bytes[..count].iter().position(|&byte| byte == 0)?;
        Some(OsStr::from_bytes(&bytes[..end]).to_owned())
    }

    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        fs::File::open(format!("/proc/{}/mem", self.thread)).ok()?.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }
}
