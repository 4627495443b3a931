//! A layer store in a directory of its own, and layers that are made by hand: what an archive would have said is said
//! with calls on files. It tests nothing.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Applied;
use wharf::layers::{Layer, Layers, Rights, Settings, Snapshot};

/// A store that goes with the test.
pub(super) struct Shelf {
    pub(super) directory: TempDir,
    pub(super) layers: Layers,
}

impl Shelf {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let layers = open(directory.path(), "this boot");
        Self { directory, layers }
    }

    /// What another process would open, after `boot` of the machine.
    pub(super) fn again(&self, boot: &str) -> Layers {
        open(self.directory.path(), boot)
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// Makes a layer with what `fill` puts into the tree.
    pub(super) fn layer(&self, name: &str, applied: Applied, fill: impl FnOnce(&Path)) -> Layer {
        layer(&self.layers, name, applied, fill)
    }

    /// Makes a stack of layers that have one file each, the lowest first, and returns the snapshots.
    pub(super) fn stack(&self, names: &[&str]) -> Vec<Snapshot> {
        let mut stack: Vec<Snapshot> = Vec::new();
        for name in names {
            let layer = self.layer(name, named(), |tree| fs::write(tree.join(name), name).expect("a file"));
            let snapshot = self.layers.stack(&format!("snapshot {name}"), stack.last(), &layer).expect("a snapshot");
            stack.push(snapshot);
        }
        stack
    }

    /// What lies below a directory of the store, as names.
    pub(super) fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(below)).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.retain(|name| name != "empty");
        names.sort();
        names
    }
}

pub(super) fn open(path: &Path, boot: &str) -> Layers {
    let root = Dir::open_ambient_dir(path, ambient_authority()).expect("the store's directory");
    let proc = Dir::open_ambient_dir("/proc", ambient_authority()).expect("/proc");
    let rights = if rustix::process::geteuid().is_root() { Rights::Root } else { Rights::User };
    Layers::open(&root, Settings { rights, boot: boot.to_owned(), proc }).expect("a layer store")
}

pub(super) fn layer(layers: &Layers, name: &str, applied: Applied, fill: impl FnOnce(&Path)) -> Layer {
    let nascent = layers.begin().expect("a private directory");
    fill(Path::new(&format!("/proc/self/fd/{}", nascent.tree().as_raw_fd())));
    nascent.publish(&id(name), applied).expect("a layer")
}

/// The DiffID of a layer that no archive has.
pub(super) fn id(name: &str) -> Digest {
    Digest::of(Algorithm::Sha256, name.as_bytes())
}

/// An archive with an entry for everything, the root included.
pub(super) fn named() -> Applied {
    Applied { names_root: true, ..Applied::default() }
}

/// Makes a directory that looks like this.
pub(super) fn directory(path: PathBuf, mode: u32, owner: (u32, u32)) {
    fs::create_dir_all(&path).expect("a directory");
    std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).expect("an owner");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Makes the sign that something below is gone.
pub(super) fn whiteout(path: &Path) {
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("a whiteout");
}

/// Describes a file, as in `40755 0:0`.
pub(super) fn look(path: &Path) -> String {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    format!("{:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid())
}

/// Set in a process that has one test for itself.
const ALONE: &str = "WHARF_TEST_ALONE";

/// Runs the calling test in a process of its own, and returns whether it did: the caller has nothing left to do then.
///
/// Other tests start programs. Between `fork` and `exec` such a child has the locks of this process, so that what nobody
/// holds seems to be held, for a moment.
pub(super) fn runs_elsewhere() -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let thread = std::thread::current();
    let name = thread.name().expect("a test has a thread of its name");
    let mut command = std::process::Command::new("/proc/self/exe");
    let output =
        command.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().expect("the test starts again");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
    assert!(said(&output.stdout).contains("1 passed"), "`{name}` is the name of a test");
    true
}
