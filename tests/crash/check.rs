//! What has to be true of a store after anything that may happen to it, and what a pull has to make of it.

use crate::images::BYSTANDER;
use crate::machine::Machine;
use crate::native::Native;
use crate::scenario::Names;
use crate::tracer::Run;
use crate::tree::{self, Tree};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::mount::UnmountFlags;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Output;
use wharf::credentials::{self, Credentials};
use wharf::engine::Services;
use wharf::layers::{Rights, Settings};
use wharf::network::{self, Network};
use wharf::store::Store;
use wharf_component::nouns::digest::Digest;
use wharf_sim::invariants;

/// What has its place in the directory of a store.
const NAMES: &[&str] = &[
    "version",
    "oci-layout",
    "blobs",
    "ingest",
    "layers",
    "snapshots",
    "extract",
    "tops",
    "l",
    "mnt",
    "durable",
    "metadata.sqlite",
    "metadata.sqlite-wal",
    "metadata.sqlite-shm",
];

/// What the trees of a store look like if nothing goes wrong, by their paths in it, and whole images by their targets.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    trees: BTreeMap<PathBuf, Tree>,
    images: BTreeMap<String, Image>,
}

/// An image that is mounted.
#[derive(Debug)]
struct Image {
    /// The name of its snapshot.
    snapshot: String,
    tree: Tree,
}

impl Expected {
    /// Learns from a store that has nothing but the image that `target` names.
    pub(crate) fn learn(&mut self, machine: &Machine, store: &Path, target: String) {
        for parent in ["layers", "snapshots"] {
            for name in entries(&store.join(parent)) {
                let path = Path::new(parent).join(name).join("tree");
                if store.join(&path).is_dir() {
                    self.trees.insert(path.clone(), read(&store.join(&path)));
                }
            }
        }
        let layers = open(machine, store).expect("a store that nothing happened to").layers;
        let height = |name: &String| layers.snapshot(name).expect("it is listed").height();
        let snapshot = layers.entries(None, 100).expect("a list").into_iter().max_by_key(height).expect("an image");
        let tree = mounted(machine, store, &snapshot).expect("it can be mounted");
        self.images.insert(target, Image { snapshot, tree });
    }

    /// Returns what is wrong with a store to which something happened. `allowed` is what the names may be.
    pub(crate) fn examine(&self, machine: &Machine, store: &Path, allowed: &[Names]) -> Vec<String> {
        let mut wrong = Vec::new();
        let found = match named(machine, store) {
            Ok(found) => found,
            Err(why) => {
                wrong.push(why);
                BTreeMap::new()
            }
        };
        if wrong.is_empty() && !allowed.iter().any(|names| are(names, &found)) {
            wrong.push(format!("the names are {found:?}, and may be {allowed:?}"));
        }
        wrong.extend(silent(machine.run(machine.look(store)), "a look at everything").err());
        let mut verbs = vec![vec!["mounts"], vec!["df"]];
        for name in found.keys() {
            verbs.push(vec!["inspect", name]);
            if name == BYSTANDER {
                verbs.push(vec!["cat", BYSTANDER, "/readme"]);
            }
        }
        wrong.extend(verbs.iter().filter_map(|verb| succeeds(machine, store, verb).err()));
        match promises(machine, store, allowed) {
            Ok(found) => wrong.extend(found),
            Err(why) => wrong.push(why),
        }
        match self.trees(machine, store) {
            Ok(found) => wrong.extend(found),
            Err(why) => wrong.push(why),
        }
        let targets: BTreeSet<_> = found.values().filter(|target| self.images.contains_key(*target)).collect();
        wrong.extend(targets.into_iter().flat_map(|target| self.image(machine, store, target)));
        wrong
    }

