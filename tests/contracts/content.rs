//! The contract of the content store, `wit/content.wit`, kept by the service on real files, real processes and disks
//! that are really full. It does not test the adapter that gives streams to the guest.

#![allow(clippy::disallowed_methods, reason = "a test looks behind the store's back, and starts processes")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;
use wharf::content::{Blob, Content, Error, Ingest, Key, NAME_BYTES_MAX, READ_BYTES_MAX};
use wharf::hash::{Algorithm, Digest, DigestError, Hasher};

const MIB: usize = 1 << 20;

/// How long a test waits for another process before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// The command line that runs the test `test` alone, preceded by `prefix`.
fn again(test: &str, store: &Path, prefix: &[&str]) -> Command {
    let module = module_path!().split_once("::").expect("a test is in a module").1;
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

#[test]
fn a_blob_is_visible_after_its_commit_and_not_before() {
    let store = Store::new();
    let bytes = pattern(100_000);
    let digest = sha256(&bytes);

    let ingest = store.content.ingest("default/some blob").expect("an ingest");
    for chunk in bytes.chunks(33_333) {
        ingest.append(chunk).expect("space");
        check_error(store.content.blob(&digest), "NotFound");
        assert_eq!(store.content.entries(None, 10).expect("a listing"), []);
    }
    assert_eq!(ingest.offset(), 100_000);
    let blob = ingest.commit(&digest, 100_000).expect("a blob");

    for blob in [
        &blob,
        &store.content.blob(&digest).expect("the blob"),
        &open(store.directory.path()).blob(&digest).expect("the blob"),
    ] {
        assert_eq!((blob.digest(), blob.size()), (&digest, 100_000));
        assert_eq!(everything(blob), bytes);
    }
    assert_eq!(store.content.entries(None, 10).expect("a listing"), [(digest, 100_000)]);
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", digest.encoded())]);
}

#[test]
fn a_read_is_bounded_by_its_limit_and_by_the_blob() {
    let store = Store::new();
    let bytes = pattern(1000);
    let blob = store.put(&bytes);
    for (offset, length, expected) in [
        (0, 1000, &bytes[..]),
        (0, READ_BYTES_MAX, &bytes[..]),
        (990, 5, &bytes[990..995]),
        (990, 50, &bytes[990..]),
        (1000, 1, &[]),
        (u64::MAX, READ_BYTES_MAX, &[]),
        (500, 0, &[]),
    ] {
        assert_eq!(blob.read(offset, length).expect("bytes"), expected, "{length} bytes at {offset}");
        let mut rest = Vec::new();
        blob.reader(offset).take(length).read_to_end(&mut rest).expect("bytes");
        assert_eq!(rest, expected, "a stream of {length} bytes at {offset}");
    }
    let error = blob.read(0, READ_BYTES_MAX + 1).expect_err("too much");
    assert!(matches!(error, Error::TooLarge { limit: READ_BYTES_MAX }), "{error:?}");
    assert_eq!(error.to_string(), "larger than the limit of 4194304 bytes");
}

#[test]
fn a_blob_that_was_cut_short_is_an_error_and_not_an_end() {
    let store = Store::new();
    let blob = store.put(&pattern(1000));
    let path = store.blob_path(blob.digest());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    fs::OpenOptions::new().write(true).open(&path).expect("the file").set_len(400).expect("a cut");
    check_error(blob.read(0, 1000), "Io");
    let error = blob.reader(0).read_to_end(&mut Vec::new()).expect_err("not an end");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_wrong_digest_leaves_nothing_behind() {
    let bytes = b"not what was promised";
    for algorithm in Algorithm::ALL {
        let store = Store::new();
        let promised = Digest::of(algorithm, b"what was promised");
        let ingest = store.content.ingest("x").expect("an ingest");
        ingest.append(bytes).expect("space");
        let error = ingest.commit(&promised, bytes.len() as u64).expect_err("other bytes");
        let actual = Digest::of(algorithm, bytes);
        assert_eq!(error.to_string(), format!("the bytes hash to `{actual}` instead of `{promised}`"));
        assert_eq!(store.tree(), Vec::<String>::new());
        assert_eq!(store.content.ingest("x").expect("a new ingest").offset(), 0);
    }
}

#[test]
fn a_wrong_size_leaves_nothing_behind() {
    let bytes = b"21 bytes, no more than";
    let digest = sha256(bytes);
    for size in [0, 21, 23, u64::MAX] {
        let store = Store::new();
        let ingest = store.content.ingest("x").expect("an ingest");
        ingest.append(bytes).expect("space");
        let error = ingest.commit(&digest, size).expect_err("another size");
        assert_eq!(error.to_string(), format!("there are 22 bytes instead of {size}"));
        assert_eq!(store.tree(), Vec::<String>::new());
    }
}

#[test]
fn an_empty_blob_is_a_blob() {
    let store = Store::new();
    let blob = store.put(b"");
    assert_eq!(everything(&blob), b"");
    assert_eq!(store.content.entries(None, 1).expect("a listing"), [(sha256(b""), 0)]);
}

#[test]
fn sha512_is_as_good_as_sha256() {
    let store = Store::new();
    let bytes = pattern(700_000);
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    let ingest = store.content.ingest("x").expect("an ingest");
    ingest.append(&bytes).expect("space");
    let blob = ingest.commit(&digest, 700_000).expect("a blob");
    assert_eq!(everything(&blob), bytes);
    assert_eq!(store.tree(), [format!("100400 blobs/sha512/{}", digest.encoded())]);
    check_error(store.content.blob(&sha256(&bytes)), "NotFound");
}

#[test]
fn an_ingest_continues_by_name_after_it_was_dropped() {
    for algorithm in Algorithm::ALL {
        let store = Store::new();
        let bytes = pattern(1_000_000);
        for (index, chunk) in bytes.chunks(250_000).enumerate() {
            let ingest = open(store.directory.path()).ingest("default/sha256:4bcf").expect("an ingest");
            assert_eq!(ingest.offset(), 250_000 * index as u64);
            ingest.append(chunk).expect("space");
        }
        // The last holder appends nothing, so that the commit has to hash what it finds.
        let ingest = store.content.ingest("default/sha256:4bcf").expect("an ingest");
        let blob = ingest.commit(&Digest::of(algorithm, &bytes), 1_000_000).expect("a blob");
        assert_eq!(everything(&blob), bytes);
    }
}

#[test]
fn a_flipped_byte_in_what_was_there_before_is_found() {
    let bytes = pattern(600_000);
    for (flipped, resumed) in [(0, 0), (299_999, 0), (150_000, 1), (299_999, 300_000)] {
        let store = Store::new();
        store.content.ingest("x").expect("an ingest").append(&bytes[..300_000]).expect("space");
        let file = fs::OpenOptions::new().read(true).write(true).open(store.data_path("x")).expect("the data");
        file.write_all_at(&[bytes[flipped as usize] ^ 0x10], flipped).expect("a flip");

        let ingest = store.content.ingest("x").expect("the ingest");
        ingest.append(&bytes[300_000..300_000 + resumed]).expect("space");
        let size = ingest.offset();
        let expected = sha256(&bytes[..size as usize]);
        let mut damaged = bytes[..size as usize].to_vec();
        damaged[flipped as usize] ^= 0x10;
        match ingest.commit(&expected, size) {
            Err(Error::DigestMismatch { actual, .. }) => assert_eq!(*actual, sha256(&damaged)),
            other => panic!("a flipped byte at {flipped} was not found: {other:?}"),
        }
        assert_eq!(store.tree(), Vec::<String>::new());
    }
}

#[test]
fn a_restart_forgets_the_bytes() {
    let store = Store::new();
    store.content.ingest("x").expect("an ingest").append(b"from an earlier run").expect("space");
    let ingest = store.content.ingest("x").expect("the ingest");
    ingest.append(b" and this one").expect("space");
    ingest.restart().expect("an empty ingest");
    assert_eq!((ingest.offset(), fs::metadata(store.data_path("x")).expect("the data").len()), (0, 0));
    ingest.append(b"again").expect("space");
    let blob = ingest.commit(&sha256(b"again"), 5).expect("a blob");
    assert_eq!(everything(&blob), b"again");
}

#[test]
fn the_offset_can_be_watched_while_bytes_arrive() {
    const CHUNK: usize = 10_000;
    let store = Store::new();
    let ingest = store.content.ingest("x").expect("an ingest");
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = vec![ingest.offset()];
            while !done.load(Ordering::Acquire) {
                seen.push(ingest.offset());
            }
            seen
        });
        let raised = Raised(&done);
        for _ in 0..200 {
            ingest.append(&[7; CHUNK]).expect("space");
        }
        drop(raised);
        watcher.join().expect("no panic")
    });
    assert!(seen.is_sorted());
    assert_eq!(seen.iter().find(|offset| **offset % CHUNK as u64 != 0), None, "half a chunk was seen");
    assert_eq!(ingest.offset(), 200 * CHUNK as u64);
}

