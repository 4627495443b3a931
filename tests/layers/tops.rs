//! Tops: what is written to, and views. Mounted as clients do it, by mount(2) with the options that are told, and by
//! wharf's own mount. Needs root.

mod adopt;
mod applied;
mod commit;
mod diff;
mod killed;
mod life;
mod mounts;
mod ordinary;
mod suite;

use super::apply::write::{Entry, layer};
use super::shelf::Shelf;
use super::stacks::comparable;
use crate::support::tree::{self, Tree};
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Budget;
use wharf::layers::top::{Mount, Written};
use wharf::layers::{Error, Layer, Layers, Snapshot, Top, unpack};

/// The page that mount(2) takes, with the zero at its end.
const PAGE_BYTES: usize = 4_096;

/// Somebody who mounts what was told, until it is dropped.
struct Client {
    directory: TempDir,
}

impl Client {
    fn new(mounts: &[Mount]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for mount in mounts {
            mount_one(mount, directory.path());
        }
        Self { directory }
    }

    /// Asks for the options at this moment.
    fn of(top: &Top) -> Self {
        Self::new(&top.mounts().expect("options"))
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn join(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// What it shows. A bind, unlike an overlay, shows what overlay keeps for itself too.
    fn tree(&self) -> Tree {
        let mut tree = comparable(tree::read(self.path()));
        tree.retain(|_, node| node.kind != 'w');
        tree.values_mut().for_each(|node| node.xattrs.retain(|name, _| !name.starts_with(b"trusted.overlay.")));
        tree
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Not lazily: overlay goes on using its directories until the last one has left. Other tests start programs, and
        // such a child has what is open here for a moment.
        for _ in 0..1_000 {
            match rustix::mount::unmount(self.directory.path(), UnmountFlags::empty()) {
                Err(rustix::io::Errno::BUSY) => std::thread::sleep(std::time::Duration::from_millis(5)),
                ended => {
                    assert!(ended.is_ok() || std::thread::panicking(), "it is mounted: {ended:?}");
                    return;
                }
            }
        }
        assert!(std::thread::panicking(), "somebody works in it");
    }
}

fn mount_one(mount: &Mount, at: &Path) {
    let mut data = Vec::new();
    let (mut is_bind, mut flags) = (false, MountFlags::empty());
    for option in &mount.options {
        match option.as_str() {
            "bind" => is_bind = true,
            "ro" => flags |= MountFlags::RDONLY,
            option => data.push(option),
        }
    }
    let data = CString::new(data.join(",")).expect("no zero byte");
    assert!(data.as_bytes_with_nul().len() <= PAGE_BYTES, "{} bytes of options", data.as_bytes_with_nul().len());
    if is_bind {
        rustix::mount::mount_bind(mount.source.as_str(), at).expect("a mount");
        rustix::mount::mount_remount(at, MountFlags::BIND | flags, c"").expect("a mount");
    } else {
        rustix::mount::mount(mount.source.as_str(), at, mount.kind, flags, data.as_c_str()).expect("a mount");
    }
}

/// Makes a layer of an archive.
fn extracted(shelf: &Shelf, entries: &[Entry]) -> Layer {
    let archive = layer(entries);
    let diff_id = Digest::of(Algorithm::Sha256, &archive);
    let unpacked = unpack(&shelf.layers, archive.as_slice(), &Budget::default(), &AtomicBool::new(false));
    unpacked.and_then(|unpacked| unpacked.publish(&diff_id)).expect("a layer")
}

fn prepare(shelf: &Shelf, name: &str, parent: Option<&Snapshot>) -> Top {
    shelf.layers.prepare(name, true, parent).expect("a top")
}

fn apply(top: &Top, archive: &[u8]) -> Result<Written, Error> {
    top.apply(archive, &Budget::default(), &AtomicBool::new(false))
}

/// Prepares, lets somebody write into a mount, and commits.
fn made(shelf: &Shelf, name: &str, parent: Option<&Snapshot>, write: impl FnOnce(&Path)) -> Snapshot {
    let top = prepare(shelf, &format!("{name} is made"), parent);
    let client = Client::of(&top);
    write(client.path());
    drop(client);
    top.commit(name).expect("a snapshot")
}

/// What a view of a snapshot shows.
fn shown(shelf: &Shelf, snapshot: &Snapshot) -> Tree {
    let view = shelf.layers.prepare("to be shown", false, Some(snapshot)).expect("a view");
    let tree = Client::of(&view).tree();
    drop(view);
    remove(&shelf.layers, "to be shown");
    tree
}

/// Removes a top that nobody uses. Other tests start programs, and such a child has the locks of this process for a moment.
fn remove(layers: &Layers, name: &str) {
    for _ in 0..1_000 {
        match layers.remove_top(name) {
            Err(Error::InUse) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return other.expect("it can be removed"),
        }
    }
    panic!("`{name}` is in use");
}

/// The directory of a top in its store.
fn place(shelf: &Shelf, name: &str) -> PathBuf {
    shelf.path(&format!("tops/{}", super::shelf::id(name).encoded()))
}

fn write(path: impl AsRef<Path>, text: &str) {
    fs::write(path, text).expect("a file");
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn names(path: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Compares what two mounts show. What no entry of an archive names may have the time at which it was made.
fn same(what: &str, left: &Tree, right: &Tree) {
    let differences = tree::differences(left, right, |_, left, right| {
        let is_young = [left, right].iter().any(|node| node.kind == 'd' && node.mtime.0 > super::stacks::NOW);
        is_young && tree::Node { mtime: right.mtime, ..left.clone() } == *right
    });
    assert!(differences.is_empty(), "{what}: {}", differences.join("\n"));
}