    /// Returns what is wrong with a store after something that succeeded and has brought it to these names.
    pub(crate) fn healed(&self, machine: &Machine, store: &Path, names: Names) -> Vec<String> {
        let mut wrong = self.examine(machine, store, &[names]);
        let left = entries(&store.join("extract"));
        if !left.is_empty() {
            wrong.push(format!("`extract` has {left:?} left"));
        }
        // One that was killed between giving the blob its name and removing the ingest leaves the directory, without bytes.
        let bytes = |name: &String| {
            let data = fs::metadata(store.join("ingest").join(name).join("data"));
            data.map_or(0, |data| data.len())
        };
        let left: Vec<_> = entries(&store.join("ingest")).into_iter().filter(|name| bytes(name) > 0).collect();
        if !left.is_empty() {
            wrong.push(format!("`ingest` has bytes left in {left:?}"));
        }
        // A repair keeps records that were damaged: what names the images had is in there.
        let is_known = |name: &str| NAMES.contains(&name) || name.starts_with("metadata.sqlite.damaged-");
        let strange: Vec<_> = entries(store).into_iter().filter(|name| !is_known(name)).collect();
        if !strange.is_empty() {
            wrong.push(format!("the store has {strange:?} left"));
        }
        wrong
    }

    /// Compares every layer and snapshot that is believed with what it should be.
    fn trees(&self, machine: &Machine, store: &Path) -> Result<Vec<String>, String> {
        let layers = open(machine, store)?.layers;
        let mut believed = Vec::new();
        for name in entries(&store.join("layers")) {
            match layers.layer(&format!("sha256:{name}").parse().map_err(|_| format!("`layers/{name}` is no name"))?) {
                Ok(_) => believed.push(Path::new("layers").join(name).join("tree")),
                Err(wharf::layers::Error::NotFound) => {}
                Err(error) => return Err(format!("a layer does not open: {error}")),
            }
        }
        for name in layers.entries(None, 100).map_err(|error| format!("snapshots cannot be listed: {error}"))? {
            // One on what is gone is no snapshot, and is listed.
            if layers.snapshot(&name).is_ok() {
                let key = wharf::hash::Digest::of(wharf::hash::Algorithm::Sha256, name.as_bytes()).encoded();
                believed.push(Path::new("snapshots").join(key).join("tree"));
            }
        }
        let mut wrong = Vec::new();
        for path in believed {
            match (self.trees.get(&path), store.join(&path).is_dir()) {
                (Some(tree), true) => wrong.extend(differences(&path, tree, &read(&store.join(&path)))),
                (None, false) => {}
                (Some(_), false) => wrong.push(format!("`{}` is believed and absent", path.display())),
                (None, true) => wrong.push(format!("`{}` is believed and of no image", path.display())),
            }
        }
        Ok(wrong)
    }

    /// Compares a mounted image with what it should be.
    fn image(&self, machine: &Machine, store: &Path, target: &str) -> Vec<String> {
        let Image { snapshot, tree } = &self.images[target];
        match mounted(machine, store, snapshot) {
            Ok(found) => differences(Path::new("image"), tree, &found),
            Err(why) => vec![format!("the name is there, and its tree is not: {why}")],
        }
    }
}

/// Whether these names are those.
fn are(names: &Names, found: &BTreeMap<String, String>) -> bool {
    names.len() == found.len() && names.iter().all(|(name, target)| found.get(*name) == Some(target))
}