#[test]
fn an_ingest_without_bytes_leaves_nothing() {
    let store = Store::new();
    drop(store.content.ingest("dropped").expect("an ingest"));
    store.content.ingest("discarded").expect("an ingest").discard().expect("nothing");
    let ingest = store.content.ingest("discarded with bytes").expect("an ingest");
    ingest.append(b"bytes").expect("space");
    ingest.discard().expect("nothing");
    assert_eq!(store.tree(), Vec::<String>::new());
}

#[test]
fn an_ingest_has_one_holder_at_a_time() {
    let store = Store::new();
    let other = open(store.directory.path());
    let ingest = store.content.try_ingest("x").expect("no failure").expect("nobody holds it");
    ingest.append(b"kept").expect("space");
    assert!(other.try_ingest("x").expect("no failure").is_none());
    check_error(other.discard("x"), "InUse");
    assert!(other.try_ingest("y").expect("no failure").is_some(), "another name is another ingest");
    drop(ingest);
    assert_eq!(other.try_ingest("x").expect("no failure").expect("nobody holds it").offset(), 4);
}

/// Many threads want to be the only one, and one of them only wants it gone; nobody's ingest is taken away by somebody
/// who meant the one before.
#[test]
fn holders_follow_each_other_without_overlap() {
    let store = Store::new();
    let (held, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                match store.content.discard("x") {
                    Ok(()) | Err(Error::InUse) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        let _raised = Raised(&done);
        let workers = [0, 1, 2, 3].map(|worker| {
            let (store, held) = (&store, &held);
            scope.spawn(move || {
                for round in 0..100_u8 {
                    let ingest = store.content.ingest("x").expect("an ingest");
                    assert!(!held.swap(true, Ordering::SeqCst), "two holders");
                    assert!(store.data_path("x").exists(), "a holder's directory was removed");
                    ingest.restart().expect("an empty ingest");
                    ingest.append(&[worker, round]).expect("space");
                    assert!(store.data_path("x").exists(), "a holder's directory was removed");
                    held.store(false, Ordering::SeqCst);
                    match round % 3 {
                        0 => drop(ingest),
                        1 => ingest.discard().expect("nothing"),
                        _ => check_error(ingest.commit(&sha256(b""), 2), "DigestMismatch"),
                    }
                }
            })
        });
        for worker in workers {
            worker.join().expect("no panic");
        }
    });
}

