//! Archives of other projects' tests that try to get out, with what containerd made of them. Each is extracted, stacked and
//! mounted as a pull would, where its victims are, in a mount namespace of its own, so that an escape would find something
//! to spoil.

use crate::layers::shelf;
use crate::support::tree::{self, Node, Tree};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::{fs, io, ptr, thread};
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Budget;
use wharf::layers::inflate::Inflate;
use wharf::layers::{Layers, Snapshot, unpack};

/// Outcomes that are not containerd's, what tells them, and why.
const OTHERWISE: [(&str, &str, &str); 7] = [
    ("containerd-SymlinkEmptyFilename", "refused: a name has 0 bytes", "stricter: an entry has a name"),
    ("adv-empty-name", "refused: a name has 0 bytes", "stricter: an entry has a name"),
    (
        "raw-slash-file",
        "refused: the name of a file ends with `/`",
        "stricter: a file whose name is a directory's is a file to some readers and none to others",
    ),
    ("raw-trailing-slash-file", "refused: the name of a file ends with `/`", "stricter: as before"),
    (
        "raw-garbage-after-end",
        "refused: something other than zeros follows the end of the archive",
        "stricter: readers that go on after the end see other entries there",
    ),
    (
        "adv-name-4096",
        "refused: the layer has more than 1024 directories below each other",
        "stricter: 2 000 directories below each other",
    ),
    (
        "containerd-WhiteoutDeadSymlinkParent",
        r#"{"etc": ('d', 493, 0, 1, ""), "etc/passwd": ('-', 420, 9, 1, ""), "localetc": ('d', 493, 0, 1, "")}; containerd"#,
        "the table has what containerd makes of layers in one directory; its overlayfs snapshotter applies each to a \
         directory of its own, and there is no link in that",
    ),
];

/// How many end in which way: all others as in containerd, with an equal tree where there is one.
const COUNTS: [(&str, u32); 5] = [
    ("applied", 84),
    ("applied over a layer", 7),
    ("otherwise, and listed", 7),
    ("refused", 28),
    ("refused when stacked", 11),
];

const PLACE: &str = "/tmp/brk";
/// The store, and where its snapshot is mounted, below that.
const STORE: &str = "store";
const MERGED: &str = "merged";

#[test]
fn no_archive_reaches_its_victim_and_each_ends_as_in_containerd() {
    // The namespace is a thread's, and ends with it.
    let namespace = thread::spawn(|| {
        leave();
        run();
    });
    namespace.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Takes the thread to a mount namespace in which `/tmp` is its own.
fn leave() {
    // SAFETY: plain calls with constant strings; the thread shares its namespace with nobody afterwards.
    let failed = unsafe {
        libc::unshare(libc::CLONE_NEWNS) != 0
            || libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_PRIVATE, ptr::null()) != 0
            || !mount(c"tmpfs", c"/tmp", c"mode=1777")
    };
    assert!(!failed, "this test needs root and a mount namespace: {}", io::Error::last_os_error());
}

fn mount(kind: &CStr, place: &CStr, data: &CStr) -> bool {
    // SAFETY: the strings live until the call returns.
    unsafe { libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, data.as_ptr().cast()) == 0 }
}

fn run() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors/breakout_archives.json"));
    let table: Value = serde_json::from_str(&text.expect("the table exists")).expect("the table is JSON");
    let (mut counts, mut wrong) = (BTreeMap::<&str, u32>::new(), Vec::new());
    for case in table["vectors"].as_array().expect("a list") {
        let id = case["id"].as_str().expect("a name");
        let reason = OTHERWISE.iter().find(|(other, ..)| *other == id);
        match (judge(case), reason) {
            (Ok(kind), None) => *counts.entry(kind).or_default() += 1,
            (Err(difference), Some((_, outcome, _))) if difference.starts_with(outcome) => {
                *counts.entry("otherwise, and listed").or_default() += 1;
            }
            (Ok(_), Some(_)) => wrong.push(format!("{id}: is listed, and ends as in containerd")),
            (Err(difference), _) => wrong.push(format!("{id}: {difference}")),
        }
    }
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
    assert_eq!(counts, BTreeMap::from(COUNTS));
    assert_eq!(counts.values().sum::<u32>(), 137);
}

/// Runs one case. Returns how it ended as containerd ended, or how it differs. Panics if anything got out.
fn judge(case: &Value) -> Result<&'static str, String> {
    let id = case["id"].as_str().expect("a name");
    let place = Path::new(PLACE);
    for path in ["victim", "victim2", "dest-evil", STORE, MERGED] {
        fs::create_dir_all(place.join(path)).expect("a directory can be made");
    }
    fs::write(place.join("victim/hello"), "hello").expect("a file can be written");
    fs::set_permissions(place.join("victim/hello"), fs::Permissions::from_mode(0o640)).expect("and its mode set");
    let before = outside();
    let (kind, merged) = stacked(case);
    assert_eq!(outside(), before, "{id}: something got out");
    let peer = &case["peers"]["containerd_archive_apply"];
    let result = match (merged, &peer["error"]) {
        (Err(_), Value::String(_)) => Ok(kind),
        (Err(error), _) => Err(format!("{kind}: {error}")),
        (Ok(_), Value::String(error)) => Err(format!("{kind}; containerd says {error}")),
        (Ok(tree), _) => compare(tree, peer).map(|()| kind),
    };
    fs::remove_dir_all(place).expect("the case can be removed");
    result
}