/// Returns which promises a store breaks, as machines in memory are judged too.
fn promises(machine: &Machine, store: &Path, allowed: &[Names]) -> Result<Vec<String>, String> {
    let Store { content, layers, metadata } = open(machine, store)?;
    let network = Network::new(network::Settings::default()).map_err(|error| error.to_string())?;
    let credentials = Credentials::new(credentials::Settings::default(), network.clone());
    let credentials = credentials.map_err(|error| error.to_string())?;
    let native = Native::new(&Services { content, layers, metadata, credentials, network }, &[]);
    let mut names = BTreeMap::<String, invariants::Expected>::new();
    for (name, target) in allowed.iter().flatten() {
        let digest: Digest = target.parse().expect("targets are digests");
        let expected = names.entry((*name).to_owned()).or_default();
        expected.absent = !allowed.iter().all(|names| names.contains_key(name));
        expected.unpacked.insert(digest.clone());
        expected.targets.insert(digest);
    }
    for expected in names.values_mut().filter(|expected| expected.targets.len() == 1) {
        expected.recorded = expected.targets.clone();
    }
    let expectation = invariants::Expectation { namespace: "default".to_owned(), names, ..Default::default() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let broken = runtime.block_on(invariants::check(&native, &expectation));
    Ok(broken.iter().map(ToString::to_string).collect())
}

/// Returns what is wrong with how a run ended that was not killed.
pub(crate) fn ended(run: &Run) -> Vec<String> {
    let words = ["panicked", "the sandbox stopped", "bug in wharf"];
    let mut wrong = Vec::new();
    match run.code {
        None if run.is_hung => wrong.push("it did not end".to_owned()),
        None => wrong.push("it crashed".to_owned()),
        Some(0) => {}
        Some(_) if !run.stderr.lines().any(|line| line.starts_with("error: ")) => {
            wrong.push(format!("it failed without saying so: {}", run.stderr));
        }
        Some(_) => {}
    }
    if let Some(word) = words.iter().find(|word| run.stderr.contains(**word)) {
        wrong.push(format!("`{word}`: {}", run.stderr));
    }
    wrong
}

/// Returns the targets of all names.
pub(crate) fn named(machine: &Machine, store: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = succeeds(machine, store, &["images", "--format", "json"])?;
    let images: Value = serde_json::from_str(&text).map_err(|error| format!("`images` says no JSON: {error}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let images = images.as_array().into_iter().flatten();
    Ok(images.map(|image| (text(&image["name"]), text(&image["target"]["digest"]))).collect())
}

/// Runs a verb, which has to succeed without a warning.
pub(crate) fn succeeds(machine: &Machine, store: &Path, verb: &[&str]) -> Result<String, String> {
    silent(machine.run(machine.command(store, verb)), &verb.join(" "))
}

/// Returns what a command printed that succeeded and had nothing to tell.
fn silent(output: Output, what: &str) -> Result<String, String> {
    if !output.status.success() || String::from_utf8_lossy(&output.stderr).contains("warning") {
        return Err(format!("{what}: {}", said(&output)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a command said, and how it ended.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Opens a store in this process.
pub(crate) fn open(machine: &Machine, store: &Path) -> Result<Store, String> {
    let directory = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| error.to_string());
    let settings = Settings { rights: Rights::Root, boot: machine.boot(), proc: directory(Path::new("/proc"))? };
    Store::open(&directory(store)?, store, settings).map_err(|error| format!("the store does not open: {error}"))
}

/// Mounts a snapshot and reads it.
fn mounted(machine: &Machine, store: &Path, name: &str) -> Result<Tree, String> {
    let layers = open(machine, store)?.layers;
    let at = machine.directory.join("image");
    fs::create_dir_all(&at).map_err(|error| error.to_string())?;
    let snapshot = layers.snapshot(name).map_err(|error| error.to_string())?;
    let directory = fs::File::open(&at).map_err(|error| error.to_string())?;
    layers.mount(&snapshot, directory.as_fd()).map_err(|error| error.to_string())?;
    let tree = read(&at);
    rustix::mount::unmount(&at, UnmountFlags::DETACH).map_err(|error| error.to_string())?;
    Ok(tree)
}

/// Reads a tree. The time of a directory that no archive names is that of its extraction, and the tree of a snapshot
/// shares files with that of its layer.
pub(crate) fn read(path: &Path) -> Tree {
    let mut tree = tree::read(path);
    let mut names = BTreeMap::<PathBuf, u64>::new();
    for first in tree.values().filter_map(|node| node.first.clone()) {
        *names.entry(first).or_default() += 1;
    }
    for node in tree.values_mut() {
        match &node.first {
            Some(first) if names[first] > 1 => node.names = names[first],
            _ => (node.names, node.first) = (1, None),
        }
        if node.kind == 'd' {
            node.mtime = (0, 0);
        }
    }
    tree
}

pub(crate) fn differences(path: &Path, expected: &Tree, found: &Tree) -> Vec<String> {
    let lines = tree::differences(expected, found, |_, _, _| false);
    lines.into_iter().map(|line| format!("`{}` is not as it was packed: {line}", path.display())).collect()
}

/// What a directory has, in order; nothing if it is none.
pub(crate) fn entries(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "empty").collect()
}