#[test]
fn an_ingest_continues_after_its_writer_was_killed() {
    const CHUNK: usize = 70_001;
    if let Some(store) = assigned() {
        let ingest = open(&store).ingest("default/killed").expect("an ingest");
        // Slow from 2 MiB on, so that it is killed in the middle; and bounded, should the parent be killed first.
        for chunk in pattern(64 * MIB).chunks(CHUNK) {
            ingest.append(chunk).expect("space");
            if ingest.offset() > 2 * MIB as u64 {
                thread::sleep(Duration::from_millis(10));
            }
        }
        return;
    }
    let store = Store::new();
    let mut child =
        again("an_ingest_continues_after_its_writer_was_killed", store.directory.path(), &[]).spawn().expect("a child");
    let began = Instant::now();
    while fs::metadata(store.data_path("default/killed")).map_or(0, |data| data.len()) < 3 * MIB as u64 {
        assert!(began.elapsed() < PATIENCE, "the child does not write");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("the child runs");
    child.wait().expect("the child is dead");

    let ingest = store.content.try_ingest("default/killed").expect("no failure").expect("the dead hold nothing");
    let offset = usize::try_from(ingest.offset()).expect("a small offset");
    assert!((3 * MIB..64 * MIB).contains(&offset), "{offset}");
    let bytes = pattern(64 * MIB);
    ingest.append(&bytes[offset..]).expect("space");
    let blob = ingest.commit(&sha256(&bytes), bytes.len() as u64).expect("the bytes are those of both writers");
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", blob.digest().encoded())]);
}

#[test]
fn of_two_processes_one_waits_and_then_finds_the_blob() {
    let bytes = pattern(MIB);
    let digest = sha256(&bytes);
    if let Some(store) = assigned() {
        let ingest = open(&store).ingest("shared").expect("an ingest");
        say("holding");
        std::io::stdin().read_exact(&mut [0]).expect("a word from the parent");
        ingest.append(&bytes).expect("space");
        ingest.commit(&digest, bytes.len() as u64).expect("a blob");
        return;
    }
    let store = Store::new();
    let mut child = again("of_two_processes_one_waits_and_then_finds_the_blob", store.directory.path(), &[])
        .spawn()
        .expect("a child");
    wait_for(&mut child, "holding");
    assert!(store.content.try_ingest("shared").expect("no failure").is_none());
    check_error(store.content.blob(&digest), "NotFound");

    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let ingest = store.content.ingest("shared").expect("an ingest");
            (ingest.offset(), store.content.blob(&digest).expect("the other one's blob").size())
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!waiter.is_finished(), "it did not wait");
        child.stdin.as_mut().expect("a pipe").write_all(b".").expect("the child listens");
        assert_eq!(waiter.join().expect("no panic"), (0, MIB as u64));
    });
    assert!(child.wait().expect("the child ends").success());
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", digest.encoded())]);
}

