//! Archives of other projects' tests that try to get out, with what containerd made of them. Each runs where its victims
//! are, in a mount namespace of its own, so that an escape would find something to spoil.

use super::apply_to;
use crate::support::tree::{self, Node};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::{fs, io, ptr, thread};
use wharf::layers::Rights;
use wharf::layers::apply::Budget;
use wharf::layers::inflate::Inflate;

/// Outcomes that are not containerd's, and why.
const OTHERWISE: [(&str, &str); 6] = [
    ("containerd-SymlinkEmptyFilename", "stricter: an entry has a name"),
    ("adv-empty-name", "stricter: an entry has a name"),
    ("raw-slash-file", "stricter: a file whose name is a directory's is a file to some readers and none to others"),
    ("raw-trailing-slash-file", "stricter: as before"),
    ("adv-name-4096", "stricter: 2 000 directories below each other, and 1 024 is the limit"),
    (
        "containerd-WhiteoutDeadSymlinkParent",
        "the table has what containerd makes of layers in one directory; its overlayfs snapshotter applies each to a \
         directory of its own, and there is no link in that",
    ),
];

const PLACE: &str = "/tmp/brk";

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
        let reason = OTHERWISE.iter().find(|(other, _)| *other == id);
        match (judge(case), reason) {
            (Ok(kind), None) => *counts.entry(kind).or_default() += 1,
            (Err(difference), Some((_, reason))) => {
                println!("{id}: {reason}: {difference}");
                *counts.entry("otherwise, and listed").or_default() += 1;
            }
            (Ok(_), Some(_)) => wrong.push(format!("{id}: is listed, and ends as in containerd")),
            (Err(difference), None) => wrong.push(format!("{id}: {difference}")),
        }
    }
    println!("{counts:?}");
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
    assert_eq!(counts.values().sum::<u32>(), 137);
}

/// Runs one case. Returns how it ended as containerd ended, or how it differs. Panics if anything got out.
fn judge(case: &Value) -> Result<&'static str, String> {
    let id = case["id"].as_str().expect("a name");
    let place = Path::new(PLACE);
    let (below, dest) = (place.join("below"), place.join("dest"));
    for path in ["victim", "victim2", "dest-evil", "dest", "below", "merged"] {
        fs::create_dir_all(place.join(path)).expect("a directory can be made");
    }
    fs::write(place.join("victim/hello"), "hello").expect("a file can be written");
    fs::set_permissions(place.join("victim/hello"), fs::Permissions::from_mode(0o640)).expect("and its mode set");
    let existing = case["pre_existing"].as_array().cloned().unwrap_or_default();
    existing.iter().for_each(|entry| make(&below, entry));
    let before = outside();
    let outcome = archive(case)
        .and_then(|bytes| apply_to(&dest, &bytes, Rights::Root, &Budget::default()).map_err(|error| error.to_string()));
    assert_eq!(outside(), before, "{id}: something got out");
    let peer = &case["peers"]["containerd_archive_apply"];
    let result = match (&outcome, &peer["error"]) {
        (Err(_), Value::String(_)) => Ok("refused"),
        (Err(error), _) => Err(format!("refused: {error}")),
        (Ok(applied), error) if !applied.links.is_empty() && existing.is_empty() => match error {
            // No layer is below, so none has the target: stacking refuses it.
            Value::String(_) => Ok("refused when stacked"),
            _ => Err("has a link into a layer below".to_owned()),
        },
        (Ok(applied), _) if !applied.links.is_empty() => Ok("left to stacking: a link into the layer below"),
        (Ok(_), Value::String(error)) => Err(format!("accepted; containerd says {error}")),
        (Ok(_), _) if existing.is_empty() => compare(&dest, peer).map(|()| "applied"),
        (Ok(_), _) => stacked(peer).map(|()| "applied over a layer"),
    };
    fs::remove_dir_all(place).expect("the case can be removed");
    result
}

/// The archive of a case.
fn archive(case: &Value) -> Result<Vec<u8>, String> {
    let packed = BASE64_STANDARD.decode(case["tar_gzip_base64"].as_str().expect("an archive")).expect("it is base64");
    let mut bytes = Vec::new();
    let mut inflate = Inflate::new(packed.as_slice()).map_err(|error| error.to_string())?;
    inflate.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Everything below `/tmp` but the directory that an archive was applied to.
fn outside() -> BTreeMap<PathBuf, Node> {
    let mut tree = tree::read(Path::new("/tmp"));
    tree.retain(|path, _| !path.starts_with("brk/dest"));
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

/// Compares the layer over what stood there before.
fn stacked(peer: &Value) -> Result<(), String> {
    let options = c"lowerdir=/tmp/brk/dest:/tmp/brk/below";
    assert!(mount(c"overlay", c"/tmp/brk/merged", options), "overlay is needed: {}", io::Error::last_os_error());
    let result = compare(Path::new("/tmp/brk/merged"), peer);
    // SAFETY: a plain call with a constant string.
    assert_eq!(unsafe { libc::umount(c"/tmp/brk/merged".as_ptr()) }, 0);
    result
}

/// Compares a tree with the one that the table has.
fn compare(root: &Path, peer: &Value) -> Result<(), String> {
    let mut tree = tree::read(root);
    tree.remove(Path::new(""));
    let expected = match &peer["tree"] {
        Value::String(count) if count.starts_with(&format!("{} nodes", tree.len())) => return Ok(()),
        Value::String(count) => return Err(format!("{} nodes; containerd has {count}", tree.len())),
        Value::Null => BTreeMap::new(),
        Value::Array(nodes) => nodes.iter().map(expected).collect::<BTreeMap<_, _>>(),
        other => panic!("{other}"),
    };
    let actual: BTreeMap<_, _> = tree.iter().map(|(path, node)| (path.display().to_string(), actual(node))).collect();
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

fn actual(node: &Node) -> Known {
    let (size, names) = if node.kind == '-' { (node.size, node.names) } else { (0, 1) };
    let target = node.target.as_ref().map(|target| target.display().to_string());
    (node.kind, node.mode, size, names, target.unwrap_or_default())
}
