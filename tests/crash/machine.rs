//! A machine that can be started again, and disks that can lose their power.
//!
//! A worker sees mounts that nobody else sees and that go with it, whatever it ends of. What tells one start of the
//! machine from another is a file of its own, in the place of `/proc/sys/kernel/random/boot_id`. A disk is a file with
//! ext4 on a loop device. Its power is cut by `EXT4_IOC_SHUTDOWN` without a flush: the file has what was written to the
//! device until then, and mounting it again replays its journal. A copy of the file would not be of one moment. The
//! kernel writes nothing of its own accord while a run lasts, so that a run is the same again; what it may have written
//! is written before the cut, by dice.

use crate::images::Version;
use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The kernel does not write back by itself while a run lasts, and makes no exception for files that are renamed.
const OPTIONS: &str = "loop,commit=1000,noauto_da_alloc";

/// How often an unmount is tried.
const UNMOUNT_ATTEMPTS: usize = 5_000;
/// `EXT4_IOC_SHUTDOWN`: from now on nothing is written to the device.
const SHUTDOWN: libc::Ioctl = 0x8004_587d;
/// Not even the journal.
static WITHOUT_FLUSH: u32 = 2;

/// What one thread works with.
#[derive(Debug)]
pub(crate) struct Machine {
    /// A directory in memory, for this machine alone.
    pub(crate) directory: PathBuf,
    /// The program.
    pub(crate) program: PathBuf,
    /// What is set besides `HOME`.
    pub(crate) environment: Vec<(String, String)>,
    /// Where registries are described, by version.
    registries: PathBuf,
    boots: AtomicU64,
}

/// Gives the calling thread mounts of its own, and a place in memory that `at` shows.
pub(crate) fn seclude(at: &Path) {
    own_mounts();
    rustix::mount::mount("crash", at, "tmpfs", MountFlags::empty(), Some(c"mode=0755")).expect("root may mount");
}

fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("this test needs root: it mounts disks and overlays");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).expect("root may change mounts of its own");
}

/// Describes the registries: what listens at `addresses` is the old and the new state of one.
pub(crate) fn describe(directory: &Path, addresses: [std::net::SocketAddr; 2]) {
    for (version, address) in [Version::Old, Version::New].into_iter().zip(addresses) {
        let directory = directory.join(format!("{version:?}")).join("registry.test");
        fs::create_dir_all(&directory).expect("memory can be written");
        let text = format!("server = \"http://{address}\"\n[host.\"http://{address}\"]\n");
        fs::write(directory.join("hosts.toml"), text).expect("memory can be written");
    }
}

impl Machine {
    /// Takes the calling thread for it. `directory` is made.
    pub(crate) fn new(directory: PathBuf, registries: &Path, program: &Path) -> Self {
        own_mounts();
        fs::create_dir_all(directory.join("home")).expect("memory can be written");
        let environment = Vec::new();
        let (program, registries, boots) = (program.to_owned(), registries.to_owned(), AtomicU64::new(0));
        let machine = Self { directory, program, environment, registries, boots };
        machine.restart();
        let id = machine.directory.join("boot_id");
        rustix::mount::mount_bind(&id, BOOT_ID).expect("root may mount");
        machine
    }

    /// Makes it another start of the machine.
    pub(crate) fn restart(&self) {
        self.boots.fetch_add(1, Relaxed);
        fs::write(self.directory.join("boot_id"), self.boot()).expect("memory can be written");
    }

    /// Which start of the machine this is.
    pub(crate) fn boot(&self) -> String {
        format!("boot {} of {}", self.boots.load(Relaxed), self.directory.display())
    }

    /// The program on a store, with these arguments, ready to be started.
    pub(crate) fn command(&self, store: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("HOME", self.directory.join("home")).arg("--root").arg(store).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `wharf pull` of a name, from the registry in this state.
    pub(crate) fn pull(&self, store: &Path, name: &str, version: Version) -> Command {
        self.command(store, &["pull", "--quiet", "--certs-d", &self.certificates(version), name])
    }

    /// `wharf push --compress` of a name, as a plan: to the registry in this state.
    pub(crate) fn compress(&self, store: &Path, name: &str, version: Version) -> Command {
        let certificates = self.certificates(version);
        self.command(store, &["push", "--compress", "zstd:1", "--dry-run", "--certs-d", &certificates, name])
    }

    /// The file with the new version, as `wharf save` wrote it.
    pub(crate) fn archive(&self) -> PathBuf {
        self.registries.with_extension("tar")
    }

    /// `wharf load` of that.
    pub(crate) fn load(&self, store: &Path) -> Command {
        let mut command = self.command(store, &["load", "--quiet", "--input"]);
        command.arg(self.archive());
        command
    }

    fn certificates(&self, version: Version) -> String {
        self.registries.join(format!("{version:?}")).to_str().expect("the path is text").to_owned()
    }

    /// What looks at everything in a store.
    pub(crate) fn look(&self, store: &Path) -> Command {
        self.command(store, &["fsck", "--quiet"])
    }

    /// What repairs a store, from the registry in this state.
    pub(crate) fn repair(&self, store: &Path, version: Version) -> Command {
        self.command(store, &["fsck", "--repair", "--quiet", "--certs-d", &self.certificates(version)])
    }

    /// What removes everything that no image needs.
    pub(crate) fn collect(&self, store: &Path) -> Command {
        self.command(store, &["gc", "--ingest-age", "0s"])
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, mut command: Command) -> Output {
        command.stdin(std::process::Stdio::null());
        command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
    }

    /// A new place in memory.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        let place = self.directory.join(name);
        clear(&place);
        place
    }
}