#[test]
fn a_held_blob_cannot_be_removed() {
    let store = Store::new();
    let other = open(store.directory.path());
    let committed = store.put(b"pinned");
    let digest = *committed.digest();
    check_error(other.remove(&digest), "InUse");

    let opened = store.content.blob(&digest).expect("the blob");
    drop(committed);
    check_error(other.remove(&digest), "InUse");
    let (clone, reader) = (opened.clone(), opened.reader(3));
    drop(opened);
    check_error(other.remove(&digest), "InUse");
    drop(clone);
    check_error(other.remove(&digest), "InUse");
    drop(reader);

    other.remove(&digest).expect("nobody holds it");
    check_error(store.content.blob(&digest), "NotFound");
    other.remove(&digest).expect("an absent blob is removed already");
    assert_eq!(store.tree(), Vec::<String>::new());
}

#[test]
fn a_blob_that_was_opened_has_not_been_removed() {
    const OPENINGS: u32 = 10_000;
    const REMOVALS: u32 = 500;
    let store = Store::new();
    let digest = sha256(b"here and gone");
    let (path, draft) = (store.blob_path(&digest), store.path("blobs/sha256/draft"));
    let (done, mut refusals) = (AtomicBool::new(false), 0);
    let (opened, absent) = thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let (mut opened, mut absent) = (0_u32, 0_u32);
            while opened < OPENINGS || !done.load(Ordering::Acquire) {
                match store.content.blob(&digest) {
                    Ok(blob) => {
                        opened += 1;
                        assert_eq!(blob.file().metadata().expect("metadata").nlink(), 1, "opening {opened}");
                        assert_eq!(blob.read(0, 100).expect("bytes"), b"here and gone");
                    }
                    Err(Error::NotFound) => absent += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            (opened, absent)
        });
        let raised = Raised(&done);
        for _ in 0..REMOVALS {
            fs::write(&draft, b"here and gone").expect("a file");
            fs::rename(&draft, &path).expect("a blob");
            loop {
                match store.content.remove(&digest) {
                    Ok(()) => break,
                    Err(Error::InUse) => refusals += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        fs::write(&draft, b"here and gone").expect("a file");
        fs::rename(&draft, &path).expect("a blob");
        drop(raised);
        opener.join().expect("no panic")
    });
    assert!(opened >= OPENINGS);
    println!("{opened} opened, {absent} absent, {REMOVALS} removed, {refusals} refused");
}

/// Two namespaces may fetch the same bytes under two names. Who comes second gets the first one's file: to replace it
/// would leave the first one with a pin on a file that no longer has a name.
#[test]
fn a_commit_returns_the_blob_that_exists() {
    let store = Store::new();
    let first = store.put(b"the same");
    let ingest = store.content.ingest("another name").expect("an ingest");
    ingest.append(b"the same").expect("space");
    let second = ingest.commit(first.digest(), 8).expect("the first one's blob");
    let inode = |blob: &Blob| blob.file().metadata().expect("metadata").ino();
    assert_eq!(inode(&first), inode(&second));
    assert_eq!(first.file().metadata().expect("metadata").nlink(), 1);
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", first.digest().encoded())]);
}

#[test]
fn commits_and_removals_of_one_blob_do_not_disturb_each_other() {
    let store = Store::new();
    let digest = sha256(b"contended");
    thread::scope(|scope| {
        for worker in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..60 {
                    let ingest = store.content.ingest(&format!("by {worker}")).expect("an ingest");
                    ingest.append(b"contended").expect("space");
                    let blob = ingest.commit(&digest, 9).expect("a blob");
                    assert_eq!(blob.file().metadata().expect("metadata").nlink(), 1);
                    check_error(store.content.remove(&digest), "InUse");
                    assert_eq!(everything(&blob), b"contended");
                    drop(blob);
                    match store.content.remove(&digest) {
                        Ok(()) | Err(Error::InUse) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(store.content.ingests(None, 10).expect("a listing"), []);
}

/// A power cut on a file system that promises little, or a careless hand, leaves anything under the name of a blob.
#[test]
fn a_damaged_blob_is_replaced_by_a_commit_and_can_be_removed() {
    type Damage = fn(&Path);
    let damages: [(&str, bool, Damage); 5] = [
        ("an empty file", true, |path| fs::write(path, b"").expect("a file")),
        ("a longer file", true, |path| fs::write(path, b"whole, and then some").expect("a file")),
        ("a directory", false, |path| fs::create_dir_all(path.join("below")).expect("a directory")),
        ("a symbolic link", false, |path| symlink("/etc/passwd", path).expect("a link")),
        ("a socket", false, |path| drop(std::os::unix::net::UnixListener::bind(path).expect("a socket"))),
    ];
    for (what, visible, damage) in damages {
        let digest = sha256(b"whole");
        let store = Store::new();
        // A socket's path has to be short, so it is made beside and moved.
        let place = |path: &Path| {
            damage(&store.path("damage"));
            fs::rename(store.path("damage"), path).expect("a move");
        };
        place(&store.blob_path(&digest));
        assert_eq!(store.content.blob(&digest).is_ok(), visible, "{what}");
        assert_eq!(store.content.entries(None, 10).expect("a listing").len(), usize::from(visible), "{what}");
        let blob = store.put(b"whole");
        assert_eq!(everything(&blob), b"whole", "{what}");
        assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", digest.encoded())], "{what}");

        drop(blob);
        store.content.remove(&digest).expect("nobody holds it");
        place(&store.blob_path(&digest));
        store.content.remove(&digest).expect("nobody holds it");
        assert_eq!(store.tree(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_damaged_ingest_begins_again_and_harms_nobody() {
    type Damage = fn(&Path, &Path);
    let damages: [(&str, Damage); 5] = [
        ("its data is a directory", |data, _| {
            fs::remove_file(data).expect("the data");
            fs::create_dir_all(data.join("below")).expect("a directory");
        }),
        ("its data is a symbolic link", |data, victim| {
            fs::remove_file(data).expect("the data");
            symlink(victim, data).expect("a link");
        }),
        ("its data is somebody's file", |data, victim| {
            fs::remove_file(data).expect("the data");
            fs::hard_link(victim, data).expect("a link");
        }),
        ("its name is a directory", |data, _| {
            fs::remove_file(data).expect("the data");
            fs::remove_file(data.with_file_name("name")).expect("the name");
            fs::create_dir(data.with_file_name("name")).expect("a directory");
        }),
        ("it is a file", |data, victim| {
            let ingest = data.parent().expect("a parent");
            fs::remove_dir_all(ingest).expect("the ingest");
            fs::copy(victim, ingest).expect("a file");
        }),
    ];
    for (what, damage) in damages {
        let store = Store::new();
        let victim = store.path("victim");
        fs::write(&victim, b"untouched").expect("a file");
        store.content.ingest("x").expect("an ingest").append(b"bytes").expect("space");
        damage(&store.data_path("x"), &victim);

        let ingest = store.content.ingest("x").expect(what);
        assert_eq!(ingest.offset(), 0, "{what}");
        ingest.append(b"again").expect("space");
        let blob = ingest.commit(&sha256(b"again"), 5).expect(what);
        assert_eq!(everything(&blob), b"again", "{what}");
        assert_eq!(fs::read(&victim).expect("the victim"), b"untouched", "{what}");
        assert_eq!(store.tree().len(), 2, "{what}: {:?}", store.tree());
    }
}

/// A commit takes the permission to write away before it renames. One that died in between must not lock its
/// successor out.
#[test]
fn an_ingest_continues_after_a_commit_that_died() {
    let store = Store::new();
    store.content.ingest("x").expect("an ingest").append(b"complete").expect("space");
    let data = store.data_path("x");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o400)).expect("permissions");
    let ingest = store.content.ingest("x").expect("the ingest");
    assert_eq!(fs::metadata(&data).expect("the data").mode() & 0o7777, 0o600);
    assert_eq!(everything(&ingest.commit(&sha256(b"complete"), 8).expect("a blob")), b"complete");
}

#[test]
fn blobs_are_listed_in_order_and_in_pages() {
    let store = Store::new();
    let mut expected = BTreeMap::new();
    for length in 0..40_usize {
        let bytes = pattern(length);
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, &bytes);
            let ingest = store.content.ingest("x").expect("an ingest");
            ingest.append(&bytes).expect("space");
            ingest.commit(&digest, length as u64).expect("a blob");
            expected.insert(digest, length as u64);
        }
    }
    let name = sha256(b"").encoded();
    for foreign in ["draft", ".hidden", &name.to_uppercase(), &name[1..], &format!("{name}0"), "\u{fc}"] {
        fs::write(store.path("blobs/sha256").join(foreign), b"not a blob").expect("a file");
    }
    let expected = expected.into_iter().collect::<Vec<_>>();
    let text = expected.iter().map(|(digest, _)| digest.to_string()).collect::<Vec<_>>();
    assert!(text.is_sorted(), "digests are sorted as they are written");

    for limit in [1, 7, 40, 80, 1000, usize::MAX] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.content.entries(after.as_ref(), limit).expect("a listing");
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            listed.extend(page);
        }
        assert_eq!(listed, expected, "in pages of {limit}");
    }
    assert_eq!(store.content.entries(None, 0).expect("a listing"), []);
}

#[test]
fn ingests_are_listed_and_discarded() {
    let store = Store::new();
    let names = ["default/sha256:4bcf", "another", "third"];
    for (index, name) in names.into_iter().enumerate() {
        store.content.ingest(name).expect("an ingest").append(&pattern(index + 1)).expect("space");
    }
    // One whose process died before it wrote a name, one whose name was lost in a power cut, and somebody's file.
    let nameless = Key::of("nameless");
    fs::create_dir(store.data_path("nameless").parent().expect("a parent")).expect("a directory");
    fs::write(store.data_path("third").with_file_name("name"), b"").expect("a file");
    fs::write(store.path("ingest/readme"), b"not an ingest").expect("a file");
    fs::set_permissions(store.path("ingest/readme"), fs::Permissions::from_mode(0o644)).expect("permissions");
    let old = fs::OpenOptions::new().write(true).open(store.data_path("another")).expect("the data");
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).expect("a time");

    let (mut listed, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.content.ingests(after.as_ref(), 3).expect("a listing");
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        listed.extend(
            page.into_iter().map(|ingest| (ingest.key, (ingest.name, ingest.bytes, ingest.age.as_secs() / 3600))),
        );
    }
    let expected = BTreeMap::from([
        (Key::of(names[0]), (Some(names[0].to_string()), 1, 0)),
        (Key::of(names[1]), (Some(names[1].to_string()), 2, 2)),
        (Key::of(names[2]), (None, 3, 0)),
        (nameless, (None, 0, 0)),
    ]);
    assert_eq!(listed, expected);

    let held = store.content.ingest("another").expect("the ingest");
    check_error(store.content.discard("another"), "InUse");
    drop(held);
    for key in listed.into_keys() {
        store.content.discard(key).expect("nobody holds it");
    }
    store.content.discard("never begun").expect("nothing to do");
    assert_eq!(store.tree(), ["100644 ingest/readme"].map(str::to_string));
}

#[test]
fn names_with_any_characters_are_safe() {
    let longest = "n".repeat(NAME_BYTES_MAX);
    let names = [
        "",
        ".",
        "..",
        "../../victim",
        "/etc/passwd",
        "a/b",
        "\0",
        "line\nbreak",
        "\u{1b}[31m",
        "\u{202e}",
        "\u{1f40b}",
        &longest,
    ];
    let store = Store::new();
    for name in names {
        let ingest = store.content.ingest(name).expect("an ingest");
        ingest.append(name.as_bytes()).expect("space");
        ingest.append(b"!").expect("space");
    }
    let listed = store.content.ingests(None, 100).expect("a listing");
    let mut found = listed.into_iter().map(|ingest| ingest.name.expect("a name")).collect::<Vec<_>>();
    let mut expected = names.map(str::to_string);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for line in store.tree() {
        let rest = line.split_once(" ingest/").expect("nothing outside of `ingest`").1;
        let (key, file) = rest.split_once('/').unwrap_or((rest, ""));
        assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        assert!(["", "data", "name"].contains(&file), "{line}");
    }
    check_error(store.content.try_ingest(&format!("{longest}n")), "Invalid");
    assert_eq!(store.content.ingests(None, 100).expect("a listing").len(), names.len());
}

#[test]
fn nobody_else_may_look_into_the_store() {
    if let Some(store) = assigned() {
        let content = open(&store);
        put(&content, b"blob");
        content.ingest("x").expect("an ingest").append(b"bytes").expect("space");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Made by an earlier version, or by hand.
    fs::create_dir_all(directory.path().join("blobs/sha256")).expect("a directory");
    fs::set_permissions(directory.path().join("blobs"), fs::Permissions::from_mode(0o777)).expect("permissions");
    let shell = ["sh", "-c", r#"umask 0 && exec "$@""#, "sh"];
    let output = again("nobody_else_may_look_into_the_store", directory.path(), &shell).output().expect("a child");
    assert!(output.status.success(), "{output:?}");
    let (blob, key) = (sha256(b"blob").encoded(), sha256(b"x").encoded());
    let expected = [
        "040700 blobs".to_string(),
        "040700 blobs/sha256".to_string(),
        format!("100400 blobs/sha256/{blob}"),
        "040700 blobs/sha512".to_string(),
        "040700 ingest".to_string(),
        format!("040700 ingest/{key}"),
        format!("100600 ingest/{key}/data"),
        format!("100600 ingest/{key}/name"),
    ];
    assert_eq!(tree(directory.path()), expected);
}

// Disks that are full. The limit on the size of a file works for everybody and everywhere; a small file system and a
// quota are tried where the kernel lets this user mount.

/// Appends until there is no space, and returns how much there was.
fn fill(ingest: &Ingest) -> u64 {
    for _ in 0..1000 {
        let before = ingest.offset();
        match ingest.append(&pattern(100_000)) {
            Ok(()) => assert_eq!(ingest.offset(), before + 100_000),
            Err(Error::NoSpace) => return before,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("there is always more space")
}

#[test]
fn a_full_disk_gives_its_space_back() {
    if let Some(directory) = assigned() {
        let content = open(&directory);
        let free = || {
            let space = rustix::fs::statvfs(&directory).expect("the space of the file system");
            space.f_bfree * space.f_frsize
        };
        let before = free();
        let held = content.ingest("too large").expect("an ingest");
        let filled = fill(&held);
        assert!(filled >= MIB as u64, "only {filled} bytes went in");
        assert_eq!(held.offset(), 0, "the ingest is empty again");
        let data = directory.join("ingest").join(sha256(b"too large").encoded()).join("data");
        assert_eq!(fs::metadata(data).map(|data| (data.len(), data.blocks())).expect("the data"), (0, 0));

        // It works again at once, with the same handle, with resumed bytes, and for others.
        assert_eq!(fill(&held), filled, "all the space is there again");
        held.append(&pattern(MIB)).expect("space");
        drop(held);
        let resumed = content.ingest("too large").expect("the ingest");
        assert_eq!(resumed.offset(), MIB as u64);
        fill(&resumed);
        assert_eq!(resumed.offset(), 0);
        drop(resumed);
        let blob = put(&content, &pattern(MIB));
        assert_eq!(everything(&blob), pattern(MIB));
        let digest = *blob.digest();
        drop(blob);
        content.remove(&digest).expect("nobody holds it");
        // Only a file system of its own is as empty as before; on a shared one others are at work.
        if std::env::var_os("WHARF_TEST_ALONE").is_some() {
            assert!(before - free() <= 64 << 10, "{} bytes are lost", before - free());
        }
        say("gave it back");
        return;
    }
    let limited = r#"trap '' XFSZ && ulimit -f 8192 && exec "$@""#;
    let small = r#"mount -t tmpfs -o size=6m,mode=700 none "$WHARF_TEST_STORE" && WHARF_TEST_ALONE=1 exec "$@""#;
    let quota = r#"mount -t tmpfs -o size=64m,mode=700,usrquota,usrquota_block_hardlimit=6m none "$WHARF_TEST_STORE" && exec "$@""#;
    let shell = |script: &'static str| ["sh", "-c", script, "sh"];
    let private = if rustix::process::geteuid().is_root() {
        vec!["unshare", "--mount"]
    } else {
        vec!["unshare", "--user", "--map-root-user", "--mount"]
    };
    for (what, everywhere, prefix) in [
        ("a limit on the size of files", true, shell(limited).to_vec()),
        ("a full file system", false, [&private[..], &shell(small)].concat()),
        ("a full quota", false, [&private[..], &shell(quota)].concat()),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Whether this user may mount at all is not the store's doing, so it is asked with a program that cannot fail.
        let probe = [&prefix[..], &["true"]].concat();
        let mut probe_command = Command::new(probe[0]);
        probe_command.args(&probe[1..]).env(STORE, directory.path()).stderr(Stdio::null());
        if !everywhere && !probe_command.status().is_ok_and(|status| status.success()) {
            println!("{what}: not tried, because this user cannot mount it");
            continue;
        }
        let output = again("a_full_disk_gives_its_space_back", directory.path(), &prefix).output().expect("a child");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("gave it back"), "{what}: {output:?}");
        println!("{what}: tried");
    }
}

#[test]
fn digests_are_read_strictly() {
    let (short, long) = ("0123456789abcdef".repeat(4), "0123456789abcdef".repeat(8));
    for text in [format!("sha256:{short}"), format!("sha512:{long}")] {
        let digest = text.parse::<Digest>().expect("a digest");
        assert_eq!((digest.to_string(), format!("{digest:?}")), (text.clone(), text));
    }
    use DigestError::{Malformed, Unsupported};
    for (text, expected) in [
        ("".to_string(), Malformed),
        ("sha256".to_string(), Malformed),
        ("sha256:".to_string(), Malformed),
        (short.clone(), Malformed),
        (format!("sha256:{long}"), Malformed),
        (format!("sha512:{short}"), Malformed),
        (format!("sha256:{}", &short[1..]), Malformed),
        (format!("sha256:{short}0"), Malformed),
        (format!("sha256:{}", short.to_uppercase()), Malformed),
        (format!("sha256:{}g", &short[1..]), Malformed),
        (format!("sha256:{}\u{e9}", &short[2..]), Malformed),
        (format!("sha256: {}", &short[1..]), Malformed),
        (format!("sha256:../../{}", &short[6..]), Malformed),
        (format!("sha256::{}", &short[1..]), Malformed),
        (format!("SHA256:{short}"), Unsupported),
        (format!(":{short}"), Unsupported),
        (format!("sha1:{}", &short[..40]), Unsupported),
        (format!("md5:{}", &short[..32]), Unsupported),
        (format!("sha384:{}", &long[..96]), Unsupported),
        (format!("../sha256:{short}"), Unsupported),
    ] {
        assert_eq!(text.parse::<Digest>(), Err(expected), "{text}");
    }
}

/// Expectations: FIPS 180-4, the examples of NIST's Cryptographic Standards and Guidelines.
#[test]
fn hashes_are_those_of_the_standard() {
    const ABC_256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                           2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    const EMPTY_256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                             47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
    for (algorithm, text, expected) in [
        (Algorithm::Sha256, "abc", ABC_256),
        (Algorithm::Sha512, "abc", ABC_512),
        (Algorithm::Sha256, "", EMPTY_256),
        (Algorithm::Sha512, "", EMPTY_512),
    ] {
        let mut hasher = Hasher::new(algorithm);
        for byte in text.bytes() {
            hasher.update(&[byte]);
        }
        assert_eq!(hasher.finish().to_string(), expected);
        assert_eq!(Digest::of(algorithm, text.as_bytes()).to_string(), expected);
    }
}
