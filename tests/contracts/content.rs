//! The contract of the content store, `wit/content.wit`, kept by the service on real files, real processes and disks
//! that are really full. It does not test the adapter that gives streams to the guest. A map:
//!
//! - `blobs`: when a blob becomes visible, and what can be read of it.
//! - `ingests`: how an ingest grows, continues, is held and goes.
//! - `processes`: several processes on one store.
//! - `pins`: holders of a blob against those who remove it or commit it again.
//! - `claims`: those who collect, when they die or are short of descriptors.
//! - `damage`: what a power cut or a careless hand leaves behind.
//! - `listings`: pages of blobs and ingests, and names of any characters.
//! - `space`: full disks.
//! - `digests`: how they are written, and what they are of.
//!
//! Here is what several of them share.

#![allow(clippy::disallowed_methods, reason = "a test looks behind the store's back, and starts processes")]

mod blobs;
mod claims;
mod damage;
mod digests;
mod ingests;
mod listings;
mod pins;
mod processes;
mod space;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;
use wharf::content::{Blob, Content, Error};
use wharf::hash::{Algorithm, Digest};

const MIB: usize = 1 << 20;

/// A store in a directory of its own.
struct Store {
    directory: TempDir,
    content: Content,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let content = open(directory.path());
        Self { directory, content }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs").join(digest.algorithm().name()).join(digest.encoded())
    }

    fn data_path(&self, name: &str) -> PathBuf {
        self.path("ingest").join(Digest::of(Algorithm::Sha256, name.as_bytes()).encoded()).join("data")
    }

    /// Removes a blob that nobody uses. Other tests start programs, and such a child has the locks of this process for a
    /// moment.
    #[track_caller]
    fn remove(&self, digest: &Digest) {
        for _ in 0..1_000 {
            match self.content.remove(digest) {
                Err(Error::InUse) => std::thread::sleep(std::time::Duration::from_millis(5)),
                other => return other.expect("it can be removed"),
            }
        }
        panic!("`{digest}` is in use");
    }

    fn put(&self, bytes: &[u8]) -> Blob {
        put(&self.content, bytes)
    }

    /// Every file with its mode, as in `100400 blobs/sha256/…`. The four directories that are always there are left
    /// out when they are as they should be.
    fn tree(&self) -> Vec<String> {
        let fixed = ["040700 blobs", "040700 blobs/sha256", "040700 blobs/sha512", "040700 ingest"];
        tree(self.directory.path()).into_iter().filter(|line| !fixed.contains(&line.as_str())).collect()
    }
}

fn open(path: &Path) -> Content {
    let root = Dir::open_ambient_dir(path, ambient_authority()).expect("the store's directory");
    Content::open(&root).expect("a content store")
}

fn put(content: &Content, bytes: &[u8]) -> Blob {
    let digest = sha256(bytes);
    let ingest = content.ingest(&digest.to_string()).expect("an ingest");
    ingest.append(bytes).expect("space");
    ingest.commit(&digest, bytes.len() as u64).expect("a blob")
}

fn tree(root: &Path) -> Vec<String> {
    fn walk(root: &Path, directory: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            let below = path.strip_prefix(root).expect("a path below the root");
            lines.push(format!("{:06o} {}", metadata.mode(), below.display()));
            if metadata.is_dir() {
                walk(root, &path, lines);
            }
        }
    }
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.sort_by(|a, b| a[7..].cmp(&b[7..]));
    lines
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that repeat after 251, so that a block in the wrong place is noticed.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn everything(blob: &Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    blob.reader(0).read_to_end(&mut bytes).expect("the bytes of a blob");
    bytes
}

/// What an error is, without what differs from run to run.
fn kind(error: &Error) -> String {
    format!("{error:?}").split([' ', '(', '{']).next().expect("a split has a first part").to_string()
}

#[track_caller]
fn check_error<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
    assert_eq!(kind(&result.expect_err("an error")), expected);
}

/// Raises a flag when it goes out of scope, also by a panic: a thread that waits for it would keep a failed test alive.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

// Other processes: a test starts itself again, with what to do in the environment.

const STORE: &str = "WHARF_TEST_STORE";

/// The store that this process was started to work on, if it is a child of the test.
fn assigned() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

/// The command line that runs the test `test` alone, preceded by `prefix`. `module` is the caller's `module_path!()`.
fn again(module: &str, test: &str, store: &Path, prefix: &[&str]) -> Command {
    // The test binary leaves its own name, the first part, out of the names of its tests.
    let module = module.split_once("::").expect("a test is in a module").1;
    let program = std::env::current_exe().expect("the path of the test").into_os_string();
    let mut line = prefix.iter().map(Into::into).collect::<Vec<_>>();
    line.push(program);
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).args(["--exact", "--nocapture", &format!("{module}::{test}")]).env(STORE, store);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Reads what a child says until it has said `word` in a line of its own.
#[track_caller]
fn wait_for(child: &mut Child, word: &str) {
    let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("text").trim() == word), "the child ended without saying `{word}`");
}

fn say(word: &str) {
    println!("\n{word}");
    std::io::stdout().flush().expect("somebody listens");
}