/// Removes whatever is at a path.
pub(crate) fn clear(path: &Path) {
    if fs::symlink_metadata(path).is_err() {
        return;
    }
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.unwrap_or_else(|error| panic!("{} cannot be removed: {error}", path.display()));
}

/// Copies a directory, with everything that it has.
pub(crate) fn copy(from: &Path, to: &Path) {
    clear(to);
    tool("cp", &["-a".as_ref(), from.as_ref(), to.as_ref()]);
}

/// A disk that is mounted. Dropping it takes it away.
#[derive(Debug)]
pub(crate) struct Disk {
    file: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes a disk in `file`, whose size is `bytes`. `options` go to `mkfs.ext4`.
    pub(crate) fn make(file: &Path, bytes: u64, options: &[&str]) {
        clear(file);
        let new = fs::File::create(file).expect("memory can be written");
        new.set_len(bytes).expect("a file can be as long as that");
        let mut arguments = vec!["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"];
        arguments.extend(options);
        let mut arguments: Vec<&std::ffi::OsStr> = arguments.into_iter().map(AsRef::as_ref).collect();
        arguments.push(file.as_ref());
        tool("mkfs.ext4", &arguments);
    }

    /// Mounts the disk in `file` on `at`.
    pub(crate) fn mount(file: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).expect("memory can be written");
        tool("mount", &["-o".as_ref(), OPTIONS.as_ref(), file.as_ref(), at.as_ref()]);
        fs::set_permissions(at, fs::Permissions::from_mode(0o700)).expect("root may");
        Self { file: file.to_owned(), at: at.to_owned() }
    }

    /// Copies the disk `from`, which is not mounted, and mounts the copy.
    pub(crate) fn mount_copy(from: &Path, file: &Path, at: &Path) -> Self {
        sparse(from, file);
        Self::mount(file, at)
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.at.join("store")
    }

    /// Writes about half of all files, as the kernel may at any time and in any order; which ones goes by `seed`.
    pub(crate) fn write_back(&self, seed: usize) {
        let mut left = vec![self.at.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).expect("root may read everything") {
                let path = entry.expect("root may read everything").path();
                let kind = fs::symlink_metadata(&path).expect("nobody removes anything").file_type();
                let mut dice = DefaultHasher::new();
                (seed, path.strip_prefix(&self.at).expect("it is on the disk")).hash(&mut dice);
                if kind.is_dir() {
                    left.push(path);
                } else if kind.is_file() && dice.finish().is_multiple_of(2) {
                    let file = fs::File::open(&path).expect("root may read everything");
                    file.sync_all().expect("the disk works");
                }
            }
        }
    }

    /// Cuts the power and gives it back: what was not on the disk is lost.
    pub(crate) fn cut(self) -> Self {
        let (file, at) = (self.file.clone(), self.at.clone());
        let directory = fs::File::open(&at).expect("it is mounted");
        // SAFETY: the call reads one number, which lives until it returns.
        let refused = unsafe { libc::ioctl(directory.as_raw_fd(), SHUTDOWN, &raw const WITHOUT_FLUSH) } != 0;
        assert!(!refused, "the file system does not go down: {}", std::io::Error::last_os_error());
        drop((directory, self));
        Self::mount(&file, &at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // For a moment a process that was killed may have a file open.
        for _ in 0..UNMOUNT_ATTEMPTS {
            if rustix::mount::unmount(&self.at, UnmountFlags::empty()) != Err(Errno::BUSY) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{} stays in use", self.at.display());
    }
}

fn sparse(from: &Path, to: &Path) {
    // A new file, whatever may still look at the one before it.
    clear(to);
    tool("cp", &["--sparse=always".as_ref(), from.as_ref(), to.as_ref()]);
}

/// Runs a program of the machine, which has to succeed.
fn tool(name: &str, arguments: &[&std::ffi::OsStr]) {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs `{name}`: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`{name} {arguments:?}`: {said}");
}