/// Puts the archive of a case on what stood there before, in a store of its own. Returns how far that came, and the tree
/// or the reason.
fn stacked(case: &Value) -> (&'static str, Result<Tree, String>) {
    let layers = shelf::open(&Path::new(PLACE).join(STORE), "this boot");
    let below = case["pre_existing"].as_array().filter(|entries| !entries.is_empty()).map(|entries| {
        let fill = |tree: &Path| entries.iter().for_each(|entry| make(tree, entry));
        let layer = shelf::layer(&layers, "below", shelf::named(), fill);
        layers.stack("below", None, &layer).expect("what stood there before is a layer")
    });
    let (packed, bytes) = archive(case);
    let layer = unpack(&layers, packed.as_slice(), &Budget::default(), &AtomicBool::new(false))
        .and_then(|unpacked| unpacked.publish(&Digest::of(Algorithm::Sha256, &bytes)));
    let layer = match layer {
        Ok(layer) => layer,
        Err(error) => return ("refused", Err(error.to_string())),
    };
    match layers.stack("top", below.as_ref(), &layer) {
        Err(error) => ("refused when stacked", Err(error.to_string())),
        Ok(snapshot) => {
            (if below.is_some() { "applied over a layer" } else { "applied" }, Ok(mounted(&layers, &snapshot)))
        }
    }
}

/// Mounts a snapshot and reads its tree.
fn mounted(layers: &Layers, snapshot: &Snapshot) -> Tree {
    let merged = Path::new(PLACE).join(MERGED);
    let at = fs::File::open(&merged).expect("a directory");
    layers.mount(snapshot, at.as_fd()).expect("a tree can be mounted");
    let tree = tree::read(&merged);
    // SAFETY: a plain call with a constant string.
    assert_eq!(unsafe { libc::umount(c"/tmp/brk/merged".as_ptr()) }, 0);
    tree
}

/// The archive of a case, compressed and not.
pub(crate) fn archive(case: &Value) -> (Vec<u8>, Vec<u8>) {
    let packed = BASE64_STANDARD.decode(case["tar_gzip_base64"].as_str().expect("an archive")).expect("it is base64");
    let mut bytes = Vec::new();
    Inflate::new(packed.as_slice())
        .and_then(|mut inflate| inflate.read_to_end(&mut bytes))
        .expect("the table has whole archives");
    (packed, bytes)
}

/// Everything below `/tmp` but the store and where it is mounted.
fn outside() -> BTreeMap<PathBuf, Node> {
    let mut tree = tree::read(Path::new("/tmp"));
    tree.retain(|path, _| ![STORE, MERGED].iter().any(|own| path.starts_with(Path::new("brk").join(own))));
    tree
}

/// Makes what stood there before.
fn make(root: &Path, entry: &Value) {
    let path = root.join(entry["path"].as_str().expect("a path"));
    match entry["type"].as_str() {
        Some("dir") => fs::create_dir_all(&path).expect("a directory can be made"),
        Some("symlink") => symlink(entry["target"].as_str().expect("a target"), &path).expect("a link can be made"),
        _ => fs::write(&path, entry["content"].as_str().unwrap_or_default()).expect("a file can be written"),
    }
}

/// Compares a tree with the one that the table has.
fn compare(mut tree: Tree, peer: &Value) -> Result<(), String> {
    tree.remove(Path::new(""));
    let expected = match &peer["tree"] {
        Value::String(count) if count.starts_with(&format!("{} nodes", tree.len())) => return Ok(()),
        Value::String(count) => return Err(format!("{} nodes; containerd has {count}", tree.len())),
        Value::Null => BTreeMap::new(),
        Value::Array(nodes) => nodes.iter().map(expected).collect::<BTreeMap<_, _>>(),
        other => panic!("{other}"),
    };
    let actual: BTreeMap<_, _> =
        tree.iter().map(|(path, node)| (path.display().to_string(), actual(node, &tree))).collect();
    if actual == expected { Ok(()) } else { Err(format!("{actual:?}; containerd has {expected:?}")) }
}

/// What both sides know of a node: type, mode, size, number of names, target.
type Known = (char, u32, u64, u64, String);

fn expected(node: &Value) -> (String, Known) {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let kind = match text("type").as_str() {
        "dir" => 'd',
        "file" => '-',
        "symlink" => 'l',
        kind if kind.starts_with("Dc") => 'c',
        kind if kind.starts_with('D') => 'b',
        _ => 'p',
    };
    let number = |key: &str| if kind == '-' { node[key].as_u64().unwrap_or_default() } else { 0 };
    let mode = u32::from_str_radix(&text("mode"), 8).expect("octal digits");
    let names = if kind == '-' { number("nlink") } else { 1 };
    (text("path"), (kind, mode, number("size"), names, text("target")))
}

fn actual(node: &Node, tree: &Tree) -> Known {
    // A settled tree has the files of its layer, under a second name each. What counts are the names in the tree.
    let names = match &node.first {
        Some(first) => tree.values().filter(|other| other.first.as_ref() == Some(first)).count() as u64,
        None => 1,
    };
    let (size, names) = if node.kind == '-' { (node.size, names) } else { (0, 1) };
    let target = node.target.as_ref().map(|target| target.display().to_string());
    (node.kind, node.mode, size, names, target.unwrap_or_default())
}
