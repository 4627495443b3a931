//! A file system of its own, in memory, in which a layer is applied beside files that it must not touch. Whatever leaves
//! the layer's directory, by `..`, by an absolute link or otherwise, stays in the cage, and is seen.
//!
//! It needs root: one thread gets a mount namespace, and the cage as its root directory. The fuzzer's other threads stay
//! where they are.

use crate::layers::Rights;
use crate::layers::apply::{Applied, Budget, apply};
use crate::layers::archive::Archive;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;
use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, mpsc};

/// Small, so that all of them are met.
const BUDGET: Budget = Budget { bytes: 1 << 20, entries: 200, depth: 16, memory: 1 << 16 };

type Call = (Vec<u8>, mpsc::Sender<()>);

static CAGE: LazyLock<Mutex<mpsc::Sender<Call>>> = LazyLock::new(|| {
    let (sender, calls) = mpsc::channel::<Call>();
    std::thread::spawn(move || {
        enter();
        let outside = outside();
        for (archive, done) in calls {
            for rights in [Rights::Root, Rights::User] {
                once(&archive, rights);
                assert_eq!(self::outside(), outside, "something outside has changed");
            }
            done.send(()).expect("the caller waits");
        }
    });
    Mutex::new(sender)
});

/// Applies an archive with both rights.
///
/// # Panics
///
/// If anything outside the layer's directory is not as before, or the result depends on how the bytes arrive.
pub fn check(archive: &[u8]) {
    let (done, is_done) = mpsc::channel();
    CAGE.lock().expect("nobody panics").send((archive.to_vec(), done)).expect("the cage is open");
    is_done.recv().expect("the cage answers");
}

fn once(archive: &[u8], rights: Rights) {
    let whole = result(Archive::new(archive), rights);
    let pieces = result(Archive::new(BufReader::with_capacity(7, archive)), rights);
    assert_eq!(whole, pieces);
    if let Ok(applied) = whole {
        assert!(applied.size <= BUDGET.bytes && applied.inodes <= 2 * BUDGET.entries && applied.warnings.len() <= 20);
        assert!(rights == Rights::User || applied.aside.is_empty(), "root can set everything");
    }
}

fn result<R: std::io::BufRead>(mut archive: Archive<R>, rights: Rights) -> Result<Applied, String> {
    fs::create_dir("/layer").expect("the cage is writable");
    let directory =
        rustix::fs::open("/layer", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("it is there");
    let applied = apply(&mut archive, directory.as_fd(), rights, &BUDGET, &|| false);
    // A directory without rights is no obstacle to root.
    fs::remove_dir_all("/layer").expect("a layer can be removed");
    applied.map_err(|error| error.to_string())
}

/// Makes the cage, and the calling thread's root directory of it.
///
/// # Panics
///
/// If the thread may not.
pub fn enter() {
    // SAFETY: the flag unshares no memory and no descriptors; the thread's working directory and root become its own.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.expect("this target needs root");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).expect("root may");
    let cage = Path::new("/tmp");
    let none = MountFlags::empty();
    rustix::mount::mount("cage", cage, "tmpfs", none, Some(c"size=64m,mode=0755")).expect("root may");
    fs::create_dir(cage.join("proc")).expect("the cage is writable");
    rustix::mount::mount("proc", cage.join("proc"), "proc", MountFlags::RDONLY, None).expect("root may");
    rustix::process::chroot(cage).expect("root may");
    rustix::process::chdir("/").expect("it is there");
    // What every archive may know of: the names in the tables of other projects, and a directory with the same prefix.
    for (path, content) in [
        ("/victim/hello", "hello"),
        ("/victim/deep/hello", "hello"),
        ("/etc/passwd", "root"),
        ("/layer-evil/file", "evil"),
        ("/a", "a"),
        ("/b", "b"),
        ("/dev/null", ""),
    ] {
        let path = Path::new(path);
        fs::create_dir_all(path.parent().expect("it is absolute")).expect("the cage is writable");
        fs::write(path, content).expect("the cage is writable");
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("it is there");
    }
    rustix::fs::symlinkat("victim", CWD, "/link").expect("the cage is writable");
}

/// Everything but the layer's directory: whatever is done to a file changes its time of change, or its content.
///
/// # Panics
///
/// If it cannot be read.
pub fn outside() -> BTreeMap<PathBuf, String> {
    let (mut found, mut pending) = (BTreeMap::new(), vec![PathBuf::from("/")]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path == Path::new("/proc") || path == Path::new("/layer") {
                continue;
            }
            let about = fs::symlink_metadata(&path).expect("it is there");
            let (mode, links, size, rdev) = (about.mode(), about.nlink(), about.size(), about.rdev());
            let (changed, nanoseconds) = (about.ctime(), about.ctime_nsec());
            let owner = (about.uid(), about.gid());
            if about.is_dir() {
                pending.push(path.clone());
            }
            let content = if about.is_file() { fs::read(&path).expect("it is there") } else { Vec::new() };
            let text = format!("{mode:o} {links} {size} {rdev} {owner:?} {changed}.{nanoseconds} {content:?}");
            found.insert(path, text);
        }
    }
    found
}
